//! Who comes first when callers compete.

use super::*;

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
