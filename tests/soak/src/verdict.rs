//! Judges the program by the record of its lane.

use std::ops::Range;

use serde::Serialize;

use crate::{
    course::Suffered,
    lane::Record,
    schedule::Fault,
    tally::{Class, Row, Second},
    vitals::{Used, Vital},
};

/// The most log lines per second on average, including one for every fifth request of the honest clients in an outage.
const MOST_LOG_LINES: f64 = 20.0;
/// Share of `/livez` requests that may take longer than 2 s, besides one.
const LATE_LIVEZ: f64 = 0.005;
/// A session of the old primary, or with statements from before a migration, fails in the next request that uses it. For
/// rarely used sessions that takes up to this many seconds.
const LATE_SESSIONS: usize = 60;
/// Length in seconds from which growth can be distinguished from noise.
const GROWTH_SECONDS: usize = 240;
/// Seconds in a row with normal service that count as recovered.
const RECOVERED_SECONDS: usize = 3;

/// A requirement and whether it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The requirement, in a few words.
    pub about: String,
    /// Whether it was met; `None` if the run was too short to tell.
    pub holds: Option<bool>,
    /// The measured value.
    pub found: String,
    /// The required value.
    pub asked: String,
}

/// Sums of the honest clients.
#[derive(Clone, Debug)]
pub struct Phase {
    /// In words.
    pub name: &'static str,
    /// A row for each class.
    pub classes: Row,
    /// Number of seconds.
    pub seconds: usize,
}

/// The effect of a fault on the honest clients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// Share of the honest clients' wishes that was served during the fault and the expected recovery, 0 to 1.
    pub share: f64,
    /// Seconds from its end until service was normal again; `None` if it was not before the next fault.
    pub recovered_after: Option<f64>,
    /// Requests of the honest clients that were answered 500.
    pub broken: u32,
}

/// All requirements of a lane. `least`, 0 to 1: the required goodput of the honest clients, as a share of their goodput
/// alone.
#[must_use]
pub fn judge(record: &Record, least: f64) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Class::HONEST.into_iter().map(|class| goodput(record, class, least)).collect();
    verdicts.extend([
        recovery(record, least),
        orders(record),
        broken(record),
        rest(record),
        runs(record),
        lives(record),
        growth(record, "memory, KiB", |used| used.memory_kib, 8 * 1024),
        growth(record, "descriptors", |used| used.descriptors, 12),
        growth(record, "threads", |used| used.threads, 4),
        panics(record),
        log(record),
        secrets(record),
    ]);
    verdicts
}

/// The phases, for the table.
#[must_use]
pub fn phases(record: &Record) -> [Phase; 3] {
    let phase = |name, seconds: &[usize]| {
        let classes = std::array::from_fn(|class| {
            Second::sum(seconds.iter().filter_map(|second| Some(&record.seconds.get(*second)?[class])))
        });
        Phase { name, classes, seconds: seconds.len() }
    };
    let calm = record.course.calm_seconds(&record.faults);
    let faults: Vec<usize> = record
        .course
        .crowd_seconds()
        .filter(|second| record.faults.iter().any(|f| f.outage().contains(second)))
        .collect();
    let baseline: Vec<usize> = record.course.baseline_seconds().collect();
    [phase("alone", &baseline), phase("calm", &calm), phase("faults", &faults)]
}

/// The effect of each fault, in order.
#[must_use]
pub fn effects(record: &Record, least: f64) -> Vec<Effect> {
    let asked = least * honest(record, record.course.baseline_seconds()).share();
    let effect = |(index, fault): (usize, &Suffered)| {
        let next = record.faults.get(index + 1).map_or(record.course.crowd_seconds().end, |next| next.began as usize);
        let end = fault.ended.ceil() as usize;
        let well = |from: &usize| honest(record, *from..*from + RECOVERED_SECONDS).share() >= asked;
        let recovered = (end..next.saturating_sub(RECOVERED_SECONDS - 1)).find(well);
        let outage = honest(record, fault.outage());
        Effect {
            share: outage.share(),
            recovered_after: recovered.map(|second| second as f64 - fault.ended),
            broken: outage.broken,
        }
    };
    record.faults.iter().enumerate().map(effect).collect()
}

/// The honest clients in some seconds.
fn honest(record: &Record, seconds: Range<usize>) -> Second {
    let rows = seconds.filter_map(|second| record.seconds.get(second));
    Second::sum(rows.flat_map(|row| Class::HONEST.map(|class| &row[class as usize])))
}

fn goodput(record: &Record, class: Class, least: f64) -> Verdict {
    let [alone, calm, _] = phases(record).map(|phase| phase.classes[class as usize].clone());
    let of_alone = calm.share() / alone.share();
    let holds = if alone.served == 0 { Some(false) } else { (calm.wanted > 0).then_some(of_alone >= least) };
    Verdict {
        about: format!("goodput, {}", class.name()),
        holds,
        found: format!(
            "{:.1} % of what they get alone ({:.1} % of {} wishes, alone {:.1} % of {})",
            of_alone * 100.0,
            calm.share() * 100.0,
            calm.wanted,
            alone.share() * 100.0,
            alone.wanted
        ),
        asked: format!("at least {:.0} % outside of outages", least * 100.0),
    }
}

fn recovery(record: &Record, least: f64) -> Verdict {
    let effects = effects(record, least);
    let not: Vec<&str> = record
        .faults
        .iter()
        .zip(&effects)
        .filter(|(_, effect)| effect.recovered_after.is_none())
        .map(|(fault, _)| fault.planned.fault.name())
        .collect();
    let slowest = effects.iter().filter_map(|effect| effect.recovered_after).fold(0.0, f64::max);
    Verdict {
        about: "recovery".to_owned(),
        holds: (!effects.is_empty()).then_some(not.is_empty()),
        found: if not.is_empty() {
            format!("after {slowest:.0} s at most")
        } else {
            format!("not after: {}", not.join(", "))
        },
        asked: "after each fault, before the next".to_owned(),
    }
}

fn orders(record: &Record) -> Verdict {
    let audit = &record.audit;
    Verdict {
        about: "orders".to_owned(),
        holds: Some(audit.is_clean() && audit.placed > 0),
        found: format!(
            "{} made, {} placed, {} unsure ({} of them stored); lost {}, twice {}, refused and stored {}, unknown {}, \
             halves {}",
            audit.made,
            audit.placed,
            audit.unsure,
            audit.unsure_and_stored,
            audit.lost,
            audit.twice,
            audit.refused_and_stored,
            audit.unknown,
            audit.halves
        ),
        asked: "none lost, none twice, none against what was said".to_owned(),
    }
}

fn broken(record: &Record) -> Verdict {
    let excused = |second: usize| {
        let found_out = |fault: &Suffered| fault.outage().start..fault.ended as usize + LATE_SESSIONS;
        record.faults.iter().any(|fault| fault.planned.fault.excuses_errors() && found_out(fault).contains(&second))
    };
    let (mut in_excuse, mut outside) = (0, 0);
    for (second, row) in record.seconds.iter().enumerate() {
        let broken: u32 = row.iter().map(|second| second.broken).sum();
        *if excused(second) { &mut in_excuse } else { &mut outside } += broken;
    }
    Verdict {
        about: "500".to_owned(),
        holds: Some(outside == 0),
        found: format!("{outside}, and {in_excuse} while statements were refused"),
        asked: "none but while a migration, a read-only server or a failover explains it".to_owned(),
    }
}

fn rest(record: &Record) -> Verdict {
    Verdict {
        about: "rest".to_owned(),
        holds: Some(record.at_rest.as_ref().is_some_and(crate::vitals::Said::is_at_rest)),
        found: record.at_rest.as_ref().map_or_else(
            || "no status".to_owned(),
            |said| {
                format!(
                    "{} in flight, {} at the gate, {} connections in use, {} waiting for one",
                    said.in_flight, said.at_gate, said.checked_out, said.at_pool
                )
            },
        ),
        asked: format!("nothing within {} s", record.course.rest.as_secs()),
    }
}

fn runs(record: &Record) -> Verdict {
    let gone = record.vitals.iter().filter(|vital| !vital.runs).count();
    Verdict {
        about: "process".to_owned(),
        holds: Some(gone == 0),
        found: if gone == 0 { "ran".to_owned() } else { format!("gone for {gone} s") },
        asked: "never ends by itself".to_owned(),
    }
}

fn lives(record: &Record) -> Verdict {
    let deploys = |second: usize| {
        record.faults.iter().any(|fault| fault.planned.fault == Fault::Deploy && fault.outage().contains(&second))
    };
    let looks: Vec<&Vital> = record.vitals.iter().filter(|vital| !deploys(vital.second as usize)).collect();
    let late = looks.iter().filter(|vital| !vital.lives).count();
    Verdict {
        about: "livez".to_owned(),
        holds: (!looks.is_empty()).then_some(late as f64 <= 1.0 + looks.len() as f64 * LATE_LIVEZ),
        found: format!("{late} of {} later than 2 s or not answered", looks.len()),
        asked: format!("at most one and {} %, outside of deploys", LATE_LIVEZ * 100.0),
    }
}

/// Whether a figure grows over the second half of the run, in which the process is never replaced. Compares the medians of
/// that half's first and last quarter, over calm seconds only.
fn growth(record: &Record, what: &str, figure: fn(&Used) -> u64, slack: u64) -> Verdict {
    let crowd = record.course.crowd_seconds();
    let half = crowd.start + crowd.len() / 2..crowd.end;
    let calm = record.course.calm_seconds(&record.faults);
    let quarter = half.len() / 4;
    let median = |range: Range<usize>| {
        let looks = record.vitals.iter().filter(|vital| {
            let second = vital.second as usize;
            range.contains(&second) && calm.binary_search(&second).is_ok()
        });
        let mut figures: Vec<u64> = looks.filter_map(|vital| vital.used.as_ref().map(figure)).collect();
        figures.sort_unstable();
        figures.get(figures.len() / 2).copied()
    };
    let (first, last) = (median(half.start..half.start + quarter), median(half.end - quarter..half.end));
    let limit = first.map(|first| first + first / 10 + slack);
    let (holds, found) = match (first, last, limit) {
        (Some(first), Some(last), Some(limit)) => {
            (Some(last <= limit).filter(|_| half.len() >= GROWTH_SECONDS), format!("{first}, later {last}"))
        }
        _ => (None, "nothing was measured".to_owned()),
    };
    Verdict {
        about: format!("growth, {what}"),
        holds,
        found,
        asked: limit.map_or_else(|| "flat".to_owned(), |limit| format!("at most {limit} in the last eighth")),
    }
}

fn panics(record: &Record) -> Verdict {
    let panics = &record.log.panics;
    Verdict {
        about: "panics".to_owned(),
        holds: Some(panics.is_empty()),
        found: panics.first().map_or_else(|| "none".to_owned(), |first| format!("{}, first: {first}", panics.len())),
        asked: "none".to_owned(),
    }
}

fn log(record: &Record) -> Verdict {
    let seconds = (record.course.crowd_goes() + record.course.rest).as_secs_f64();
    let per_second = record.log.lines as f64 / seconds;
    Verdict {
        about: "log".to_owned(),
        holds: Some(per_second <= MOST_LOG_LINES),
        found: format!("{per_second:.1} lines a second, {} KiB", record.log.bytes / 1024),
        asked: format!("at most {MOST_LOG_LINES:.0} lines a second"),
    }
}

fn secrets(record: &Record) -> Verdict {
    Verdict {
        about: "secrets in the log".to_owned(),
        holds: Some(record.log.secrets == 0),
        found: format!("{} lines", record.log.secrets),
        asked: "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        course::Course,
        ledger::Audit,
        logs::LogFacts,
        schedule::{Planned, Through},
        vitals::Said,
    };

    /// A good run of 30 minutes with one fault, 100 s after all clients came.
    fn record() -> Record {
        let course = Course::of(30.0);
        let at = Duration::from_secs(100);
        let planned = Planned { fault: Fault::DatabaseKilled, at, lasts: Duration::from_secs(5) };
        let began = (course.crowd_comes() + at).as_secs_f64();
        let served = Second { wanted: 50, served: 50, ..Second::default() };
        let seconds = vec![[served.clone(), served.clone(), served.clone(), served]; course.crowd_seconds().end];
        let used = Some(Used { memory_kib: 30_000, threads: 8, descriptors: 100 });
        let vitals = (0..course.crowd_seconds().end as u32)
            .map(|second| Vital { second, process: 7, runs: true, lives: true, said: None, used })
            .collect();
        Record {
            through: Through::Direct,
            seed: 1,
            course,
            faults: vec![Suffered { planned, began, ended: began + 5.0 }],
            seconds,
            vitals,
            at_rest: Some(Said::default()),
            audit: Audit { made: 9, placed: 9, ..Audit::default() },
            log: LogFacts::default(),
        }
    }

    fn failing(record: &Record) -> Vec<String> {
        judge(record, 0.9)
            .into_iter()
            .filter(|verdict| verdict.holds != Some(true))
            .map(|verdict| verdict.about)
            .collect()
    }

    fn fail(record: &mut Record, seconds: Range<usize>, share: u32) {
        for row in &mut record.seconds[seconds] {
            for second in row {
                second.served = second.wanted * share / 100;
            }
        }
    }

    #[test]
    fn a_run_in_which_all_was_well_is_judged_so() {
        assert_eq!(failing(&record()), [""; 0]);
    }

    #[test]
    fn an_outage_is_excused_while_its_fault_explains_it() {
        let mut record = record();
        fail(&mut record, 170..180, 0);
        assert_eq!(failing(&record), [""; 0]);
        let effect = effects(&record, 0.9)[0];
        assert_eq!(effect.recovered_after, Some(5.0));
        assert!(effect.share < 0.6, "{effect:?}");
    }

    #[test]
    fn what_never_recovers_is_found_though_it_is_little() {
        let mut record = record();
        let end = record.course.crowd_seconds().end;
        fail(&mut record, 170..end, 88);
        assert_eq!(failing(&record), ["goodput, obeying", "goodput, plain", "recovery"]);
        // A short fault before a long calm weighs little in the sum, so recovery is required separately.
        let mut record = self::record();
        let again = record.faults[0];
        record.faults.push(Suffered { began: again.began + 60.0, ended: again.ended + 60.0, ..again });
        fail(&mut record, 170..230, 10);
        assert_eq!(failing(&record), ["recovery"]);
    }

    #[test]
    fn growth_is_seen_in_the_second_half() {
        let mut record = record();
        for vital in &mut record.vitals {
            if let Some(used) = &mut vital.used {
                used.memory_kib += u64::from(vital.second) * 30;
            }
        }
        assert_eq!(failing(&record), ["growth, memory, KiB"]);
        record.course = Course::of(2.0);
        let short = judge(&record, 0.9);
        let memory = short.iter().find(|verdict| verdict.about.starts_with("growth, memory"));
        assert_eq!(memory.and_then(|verdict| verdict.holds), None);
    }

    #[test]
    fn faults_of_the_program_are_not_excused() {
        let mut record = record();
        record.seconds[400][Class::Plain as usize].broken = 1;
        record.audit.lost = 1;
        record.at_rest = None;
        record.vitals[500].runs = false;
        record.log =
            LogFacts { lines: 1_000_000, secrets: 1, panics: vec!["panicked at".to_owned()], ..LogFacts::default() };
        for vital in &mut record.vitals[300..400] {
            vital.lives = false;
        }
        let expected = ["orders", "500", "rest", "process", "livez", "panics", "log", "secrets in the log"];
        assert_eq!(failing(&record), expected);
        record.faults[0].planned.fault = Fault::TableAltered;
        record.seconds[400][Class::Plain as usize].broken = 0;
        record.seconds[171][Class::Plain as usize].broken = 9;
        assert!(!failing(&record).contains(&"500".to_owned()));
    }
}
