//! Which processes of the lab run where, and how they are started.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    cpu,
    wire::{LoadFigures, LoadPlan},
};

/// How long the load may take beyond its own duration: users who appear, and a machine that is busy.
const LATE: Duration = Duration::from_secs(30);

/// The processors of this machine, shared out.
#[derive(Debug)]
pub(crate) struct Machine {
    program: PathBuf,
    /// Where what is measured runs.
    pub(crate) server_cpus: Vec<usize>,
    /// Where the users are.
    pub(crate) load_cpus: Vec<usize>,
}

/// A process that ends with this value.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Machine {
    /// One processor for what is measured, the others for the users. With a single one they share it, and the figures say
    /// so.
    pub(crate) fn new() -> Result<Self> {
        let cpus = cpu::available()?;
        let (server_cpu, others) = cpus.split_first().context("no processor may be used")?;
        let server_cpus = vec![*server_cpu];
        let load_cpus = if others.is_empty() { server_cpus.clone() } else { others.to_vec() };
        cpu::pin(&load_cpus)?;
        Ok(Self { program: env::current_exe()?, server_cpus, load_cpus })
    }

    /// This program, to be started in another role.
    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Runs a load to its end.
    pub(crate) fn load(&self, plan: &LoadPlan) -> Result<LoadFigures> {
        let mut command = self.command();
        command.args(["load", &serde_json::to_string(plan)?]);
        let (process, lines) = spawn(&mut command, &self.load_cpus)?;
        let patience = Duration::from_secs(plan.demand.seconds().into()) + LATE;
        let line = lines.recv_timeout(patience);
        // It has ended by itself, or it is late.
        drop(process);
        let line = line.with_context(|| format!("the load has no figures after {patience:?}"))?;
        serde_json::from_str(&line).context("the load's figures")
    }
}

/// A child on these processors, and the lines that it prints. What it complains about goes where ours goes.
pub(crate) fn spawn(command: &mut Command, cpus: &[usize]) -> Result<(Process, mpsc::Receiver<String>)> {
    let child = cpu::pinned(cpus, || command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())?;
    let mut child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let stdout = child.stdout.take().context("standard output is piped")?;
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Only the first line counts, but the pipe must be read.
            send.send(line).ok();
        }
    });
    Ok((Process(child), lines))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
