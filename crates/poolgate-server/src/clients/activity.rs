//! The clients that operators look at first.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use poolgate_types::ClientActivity;

use super::{Registry, StreamKey};

impl Registry {
    /// The clients that have been without the newest version for the longest, and those that have been there for the
    /// longest.
    pub(crate) fn worst(&self, most: usize) -> Vec<ClientActivity> {
        let state = self.lock();
        let (now, time_of_day) = (Instant::now(), Timestamp::now());
        let streams = state.streams.iter().map(|(key, stream)| (Some(key), stream.version, stream.since));
        let polling = state.polling().map(|(_, poller)| (None, Some(poller.version), poller.last));
        let with_lag = |(key, version, since)| (state.versions.lag(version, now), since, version, key);
        let mut clients: Vec<_> = streams.chain(polling).map(with_lag).collect();
        // Requests wait for this lock, so only the worst are sorted.
        let order = |(lag, since, ..): &(Duration, Instant, Option<u64>, Option<&StreamKey>)| (Reverse(*lag), *since);
        if clients.len() > most {
            clients.select_nth_unstable_by_key(most, order);
            clients.truncate(most);
        }
        clients.sort_unstable_by_key(order);
        let time = |at: Instant| {
            let age = SignedDuration::try_from(now.saturating_duration_since(at)).unwrap_or(SignedDuration::ZERO);
            time_of_day.checked_sub(age).unwrap_or(time_of_day).to_string()
        };
        let told = clients.into_iter().map(|(lag, since, version, key)| ClientActivity {
            id: key.and_then(StreamKey::beginning),
            since: time(since),
            polls: key.is_none(),
            version,
            lag_seconds: lag.as_secs_f64(),
        });
        told.collect()
    }
}
