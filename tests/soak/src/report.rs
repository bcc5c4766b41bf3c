//! The text that people read.

use std::{fmt::Write as _, time::Duration};

use crate::{
    course::Course,
    lane::Record,
    schedule::{Planned, Through},
    tally::{Class, Tally},
    verdict::{Effect, Phase, Verdict},
    vitals::Vital,
};

/// Seconds summed up in a live line.
const LIVE_SECONDS: usize = 10;

/// In words.
#[must_use]
pub fn through(through: Through) -> &'static str {
    match through {
        Through::Direct => "direct",
        Through::Pgbouncer => "pgbouncer",
    }
}

/// The plan of a run.
#[must_use]
pub fn schedule(lane: Through, course: Course, planned: &[Planned]) -> String {
    let mut text = format!(
        "{}: {} s warm-up, {} s honest clients alone, {} s all clients with {} faults, {} s rest\n",
        through(lane),
        course.warm_up.as_secs(),
        course.baseline.as_secs(),
        course.crowd.as_secs(),
        planned.len(),
        course.rest.as_secs()
    );
    for planned in planned {
        let at = (course.crowd_comes() + planned.at).as_secs_f64();
        let lasts = planned.lasts.as_secs_f64();
        let _ = writeln!(text, "  {at:7.1} s  {:18} {lasts:4.1} s", planned.fault.name());
    }
    text
}

/// The live line.
#[must_use]
pub fn live_line(lane: Through, elapsed: Duration, tally: &Tally, vital: &Vital, now: &str) -> String {
    let mut text = format!("[{:5} s] {:9} ", elapsed.as_secs(), through(lane));
    for class in Class::HONEST {
        let lately = tally.lately(class, LIVE_SECONDS);
        let per_second = f64::from(lately.served) / LIVE_SECONDS as f64;
        let _ = write!(text, "{} {per_second:4.1}/s {:3.0} %", class.name(), lately.share() * 100.0);
        let _ = match lately.latency_ms(0.99) {
            Some(p99) => write!(text, " p99 {p99:4.0} ms  "),
            None => write!(text, " p99    – ms  "),
        };
    }
    let hostile = tally.lately(Class::Hostile, LIVE_SECONDS);
    let _ = write!(text, "hostile {:4.0}/s", f64::from(hostile.served) / LIVE_SECONDS as f64);
    if let Some(said) = &vital.said {
        let _ = write!(text, "  {} gate {}/{} pool {}", said.level, said.in_flight, said.permits, said.checked_out);
    }
    if let Some(used) = &vital.used {
        let _ = write!(text, "  {} MiB {} fds", used.memory_kib / 1024, used.descriptors);
    }
    let _ = write!(text, "  {now}");
    text
}

/// The result of a lane.
#[must_use]
pub fn summary(record: &Record, phases: &[Phase], effects: &[Effect], verdicts: &[Verdict]) -> String {
    let mut text = format!("\n{}, seed {}\n\n", through(record.through), record.seed);
    clients(&mut text, phases);
    faults(&mut text, record, effects);
    let _ = writeln!(text, "\n{} lines in the log; the most frequent:", record.log.lines);
    for (count, message) in &record.log.messages {
        let _ = writeln!(text, "  {count:7}  {message}");
    }
    text.push('\n');
    for Verdict { about, holds, found, asked } in verdicts {
        let mark = match holds {
            Some(true) => "holds",
            Some(false) => "FAILS",
            None => "-",
        };
        let _ = writeln!(text, "  {mark:5}  {about:20} {found} (asked: {asked})");
    }
    text
}

fn clients(text: &mut String, phases: &[Phase]) {
    let _ = writeln!(
        text,
        "  {:7} {:8} {:>8} {:>7} {:>6} {:>9} {:>6} {:>6} {:>5} {:>6} {:>8} {:>6} {:>8} {:>8}",
        "phase",
        "class",
        "wanted/s",
        "ok/s",
        "ok",
        "held back",
        "429",
        "503",
        "500",
        "other",
        "no reply",
        "late",
        "p50",
        "p99"
    );
    for phase in phases {
        for class in Class::ALL {
            let sum = &phase.classes[class as usize];
            if sum.wanted == 0 {
                continue;
            }
            let per_second = |count: u32| f64::from(count) / phase.seconds.max(1) as f64;
            let latency = |quantile| sum.latency_ms(quantile).map_or("–".to_owned(), |ms| format!("{ms:.0} ms"));
            let _ = writeln!(
                text,
                "  {:7} {:8} {:8.1} {:7.1} {:4.0} % {:9} {:6} {:6} {:5} {:6} {:8} {:6} {:>8} {:>8}",
                phase.name,
                class.name(),
                per_second(sum.wanted),
                per_second(sum.served),
                sum.share() * 100.0,
                sum.held_back,
                sum.limited,
                sum.turned_away,
                sum.broken,
                sum.refused,
                sum.no_contact,
                sum.late,
                latency(0.5),
                latency(0.99)
            );
        }
    }
}

fn faults(text: &mut String, record: &Record, effects: &[Effect]) {
    let _ = writeln!(
        text,
        "\n  {:>8}  {:18} {:>6}  {:>16}  {:>14} {:>5}",
        "at", "fault", "took", "honest served", "recovered", "500"
    );
    for (fault, effect) in record.faults.iter().zip(effects) {
        let recovered = effect.recovered_after.map_or("not".to_owned(), |seconds| format!("after {seconds:.0} s"));
        let _ = writeln!(
            text,
            "  {:6.1} s  {:18} {:4.1} s  {:14.0} %  {recovered:>14} {:5}",
            fault.began,
            fault.planned.fault.name(),
            fault.ended - fault.began,
            effect.share * 100.0,
            effect.broken
        );
    }
}
