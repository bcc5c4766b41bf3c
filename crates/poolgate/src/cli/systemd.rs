//! Tells systemd (a unit with `Type=notify-reload` or `Type=notify`) when the server is ready, when it reads its settings
//! again and when it stops, and, where the unit sets `WatchdogSec=`, that its control loop is alive. Without systemd it
//! does nothing.

use std::time::Duration;

use poolgate_server::Poolgate;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{MissedTickBehavior, interval};

/// How often the state shown by `systemctl status` is brought up to date.
const STATUS: Duration = Duration::from_secs(5);

/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

/// Announces the server, which listens by now, and follows it until it stops.
pub(super) fn follow(poolgate: &Poolgate) {
    if !is_there() {
        return;
    }
    tell(&[NotifyState::Ready]);
    let (poolgate, closing) = (poolgate.clone(), poolgate.closing().clone());
    tokio::spawn(async move {
        closing.run_until_cancelled(watch(&poolgate)).await;
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping: requests in flight may finish")]);
    });
}

/// Runs a reload. `systemctl reload` returns when it has ended, be it with an error: then the old settings stay in force.
pub(super) fn during_reload(reload: impl FnOnce()) {
    if !is_there() {
        return reload();
    }
    // systemd tells this reload from an earlier one by the time.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "Cannot tell systemd of the reload: no monotonic time"),
    }
    reload();
    tell(&[NotifyState::Ready]);
}

/// A sign of life for each look that finds a new status: half as far apart as systemd asks for. A control loop that hangs
/// publishes none, and systemd restarts the server.
async fn watch(poolgate: &Poolgate) {
    let patience = watchdog_enabled();
    let pause = patience.map_or(STATUS, |patience| patience / 2);
    let mut looks = interval(pause.clamp(SHORTEST, STATUS));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut said) = (String::new(), String::new());
    loop {
        looks.tick().await;
        let status = poolgate.status();
        if patience.is_some() && status.sampled_at != seen {
            tell(&[NotifyState::Watchdog]);
        }
        seen.clone_from(&status.sampled_at);
        let pool = &status.pool;
        let level = status.throttling_level.as_str();
        let now = format!("{level}, {} of {} connections in use", pool.checked_out, pool.capacity);
        if now != said {
            tell(&[NotifyState::Status(&now)]);
            said = now;
        }
    }
}

/// Whether systemd wants to be told.
fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::warn!(%error, "Cannot notify systemd (NOTIFY_SOCKET)");
    }
}
