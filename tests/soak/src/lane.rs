//! One program from its start to its end, with all that is done to it.

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

/// How often the live line comes.
const LIVE: Duration = Duration::from_secs(10);

/// What is known of a lane in the end.
#[derive(Debug, Serialize)]
pub struct Record {
    /// How the program reached its database.
    pub through: Through,
    /// What decided everything that was drawn.
    pub seed: u64,
    /// When what happened.
    pub course: Course,
    /// The faults as they were.
    pub faults: Vec<Suffered>,
    /// What the clients met.
    pub seconds: Vec<Row>,
    /// How the program was.
    pub vitals: Vec<Vital>,
    /// The last thing it said, when nobody was left.
    pub at_rest: Option<Said>,
    /// What became of the orders.
    pub audit: Audit,
    /// What it has logged.
    pub log: LogFacts,
}

/// What the live line shows of the faults.
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
/// Something could not be started, done or undone: then the run says nothing about the program.
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
    now.set("everybody is gone");
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

/// One fault after the other. One that took longer than planned moves the next.
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

/// The last thing the program says, at the latest after `patience`: before, when it is at rest.
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
