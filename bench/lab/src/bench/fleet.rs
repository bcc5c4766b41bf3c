//! The processes: PostgreSQL for all runs, server and load for one.

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use poolgate_test_postgres::Postgres;

use super::{
    plan::{Run, Scenario},
    tabs::Tabs,
};
use crate::{
    cpu,
    front::{self, Front},
    load,
    machine::{self, Machine, Process},
    wire::{self, Limiter, LoadFigures, LoadPlan, ServerFigures, TabFigures, TabsPlan},
};

/// How long the server may take until it listens; it opens all connections first.
const START: Duration = Duration::from_secs(20);
/// How long the server may take to answer with its figures, behind what still waits in it.
const FIGURES: Duration = Duration::from_secs(20);

/// What the processes of a run have counted.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) load: LoadFigures,
    pub(super) server: ServerFigures,
    pub(super) tabs: Vec<TabFigures>,
}

/// What the runs have in common.
pub(super) struct Fleet {
    /// Kept for as long as the runs last.
    _postgres: Postgres,
    database_url: String,
    version: String,
    machine: Machine,
}

impl Fleet {
    /// Starts PostgreSQL on the server's core.
    pub(super) fn start() -> Result<Self> {
        let machine = Machine::new()?;
        let postgres = cpu::pinned(&machine.server_cpus, Postgres::start)??;
        let database_url = postgres.create_database("lab")?;
        let version = postgres.sql("lab", "SHOW server_version")?;
        Ok(Self { _postgres: postgres, database_url, version, machine })
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "PostgreSQL {} and the server on processor {:?}, the users on {:?}",
            self.version, self.machine.server_cpus, self.machine.load_cpus
        )
    }

    /// Does one run. Open loops are driven in multiples of `peak`, requests a second.
    pub(super) fn measure(&mut self, run: &Run, peak: Option<f64>) -> Result<Measured> {
        let peak = match (run.scenario, peak) {
            (Scenario::Peak, _) => 0.0,
            (_, Some(peak)) => peak,
            (_, None) => bail!("the peak of seed {} has not been measured", run.seed),
        };
        let server = self.start_server(run)?;
        let front = self.start_front(run, server.address)?;
        let plan = LoadPlan {
            target: front.as_ref().map_or(server.address, Front::address),
            path: wire::WORK.to_owned(),
            seed: run.seed,
            users: run.users,
            kind: run.contender.kind,
            habits: run.habits(),
            heavy_share: run.heavy_share(),
            rogue_share: run.rogue_share(),
            demand: run.demand(peak),
            window: run.window(),
        };
        let tabs = self.open_tabs(run, &plan, peak)?;
        let load = self.machine.load(&plan)?;
        let tabs = tabs.map_or_else(|| Ok(Vec::new()), Tabs::figures)?;
        Ok(Measured { load, server: server.figures()?, tabs })
    }

    fn start_server(&self, run: &Run) -> Result<Server> {
        let limiter = serde_json::to_value(run.contender.limiter)?;
        let mut command = self.machine.command();
        command.args(["server", "--limiter", limiter.as_str().context("a limiter's name")?]).args([
            "--database-url",
            &self.database_url,
            "--seed",
            &run.seed.to_string(),
        ]);
        if matches!(run.scenario, Scenario::Dear(_)) {
            command.arg("--checks-tokens");
        }
        if run.tabs() > 0 {
            command.arg("--www").arg(env::var_os("POOLGATE_WWW").context("POOLGATE_WWW names no folder")?);
        }
        let (process, lines) = machine::spawn(&mut command, &self.machine.server_cpus)?;
        let line = lines.recv_timeout(START).context("the server does not say where it listens")?;
        let address = line.strip_prefix(wire::LISTENING).with_context(|| format!("the server says {line:?}"))?;
        Ok(Server { _process: process, address: address.parse()? })
    }

    /// On the server's processor: a gate within the app has no other either.
    fn start_front(&self, run: &Run, server: SocketAddr) -> Result<Option<Front>> {
        let is_haproxy = run.contender.limiter == Limiter::Haproxy;
        let start = || Front::start(front::Kind::Haproxy, server, wire::CONNECTIONS, &self.machine.server_cpus);
        is_haproxy.then(start).transpose()
    }

    /// Tabs that begin with the load, about as soon as its users have appeared.
    fn open_tabs(&self, run: &Run, plan: &LoadPlan, peak: f64) -> Result<Option<Tabs>> {
        if run.tabs() == 0 {
            return Ok(None);
        }
        let appearing = load::appearing(plan).as_secs_f64();
        let (from, to) = plan.window;
        let plan = TabsPlan {
            url: format!("http://{}", plan.target),
            tabs: run.tabs(),
            rate: 3.0 * peak / f64::from(run.users + run.tabs()),
            seconds: appearing + f64::from(to),
            window: (appearing + f64::from(from), appearing + f64::from(to)),
        };
        cpu::pin(&self.machine.load_cpus)?;
        Tabs::open(&plan).map(Some)
    }
}

/// A running server. It is ended when this is dropped.
struct Server {
    _process: Process,
    address: SocketAddr,
}

impl Server {
    fn figures(&self) -> Result<ServerFigures> {
        let mut stream = TcpStream::connect_timeout(&self.address, FIGURES)?;
        stream.set_read_timeout(Some(FIGURES))?;
        write!(stream, "GET {} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", wire::FIGURES)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("the server's figures")?;
        ensure!(answer.starts_with("HTTP/1.0 200"), "the server's figures: {}", answer.lines().next().unwrap_or("?"));
        let (_, body) = answer.split_once("\r\n\r\n").context("the answer has no body")?;
        serde_json::from_str(body).context("the server's figures")
    }
}
