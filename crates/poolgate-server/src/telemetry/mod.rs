//! What the library records through the `metrics` facade, and how a program hands in what renders it.

pub(crate) mod names;
mod renderer;

pub use self::renderer::MetricsRenderer;
