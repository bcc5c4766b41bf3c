//! What an app serves that is asked for more than it can do, alone and behind each gateway.

use anyhow::Result;

use super::shop::{PATH, Shops, Version};
use crate::{
    front::{self, Front},
    machine::Machine,
    table::Table,
    wire::{Demand, Habits, Kind, LoadFigures, LoadPlan, LoadSecond, Step},
};

/// Requests that the "after" app does at a time, and that a gateway lets through to it.
const AT_A_TIME: u32 = 25;
/// Users, each with an address and with connections of its own.
const USERS: u32 = 500;
/// Users without a pause who keep 25 permits busy.
const CLOSED_USERS: u32 = 40;
/// Demand, as a multiple of what the "after" app can do.
const MULTIPLES: [f64; 4] = [0.6, 1.2, 3.0, 10.0];

/// An app, what stands before it, and who comes.
struct Contender {
    name: &'static str,
    app: Version,
    front: front::Kind,
    users: Kind,
}

const fn contender(name: &'static str, app: Version, front: front::Kind, users: Kind) -> Contender {
    Contender { name, app, front, users }
}

const CONTENDERS: [Contender; 6] = [
    contender("before, alone", Version::Before, front::Kind::Nothing, Kind::Plain),
    contender("after, alone", Version::After, front::Kind::Nothing, Kind::Plain),
    contender("after, HAProxy", Version::After, front::Kind::Haproxy, Kind::Plain),
    contender("after, nginx", Version::After, front::Kind::Nginx, Kind::Plain),
    contender("after, Poolgate", Version::After, front::Kind::Poolgate, Kind::Plain),
    contender("after, Poolgate, users obey", Version::After, front::Kind::Poolgate, Kind::Poolgate),
];

const HEADS: [&str; 10] = [
    "",
    "Goodput, % of peak",
    "Served, % of wanted",
    "Served, % of sent",
    "Served, % of admitted",
    "Arrivals, x peak",
    "p50, ms",
    "p99, ms",
    "500, 502, 504",
    "The users' processor was late, %",
];

/// One table for each multiple. The peak is measured again before each, because a shared machine changes.
pub(super) fn measure(machine: &Machine, quick: bool) -> Result<Vec<Table>> {
    let shops = Shops::open(machine)?;
    let window = if quick { (2, 7) } else { (3, 13) };
    let mut tables = Vec::new();
    for multiple in MULTIPLES {
        let peak = peak(machine, &shops, window)?;
        let mut table = Table::new(format!("{multiple} times the peak of {peak:.0} requests/s"), &HEADS);
        for contender in &CONTENDERS {
            let demand = Demand::Open { rate: peak, steps: vec![Step { seconds: window.1, multiple }] };
            let load = run(machine, &shops, contender, demand, window)?;
            let row = row(contender.name, &load, window, peak);
            eprintln!("{multiple}x {}", row.join(" | "));
            table.rows.push(row);
        }
        tables.push(table);
    }
    Ok(tables)
}

/// What the "after" app serves when it always has enough to do and never too much, requests a second.
fn peak(machine: &Machine, shops: &Shops<'_>, window: (u32, u32)) -> Result<f64> {
    let [_, alone, ..] = &CONTENDERS;
    let load = run(machine, shops, alone, Demand::Closed { seconds: window.1 }, window)?;
    Ok(f64::from(load.sum(window, |second| second.served)) / f64::from(window.1 - window.0))
}

fn run(
    machine: &Machine,
    shops: &Shops<'_>,
    contender: &Contender,
    demand: Demand,
    window: (u32, u32),
) -> Result<LoadFigures> {
    let app = shops.start(contender.app)?;
    let front = Front::start(contender.front, app.address(), AT_A_TIME, &machine.load_cpus)?;
    let is_open = matches!(demand, Demand::Open { .. });
    machine.load(&LoadPlan {
        target: front.address(),
        path: PATH.to_owned(),
        seed: 1,
        users: if is_open { USERS } else { CLOSED_USERS },
        kind: contender.users,
        habits: Habits::ONE_REQUEST,
        heavy_share: 0.0,
        rogue_share: 0.0,
        demand,
        window,
    })
}

fn row(name: &str, load: &LoadFigures, window: (u32, u32), peak: f64) -> Vec<String> {
    let seconds = f64::from(window.1 - window.0);
    let sum = |count: fn(&LoadSecond) -> u32| f64::from(load.sum(window, count));
    let (served, sent, errors) = (sum(|second| second.served), sum(|second| second.sent), sum(|second| second.errors));
    let admitted = served + errors + sum(|second| second.unanswered);
    let percent = |part: f64, whole: f64| format!("{:.1}", 100.0 * part / whole.max(1.0));
    vec![
        name.to_owned(),
        percent(served / seconds, peak),
        percent(load.served_in_time as f64, load.wanted_in_time as f64),
        percent(served, sent),
        percent(served, admitted),
        format!("{:.2}", sent / seconds / peak),
        format!("{:.0}", load.latency_ms.p50),
        format!("{:.0}", load.latency_ms.p99),
        format!("{errors:.0}"),
        percent(load.cpu_wait_seconds, seconds),
    ]
}
