//! The users. Each has wishes at the moments of its own Poisson process, does not wait for earlier answers, and connects from
//! its own loopback address. Latency counts from the moment of the wish.

mod caller;
mod demand;
mod law;
mod tally;
mod user;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use poolgate::demo::Random;
use poolgate_native::HttpClient;
use tokio::time;

use self::{caller::Caller, demand::Schedule, tally::Tally, user::User};
use crate::{
    lifeline,
    wire::{Demand, Kind, LoadFigures, LoadPlan, Moment},
};

/// Users who follow the config appear one by one within this time, plus this much for each.
const ARRIVAL: Duration = Duration::from_millis(800);
const ARRIVAL_OF_ONE: Duration = Duration::from_micros(200);
/// Then the last of them has time to hear of the config.
const REST: Duration = Duration::from_millis(200);

/// Demand of a heavy user, as a multiple of a light user's.
const HEAVY: f64 = 5.0;

/// `poolgate-bench-lab load`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A load plan as JSON.
    plan: String,
}

/// Runs the load, prints its figures as JSON and ends the process.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(options: &Options) -> Result<()> {
    lifeline::hold();
    let plan: LoadPlan = serde_json::from_str(&options.plan).context("not a load plan")?;
    let figures = drive(&plan).await;
    println!("{}", serde_json::to_string(&figures)?);
    // Requests in flight are cut off.
    std::process::exit(0);
}

/// Within this time from the load's start, all users appear.
pub(crate) fn appearing(plan: &LoadPlan) -> Duration {
    if plan.kind == Kind::Poolgate { ARRIVAL + ARRIVAL_OF_ONE * plan.users } else { Duration::ZERO }
}

async fn drive(plan: &LoadPlan) -> LoadFigures {
    let mut random = Random::new(plan.seed);
    // Drawn before all else: the users of a seed want the same at the same moments with every client.
    let wishes: Vec<Random> = (0..plan.users).map(|_| Random::new(random.next_u64())).collect();
    let appearing = appearing(plan);
    let started = Instant::now() + appearing + REST;
    let tally = Arc::new(Tally::new(started, plan.window, plan.habits.patience));
    let roles = Roles::of(plan);
    let users: Vec<Arc<User>> = (0..plan.users)
        .map(|index| {
            let rogue = roles.is_rogue(index);
            let kind = if rogue { Kind::Plain } else { plan.kind };
            let http = HttpClient::from_address(Some(own_address(index)), plan.target);
            let caller = Caller::new(kind, http, &plan.path, appearing.mul_f64(random.unit()), &mut random);
            Arc::new(User::new(caller, Arc::clone(&tally), plan.habits, rogue, roles.is_heavy(index)))
        })
        .collect();
    time::sleep_until(started.into()).await;
    let started_at = Moment::now();
    for (index, (user, own)) in users.iter().zip(wishes).enumerate() {
        match &plan.demand {
            Demand::Closed { .. } => tokio::spawn(user::repeat(Arc::clone(user))),
            Demand::Open { rate, steps } => {
                let rate = rate * roles.share(index) / f64::from(plan.habits.requests.max(1));
                tokio::spawn(user::live(Arc::clone(user), Schedule::new(rate, steps), own))
            }
        };
    }
    let ends = started + Duration::from_secs(plan.demand.seconds().into());
    tally.measure_processor().await;
    time::sleep_until(ends.into()).await;
    tally.figures(started_at, users.iter().map(|user| user.figures()).collect())
}

/// 127.1.0.1 and up: all of 127.0.0.0/8 is this machine.
fn own_address(index: u32) -> IpAddr {
    let [_, _, high, low] = (index + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
}

/// Which users are heavy and which are rogues. Heavy ones are the first of all users, rogues the last.
struct Roles {
    heavy: u32,
    rogues_from: u32,
    /// Demand of all users, in units of a light user's.
    total: f64,
}

impl Roles {
    fn of(plan: &LoadPlan) -> Self {
        // Shares are between 0 and 1.
        let count = |share: f64| (share * f64::from(plan.users)).round() as u32;
        let heavy = count(plan.heavy_share);
        let total = f64::from(plan.users - heavy) + HEAVY * f64::from(heavy);
        Self { heavy, rogues_from: plan.users - count(plan.rogue_share), total }
    }

    fn is_heavy(&self, index: u32) -> bool {
        index < self.heavy
    }

    fn is_rogue(&self, index: u32) -> bool {
        index >= self.rogues_from
    }

    /// A user's share of the demand, 0 to 1.
    fn share(&self, index: usize) -> f64 {
        if index < self.heavy as usize { HEAVY / self.total } else { 1.0 / self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Habits;

    #[test]
    fn each_user_has_an_address_of_its_own() {
        let addresses: std::collections::BTreeSet<IpAddr> = (0..4_000).map(own_address).collect();
        assert_eq!(addresses.len(), 4_000);
        assert!(addresses.iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn what_the_users_want_adds_up() {
        let plan = LoadPlan {
            target: ([127, 0, 0, 1], 1).into(),
            path: "/".to_owned(),
            seed: 1,
            users: 200,
            kind: Kind::Plain,
            habits: Habits::ONE_REQUEST,
            heavy_share: 0.1,
            rogue_share: 0.3,
            demand: Demand::Closed { seconds: 1 },
            window: (0, 1),
        };
        let roles = Roles::of(&plan);
        let total: f64 = (0..200).map(|index| roles.share(index)).sum();
        assert!((total - 1.0).abs() < 1e-9, "{total}");
        assert!((roles.share(0) / roles.share(199) - HEAVY).abs() < 1e-9);
        let count = |is: &dyn Fn(u32) -> bool| (0..200).filter(|index| is(*index)).count();
        assert_eq!((count(&|index| roles.is_heavy(index)), count(&|index| roles.is_rogue(index))), (20, 60));
    }
}
