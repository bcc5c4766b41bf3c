//! One rule at a time.

use super::*;

#[test]
fn queue_pool_opens_to_capacity_and_keeps_size() {
    let mut world = World::new(config(2, 1));
    for _ in 0..3 {
        assert!(!world.acquire().unwrap());
        world.connect_all();
    }
    assert_eq!(world.leases.len(), 3);
    assert!(!world.acquire().unwrap(), "the fourth waits");
    assert_eq!(world.connecting, 0, "for there is no room");
    world.give_back(0, Verdict::Clean);
    assert_eq!((world.leases.len(), world.queue.len()), (3, 0), "the return serves it");

    for _ in 0..3 {
        world.give_back(0, Verdict::Clean);
    }
    let counts = world.state.counts(world.now);
    assert_eq!((counts.idle, counts.closing), (2, 1), "only what exceeds the size is closed");
    world.close_ends();
    assert_eq!(world.state.open(), 2);
}

#[test]
fn the_order_decides_which_idle_connection_goes_first() {
    for (order, expected) in [(Order::Lifo, 2), (Order::Fifo, 1)] {
        let mut world = World::new(PoolConfig { order, ..config(2, 0) });
        for _ in 0..2 {
            world.acquire().unwrap();
            world.connect_all();
        }
        world.give_back(0, Verdict::Clean);
        world.give_back(0, Verdict::Clean);
        assert!(world.acquire().unwrap());
        assert_eq!(world.leases[0].1.connection, expected, "{order:?}");
    }
}

#[test]
fn a_connect_whose_caller_left_serves_the_next() {
    let mut world = World::new(config(1, 0));
    world.acquire().unwrap();
    world.give_up(0);
    world.connect_all();
    assert_eq!(world.state.counts(world.now).idle, 1);
    assert!(world.acquire().unwrap());
}

#[test]
fn dispose_replaces_within_the_capacity() {
    let mut world = World::new(config(1, 1));
    for _ in 0..2 {
        world.acquire().unwrap();
        world.connect_all();
    }
    world.give_back(0, Verdict::Clean);
    let disposed = world.state.dispose();
    assert_eq!(disposed.len(), 1);
    world.closing.extend(disposed);
    assert!(!world.acquire().unwrap());
    assert_eq!(world.connecting, 0, "the old ones still count");
    world.give_back(0, Verdict::Clean);
    assert_eq!(world.closing.len(), 2, "the leased one is closed when it comes back");
    world.wait_for(Duration::from_millis(1));
    world.close_ends();
    assert_eq!(world.connecting, 1);
    world.connect_all();
    assert_eq!(world.leases.len(), 1);
}

#[test]
fn a_dead_database_tells_everyone_at_once_and_is_not_stormed() {
    let mut world = World::new(config(20, 10));
    for _ in 0..5 {
        world.acquire().unwrap();
    }
    assert_eq!(world.connecting, 4);
    for _ in 0..4 {
        world.connect_ends(Err(refused()));
    }
    assert_eq!(world.dismissed, [1, 2, 3, 4, 5]);
    assert!(matches!(world.acquire(), Err(AcquireError::Connect(_))), "within the pause");
    assert_eq!(world.connecting, 0);
    world.wait_for(Duration::from_millis(401));
    assert!(!world.acquire().unwrap(), "after the pause someone tries again");
    assert_eq!(world.connecting, 1);
}

#[test]
fn after_a_failure_one_connect_alone_has_to_succeed_then_there_are_ever_more() {
    let mut world = World::new(PoolConfig { max_connecting: 4, ..config(4, 0) });
    for _ in 0..4 {
        world.acquire().unwrap();
    }
    assert_eq!(world.connecting, 4);
    world.connect_ends(Err(refused()));
    world.connect_ends(Err(refused()));
    world.connect_ends(Err(refused()));
    world.connect_ends(Err(refused()));
    world.wait_for(Duration::from_secs(1));
    for _ in 0..4 {
        world.acquire().unwrap();
    }
    assert_eq!(world.connecting, 1);
    world.connect_ends(Ok(()));
    assert_eq!(world.connecting, 2);
    world.connect_ends(Ok(()));
    assert_eq!((world.connecting, world.leases.len()), (2, 2), "all that are left");
}

#[test]
fn connects_that_succeed_let_ever_more_be_opened_at_once() {
    let mut world = World::new(PoolConfig { max_connecting: 9, ..config(30, 0) });
    for _ in 0..30 {
        world.acquire().unwrap();
    }
    let mut at_once = Vec::new();
    while world.connecting > 0 {
        at_once.push(world.connecting);
        (0..world.connecting).for_each(|_| world.connect_ends(Ok(())));
    }
    assert_eq!(at_once, [4, 8, 9, 9]);
}

#[test]
fn connects_keep_their_pace() {
    let mut world = World::new(PoolConfig { connect_rate: 10, ..config(1, 1) });
    for _ in 0..2 {
        world.acquire().unwrap();
        world.connect_all();
        world.give_back(0, Verdict::Unusable(CloseReason::Broken));
        world.close_ends();
    }
    assert!(!world.acquire().unwrap());
    assert_eq!(world.connecting, 0, "two at once, the third a tenth of a second later");
    world.wait_for(Duration::from_millis(99));
    assert_eq!(world.connecting, 0);
    world.wait_for(Duration::from_millis(1));
    assert_eq!(world.connecting, 1);
}

#[test]
fn a_full_server_leaves_callers_waiting_for_a_return() {
    let mut world = World::new(config(2, 0));
    world.acquire().unwrap();
    world.connect_all();
    world.acquire().unwrap();
    world.connect_ends(Err(full()));
    assert!(world.dismissed.is_empty());
    world.give_back(0, Verdict::Clean);
    assert_eq!(world.leases.len(), 1);
    assert!(world.state.backoff.history(world.now).answered.is_some());
}

/// The connects of a cold start share the last slots of a nearly full server.
#[test]
fn one_of_several_connects_that_a_full_server_refuses_costs_no_caller_an_error() {
    let mut world = World::new(config(2, 0));
    world.acquire().unwrap();
    world.acquire().unwrap();
    assert_eq!(world.connecting, 2);
    world.connect_ends(Err(full()));
    assert!(world.dismissed.is_empty(), "the other may succeed");
    world.connect_ends(Ok(()));
    assert_eq!(world.leases.len(), 1);
    world.give_back(0, Verdict::Clean);
    assert_eq!((world.leases.len(), world.queue.len()), (1, 0), "both were served");

    let mut world = World::new(config(2, 0));
    world.acquire().unwrap();
    world.acquire().unwrap();
    world.connect_ends(Err(full()));
    world.connect_ends(Err(full()));
    assert_eq!(world.dismissed.len(), 2, "nothing is left to wait for");
}

#[test]
fn failures_make_the_others_suspect() {
    let mut world = World::new(config(2, 0));
    for _ in 0..2 {
        world.acquire().unwrap();
        world.connect_all();
    }
    world.give_back(0, Verdict::Clean);
    let taker = Caller::current();
    let suspect = |world: &mut World| {
        let found = world.state.check_out(&taker, world.now).unwrap();
        let (issued, suspect) = found.issued.unwrap();
        world.leases.push_back((issued.lease, issued.pooled));
        suspect
    };
    assert!(!suspect(&mut world));
    world.give_back(1, Verdict::Clean);
    world.wait_for(Duration::from_millis(1));
    world.give_back(0, Verdict::Unusable(CloseReason::Broken));
    assert!(suspect(&mut world), "another has broken since");
    world.give_back(0, Verdict::Clean);
    assert!(!suspect(&mut world), "it has been used since");
    world.give_back(0, Verdict::Clean);
    world.wait_for(Duration::from_millis(1001));
    assert!(suspect(&mut world), "idle for long");
}

#[test]
fn what_is_too_old_is_closed_instead_of_handed_out() {
    let mut world = World::new(config(1, 0));
    world.acquire().unwrap();
    let expires = Some(world.now + Duration::from_secs(60));
    world.connecting -= 1;
    let placement = world.state.connected(opened(1, 0, expires), world.now);
    world.settle(placement);
    world.give_back(0, Verdict::Clean);
    world.wait_for(Duration::from_secs(60));
    assert!(!world.acquire().unwrap());
    assert_eq!(world.closing.len(), 1);
    world.close_ends();
    assert_eq!(world.connecting, 1);
}

#[test]
fn the_queue_has_an_end_and_a_closed_pool_has_none() {
    let mut world = World::new(PoolConfig { max_waiting: 1, ..config(1, 0) });
    world.acquire().unwrap();
    assert!(matches!(world.acquire(), Err(AcquireError::QueueFull { limit: 1 })));
    let (told, idle) = world.state.shut();
    assert_eq!((told, idle.len()), (vec![1], 0));
    assert!(matches!(world.acquire(), Err(AcquireError::Closed)));
}

#[test]
fn a_revoked_lease_is_closed_when_it_comes_back() {
    let mut world = World::new(config(1, 0));
    world.acquire().unwrap();
    world.connect_all();
    let lease = world.leases[0].0;
    assert!(!world.state.is_revoked(lease));
    assert!(!world.state.reclaim(lease), "not before it is revoked");
    world.revoke(0);
    assert_eq!(world.state.counts(world.now).checked_out, 1, "its place is taken until then");
    world.give_back(0, Verdict::Clean);
    assert_eq!((world.closing.len(), world.state.revoked()), (1, 0));
    assert!(!world.state.revoke(lease), "it has come back");
}

#[test]
fn the_slot_of_a_reclaimed_lease_serves_the_next_caller() {
    let mut world = World::new(config(1, 0));
    world.acquire().unwrap();
    world.connect_all();
    assert!(!world.acquire().unwrap());
    world.revoke(0);
    world.reclaim(0);
    world.wait_for(Duration::from_millis(1));
    world.connect_all();
    assert_eq!((world.leases.len(), world.reclaimed.len()), (1, 1));
    world.come_back_late();
    assert_eq!(world.state.open(), 1, "its late return changes nothing");
}

#[test]
fn the_slot_of_a_lost_lease_serves_the_next_caller_and_idle_connections_are_in_doubt() {
    let mut world = World::new(config(1, 0));
    world.acquire().unwrap();
    world.connect_all();
    assert!(!world.acquire().unwrap());
    assert_eq!(world.state.trusted_since, None);
    world.lose(0);
    assert_eq!(world.state.trusted_since, Some(world.now));
    world.wait_for(Duration::from_millis(1));
    world.connect_all();
    assert_eq!((world.leases.len(), world.reclaimed.len()), (1, 1));
    world.come_back_late();
    assert_eq!((world.state.open(), world.state.revoked()), (1, 0), "its late return changes nothing");
}

#[test]
fn connections_are_opened_ahead_up_to_the_size() {
    let mut world = World::new(config(3, 2));
    world.state.set_min_connections(10);
    world.pump();
    assert_eq!(world.connecting, 3);
    while world.connecting > 0 {
        world.connect_all();
    }
    assert_eq!(world.state.counts(world.now).idle, 3);
    world.acquire().unwrap();
    world.give_back(0, Verdict::Unusable(CloseReason::Broken));
    world.close_ends();
    world.connect_all();
    assert_eq!(world.state.counts(world.now).idle, 3, "what is lost is made up for");
}

#[test]
fn idle_connections_are_opened_ahead_beside_those_in_use() {
    let mut world = World::new(PoolConfig { min_idle: 2, ..config(4, 2) });
    let idle = |world: &World| world.state.counts(world.now).idle;
    world.pump();
    assert_eq!(world.state.counts(world.now).lacking, 2);
    world.connect_all();
    assert_eq!((idle(&world), world.state.counts(world.now).lacking), (2, 0));
    for (busy, ready) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
        assert!(world.acquire().unwrap());
        assert_eq!(world.state.is_short(), busy < 3, "four are the size");
        world.pump();
        world.connect_all();
        assert_eq!(idle(&world), ready, "beside {busy}");
    }
    assert!(!world.acquire().unwrap(), "beyond the size only those who wait get one");
    assert_eq!(world.connecting, 1);
    world.connect_all();
    (0..5).for_each(|_| world.give_back(0, Verdict::Clean));
    world.close_ends();
    assert_eq!((idle(&world), world.connecting), (4, 0));
}

#[test]
fn a_pool_that_is_to_be_warm_stays_as_large_as_it_is_made() {
    let mut world = World::new(PoolConfig { min_idle: u32::MAX, ..config(2, 0) });
    let idle = |world: &World| world.state.counts(world.now).idle;
    world.pump();
    world.connect_all();
    world.resize(3, 0);
    world.connect_all();
    assert_eq!(idle(&world), 3);
    assert_eq!(world.state.close_surplus_idle(0).len(), 0);
    world.closing.extend(world.state.dispose());
    assert_eq!(world.state.counts(world.now).lacking, 3);
    (0..3).for_each(|_| world.close_ends());
    world.wait_for(Duration::from_millis(1));
    world.connect_all();
    assert_eq!(idle(&world), 3, "each place is taken again");
}

#[test]
fn a_failed_connect_ahead_of_demand_is_retried_later() {
    let mut world = World::new(PoolConfig { min_idle: 4, ..config(4, 0) });
    world.pump();
    (0..4).for_each(|_| world.connect_ends(Err(refused())));
    world.wait_for(Duration::from_millis(4999));
    assert_eq!(world.connecting, 0);
    assert!(!world.acquire().unwrap(), "who needs one does not wait for so long");
    assert_eq!(world.connecting, 1);
    world.connect_ends(Err(full()));
    world.wait_for(Duration::from_secs(29));
    assert_eq!(world.connecting, 0);
    world.wait_for(Duration::from_secs(1));
    assert_eq!(world.connecting, 1);
    while world.connecting > 0 {
        world.connect_ends(Ok(()));
    }
    assert_eq!(world.state.counts(world.now).idle, 4);
}

#[test]
fn what_would_be_opened_again_is_not_surplus() {
    let mut world = World::new(config(5, 0));
    world.state.set_min_connections(3);
    world.pump();
    while world.connecting > 0 {
        world.connect_all();
    }
    assert_eq!(world.state.close_surplus_idle(1).len(), 0);
    world.acquire().unwrap();
    assert_eq!(world.state.close_surplus_idle(1).len(), 0, "those in use count too");
    world.state.set_min_connections(2);
    world.closing.extend(world.state.close_surplus_idle(0));
    assert_eq!(world.closing.len(), 1);
    world.close_ends();
    assert_eq!((world.connecting, world.state.counts(world.now).idle), (0, 1), "none is opened again");
}

#[test]
fn failures_with_outdated_options_do_not_count() {
    let mut world = World::new(config(2, 0));
    assert!(!world.acquire().unwrap(), "it waits for a connect");
    let before = world.state.options_generation();
    assert!(world.state.options_changed().is_empty());
    assert_eq!(world.state.counts(world.now).options_generation, before + 1);
    assert!(world.state.connect_failed(&refused(), before, world.now, 0.0).is_empty(), "no caller is told");
    let start = world.state.start_connects(world.now);
    assert_eq!((start.connects, start.retry_at), (1, None), "and there is no pause");
}

#[test]
fn new_options_cancel_the_planned_retry() {
    let mut world = World::new(config(2, 0));
    world.acquire().unwrap();
    world.connect_all();
    world.acquire().unwrap();
    world.acquire().unwrap();
    world.connect_ends(Err(full()));
    assert!(!world.retries.is_empty(), "the server that is full is asked later");
    let _ = world.state.options_changed();
    // The time until the pace allows another connect, which is before the retry.
    world.now += Duration::from_millis(100);
    assert_eq!(world.state.start_connects(world.now).connects, 1, "the other one at once");
    let options_generation = world.state.options_generation();
    let told = world.state.connect_failed(&refused(), options_generation, world.now, 0.5);
    assert_eq!(told.len(), 1, "the first of two");
    assert!(world.state.start_connects(world.now).retry_at.is_some(), "a pause of its own");
}
