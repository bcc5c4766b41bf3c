//! Tells a receiver of Poolgate's own alerts: [`Notices`] decides what and when, this sends it. It works beside the server's
//! control loop and reads what that has published; a slow receiver delays only the next notice.

mod body;
mod sender;
mod signature;

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    time::Duration,
};

use poolgate_control::Notices;
use poolgate_server::{
    Poolgate,
    settings::{AlertFormat, AlertSettings},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::{body::Origin, sender::Sender};

/// How often the status is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// An Alertmanager takes an alert for over when it has not heard of it for five minutes.
const REMINDER: Duration = Duration::from_secs(60);

/// Tells the receiver of `alerts.url`, if there is one, until the server closes. `address` is where the server listens.
///
/// # Errors
///
/// When the system's certificates cannot be read.
pub(crate) fn start(poolgate: &Poolgate, address: SocketAddr) -> anyhow::Result<()> {
    let settings = poolgate.settings().alerts.clone();
    let Some(sender) = Sender::new(&settings)? else { return Ok(()) };
    let origin =
        Origin { instance: address.to_string(), page: settings.page.clone(), runbooks: settings.runbooks.clone() };
    let (poolgate, closing) = (poolgate.clone(), poolgate.closing().clone());
    tokio::spawn(async move { closing.run_until_cancelled(tell(&poolgate, &settings, &sender, &origin)).await });
    Ok(())
}

async fn tell(poolgate: &Poolgate, settings: &AlertSettings, sender: &Sender, origin: &Origin) {
    let started = Instant::now();
    let reminder = (settings.format == AlertFormat::Alertmanager).then_some(REMINDER);
    let mut notices = Notices::new(settings.least_severity, reminder);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fails = false;
    loop {
        looks.tick().await;
        let Some(notice) = notices.next(&poolgate.status().alerts, started.elapsed()) else { continue };
        match sender.send(&notice, &body::body(settings.format, &notice, origin)).await {
            Ok(()) => {
                notices.arrived(started.elapsed());
                if std::mem::take(&mut fails) {
                    tracing::info!("The receiver of alerts.url takes alerts again");
                }
            }
            Err(error) => {
                notices.failed(started.elapsed(), random());
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(%error, "The receiver of alerts.url takes no alerts; they will be sent again");
                }
            }
        }
    }
}

/// A number from 0 to 1 that differs from call to call.
fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
