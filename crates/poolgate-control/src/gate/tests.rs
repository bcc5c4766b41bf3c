//! The gate in virtual time.

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

#[test]
fn the_highest_priority_goes_first_and_each_lower_one_gets_its_tenth() {
    use Priority::{High, Low, Normal};
    for present in [&[Normal, Low][..], &[High, Low], &[High, Normal, Low]] {
        let mut gate: Gate<Priority> =
            Gate::new(GateSettings { permits: 1, max_queue: 300, order: Order::Fifo, ..GateSettings::default() });
        let _ = gate.arrive(Arrival::default(), ms(0), || Normal);
        for _ in 0..100 {
            for priority in present {
                let _ = gate.arrive(with(*priority), ms(0), || *priority);
            }
        }
        // As long as all of them wait; where two are due at once, the lower one comes a permit later.
        let served: Vec<Priority> = (0..102).filter_map(|_| gate.release(None, ms(1))).collect();
        let count = |priority| served.iter().filter(|served| **served == priority).count();
        assert_eq!(served[0], present[0]);
        for lower in &present[1..] {
            assert_eq!(count(*lower), 10, "{lower:?} of {present:?}");
        }
        assert_eq!(count(present[0]), 102 - 10 * (present.len() - 1));
    }
}

#[test]
fn a_priority_without_competition_gets_everything() {
    let mut gate = busy_gate(100);
    for number in 0..50 {
        let _ = gate.arrive(with(Priority::Low), ms(0), || number);
    }
    assert!((0..50).all(|number| gate.release(None, ms(1)) == Some(number)));
}

#[test]
fn a_full_queue_displaces_the_newest_of_a_lower_priority() {
    let mut gate = busy_gate(20);
    for number in 0..20 {
        let _ = gate.arrive(with(Priority::Low), ms(number), || number);
    }
    assert_eq!(gate.arrive(with(Priority::Low), ms(30), || 30), Admission::Rejected(Reason::QueueFull));
    assert!(matches!(gate.arrive(with(Priority::Normal), ms(30), || 31), Admission::Queued(_)));
    assert_eq!(shed(&mut gate, ms(30)), [(19, Reason::Displaced)]);
    for number in 32..100 {
        let _ = gate.arrive(with(Priority::High), ms(30), || number);
    }
    let displaced: Vec<u64> = shed(&mut gate, ms(30)).iter().map(|(waiter, _)| *waiter).collect();
    // Two of the twenty places stay with the background, and normal is below its two.
    assert_eq!(displaced, (2..19).rev().collect::<Vec<u64>>());
    assert!(matches!(gate.arrive(with(Priority::Normal), ms(31), || 100), Admission::Queued(_)));
    assert_eq!(shed(&mut gate, ms(31)), [(48, Reason::Displaced)], "one of those who had more than their share");
    assert_eq!(gate.arrive(with(Priority::Normal), ms(31), || 101), Admission::Rejected(Reason::QueueFull));
}

#[test]
fn a_lower_priority_does_not_starve_however_many_come_first() {
    let mut gate = busy_gate(20);
    let mut served = 0;
    for now in 1..10_000 {
        for _ in 0..5 {
            let _ = gate.arrive(with(Priority::High), ms(now), || 0);
        }
        let _ = gate.arrive(with(Priority::Low), ms(now), || 1);
        served += gate.release(None, ms(now)).unwrap();
        shed(&mut gate, ms(now));
    }
    assert!((998..=1001).contains(&served), "{served} of 10,000");
}

#[test]
fn a_full_queue_displaces_a_heavier_caller() {
    let mut gate = busy_gate(3);
    for working in [None].into_iter().chain([Some(9); 19]) {
        let _ = gate.arrive(from(9), ms(0), || 0);
        let _ = gate.release(working, ms(0));
    }
    for (caller, waiter) in [(1, 1), (9, 2), (9, 3)] {
        let _ = gate.arrive(from(caller), ms(2), || waiter);
    }
    assert!(matches!(gate.arrive(from(2), ms(3), || 4), Admission::Queued(_)));
    assert_eq!(shed(&mut gate, ms(3)), [(3, Reason::Displaced)]);
    assert_eq!(gate.arrive(from(9), ms(4), || 5), Admission::Rejected(Reason::QueueFull), "as heavy as the heaviest");
    let office = Arrival { clients: 20, ..from(9) };
    assert!(matches!(gate.arrive(office, ms(5), || 6), Admission::Queued(_)), "light, if it stands for 20 clients");
    assert_eq!(shed(&mut gate, ms(5)), [(2, Reason::Displaced)]);
    let served = [9, 1, 2].map(|caller| gate.release(Some(caller), ms(6)));
    assert_eq!(served, [Some(1), Some(4), Some(6)], "it is not standing");
}

#[test]
fn first_come_first_served_knows_no_callers() {
    let settings = GateSettings { permits: 1, max_queue: 1, order: Order::Fifo, ..GateSettings::default() };
    let mut gate = Gate::new(settings);
    for waiter in 0..20 {
        let _ = gate.arrive(from(9), ms(0), || waiter);
        let _ = gate.release(None, ms(0));
    }
    for _ in 0..2 {
        let _ = gate.arrive(from(9), ms(0), || 0);
    }
    assert_eq!(gate.arrive(from(1), ms(1), || 1), Admission::Rejected(Reason::QueueFull));
}

#[test]
fn no_caller_keeps_all_permits_while_others_wait() {
    let mut gate = gate(10, 100);
    for waiter in 0..50 {
        let _ = gate.arrive(from(9), ms(0), || waiter);
    }
    for caller in 1..=4 {
        let _ = gate.arrive(from(caller), ms(1), || 100 + caller);
    }
    let _ = arrive(&mut gate, 200, ms(1));
    let served: Vec<u64> = (0..7).filter_map(|_| gate.release(Some(9), ms(2))).collect();
    assert_eq!(served, [101, 102, 103, 104, 200, 10, 11], "those who came last go first, then it is its turn again");
}

#[test]
fn a_share_is_in_proportion_to_the_clients_behind_a_caller() {
    let mut gate = gate(10, 100);
    let office = Arrival { clients: 9, ..from(9) };
    for waiter in 0..8 {
        let _ = gate.arrive(office, ms(0), || waiter);
    }
    for waiter in 8..10 {
        let _ = gate.arrive(from(1), ms(0), || waiter);
    }
    let _ = gate.arrive(from(1), ms(1), || 20);
    let _ = gate.arrive(office, ms(1), || 21);
    let _ = gate.arrive(office, ms(1), || 22);
    let served = [(); 3].map(|()| gate.release(None, ms(2)));
    assert_eq!(served, [Some(21), Some(20), Some(22)], "nine of ten permits are its share");
}

#[test]
fn what_is_in_excess_of_an_allowance_gets_what_others_leave() {
    let mut gate = gate(1, 2);
    let excess = |caller| Arrival { excess: true, ..from(caller) };
    assert_eq!(gate.arrive(excess(1), ms(0), || 0), Admission::Granted, "there is no other caller");
    let _ = gate.arrive(excess(2), ms(0), || 1);
    let _ = gate.arrive(excess(3), ms(0), || 2);
    assert_eq!(gate.occupancy(ms(0)).excess, 2);
    let _ = gate.arrive(from(4), ms(1), || 3);
    assert_eq!(shed(&mut gate, ms(1)), [(2, Reason::Displaced)]);
    assert_eq!(gate.arrive(excess(5), ms(1), || 4), Admission::Rejected(Reason::QueueFull));
    assert_eq!([1, 4, 2].map(|caller| gate.release(Some(caller), ms(2))), [Some(3), Some(1), None]);
    assert_eq!(gate.occupancy(ms(2)), Occupancy { permits: 1, ..Occupancy::default() });
}

#[test]
fn who_comes_back_for_its_permit_does_not_wait_but_only_few_may_be_on_top() {
    let mut gate = gate(10, 100);
    for waiter in 0..11 {
        let _ = gate.arrive(from(waiter), ms(0), || waiter);
    }
    assert!(gate.resume(from(20)) && gate.resume(from(21)));
    assert!(!gate.resume(from(22)), "a fifth more than there are permits");
    gate.overdraw(from(22));
    assert_eq!(gate.occupancy(ms(0)).in_flight, 13);
    assert_eq!([20, 21, 22].map(|caller| gate.release(Some(caller), ms(1))), [None; 3]);
    assert_eq!(gate.release(Some(0), ms(1)), Some(10));
}

#[test]
fn callers_that_have_left_are_forgotten() {
    let mut gate = gate(2, 4);
    for round in 0..50 {
        let now = ms(round * 1000);
        let mut tickets = Vec::new();
        for caller in 0..9 {
            if let Admission::Queued(ticket) = gate.arrive(from(caller), now, || caller) {
                tickets.push(ticket);
            }
        }
        let left = gate.leave(tickets[0]);
        assert!(left.is_some());
        let mut served = vec![0, 1];
        while let Some(caller) = served.pop() {
            served.extend(gate.release(Some(caller), now));
        }
        shed(&mut gate, now);
        assert!(gate.shares.is_empty(), "{:?}", gate.shares);
    }
}

/// Shares of callers 0 to 9 in what one permit of 5 ms serves, when together they send twice as much, caller 0 five
/// times as much as another.
fn shares(arrival: impl Fn(u64) -> Arrival) -> Vec<f64> {
    let mut gate = gate(1, 100);
    let (mut served, mut random, mut working) = ([0_u32; 10], 1_u64, None);
    for now in 0..60_000_u64 {
        if now % 5 < 2 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let caller = ((random >> 33) % 14).saturating_sub(4);
            if gate.arrive(arrival(caller), ms(now), || caller) == Admission::Granted {
                working = arrival(caller).caller;
                served[caller as usize] += 1;
            }
        }
        if now % 5 == 4
            && let Some(caller) = gate.release(working.take(), ms(now))
        {
            working = arrival(caller).caller;
            served[caller as usize] += 1;
        }
        shed(&mut gate, ms(now));
    }
    let all: u32 = served.iter().sum();
    served.iter().map(|served| f64::from(*served) / f64::from(all)).collect()
}

#[test]
fn heavy_callers_lose_first() {
    let jain = |shares: &[f64]| shares.iter().sum::<f64>().powi(2) / 10.0 / shares.iter().map(|s| s * s).sum::<f64>();
    let (told_apart, alike) = (shares(from), shares(|_| Arrival::default()));
    assert!(jain(&told_apart) > 0.98, "{told_apart:?}");
    assert!(alike[0] > 2.0 * told_apart[0], "{alike:?}");
    let weighted = shares(|caller| Arrival { clients: if caller == 0 { 5 } else { 1 }, ..from(caller) });
    assert!(weighted[0] > 2.0 * told_apart[0], "five clients get five shares: {weighted:?}");
}

#[test]
fn who_cannot_be_answered_in_time_costs_no_permit() {
    let due = |deadline| Arrival { deadline: Some(ms(deadline)), ..Arrival::default() };
    let mut gate = busy_gate(9);
    assert!(!gate.obey(&hold(ms(50))));
    let Admission::Queued(ticket) = gate.arrive(due(100), ms(10), || 1) else { panic!("in time") };
    assert_eq!(ticket.expires(), ms(75));
    assert_eq!(gate.arrive(due(30), ms(10), || 2), Admission::Rejected(Reason::Deadline));
    let _ = arrive(&mut gate, 3, ms(20));
    assert_eq!(gate.next_expiry(), Some(ms(75)));
    assert_eq!(gate.release(None, ms(80)), Some(3), "the first in line would be too late");
    assert_eq!(shed(&mut gate, ms(80)), [(1, Reason::Deadline)]);
    assert_eq!(gate.release(None, ms(90)), None);
    assert_eq!(gate.arrive(due(100), ms(90), || 4), Admission::Granted, "a free permit is worth the try");
}

#[test]
fn a_caller_with_its_share_has_a_third_of_the_places_while_there_are_others() {
    let answers = |others: bool| {
        let mut gate = gate(20, 100);
        assert!(!gate.obey(&GateOrders { limited: true, ..hold(ms(50)) }));
        let mut from =
            |caller, number| gate.arrive(Arrival { caller: Some(caller), ..Arrival::default() }, ms(1), || number);
        if others {
            assert!(matches!(from(1, 0), Admission::Granted));
        }
        let rejected =
            (0..100).filter(|number| matches!(from(2, *number), Admission::Rejected(Reason::QueueFull))).count();
        let late = from(3, 100);
        (rejected, matches!(late, Admission::Queued(_)))
    };
    assert_eq!(answers(false), (100 - 20 - 42, true), "alone: two holds");
    assert_eq!(answers(true), (100 - 19 - 14, true), "beside another one");
}
