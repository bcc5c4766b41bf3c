//! What becomes of connections to a server that takes no writes any more.
//!
//! After a failover the old primary may live on as a standby, with the pool's sessions on it. Each of them that is found out
//! is closed, and until a new connection leads to a server that takes writes the pool asks each. Where none does, because
//! the name still leads to the old server or because the app writes to a server that was never meant for it, a connection
//! that was read-only from the start is closed once a second and no more: to see whether a new one fares better.

use std::time::{Duration, Instant};

use super::{Placement, Pooled, State};
use crate::observer::CloseReason;

/// Shortest time between two connections that are closed although a new one is known to be no better.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Roles {
    /// A connection was closed because its server takes no writes, and no new one has led to another server since.
    wary: bool,
    /// When one was last closed that was read-only from the start.
    tried: Option<Instant>,
}

impl Roles {
    pub(super) fn is_wary(&self) -> bool {
        self.wary
    }
}

impl<C, W> State<C, W> {
    /// Whether new connections have to be asked what their server takes.
    pub(crate) fn is_wary(&self) -> bool {
        self.roles.wary
    }

    /// A connection that was verified leads to a server that takes no writes.
    pub(crate) fn found_read_only(&mut self, mut pooled: Box<Pooled<C>>, now: Instant) -> Placement<C, W> {
        self.verifying = self.verifying.saturating_sub(1);
        let roles = &mut self.roles;
        roles.wary = true;
        if pooled.read_only {
            if roles.tried.is_some_and(|tried| now < tried + PAUSE) {
                pooled.last_used = now;
                return self.place(pooled, now);
            }
            roles.tried = Some(now);
        }
        self.close(pooled, CloseReason::ReadOnly)
    }

    /// A new connection leads to a server that takes writes; returns the idle ones that are known not to, to be closed.
    /// Those in use are closed when they come back.
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
    use crate::purpose::Taker;

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

        /// One connection is used for a write that fails; true: it is closed.
        fn write(&mut self) -> bool {
            let issued = self.state.check_out(&Taker::caller(), self.now).expect("open").issued.expect("an idle one").0;
            let mut pooled = issued.pooled;
            pooled.upkeep = Upkeep { ask_role: true, ..Upkeep::default() };
            let Placement::Verify(pooled) = self.state.check_in(issued.lease, pooled, Verdict::Doubtful, self.now)
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
        assert!(!world.state.is_wary());
        assert!(world.write() && world.write() && world.write(), "each was a primary's");
        assert!(world.state.is_wary());

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
        assert!(!world.state.is_wary());
    }
}
