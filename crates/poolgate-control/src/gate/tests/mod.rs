//! The gate in virtual time.

mod callers;
mod priorities;

use super::*;

fn gate(permits: u32, max_queue: usize) -> Gate<u64> {
    Gate::new(GateSettings { permits, max_queue, ..GateSettings::default() })
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Arrives without anything being known.
fn arrive(gate: &mut Gate<u64>, waiter: u64, now: Duration) -> Admission {
    gate.arrive(Arrival::default(), now, || waiter)
}

fn shed(gate: &mut Gate<u64>, now: Duration) -> Vec<(u64, Reason)> {
    std::iter::from_fn(|| gate.shed(now)).collect()
}

#[test]
fn permits_are_granted_until_there_are_none() {
    let mut gate = gate(2, 2);
    let answers: Vec<Admission> = (0..5).map(|number| arrive(&mut gate, number, ms(0))).collect();
    assert!(matches!(
        answers[..],
        [
            Admission::Granted,
            Admission::Granted,
            Admission::Queued(_),
            Admission::Queued(_),
            Admission::Rejected(Reason::QueueFull)
        ]
    ));
    let expected = Occupancy { permits: 2, in_flight: 2, queued: 2, excess: 0, oldest_wait: ms(7) };
    assert_eq!(gate.occupancy(ms(7)), expected);
    assert_eq!([(); 4].map(|()| gate.release(None, ms(7))), [Some(2), Some(3), None, None]);
    assert_eq!(gate.occupancy(ms(8)), Occupancy { permits: 2, ..Occupancy::default() });
}

#[test]
fn who_leaves_gets_no_permit_and_cannot_leave_twice() {
    let mut gate = gate(1, 9);
    let _ = arrive(&mut gate, 0, ms(0));
    let Admission::Queued(first) = arrive(&mut gate, 1, ms(1)) else { panic!("there is room") };
    let Admission::Queued(second) = arrive(&mut gate, 2, ms(2)) else { panic!("there is room") };
    assert_eq!((gate.leave(first), gate.leave(first)), (Some(1), None));
    assert_eq!(gate.release(None, ms(3)), Some(2));
    assert_eq!(gate.leave(second), None, "it has its permit");
    assert_eq!(gate.release(None, ms(4)), None);
}

#[test]
fn waits_end_at_the_timeout_and_at_the_deadline() {
    let mut gate = gate(1, 9);
    let _ = arrive(&mut gate, 0, ms(0));
    let _ = arrive(&mut gate, 1, ms(10));
    let urgent = Arrival { deadline: Some(ms(100)), ..Arrival::default() };
    let _ = gate.arrive(urgent, ms(20), || 2);
    let _ = gate.arrive(Arrival { deadline: Some(ms(9000)), ..urgent }, ms(30), || 3);
    assert_eq!(gate.next_expiry(), Some(ms(100)));
    assert_eq!(shed(&mut gate, ms(99)), []);
    assert_eq!(shed(&mut gate, ms(100)), [(2, Reason::Deadline)]);
    assert_eq!(gate.next_expiry(), Some(ms(510)));
    assert_eq!(shed(&mut gate, ms(510)), [(1, Reason::Timeout)]);
    assert_eq!(gate.release(None, ms(530)), None, "its wait was over a moment ago");
    assert_eq!(shed(&mut gate, ms(530)), [(3, Reason::Timeout)]);
    assert_eq!(gate.arrive(urgent, ms(600), || 4), Admission::Rejected(Reason::Deadline), "although a permit is free");
}

fn permits(permits: u32) -> GateOrders {
    GateOrders { permits: Some(permits), ..GateOrders::default() }
}

fn hold(mean_hold: Duration) -> GateOrders {
    GateOrders { mean_hold: Some(mean_hold), ..GateOrders::default() }
}

#[test]
fn a_resize_acts_at_once_and_takes_no_permit_away() {
    let mut gate = gate(1, 9);
    for number in 0..4 {
        let _ = arrive(&mut gate, number, ms(0));
    }
    assert!(gate.obey(&permits(3)));
    assert_eq!([(); 3].map(|()| gate.grant(ms(1))), [Some(1), Some(2), None]);
    assert!(!gate.obey(&permits(1)));
    assert_eq!([(); 2].map(|()| gate.release(None, ms(2))), [None, None], "three were in flight");
    assert_eq!(gate.release(None, ms(3)), Some(3));
}

/// What became of those who came every 2 ms to a server that takes 5 ms for each, once that has gone on for 2 s.
#[derive(Default)]
struct Outcome {
    waits: Vec<Duration>,
    shed: Vec<(Duration, Reason)>,
}

fn overload(order: Order, mean_hold: Duration) -> Outcome {
    let mut gate = Gate::new(GateSettings { permits: 1, max_queue: 1000, order, ..GateSettings::default() });
    assert!(!gate.obey(&hold(mean_hold)));
    let mut outcome = Outcome::default();
    assert_eq!(gate.arrive(Arrival::default(), ms(0), || ms(0)), Admission::Granted);
    for now in 1..8000 {
        if now % 2 == 0 {
            let _ = gate.arrive(Arrival::default(), ms(now), || ms(now));
        }
        if now % 5 == 0 {
            let served = gate.release(None, ms(now)).map(|since: Duration| ms(now) - since);
            outcome.waits.extend(served.filter(|_| now > 2000));
        }
        let shed = std::iter::from_fn(|| gate.shed(ms(now))).map(|(since, reason)| (ms(now) - since, reason));
        outcome.shed.extend(shed.filter(|_| now > 2000));
    }
    outcome
}

#[test]
fn a_standing_queue_turns_to_newest_first_and_sheds_the_old() {
    let adaptive = overload(Order::Adaptive, ms(50));
    assert!(adaptive.waits.iter().all(|wait| *wait <= ms(5)), "{:?}", adaptive.waits.iter().max());
    assert!(
        adaptive.shed.iter().all(|shed| shed.0 <= ms(225) && shed.1 == Reason::TooOld),
        "{:?}",
        adaptive.shed.iter().max_by_key(|shed| shed.0)
    );
    let fifo = overload(Order::Fifo, ms(50));
    assert!(fifo.waits.iter().all(|wait| *wait >= ms(490)), "{:?}", fifo.waits.iter().min());
    assert!(
        fifo.shed.iter().all(|shed| *shed == (ms(500), Reason::Timeout)),
        "{:?}",
        fifo.shed.iter().min_by_key(|shed| shed.0)
    );
}

#[test]
fn no_queue_is_standing_while_connections_are_being_opened() {
    let mut gate = gate(1, 99);
    let _ = arrive(&mut gate, 0, ms(0));
    let _ = arrive(&mut gate, 1, ms(0));
    let served = |gate: &mut Gate<u64>, waiter: u64, now| {
        let _ = arrive(gate, waiter, now);
        assert_eq!(shed(gate, now), []);
        gate.release(None, now)
    };
    assert!(!gate.obey(&GateOrders { filling: true, ..GateOrders::default() }));
    for number in 1..=90 {
        assert_eq!(served(&mut gate, number + 1, ms(number * 120)), Some(number), "first come, first served");
        // Each has waited for 120 ms, more than the target of 100.
    }
    assert!(!gate.obey(&GateOrders::default()));
    let turned = (91..110).find(|number| served(&mut gate, number + 1, ms(number * 120)) != Some(*number));
    assert!(turned.is_some_and(|number| (number - 90) * 120 >= 500), "half a second later at the earliest: {turned:?}");
}

#[test]
fn what_counts_as_long_follows_the_hold_time() {
    for (mean_hold, oldest) in [(0, 12), (5, 23), (50, 225), (80, 360), (900, 450)] {
        let shed = overload(Order::Adaptive, ms(mean_hold)).shed;
        let oldest = (ms(oldest), Reason::TooOld);
        assert!(shed.len() > 1000 && shed.iter().all(|shed| *shed == oldest), "{mean_hold}: {:?}", shed.first());
    }
}

#[test]
fn while_clients_are_limited_the_queue_has_places_for_two_holds_within_bounds() {
    for (mean_hold, permits, places) in
        [(50, 20, 42), (2, 20, 100), (5, 10, 40), (200, 20, 40), (1000, 20, 8), (1000, 1, 2)]
    {
        let mut gate = gate(permits, 100);
        let limited = GateOrders { limited: true, ..hold(ms(mean_hold)) };
        assert!(!gate.obey(&limited));
        let queued = |gate: &mut Gate<u64>| {
            (0..200).for_each(|number| _ = arrive(gate, number, ms(1)));
            gate.occupancy(ms(1)).queued
        };
        assert_eq!(queued(&mut gate), places, "{mean_hold} ms, {permits} permits");
        assert!(!gate.obey(&GateOrders { filling: true, ..limited }));
        assert_eq!(queued(&mut gate), 100, "while connections are opened all places are open");
        assert!(!gate.obey(&limited));
        assert_eq!(gate.occupancy(ms(1)).queued, 100, "those that are queued keep their places");
    }
}

#[test]
fn a_queue_that_drains_is_first_come_first_served() {
    // Bursts of 20 every 200 ms for a server that takes 5 ms each.
    let mut gate = gate(1, 100);
    let mut expected = 0;
    for number in 0..1000 {
        let now = ms(number / 20 * 200);
        if arrive(&mut gate, number, now) == Admission::Granted {
            assert_eq!(number, expected);
            expected += 1;
        }
        if number % 20 == 19 {
            let served = (1..=20).filter_map(|step| gate.release(None, now + ms(5 * step)));
            for served in served {
                assert_eq!(served, expected);
                expected += 1;
            }
        }
    }
    assert_eq!((expected, shed(&mut gate, ms(60_000))), (1000, vec![]));
}

fn with(priority: Priority) -> Arrival {
    Arrival { priority, ..Arrival::default() }
}

fn from(caller: u64) -> Arrival {
    Arrival { caller: Some(caller), ..Arrival::default() }
}

/// A gate whose permits are all in use for ever.
fn busy_gate(max_queue: usize) -> Gate<u64> {
    let mut gate = gate(1, max_queue);
    let _ = arrive(&mut gate, u64::MAX, ms(0));
    gate
}
