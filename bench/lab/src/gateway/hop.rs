//! What one more hop costs: time added to a handler of a millisecond, processor time of a request, requests a second.

use anyhow::Result;

use super::handler::{self, Handler};
use crate::{
    cpu,
    front::{Front, Kind},
    machine::Machine,
    table::Table,
    wire::{Demand, Habits, Kind as Users, LoadFigures, LoadPlan},
};

/// High enough that no gateway limits anything.
const AT_A_TIME: u32 = 1_000;
/// Users without a pause: few enough for latency, enough to keep a proxy busy.
const FEW: u32 = 2;
const MANY: u32 = 64;

const HEADS: [&str; 6] = [
    "",
    "1 ms handler: p50, ms",
    "p99, ms",
    "Requests/s, of HAProxy's",
    "Processor time of a request in the proxy, us",
    "of HAProxy's",
];

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    p50: f64,
    p99: f64,
    per_second: f64,
    cpu_us: f64,
}

/// The medians of the rounds, in each of which every proxy has its turn.
pub(super) fn measure(machine: &Machine, quick: bool) -> Result<Vec<Table>> {
    let (rounds, seconds) = if quick { (1, 2) } else { (5, 3) };
    let handler = Handler::start(machine)?;
    let mut costs = Kind::ALL.map(|kind| (kind, Vec::new()));
    for _ in 0..rounds {
        for (kind, costs) in &mut costs {
            costs.push(cost(machine, &handler, *kind, seconds)?);
        }
    }
    let costs = costs.map(|(kind, costs)| (kind, median(&costs)));
    let haproxy = costs.iter().find(|(kind, _)| *kind == Kind::Haproxy).map(|(_, cost)| *cost).unwrap_or_default();
    let mut table = Table::new(format!("One more hop, medians of {rounds}"), &HEADS);
    for (kind, cost) in costs {
        let of = |theirs: f64, ours: f64| if ours > 0.0 { format!("{:.2}", ours / theirs) } else { String::new() };
        table.rows.push(vec![
            kind.name().to_owned(),
            format!("{:.2}", cost.p50),
            format!("{:.2}", cost.p99),
            of(haproxy.per_second, cost.per_second),
            if cost.cpu_us > 0.0 { format!("{:.0}", cost.cpu_us) } else { String::new() },
            of(haproxy.cpu_us, cost.cpu_us),
        ]);
    }
    Ok(vec![table])
}

fn cost(machine: &Machine, handler: &Handler, kind: Kind, seconds: u32) -> Result<Cost> {
    let front = Front::start(kind, handler.address, AT_A_TIME, &machine.server_cpus)?;
    let few = load(machine, &front, handler::MILLISECOND, FEW, seconds)?;
    let used = || front.process_id().map_or(Ok(0.0), cpu::seconds_used_by);
    let before = used()?;
    let many = load(machine, &front, handler::AT_ONCE, MANY, seconds)?;
    let used = used()? - before;
    let all: u32 = many.seconds.iter().map(|second| second.sent).sum();
    let in_window: u32 = many.seconds.iter().skip(1).take(seconds as usize - 1).map(|second| second.served).sum();
    Ok(Cost {
        p50: few.latency_ms.p50,
        p99: few.latency_ms.p99,
        per_second: f64::from(in_window) / f64::from(seconds - 1),
        cpu_us: used * 1e6 / f64::from(all),
    })
}

fn load(machine: &Machine, front: &Front, path: &str, users: u32, seconds: u32) -> Result<LoadFigures> {
    machine.load(&LoadPlan {
        target: front.address(),
        path: path.to_owned(),
        seed: 1,
        users,
        kind: Users::Plain,
        habits: Habits::ONE_REQUEST,
        heavy_share: 0.0,
        rogue_share: 0.0,
        demand: Demand::Closed { seconds },
        window: (1, seconds),
    })
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |figure: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = costs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    Cost {
        p50: middle(|cost| cost.p50),
        p99: middle(|cost| cost.p99),
        per_second: middle(|cost| cost.per_second),
        cpu_us: middle(|cost| cost.cpu_us),
    }
}
