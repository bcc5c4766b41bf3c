//! The queue alone.

use Priority::{Critical, High, Low, Normal};
use proptest::prelude::*;

use super::*;

const PATIENT: Wait = Wait { since: Duration::ZERO, deadline: Duration::MAX };

fn queue(priorities: &[Priority]) -> Queue {
    let mut queue = Queue::default();
    for (id, priority) in (0..).zip(priorities) {
        let wait = Wait { since: Duration::from_millis(id), deadline: Duration::from_secs(10 + id) };
        queue.push(RequestId(id), *priority, wait);
    }
    queue
}

fn drain(queue: &mut Queue) -> Vec<u64> {
    std::iter::from_fn(|| queue.pop_next(Discipline::Arrival)).map(RequestId::as_u64).collect()
}

#[test]
fn higher_priorities_start_first_and_equal_ones_in_order_of_arrival() {
    let mut queue = queue(&[Low, Normal, Critical, High, Normal, Critical]);
    assert_eq!(drain(&mut queue), [2, 5, 3, 1, 4, 0]);
    assert!(queue.is_empty());
    assert_eq!(queue.len(), 0);
}

#[test]
fn no_request_is_passed_over_for_ever() {
    let mut queue = queue(&[Low, Normal, High]);
    let mut started = Vec::new();
    for id in 3..43 {
        queue.push(RequestId(id), Critical, PATIENT);
        started.push(queue.pop_next(Discipline::Arrival).unwrap().as_u64());
    }
    assert_eq!(started.iter().position(|id| *id == 2), Some(4), "high after 4 others");
    assert_eq!(started.iter().position(|id| *id == 1), Some(8), "normal after 8 more important ones");
    assert_eq!(started.iter().position(|id| *id == 0), Some(16), "low after 16");
}

#[test]
fn shares_under_lasting_overload() {
    let mut queue = Queue::default();
    let mut starts = [0_u32; 4];
    let mut next_id = 0;
    let mut top_up = |queue: &mut Queue, priority| {
        queue.push(RequestId(next_id * 4 + priority as u64), priority, PATIENT);
        next_id += 1;
    };
    Priority::ALL.into_iter().for_each(|priority| top_up(&mut queue, priority));
    for _ in 0..1600 {
        let id = queue.pop_next(Discipline::Arrival).unwrap().as_u64();
        let priority = [Low, Normal, High, Critical][(id % 4) as usize];
        starts[priority as usize] += 1;
        top_up(&mut queue, priority);
    }
    let [low, normal, high, critical] = starts;
    assert!(critical > high && high > normal && normal > low && low >= 1600 / 20, "{starts:?}");
}

#[test]
fn overflow_sheds_the_newest_of_the_lowest_priority() {
    let mut queue = queue(&[Low, Normal, Low, High]);
    assert_eq!(queue.pop_last_before(Low, Discipline::Arrival), None);
    assert_eq!(queue.pop_last_before(Normal, Discipline::Arrival), Some(RequestId(2)));
    assert_eq!(queue.pop_last_before(Critical, Discipline::Arrival), Some(RequestId(0)));
    assert_eq!(queue.pop_last_before(Critical, Discipline::Arrival), Some(RequestId(1)));
    assert_eq!(queue.pop_last_before(High, Discipline::Arrival), None);
    assert_eq!(queue.len(), 1);
}

#[test]
fn requests_leave_by_deadline_by_id_and_by_age() {
    let mut queue = queue(&[Low, Normal, High, Critical]);
    assert_eq!(queue.first_deadline(), Some(Duration::from_secs(10)));
    assert_eq!(queue.pop_expired(Duration::from_secs(9)), None);
    assert_eq!(queue.pop_expired(Duration::from_secs(10)), Some(RequestId(0)));
    assert!(queue.remove(RequestId(2)) && !queue.remove(RequestId(2)));
    assert_eq!(queue.oldest_since(), Some(Duration::from_millis(1)));
    assert_eq!(queue.pop_oldest(), Some(RequestId(1)));
    assert_eq!(queue.len(), 1);
}

const OVERLOADED: Discipline = Discipline::NewestUnderOverload(Duration::from_secs(2));

#[test]
fn under_overload_the_newest_of_a_class_starts_first() {
    let mut queue = queue(&[Normal, Normal, High, Normal]);
    queue.push(RequestId(4), Low, Wait { since: Duration::from_secs(1), deadline: Duration::from_secs(10) });
    queue.push(RequestId(5), Low, Wait { since: Duration::from_secs(2), deadline: Duration::from_secs(10) });
    let started: Vec<_> = std::iter::from_fn(|| queue.pop_next(OVERLOADED)).map(RequestId::as_u64).collect();
    assert_eq!(started, [2, 3, 1, 0, 4, 5], "priority first; no request of low priority has waited for long");
}

#[test]
fn under_overload_overflow_sheds_the_oldest_of_the_lowest_priority() {
    let mut queue = queue(&[Normal, Low, Low, High]);
    let shed = |queue: &mut Queue, priority| queue.pop_last_before(priority, OVERLOADED).map(RequestId::as_u64);
    assert_eq!(shed(&mut queue, Low), Some(1), "even for a new request of its own class");
    assert_eq!(shed(&mut queue, Critical), Some(2));
    assert_eq!(shed(&mut queue, Low), None, "the remaining ones have a higher priority");
    assert_eq!(shed(&mut queue, Normal), Some(0));
    assert_eq!(shed(&mut queue, High), Some(3));
    assert_eq!(shed(&mut queue, High), None);
}

/// Requests of all priorities and time-outs come and go at random, ten times as many as there are places.
#[test]
fn requests_that_have_left_take_no_room() {
    const PLACES: usize = 10_000;
    let mut random = 1_u64;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    let (mut queue, mut waiting) = (Queue::default(), Vec::new());
    for id in 0..100_000 {
        let wait = Wait { since: Duration::ZERO, deadline: Duration::from_millis(draw(1_000_000) as u64) };
        queue.push(RequestId(id), Priority::ALL[draw(4)], wait);
        waiting.push((RequestId(id), wait.deadline));
        if waiting.len() == PLACES {
            let (gone, _) = waiting.swap_remove(draw(PLACES));
            assert!(queue.remove(gone) && !queue.remove(gone));
        }
        assert_eq!(queue.len(), waiting.len());
    }
    let places: usize = queue.classes.iter().map(Class::places).sum();
    assert!(places <= 2 * PLACES && queue.deadlines.len() <= 2 * PLACES + 1, "{places}, {}", queue.deadlines.len());
    assert_eq!(queue.first_deadline(), waiting.iter().map(|(_, deadline)| *deadline).min());
    while !waiting.is_empty() {
        let (gone, _) = waiting.swap_remove(draw(waiting.len()));
        assert!(queue.remove(gone));
    }
    assert!(queue.is_empty() && queue.first_deadline().is_none() && queue.oldest_since().is_none());
    assert_eq!((queue.classes.iter().map(Class::places).sum::<usize>(), queue.deadlines.len()), (0, 0));
}

#[test]
fn counts_the_requests_ahead() {
    let ahead = |queue: &Queue, priority| {
        let Ahead { least, most } = queue.ahead_of_newcomer(priority, Discipline::Arrival).unwrap();
        (least, most)
    };
    assert_eq!(ahead(&Queue::default(), Normal), (0, 0));
    let queue = queue(&[Normal, Normal, Normal, Critical, Low]);
    assert_eq!(ahead(&queue, Critical), (1, 3), "and one of each class whose patience is exhausted");
    assert_eq!(ahead(&queue, Normal), (4, 5));
    assert_eq!(ahead(&queue, Low), (5, 5));
    assert_eq!(queue.ahead_of_newcomer(Normal, OVERLOADED), None);
    assert_eq!(queue.ahead_of_newcomer(High, OVERLOADED), Some(Ahead { least: 0, most: 3 }));
}

/// The bounds hold for every mixture, and some mixtures reach them.
#[test]
fn requests_ahead_start_earlier() {
    for mixture in 0..4_u32.pow(6) {
        let class_of = |place: u32| Priority::ALL[(mixture / 4_u32.pow(place) % 4) as usize];
        let waiting: Vec<_> = (0..6).map(class_of).collect();
        for priority in Priority::ALL {
            let mut queue = queue(&waiting);
            let Ahead { least, most } = queue.ahead_of_newcomer(priority, Discipline::Arrival).unwrap();
            queue.push(RequestId(6), priority, PATIENT);
            let place = drain(&mut queue).iter().position(|id| *id == 6).unwrap() as u32;
            assert!((least..=most).contains(&place), "{waiting:?} {priority:?}: {place} not in {least}..={most}");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(Priority, u64),
    Start(bool),
    Shed(Priority, bool),
    Remove(usize),
    StartOldest,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let priority = || prop::sample::select(&Priority::ALL[..]);
    prop_oneof![
        8 => (priority(), 0..5000_u64).prop_map(|(priority, timeout)| Step::Push(priority, timeout)),
        6 => any::<bool>().prop_map(Step::Start),
        1 => (priority(), any::<bool>()).prop_map(|(priority, newest)| Step::Shed(priority, newest)),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => Just(Step::StartOldest),
        2 => (0..500_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Compared with a plain list.
    #[test]
    fn no_request_is_lost_or_starved(steps in prop::collection::vec(step(), 1..1000)) {
        let (mut queue, mut now) = (Queue::default(), Duration::ZERO);
        let mut waiting: Vec<(RequestId, Priority, Wait)> = Vec::new();
        let mut passed_over = [0_u32; 4];
        for (id, step) in (0..).map(RequestId).zip(steps) {
            let discipline = |newest| if newest { Discipline::NewestUnderOverload(now) } else { Discipline::Arrival };
            let left = match step {
                Step::Push(priority, timeout) => {
                    let wait = Wait { since: now, deadline: now + Duration::from_millis(timeout) };
                    queue.push(id, priority, wait);
                    waiting.push((id, priority, wait));
                    None
                }
                Step::Start(newest) => {
                    let started = queue.pop_next(discipline(newest));
                    assert_eq!(started.is_none(), waiting.is_empty());
                    let class = waiting.iter().find(|(id, ..)| Some(*id) == started).map(|(_, priority, _)| *priority);
                    for (priority, passed_over) in Priority::ALL.into_iter().zip(&mut passed_over) {
                        let waits = waiting.iter().any(|(_, other, _)| *other == priority);
                        *passed_over = if waits && Some(priority) != class { *passed_over + 1 } else { 0 };
                        // Less important classes whose patience has ended too may come first, each once.
                        assert!(priority == Critical || *passed_over < patience(priority) + 4, "{priority:?}");
                    }
                    started
                }
                Step::Shed(priority, newest) => {
                    let shed = queue.pop_last_before(priority, discipline(newest));
                    let least = waiting.iter().map(|(_, priority, _)| *priority).min();
                    let victim = waiting.iter().find(|(id, ..)| Some(*id) == shed).map(|(_, priority, _)| *priority);
                    assert!(victim.is_none() || victim == least && least <= Some(priority));
                    assert!(victim.is_some() || least.is_none_or(|least| least >= priority));
                    shed
                }
                Step::Remove(_) if waiting.is_empty() => None,
                Step::Remove(which) => {
                    let (id, ..) = waiting[which % waiting.len()];
                    queue.remove(id).then_some(id)
                }
                Step::StartOldest => {
                    let oldest = queue.pop_oldest();
                    assert_eq!(oldest, waiting.first().map(|(id, ..)| *id));
                    oldest
                }
                Step::Pass(ms) => {
                    now += Duration::from_millis(ms);
                    None
                }
            };
            assert!(left.is_none_or(|left| waiting.iter().any(|(id, ..)| *id == left)), "only queued requests can leave");
            waiting.retain(|(id, ..)| Some(*id) != left);
            while let Some(expired) = queue.pop_expired(now) {
                assert!(waiting.extract_if(.., |(id, _, wait)| *id == expired && wait.deadline <= now).count() == 1);
            }
            assert_eq!(queue.len(), waiting.len());
            assert_eq!(queue.is_empty(), waiting.is_empty());
            assert_eq!(queue.first_deadline(), waiting.iter().map(|(_, _, wait)| wait.deadline).min());
            assert_eq!(queue.oldest_since(), waiting.first().map(|(_, _, wait)| wait.since));
        }
    }
}
