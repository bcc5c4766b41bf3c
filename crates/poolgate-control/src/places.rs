//! How many connections requests can count on while the pool has more capacity than open connections.
//!
//! A pool that starts, moves, grows or was disposed of opens its connections when requests have already arrived.
//! Admitted requests then wait for a connect, not for the database, and the connections will be open in a moment. So
//! the whole capacity counts as long as connects succeed. If they do not (the server is full or silent), only the open
//! connections count.

use std::time::Duration;

use crate::sample::PoolSample;

/// Connects succeed if the number of open connections grows by half within this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pool is filling while more than this share of its capacity is waited for; less is the usual replacement of
/// connections.
const FILLING: f64 = 0.1;

/// The connections that can be counted on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The number of open connections at which connects stopped succeeding; `None`: the whole capacity counts.
    reached: Option<u32>,
    growth: Option<Growth>,
    filling: bool,
}

/// The number of open connections, and when, at the last sufficient growth while requests waited for more.
#[derive(Clone, Copy, Debug)]
struct Growth {
    open: u32,
    at: Duration,
}

impl Places {
    pub(crate) fn update(&mut self, pool: &PoolSample, now: Duration) {
        let open = pool.open;
        if self.reached.is_some_and(|reached| open > reached) {
            // The server accepts connections again, so more may follow.
            self.reached = Some(further(open));
            self.growth = None;
        }
        if pool.unserved() == 0 {
            self.growth = None;
        } else {
            let growth = self.growth.get_or_insert(Growth { open, at: now });
            if open >= further(growth.open) {
                *growth = Growth { open, at: now };
            } else if now.saturating_sub(growth.at) >= PATIENCE {
                self.reached = Some(open);
            }
        }
        self.reached = self.reached.filter(|reached| *reached < pool.capacity);
        let many_wait = f64::from(pool.unserved()) > FILLING * f64::from(pool.capacity);
        self.filling = self.reached.is_none() && many_wait;
    }

    /// Whether many requests wait for connections that can be counted on.
    pub(crate) fn are_filling(&self) -> bool {
        self.filling
    }

    /// The number of slots that have a connection that can be counted on; at least one.
    pub(crate) fn of(&self, slots: u32) -> u32 {
        self.reached.map_or(slots, |reached| slots.min(reached)).max(1)
    }
}

fn further(open: u32) -> u32 {
    open.saturating_add((open / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// A pool of 30, and a gate of 25 in front of it.
    struct Pool {
        places: Places,
        now: Duration,
    }

    impl Pool {
        fn new() -> Self {
            Self { places: Places::default(), now: Duration::ZERO }
        }

        /// Runs ticks with `open` connections, all in use, and `waiting` requests that wait for one.
        fn slots(&mut self, ticks: u32, open: u32, waiting: u32) -> u32 {
            for _ in 0..ticks {
                self.now += TICK;
                let pool = PoolSample { checked_out: open, open, capacity: 30, waiting, ..PoolSample::default() };
                self.places.update(&pool, self.now);
            }
            self.places.of(25)
        }
    }

    #[test]
    fn all_places_count_while_connects_get_on() {
        let mut pool = Pool::new();
        for open in [0, 2, 4, 6, 9, 14, 21] {
            assert_eq!(pool.slots(15, open, 25 - open), 25, "{open} are open");
        }
    }

    #[test]
    fn places_without_a_waiter_count() {
        assert_eq!(Pool::new().slots(600, 3, 0), 25);
    }

    #[test]
    fn where_connects_do_not_get_on_only_open_connections_count() {
        let mut pool = Pool::new();
        assert_eq!(pool.slots(20, 10, 15), 25, "not yet");
        assert_eq!(pool.slots(1, 10, 15), 10);
        assert_eq!(pool.slots(600, 10, 15), 10);
        assert_eq!(pool.slots(600, 10, 0), 10, "an empty queue says nothing about the server");
        assert_eq!(pool.slots(21, 0, 25), 1, "there is always one, so that capacity is never zero");
    }

    #[test]
    fn places_count_again_as_connections_are_opened() {
        let mut pool = Pool::new();
        assert_eq!(pool.slots(40, 10, 15), 10);
        assert_eq!(pool.slots(1, 11, 14), 16);
        assert_eq!(pool.slots(1, 20, 5), 25);
        assert_eq!(pool.slots(600, 25, 0), 25);
    }

    #[test]
    fn a_full_pool_is_no_matter_of_connects() {
        let mut pool = Pool::new();
        assert_eq!(pool.slots(600, 30, 25), 25, "others have the connections");
    }
}
