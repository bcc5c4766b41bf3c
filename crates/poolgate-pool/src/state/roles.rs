//! Leaving a server that no longer accepts writes.
//!
//! After a failover the old primary may continue as a standby, with the pool's sessions on it. Each session that is found
//! to be on such a server is closed, and each new connection is asked, until one leads to a server that accepts writes. If
//! none does, because the name still leads to the old server or the app writes to a standby, the pool closes a connection
//! that was read-only from the start at most once a second, to see whether a new one leads elsewhere.

use std::time::{Duration, Instant};

use super::{Placement, Pooled, State};
use crate::observer::CloseReason;

/// Shortest time between closing two connections that were read-only from the start.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Roles {
    /// A connection was closed because its server refuses writes, and no new one has led to a server that accepts them.
    seeks_primary: bool,
    /// When a connection that was read-only from the start was last closed.
    tried: Option<Instant>,
}

impl Roles {
    pub(super) fn seeks_primary(&self) -> bool {
        self.seeks_primary
    }
}

impl<C, W> State<C, W> {
    /// Whether the server of each new connection must be asked if it accepts writes.
    pub(crate) fn seeks_primary(&self) -> bool {
        self.roles.seeks_primary
    }

    /// A verified connection leads to a server that refuses writes.
    pub(crate) fn found_read_only(&mut self, mut pooled: Box<Pooled<C>>, now: Instant) -> Placement<C, W> {
        self.verifying = self.verifying.saturating_sub(1);
        let roles = &mut self.roles;
        roles.seeks_primary = true;
        if pooled.read_only {
            if roles.tried.is_some_and(|tried| now < tried + PAUSE) {
                pooled.last_used = now;
                return self.place(pooled, now);
            }
            roles.tried = Some(now);
        }
        self.close(pooled, CloseReason::ReadOnly)
    }

    /// A new connection leads to a server that accepts writes. Returns the idle connections to other servers, to be closed;
    /// those in use are closed when they are returned.
    pub(crate) fn found_writable(&mut self) -> Vec<Box<Pooled<C>>> {
        self.roles = Roles::default();
        self.take_idle_if(|pooled| pooled.read_only)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Opened, Upkeep, Verdict};
    use super::*;
    use crate::config::PoolConfig;
    use crate::purpose::Caller;

    struct World {
        state: State<u32, u32>,
        now: Instant,
    }

    impl World {
        fn connect(&mut self, connection: u32, read_only: bool) {
            self.state.connecting += 1;
            let opened = Opened { connection, generation: 0, expires: None, server_pid: None, read_only };
            assert!(matches!(self.state.connected(opened, self.now), Placement::Idle));
        }

        /// Uses a connection for a write that fails; returns whether the connection is closed.
        fn write(&mut self) -> bool {
            let issued =
                self.state.check_out(&Caller::current(), self.now).expect("open").issued.expect("an idle one").0;
            let mut pooled = issued.pooled;
            pooled.upkeep = Upkeep { ask_role: true, ..Upkeep::default() };
            let (Placement::Verify(pooled), _) = self.state.check_in(issued.lease, pooled, Verdict::Doubtful, self.now)
            else {
                panic!("not verified");
            };
            match self.state.found_read_only(pooled, self.now) {
                Placement::Close(_, CloseReason::ReadOnly) => {
                    self.state.close_ended();
                    true
                }
                Placement::Idle => false,
                other => panic!("{other:?}"),
            }
        }
    }

    fn world() -> World {
        World { state: State::new(&PoolConfig { size: 5, ..PoolConfig::default() }), now: Instant::now() }
    }

    #[test]
    fn sessions_of_a_demoted_server_leave_at_once_and_those_of_a_reader_one_a_second() {
        let mut world = world();
        (0..3).for_each(|number| world.connect(number, false));
        assert!(!world.state.seeks_primary());
        assert!(world.write() && world.write() && world.write(), "each was a primary's");
        assert!(world.state.seeks_primary());

        (3..5).for_each(|number| world.connect(number, true));
        assert!(world.write(), "one is tried");
        world.connect(5, true);
        for _ in 0..20 {
            assert!(!world.write(), "and no more within a second");
            world.now += Duration::from_millis(40);
        }
        world.now += PAUSE;
        assert!(world.write());
        assert!(!world.write());

        assert_eq!(world.state.found_writable().len(), 1, "the new primary is there: no reader is kept");
        assert!(!world.state.seeks_primary());
    }
}
