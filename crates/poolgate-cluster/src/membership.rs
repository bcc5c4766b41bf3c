//! Takes part in a cluster for one process.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate_control::{
    self as control, Thresholds,
    cluster::{
        Elsewhere, Exchange, Gauges, Member, Mode, Own, Part, Peers, Replica, Said, Seen, SharedLaw, State, View,
    },
};
use poolgate_types::{ClusterMember, ClusterStatus, ConfigSource, MemberState, rng::Rng};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{self, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    share::Share,
    store::{Store, StoreError},
};

/// Time between two exchanges, give or take a tenth; the shorter one until the replica has a grant, and while requests
/// queue or clients are limited.
const PERIOD: Duration = Duration::from_secs(1);
const SHORT_PERIOD: Duration = Duration::from_millis(250);
/// A new config is written at once, but not sooner than this after the exchange before.
const SHORTEST_PAUSE: Duration = Duration::from_millis(150);
/// Looks at the database's list of connections in a time to live; a gap of half of it would begin every wait anew.
const LOOKS: u32 = 5;
/// Time limit for an exchange and for a look.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time limit for the last exchange.
const GOODBYE: Duration = Duration::from_millis(500);
/// How often the pool is told its share: trust in a grant ends by time alone.
const TICK: Duration = Duration::from_millis(100);

/// The part of one process in a cluster. Clones are handles to the same one. It ends with [`leave`](Self::leave), or
/// with the process, and then the others notice.
#[derive(Clone, Debug)]
pub struct Membership(Arc<Shared>);

/// What is known at one moment.
#[derive(Clone, Debug)]
pub struct Situation {
    /// What follows for this replica.
    pub view: View,
    /// All replicas that are heard, this one included, by id.
    pub members: Vec<Member>,
    /// Why the store cannot be used, if so.
    pub trouble: Option<String>,
}

struct Shared {
    replica: Mutex<Replica>,
    /// The law of the rate, once a server publishes. Locked before the replica.
    law: Mutex<Option<SharedLaw>>,
    elsewhere: Mutex<Arc<Elsewhere>>,
    /// Since the newest exchange the clients have not been counted.
    audience_due: AtomicBool,
    /// Requests queue or clients are limited.
    is_busy: AtomicBool,
    /// There is a reason for an exchange now.
    news: Notify,
    share: Box<dyn Share>,
    origin: Instant,
    trouble: Mutex<Option<String>>,
    draining: CancellationToken,
    leaving: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Membership {
    /// Takes part from now on. The share begins with one connection. `make` gets the time that begins now.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(store: impl Store, share: impl Share, make: impl FnOnce(Duration) -> Replica) -> Self {
        let shared = Arc::new(Shared {
            replica: Mutex::new(make(Duration::ZERO)),
            law: Mutex::default(),
            elsewhere: Mutex::default(),
            audience_due: AtomicBool::new(true),
            is_busy: AtomicBool::new(false),
            news: Notify::new(),
            share: Box::new(share),
            origin: Instant::now(),
            trouble: Mutex::default(),
            draining: CancellationToken::new(),
            leaving: CancellationToken::new(),
            task: Mutex::default(),
        });
        shared.apply();
        let task = tokio::spawn(Arc::clone(&shared).run(store));
        tokio::spawn(Arc::clone(&shared).keep_applying());
        *lock(&shared.task) = Some(task);
        Self(shared)
    }

    /// What is known now.
    pub fn situation(&self) -> Situation {
        let (replica, now) = (lock(&self.0.replica), self.0.now());
        let (view, members) = (replica.view(now), replica.members(now).collect());
        Situation { view, members, trouble: lock(&self.0.trouble).clone() }
    }

    /// Announces that this replica gives its share back as its connections end.
    pub fn drain(&self) {
        self.0.draining.cancel();
        // Another one publishes from now on.
        self.0.news.notify_one();
    }

    /// Gives the share back at once, if the pool has no connection left. Takes half a second at most. Call it after the
    /// pool was drained: what is left open would count until the database shows it no more.
    pub async fn leave(&self) {
        self.drain();
        self.0.leaving.cancel();
        let task = lock(&self.0.task).take();
        if let Some(task) = task
            && time::timeout(2 * GOODBYE, task).await.is_err()
        {
            tracing::debug!("The cluster was not told in time that this replica leaves");
        }
    }
}

impl Peers for Membership {
    fn begin(&self, settings: control::Settings, epoch: u64, seed: u64) {
        *lock(&self.0.law) = Some(SharedLaw::new(settings, epoch, seed));
    }

    fn set_thresholds(&self, thresholds: Thresholds) {
        if let Some(law) = &mut *lock(&self.0.law) {
            law.set_thresholds(thresholds);
        }
    }

    fn tick(&self, own: Own<'_>) -> Said {
        let Self(shared) = self;
        let key = lock(&shared.elsewhere).key;
        let audience = match key {
            Some(key) if shared.audience_due.swap(false, Relaxed) => Some((own.audience)(key)),
            _ => None,
        };
        let mut law = lock(&shared.law);
        let Some(law) = &mut *law else { return Said::Own };
        let (mut replica, now) = (lock(&shared.replica), shared.now());
        replica.figures(own.totals, Gauges::of(own.sample), own.reaches_database);
        if let Some(audience) = audience {
            replica.set_audience(audience);
        }
        let said = law.tick(&mut replica, own.sample, now);
        let is_offered_now = replica.offers_since() == Some(now);
        let is_limited = replica.config().is_some_and(|config| config.enforced);
        drop(replica);
        let is_busy = is_limited || own.sample.gate.queued > 0 || own.sample.gate.rejected > 0;
        let was_busy = shared.is_busy.swap(is_busy, Relaxed);
        if is_offered_now || (is_busy && !was_busy) {
            shared.news.notify_one();
        }
        said
    }

    fn elsewhere(&self) -> Arc<Elsewhere> {
        Arc::clone(&lock(&self.0.elsewhere))
    }

    fn status(&self) -> ClusterStatus {
        let (replica, now) = (lock(&self.0.replica), self.0.now());
        let (view, publisher) = (replica.view(now), replica.publisher(now));
        ClusterStatus {
            replica: replica.id().to_string(),
            config: match view.part {
                Part::Silent => ConfigSource::None,
                Part::Follows | Part::Publishes => ConfigSource::Shared,
                Part::Alone => ConfigSource::Own,
            },
            share: view.limit,
            is_static: view.mode == Mode::Static,
            store_trouble: lock(&self.0.trouble).clone(),
            members: replica
                .members(now)
                .filter_map(|member| shown(&member, publisher == Some(member.row.id)))
                .collect(),
        }
    }
}

/// A member as operators see it, unless it has left.
fn shown(member: &Member, publishes: bool) -> Option<ClusterMember> {
    let Member { row, grant, age } = member;
    let state = match row.state {
        State::Joining => MemberState::Joining,
        State::Serving => MemberState::Serving,
        State::Draining => MemberState::Draining,
        State::Left => return None,
    };
    Some(ClusterMember {
        replica: row.id.to_string(),
        state,
        share: *grant,
        connections: row.holds,
        reaches_database: row.reaches_database,
        publishes,
        silent_seconds: (age.as_secs_f64() * 10.0).round() / 10.0,
    })
}

impl Shared {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Sizes the pool, and takes down what it has.
    fn apply(&self) {
        let (mut replica, now) = (lock(&self.replica), self.now());
        self.apply_to(&mut replica, now);
    }

    fn apply_to(&self, replica: &mut Replica, now: Duration) {
        let View { limit, mode, .. } = replica.view(now);
        let holds = self.share.allow(limit);
        let state = match mode {
            _ if self.leaving.is_cancelled() && holds == 0 => State::Left,
            _ if self.draining.is_cancelled() => State::Draining,
            Mode::Shared => State::Serving,
            Mode::Static => State::Joining,
        };
        replica.connections(state, holds, self.share.wants());
    }

    async fn keep_applying(self: Arc<Self>) {
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        while self.leaving.run_until_cancelled(ticks.tick()).await.is_some() {
            self.apply();
            let View { limit, mode, part } = lock(&self.replica).view(self.now());
            let (share_before, part_before) = before.replace(((limit, mode), part)).unzip();
            if share_before.is_some_and(|before| before != (limit, mode)) {
                tracing::info!(connections = limit, ?mode, "Connection share changed");
            }
            if part_before.is_some_and(|before| before != part) && lock(&self.law).is_some() {
                tracing::info!("{}", described(part));
            }
        }
    }

    async fn run<S: Store>(self: Arc<Self>, mut store: S) {
        let (seed, ttl) = {
            let replica = lock(&self.replica);
            (u64::from(replica.id().0), replica.settings().ttl)
        };
        let mut rng = Rng::new(seed);
        let mut looked = None::<Instant>;
        while !self.leaving.is_cancelled() {
            let is_answered = self.exchange(&mut store, PATIENCE).await;
            // A silent server gets no second connect.
            if (is_answered || !S::IN_DATABASE) && looked.is_none_or(|at| at.elapsed() >= ttl / LOOKS) {
                looked = Some(Instant::now());
                self.look(&mut store).await;
            }
            let is_reached = lock(&self.trouble).is_none();
            let is_joining = is_reached && self.view().mode == Mode::Static;
            let is_busy = self.is_busy.load(Relaxed);
            let period = if is_joining || is_busy { SHORT_PERIOD } else { PERIOD };
            let pause = period.mul_f64(rng.between(0.9, 1.1)).saturating_sub(SHORTEST_PAUSE);
            let next = async {
                time::sleep(SHORTEST_PAUSE).await;
                let _ = time::timeout(pause, self.news.notified()).await;
            };
            self.leaving.run_until_cancelled(next).await;
        }
        self.exchange(&mut store, GOODBYE).await;
        let _ = time::timeout(GOODBYE, store.close()).await;
    }

    fn view(&self) -> View {
        lock(&self.replica).view(self.now())
    }

    /// Whether there was an answer in time, be it a refusal.
    async fn exchange(&self, store: &mut impl Store, patience: Duration) -> bool {
        let write = self.begin();
        let answer = time::timeout(patience, store.exchange(&write)).await;
        let is_answered = answer.is_ok();
        let answer = answer
            .map_err(|_| "no answer in time".to_owned())
            .and_then(|answer| answer.map_err(|error| in_words(&error)));
        self.note(answer.as_ref().err());
        self.end(answer.ok());
        is_answered
    }

    fn begin(&self) -> Exchange {
        let (mut replica, now) = (lock(&self.replica), self.now());
        self.apply_to(&mut replica, now);
        replica.begin(now)
    }

    /// A smaller grant is in force before anybody is told so.
    fn end(&self, seen: Option<Seen>) {
        let (mut replica, now) = (lock(&self.replica), self.now());
        replica.end(seen, now);
        self.apply_to(&mut replica, now);
        *lock(&self.elsewhere) = Arc::new(replica.elsewhere());
        self.audience_due.store(true, Relaxed);
    }

    async fn look(&self, store: &mut impl Store) {
        let asked = self.now();
        match time::timeout(PATIENCE, store.census()).await {
            Ok(Ok(census)) => {
                let (mut replica, now) = (lock(&self.replica), self.now());
                replica.look(census, asked, now);
            }
            Ok(Err(error)) => tracing::debug!(%error, "The database was not asked for its connections"),
            Err(_) => tracing::debug!("The database did not list its connections in time"),
        }
    }

    /// Remembers and logs whether the store works.
    fn note(&self, trouble: Option<&String>) {
        let mut before = lock(&self.trouble);
        match (&*before, trouble) {
            (None, Some(error)) => tracing::warn!(error, "Cluster store lost: the connection share becomes static"),
            (Some(_), None) => tracing::info!("Cluster store reached again"),
            _ => {}
        }
        *before = trouble.cloned();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("replica", &self.replica).finish_non_exhaustive()
    }
}

fn described(part: Part) -> &'static str {
    match part {
        Part::Silent => "Config of the cluster not known yet",
        Part::Follows => "Config of the cluster served: another replica publishes it",
        Part::Publishes => "Config of the cluster served: this replica publishes it",
        Part::Alone => "Config of this replica alone served: the cluster's store is not reached",
    }
}

fn in_words(error: &StoreError) -> String {
    error.to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
