//! The same steps in a model of SQLAlchemy's QueuePool, after its source, and in the state: the results must be equal.

use proptest::prelude::*;

use super::*;

/// Counts as QueuePool does: `overflow` starts at `-size`, and the queue decides what is closed.
struct QueuePool {
    size: usize,
    max_overflow: i64,
    lifo: bool,
    overflow: i64,
    queue: VecDeque<u32>,
    leases: VecDeque<u32>,
    waiting: usize,
    opened: u32,
}

impl QueuePool {
    fn get(&mut self) {
        let idle = if self.lifo { self.queue.pop_back() } else { self.queue.pop_front() };
        if let Some(connection) = idle {
            self.leases.push_back(connection);
        } else if self.overflow < self.max_overflow {
            self.overflow += 1;
            self.opened += 1;
            self.leases.push_back(self.opened);
        } else {
            self.waiting += 1;
        }
    }

    fn give_back(&mut self, index: usize) {
        let Some(connection) = self.leases.remove(index) else { return };
        if self.waiting > 0 {
            self.waiting -= 1;
            self.leases.push_back(connection);
        } else if self.queue.len() < self.size {
            self.queue.push_back(connection);
        } else {
            self.overflow -= 1;
        }
    }

    fn dispose(&mut self) {
        self.queue.clear();
        self.overflow = -(self.size as i64);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Get,
    GiveBack(usize),
    GiveUp,
    Dispose,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Get),
        5 => (0_usize..5).prop_map(Step::GiveBack),
        1 => Just(Step::GiveUp),
        1 => Just(Step::Dispose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_state_does_what_queue_pool_does(
        size in 1_u32..4,
        max_overflow in 0_u32..3,
        lifo in any::<bool>(),
        steps in prop::collection::vec(steps(), 1..200),
    ) {
        let order = if lifo { Order::Lifo } else { Order::Fifo };
        let mut world = World::new(PoolConfig { order, ..config(size, max_overflow) });
        let mut model = QueuePool {
            size: size as usize,
            max_overflow: max_overflow.into(),
            lifo,
            overflow: -i64::from(size),
            queue: VecDeque::new(),
            leases: VecDeque::new(),
            waiting: 0,
            opened: 0,
        };
        for step in steps {
            world.wait_for(Duration::from_millis(1));
            match step {
                Step::Get => {
                    world.acquire().unwrap();
                    model.get();
                }
                Step::GiveBack(index) => {
                    world.give_back(index, Verdict::Clean);
                    model.give_back(index);
                }
                // The caller that came last: QueuePool does not distinguish them.
                Step::GiveUp => if model.waiting > 0 {
                    world.give_up(model.waiting - 1);
                    model.waiting -= 1;
                },
                // QueuePool forgets connections in use here; this pool does not.
                Step::Dispose => if model.leases.is_empty() {
                    let disposed = world.state.dispose();
                    world.closing.extend(disposed);
                    model.dispose();
                },
            }
            world.connect_all();
            while !world.closing.is_empty() {
                world.close_ends();
            }
            let idle = world.state.idle.iter().map(|pooled| pooled.connection).collect::<VecDeque<_>>();
            prop_assert_eq!(&idle, &model.queue);
            let leased = world.leases.iter().map(|(_, pooled)| pooled.connection).collect::<VecDeque<_>>();
            prop_assert_eq!(&leased, &model.leases);
            prop_assert_eq!(world.queue.len(), model.waiting);
            prop_assert_eq!(i64::from(world.state.open()) - i64::from(size), model.overflow);
        }
    }
}
