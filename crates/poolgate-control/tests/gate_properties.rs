//! A gate's account is right after any sequence of events.

use std::{collections::BTreeMap, time::Duration};

use poolgate_control::gate::{Admission, Arrival, Gate, GateOrders, GateSettings, Order, Ticket};
use poolgate_types::Priority;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Arrive(Arrival),
    Release,
    Resume(Arrival),
    Overdraw(Arrival),
    Leave(prop::sample::Index),
    Resize(u32),
    Tune { hold: u64 },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let priority = prop::sample::select(&Priority::ALL[..]);
    let caller = prop::option::of(0..5_u64);
    let arrival = (priority, caller, 0..4_u32, prop::option::of(0..2000_u64), any::<bool>()).prop_map(
        |(priority, caller, clients, deadline, excess)| {
            let deadline = deadline.map(Duration::from_millis);
            Arrival { priority, caller, clients, deadline, excess }
        },
    );
    prop_oneof![
        6 => arrival.clone().prop_map(Step::Arrive),
        1 => arrival.clone().prop_map(Step::Resume),
        1 => arrival.prop_map(Step::Overdraw),
        5 => Just(Step::Release),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => (0..6_u32).prop_map(Step::Resize),
        1 => (0..400_u64).prop_map(|hold| Step::Tune { hold }),
        4 => (0..80_u64).prop_map(Step::Wait),
    ]
}

/// What the gate should know.
#[derive(Default)]
struct Account {
    /// The caller of each.
    in_flight: Vec<Option<u64>>,
    waiting: BTreeMap<u64, (Ticket, Arrival)>,
}

impl Account {
    /// Everybody is let in or turned away once, and only who waited.
    fn let_in(&mut self, waiter: u64) {
        let known = self.waiting.remove(&waiter);
        assert!(known.is_some(), "{waiter} did not wait");
        self.in_flight.extend(known.map(|(_, arrival)| arrival.caller));
    }
}

proptest! {
    #[test]
    fn the_account_is_right(
        permits in 0..6_u32,
        max_queue in 0..30_usize,
        fifo: bool,
        steps in prop::collection::vec(steps(), 1..300),
    ) {
        let order = if fifo { Order::Fifo } else { Order::Adaptive };
        let mut gate = Gate::new(GateSettings { permits, max_queue, order, ..GateSettings::default() });
        let (mut account, mut permits, mut now) = (Account::default(), permits, Duration::ZERO);
        for (waiter, step) in (0_u64..).zip(steps) {
            match step {
                Step::Arrive(arrival) => match gate.arrive(arrival, now, || waiter) {
                    Admission::Granted => account.in_flight.push(arrival.caller),
                    Admission::Queued(ticket) => {
                        prop_assert!(ticket.expires() > now);
                        account.waiting.insert(waiter, (ticket, arrival));
                    }
                    Admission::Rejected(_) => {
                        prop_assert!(account.in_flight.len() >= permits as usize || arrival.deadline <= Some(now));
                    }
                },
                Step::Resume(arrival) => {
                    let is_possible = account.in_flight.len() < (permits + permits.div_ceil(5)) as usize;
                    prop_assert_eq!(gate.resume(arrival), is_possible);
                    if is_possible {
                        account.in_flight.push(arrival.caller);
                    }
                }
                Step::Overdraw(arrival) => {
                    gate.overdraw(arrival);
                    account.in_flight.push(arrival.caller);
                }
                Step::Release if !account.in_flight.is_empty() => {
                    let caller = account.in_flight.remove(waiter as usize % account.in_flight.len());
                    if let Some(next) = gate.release(caller, now) {
                        account.let_in(next);
                    }
                }
                Step::Leave(index) if !account.waiting.is_empty() => {
                    let (waiter, (ticket, _)) = account.waiting.iter().nth(index.index(account.waiting.len())).unwrap();
                    prop_assert_eq!(gate.leave(*ticket), Some(*waiter));
                    prop_assert_eq!(gate.leave(*ticket), None);
                    let waiter = *waiter;
                    account.waiting.remove(&waiter);
                }
                Step::Resize(to) => {
                    let is_wider = gate.obey(&GateOrders { permits: Some(to), ..GateOrders::default() });
                    prop_assert_eq!(is_wider, to > permits);
                    permits = to;
                    while let Some(next) = gate.grant(now) {
                        account.let_in(next);
                    }
                }
                Step::Tune { hold } => {
                    let mean_hold = Some(Duration::from_millis(hold));
                    let orders = GateOrders { mean_hold, ..GateOrders::default() };
                    prop_assert!(!gate.obey(&orders), "not wider");
                }
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                Step::Release | Step::Leave(_) => {}
            }
            while let Some((waiter, _)) = gate.shed(now) {
                prop_assert!(account.waiting.remove(&waiter).is_some(), "{} did not wait", waiter);
            }
            let occupancy = gate.occupancy(now);
            prop_assert_eq!((occupancy.permits, occupancy.in_flight as usize), (permits, account.in_flight.len()));
            prop_assert_eq!(occupancy.queued as usize, account.waiting.len());
            let excess = account.waiting.values().filter(|(_, arrival)| arrival.excess).count();
            prop_assert_eq!(occupancy.excess as usize, excess);
            prop_assert!(occupancy.queued as usize <= max_queue);
            prop_assert!(occupancy.queued == 0 || occupancy.in_flight >= permits, "a permit is free while a request is queued");
            prop_assert!(gate.next_expiry().is_none_or(|expiry| expiry > now), "all whose wait is over are gone");
            prop_assert_eq!(gate.next_expiry().is_some(), occupancy.queued > 0);
        }
    }
}
