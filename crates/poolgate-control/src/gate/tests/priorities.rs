//! Requests of several priorities.

use super::*;

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
