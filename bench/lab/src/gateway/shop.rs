//! The app of an incident that happened: a shop on FastAPI and SQLAlchemy, as it was before and as it was after.

use anyhow::Result;
use poolgate_test_apps::PythonApp;
use poolgate_test_postgres::Postgres;

use crate::{cpu, machine::Machine};

/// The path that uses the database.
pub(super) const PATH: &str = "/orders";

/// How the app is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// A pool of 6 connections, and nothing before it.
    Before,
    /// A pool of 20 connections and 10 more, and a semaphore of 25 before it.
    After,
}

impl Version {
    fn environment(self) -> [(&'static str, &'static str); 4] {
        match self {
            Self::Before => [("POOL_SIZE", "6"), ("MAX_OVERFLOW", "0"), ("POOL_TIMEOUT", "2"), ("PERMITS", "0")],
            Self::After => [("POOL_SIZE", "20"), ("MAX_OVERFLOW", "10"), ("POOL_TIMEOUT", "30"), ("PERMITS", "25")],
        }
    }
}

/// The shops and their database.
pub(super) struct Shops<'a> {
    machine: &'a Machine,
    /// Kept for as long as the runs last.
    _postgres: Postgres,
    database_url: String,
}

impl<'a> Shops<'a> {
    /// Starts PostgreSQL, beside the users: the app has its processor for itself, because one request takes it a
    /// millisecond and more.
    pub(super) fn open(machine: &'a Machine) -> Result<Self> {
        let postgres = Postgres::start()?;
        let database_url = postgres.create_database("shop")?;
        Ok(Self { machine, _postgres: postgres, database_url })
    }

    /// A new process of the app, on its own processor.
    pub(super) fn start(&self, version: Version) -> Result<PythonApp> {
        let mut environment = version.environment().to_vec();
        environment.extend([("QUERY_MS", "50"), ("DATABASE_URL", &self.database_url)]);
        cpu::pinned(&self.machine.server_cpus, || PythonApp::fastapi(&environment))?
    }
}
