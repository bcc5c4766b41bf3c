//! Where the program's [`Settings`](poolgate_server::Settings) come from, and how they are shown.
//!
//! Later sources win: the defaults, a TOML file, the environment, flags. `pool.max_overflow` is
//! `POOLGATE_POOL__MAX_OVERFLOW` in the environment. A key that does not exist and a value that is out of its range stop
//! the start with a message that names the key.

mod advice;
mod load;
mod print;
mod source;
mod value;

pub use self::{
    advice::advice,
    load::{Flag, Overrides, Profile, SettingsError, load},
    print::{explained, to_toml},
};
