//! What can stand in front of the route: Poolgate in four settings, and its rivals.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    BoxError,
    error_handling::HandleErrorLayer,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use congestion_limiter::{
    aggregation::Average,
    limiter::{DefaultLimiter, Limiter as _, Outcome},
    limits::{Gradient, Windowed},
};
use little_loadshedder::{LoadShedLayer as LittleLoadShedLayer, LoadShedResponse};
use poolgate_server::{
    Poolgate,
    settings::{Policy, QueueOrder, Settings},
};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer, util::MapResponseLayer};
use tower_resilience_adaptive::{AdaptiveError, AdaptiveLimiterLayer, Aimd};

use super::App;
use crate::wire::{self, Limiter};

/// No tuned limiter lets more in than there are connections.
const CONNECTIONS: usize = wire::CONNECTIONS as usize;

/// The settings of a limiter that is part of Poolgate. Gate and pool are as large as each other, so that every limiter
/// has the same number of connections.
pub(super) fn poolgate_settings(limiter: Limiter) -> Option<Settings> {
    let mut settings = Settings::default();
    settings.gate.max_concurrent_requests = wire::CONNECTIONS;
    match limiter {
        Limiter::Poolgate => {}
        Limiter::PoolgateGate => settings.control.clients = false,
        Limiter::FifoGate => {
            settings.control.clients = false;
            settings.gate.order = QueueOrder::Fifo;
        }
        Limiter::PoolgateFixed => {
            settings.policy = Policy::Fixed;
            settings.gate.order = QueueOrder::Fifo;
        }
        _ => return None,
    }
    Some(settings)
}

/// The route behind its limiter.
pub(super) fn limit(work: MethodRouter<App>, limiter: Limiter, poolgate: Option<&Poolgate>) -> MethodRouter<App> {
    match limiter {
        Limiter::None | Limiter::Haproxy => work,
        Limiter::FifoGate | Limiter::PoolgateGate | Limiter::PoolgateFixed | Limiter::Poolgate => match poolgate {
            Some(poolgate) => work.layer(poolgate.gate()),
            None => work,
        },
        Limiter::TowerLoadShed => tower_load_shed(work),
        Limiter::TowerResilience => tower_resilience(work),
        Limiter::TowerResilienceTuned => tower_resilience_tuned(work),
        Limiter::Congestion => congestion_limiter(work, Gradient::new_with_initial_limit(10), Duration::ZERO),
        Limiter::CongestionTuned => {
            congestion_limiter(work, Gradient::new(CONNECTIONS, 1..=CONNECTIONS), Duration::from_millis(100))
        }
        Limiter::LittleLoadshedder => little_loadshedder(work, 0.01, Duration::from_secs(2)),
        Limiter::LittleLoadshedderTuned => little_loadshedder(work, 0.1, Duration::from_millis(150)),
    }
}

fn tower_load_shed(work: MethodRouter<App>) -> MethodRouter<App> {
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(reject::<BoxError>))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(CONNECTIONS));
    work.layer(layers)
}

/// Waits for room and never rejects: that is what the layer does by itself.
fn tower_resilience(work: MethodRouter<App>) -> MethodRouter<App> {
    let aimd = Aimd::builder().build().unwrap_or_else(|error| unreachable!("the crate's defaults: {error}"));
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(reject::<AdaptiveError<Infallible>>))
        .layer(AdaptiveLimiterLayer::new(aimd));
    work.layer(layers)
}

/// A latency above 300 ms (the 99.8th percentile of 50 ms, exponentially distributed) is a sign of congestion.
fn tower_resilience_tuned(work: MethodRouter<App>) -> MethodRouter<App> {
    let aimd = Aimd::builder()
        .initial_limit(CONNECTIONS)
        .max_limit(CONNECTIONS)
        .decrease_factor(0.9)
        .latency_threshold(Duration::from_millis(300))
        .build()
        .unwrap_or_else(|error| unreachable!("possible values: {error}"));
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(reject::<BoxError>))
        .layer(LoadShedLayer::new())
        .layer(AdaptiveLimiterLayer::new(aimd));
    work.layer(layers)
}

type WindowedGradient = DefaultLimiter<Windowed<Gradient, Average>>;

/// The crate has no layer; this is how its documentation uses it. It waits for room up to `patience`.
fn congestion_limiter(work: MethodRouter<App>, gradient: Gradient, patience: Duration) -> MethodRouter<App> {
    let limiter: Arc<WindowedGradient> = Arc::new(DefaultLimiter::new(Windowed::new(gradient, Average::default())));
    work.layer(middleware::from_fn_with_state((limiter, patience), behind_congestion_limiter))
}

async fn behind_congestion_limiter(
    State((limiter, patience)): State<(Arc<WindowedGradient>, Duration)>,
    request: Request,
    next: Next,
) -> Response {
    let token = if patience.is_zero() { limiter.try_acquire().await } else { limiter.acquire_timeout(patience).await };
    let Some(token) = token else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let response = next.run(request).await;
    let outcome = if response.status().is_server_error() { Outcome::Overload } else { Outcome::Success };
    limiter.release(token, Some(outcome)).await;
    response
}

fn little_loadshedder(work: MethodRouter<App>, smoothing: f64, target: Duration) -> MethodRouter<App> {
    let layers = ServiceBuilder::new()
        .layer(MapResponseLayer::new(|shed: LoadShedResponse<Response>| match shed {
            LoadShedResponse::Inner(response) => response,
            LoadShedResponse::Overload => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }))
        .layer(LittleLoadShedLayer::new(smoothing, target));
    work.layer::<_, Infallible>(layers)
}

async fn reject<E>(_: E) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}
