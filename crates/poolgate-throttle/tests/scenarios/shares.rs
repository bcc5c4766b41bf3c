//! Several throttles act as one client, as the tabs of a browser do.

use poolgate_throttle::Share;
use poolgate_types::ThrottlingConfig;

use crate::{
    configs::{fair, news, normal},
    world::{World, ms, secs},
};

/// Two tabs with the same config; the first one holds all slots.
fn tabs(config: &ThrottlingConfig, seed: u64) -> [World; 2] {
    [0, 1].map(|tab| {
        let mut world = World::new(seed + tab);
        if tab == 1 {
            let _ = world.throttle.set_share(Share::Slots { held: 0, of: 1 }, 0.0, world.now);
        }
        let _ = world.configure(news(config.clone()));
        world
    })
}

/// Gives slots with their tokens to the second tab, or takes them back.
fn divide([first, second]: &mut [World; 2], slots: u32, of: u32) {
    let from_second = second.throttle.set_share(Share::Slots { held: slots, of }, 0.0, second.now);
    let from_first = first.throttle.set_share(Share::AllBut(slots), from_second, first.now);
    let _ = second.throttle.set_share(Share::Slots { held: slots, of }, from_first, second.now);
}

fn keep_busy(world: &mut World) {
    while world.state().queued < 150 {
        assert!(world.submit().is_ok());
    }
}

#[test]
fn a_throttle_without_a_slot_starts_nothing_until_it_gets_one() {
    let mut tabs = tabs(&fair(1, 20.0, 5), 1);
    keep_busy(&mut tabs[1]);
    tabs[1].run_for(secs(5));
    assert_eq!(tabs[1].starts.len(), 0);
    assert_eq!(tabs[1].state().eta, None, "the time of the next slot is unknown");
    tabs[0].run_for(secs(5));
    divide(&mut tabs, 2, 5);
    tabs[1].run_for(ms(1));
    assert!((1..=2).contains(&tabs[1].starts.len()), "its tokens moved with it");
    tabs[1].run_for(secs(2));
    assert!((12..20).contains(&tabs[1].starts.len()), "two fifths of 20 a second: {}", tabs[1].starts.len());
}

#[test]
fn a_withdrawn_slot_lets_its_request_end() {
    let mut tabs = tabs(&fair(1, 20.0, 2), 1);
    tabs[1].service.0 = secs(1);
    tabs.iter_mut().for_each(|tab| _ = tab.run_for(secs(1)));
    divide(&mut tabs, 2, 2);
    keep_busy(&mut tabs[1]);
    tabs[1].run_for(ms(100));
    assert_eq!(tabs[1].state().in_flight, 2);
    divide(&mut tabs, 1, 2);
    tabs[1].run_for(ms(500));
    assert_eq!(tabs[1].state().in_flight, 2, "they continue");
    tabs[1].run_for(secs(1));
    assert_eq!(tabs[1].state().in_flight, 1, "and are replaced by one");
}

#[test]
fn without_limits_shares_mean_nothing() {
    let mut tabs = tabs(&normal(1), 1);
    for _ in 0..100 {
        assert_eq!(tabs[1].submit(), Ok(None));
    }
    assert_eq!(tabs[1].starts.len(), 100);
}

/// However many slots move and however often: both together start what one client may.
#[test]
fn moving_slots_neither_adds_nor_loses_budget() {
    for (rate, slots) in [(0.5, 1), (2.0, 1), (5.0, 5), (40.0, 10)] {
        for step in [ms(130), ms(700), secs(3)] {
            let mut tabs = tabs(&fair(1, rate, slots), 7);
            let end = 300.0;
            let mut turn = 0;
            while tabs[0].now < secs(300) {
                turn += 1;
                divide(&mut tabs, turn % (slots + 1), slots);
                for tab in &mut tabs {
                    let _ = tab.configure(news(fair(1, rate, slots)));
                    tab.service.0 = ms(10);
                    keep_busy(tab);
                    // Slots move between requests here; the host waits for those in flight.
                    tab.run_for(step);
                }
            }
            let starts = tabs[0].starts.len() + tabs[1].starts.len();
            let ratio = starts as f64 / (rate * end);
            assert!((0.85..1.06).contains(&ratio), "{ratio} of {rate}/s with {slots} slots moved every {step:?}");
        }
    }
}
