//! One program from start to end, with its clients and faults.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::Serialize;
use tokio::time::{sleep, sleep_until};

use crate::{
    clients::{Clients, Common, Others},
    course::{Course, Suffered},
    ledger::{Audit, Stored},
    logs::LogFacts,
    report::live_line,
    schedule::{Planned, Through},
    stage::{SECRETS, Stage},
    tally::Row,
    vitals::{Said, Vital, Vitals},
};

/// Interval of the live line.
const LIVE: Duration = Duration::from_secs(10);

/// The record of a lane.
#[derive(Debug, Serialize)]
pub struct Record {
    /// How the program reached its database.
    pub through: Through,
    /// The seed of all random choices.
    pub seed: u64,
    /// The times of its phases.
    pub course: Course,
    /// The faults as they happened.
    pub faults: Vec<Suffered>,
    /// The clients' outcomes.
    pub seconds: Vec<Row>,
    /// The program's health.
    pub vitals: Vec<Vital>,
    /// Its last status, after all clients had left.
    pub at_rest: Option<Said>,
    /// The comparison of the orders with the database.
    pub audit: Audit,
    /// Facts about its logs.
    pub log: LogFacts,
}

/// The part of the live line about faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now(Arc<Mutex<String>>);

impl Now {
    fn set(&self, text: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    pub(crate) fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs a lane; its logs go to `folder`.
///
/// # Errors
///
/// A process could not be started, or a fault not done or undone: the run says nothing about the program.
pub async fn run(
    through: Through,
    seed: u64,
    course: Course,
    planned: &[Planned],
    others: Others,
    folder: &Path,
) -> Result<Record> {
    let mut stage = Stage::start(through, folder).await?;
    let started = Instant::now();
    let common = Common::new(stage.address(), started);
    let vitals = Vitals::default();
    let now = Now::default();
    now.set("the honest alone");
    let watching = tokio::spawn(vitals.clone().watch(stage.address(), stage.process(), started));
    let telling = tokio::spawn(tell(through, Arc::clone(&common), vitals.clone(), now.clone()));

    let honest = Clients::honest(&common, seed);
    sleep_until((started + course.crowd_comes()).into()).await;
    let crowd = Clients::others(&common, others, seed);
    let faults = suffer(&mut stage, started, course, planned, &now).await;
    if faults.is_ok() {
        sleep_until((started + course.crowd_goes()).into()).await;
    }
    now.set("all clients are gone");
    drop((honest, crowd));
    telling.abort();
    let faults = faults?;

    let at_rest = rest(&stage, course.rest).await;
    watching.abort();
    let audit = audit(&stage, &common)?;
    let logs = stage.logs()?;
    Ok(Record {
        through,
        seed,
        course,
        faults,
        seconds: common.tally.rows(),
        vitals: vitals.all(),
        at_rest,
        audit,
        log: LogFacts::of(logs.iter().map(String::as_str), &SECRETS),
    })
}

/// One fault after the other. A fault that takes longer than planned delays the next.
async fn suffer(
    stage: &mut Stage,
    started: Instant,
    course: Course,
    planned: &[Planned],
    now: &Now,
) -> Result<Vec<Suffered>> {
    let mut suffered = Vec::new();
    let mut not_before = Duration::ZERO;
    for planned in planned {
        now.set("calm");
        let at = (course.crowd_comes() + planned.at).max(not_before);
        if at + planned.lasts + planned.fault.recovery() > course.crowd_goes() {
            break;
        }
        sleep_until((started + at).into()).await;
        now.set(planned.fault.name());
        let began = started.elapsed();
        stage.suffer(planned).await?;
        let ended = started.elapsed();
        now.set(format!("after: {}", planned.fault.name()));
        suffered.push(Suffered { planned: *planned, began: began.as_secs_f64(), ended: ended.as_secs_f64() });
        not_before = ended + planned.fault.recovery() + course.pace().calm.0;
    }
    Ok(suffered)
}

/// The program's status as soon as it is at rest, or after `patience`.
async fn rest(stage: &Stage, patience: Duration) -> Option<Said> {
    let started = Instant::now();
    loop {
        let said = match stage.server() {
            Ok(server) => server.status().await.ok().map(|status| Said::of(&status)),
            Err(_) => None,
        };
        if said.as_ref().is_some_and(Said::is_at_rest) || started.elapsed() >= patience {
            return said;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn audit(stage: &Stage, common: &Common) -> Result<Audit> {
    let stored = Stored::read(&stage.sql(&Stored::select(stage.last_order))?)?;
    let halves = format!(
        "SELECT count(*) FROM orders o WHERE id > {}
         AND NOT EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.id)",
        stage.last_order
    );
    let halves = stage.sql(&halves)?.parse()?;
    Ok(common.ledger.audit(&stored, halves))
}

async fn tell(through: Through, common: Arc<Common>, vitals: Vitals, now: Now) {
    let mut elapsed = Duration::ZERO;
    loop {
        sleep(LIVE).await;
        elapsed += LIVE;
        println!("{}", live_line(through, elapsed, &common.tally, &vitals.newest(), &now.get()));
    }
}
