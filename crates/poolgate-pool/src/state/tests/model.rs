//! All rules together, in random sequences of steps.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Acquire,
    GiveUp(usize),
    GiveBack(usize, Verdict),
    ConnectEnds(u8),
    VerifyEnds(bool),
    CloseEnds,
    Dispose,
    CloseIdle(u32),
    Resize(u32, u32),
    SetMinConnections(u32),
    Revoke(usize),
    Reclaim(usize),
    Lose(usize),
    ComeBackLate,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        6 => Just(Verdict::Clean),
        2 => Just(Verdict::Doubtful),
        1 => Just(Verdict::Unusable(CloseReason::Broken)),
    ];
    prop_oneof![
        8 => Just(Step::Acquire),
        2 => (0_usize..4).prop_map(Step::GiveUp),
        6 => ((0_usize..4), verdict).prop_map(|(index, verdict)| Step::GiveBack(index, verdict)),
        6 => (0_u8..6).prop_map(Step::ConnectEnds),
        2 => any::<bool>().prop_map(Step::VerifyEnds),
        4 => Just(Step::CloseEnds),
        1 => Just(Step::Dispose),
        1 => (0_u32..3).prop_map(Step::CloseIdle),
        1 => ((0_u32..4), (1_u32..3)).prop_map(|(size, overflow)| Step::Resize(size, overflow)),
        1 => (0_u32..4).prop_map(Step::SetMinConnections),
        1 => (0_usize..4).prop_map(Step::Revoke),
        2 => (0_usize..4).prop_map(Step::Reclaim),
        1 => (0_usize..4).prop_map(Step::Lose),
        1 => Just(Step::ComeBackLate),
        2 => (0_u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rules hold after each step of any sequence, and in the end the whole capacity can be acquired.
    #[test]
    fn the_rules_hold_in_every_order(
        size in 0_u32..4,
        max_overflow in 1_u32..3,
        fifo in any::<bool>(),
        connect_rate in prop_oneof![Just(20_u32), Just(10_000)],
        min_idle in 0_u32..4,
        steps in prop::collection::vec(steps(), 1..200),
    ) {
        let order = if fifo { Order::Fifo } else { Order::Lifo };
        let mut world = World::new(PoolConfig { order, connect_rate, min_idle, ..config(size, max_overflow) });
        for step in steps {
            match step {
                // May be refused while the database is away; that changes nothing.
                Step::Acquire => { let _ = world.acquire(); }
                Step::GiveUp(index) => world.give_up(index),
                Step::GiveBack(index, verdict) => world.give_back(index, verdict),
                Step::ConnectEnds(0) => world.connect_ends(Err(refused())),
                Step::ConnectEnds(1) => world.connect_ends(Err(full())),
                Step::ConnectEnds(_) => world.connect_ends(Ok(())),
                Step::VerifyEnds(well) => world.verify_ends(well),
                Step::CloseEnds => world.close_ends(),
                Step::Dispose => {
                    let disposed = world.state.dispose();
                    world.closing.extend(disposed);
                }
                Step::CloseIdle(keep) => {
                    let surplus = world.state.close_idle(keep);
                    world.closing.extend(surplus);
                }
                Step::Resize(size, max_overflow) => world.resize(size, max_overflow),
                Step::SetMinConnections(count) => {
                    world.state.set_min_connections(count);
                    world.pump();
                }
                Step::Revoke(index) => world.revoke(index),
                Step::Reclaim(index) => world.reclaim(index),
                Step::Lose(index) => world.lose(index),
                Step::ComeBackLate => world.come_back_late(),
                Step::Wait(ms) => world.wait_for(Duration::from_millis(ms)),
            }
            world.check();
        }

        while !(world.leases.is_empty() && world.queue.is_empty() && world.connecting == 0) {
            world.connect_ends(Ok(()));
            world.verify_ends(true);
            world.close_ends();
            world.give_back(0, Verdict::Clean);
            world.wait_for(Duration::from_secs(1));
        }
        while !(world.verifying.is_empty() && world.closing.is_empty()) {
            world.verify_ends(true);
            world.close_ends();
        }
        while !world.reclaimed.is_empty() {
            world.come_back_late();
        }
        prop_assert_eq!(world.state.revoked(), 0);
        // Past the longest pause after a failed connect.
        world.wait_for(Duration::from_secs(30));
        let capacity = world.state.capacity();
        for _ in 0..capacity {
            prop_assert!(world.acquire().is_ok());
            world.connect_all();
        }
        prop_assert_eq!(world.leases.len(), capacity as usize);
    }
}
