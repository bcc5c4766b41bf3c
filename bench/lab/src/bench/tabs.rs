//! Tabs of a real Chromium, driven by `tabs.js` in Node.js.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::wire::{TabFigures, TabsPlan};

/// How long all tabs together may take until their clients listen.
const OPENING: Duration = Duration::from_secs(90);
/// How long they may take beyond their time.
const LATE: Duration = Duration::from_secs(30);

/// Open tabs whose clients listen. Ended, with the browser, when dropped.
pub(super) struct Tabs {
    node: Child,
    lines: mpsc::Receiver<String>,
    time: Duration,
}

impl Tabs {
    /// Opens them; they want nothing until the first line on their standard input, which is sent by now.
    pub(super) fn open(plan: &TabsPlan) -> Result<Self> {
        ensure!(env::var_os("CHROMIUM").is_some(), "CHROMIUM names no browser; `cargo xtask bench overload` finds one");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tabs.js");
        let mut node = Command::new("node")
            .arg(script)
            .arg(serde_json::to_string(plan)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start node")?;
        let stdout = node.stdout.take().context("standard output is piped")?;
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Only the figures count.
                send.send(line).ok();
            }
        });
        let mut tabs = Self { node, lines, time: Duration::from_secs_f64(plan.seconds) };
        let line = tabs.lines.recv_timeout(OPENING).context("the tabs do not open")?;
        ensure!(line == "ready", "the tabs say {line:?}");
        writeln!(tabs.node.stdin.as_mut().context("standard input is piped")?, "go")?;
        Ok(tabs)
    }

    /// What they met, at their end.
    pub(super) fn figures(self) -> Result<Vec<TabFigures>> {
        let line = self.lines.recv_timeout(self.time + LATE).context("the tabs have no figures")?;
        serde_json::from_str(&line).context("the tabs' figures")
    }
}

impl Drop for Tabs {
    fn drop(&mut self) {
        // The end of its input makes the script close the browser.
        drop(self.node.stdin.take());
        for _ in 0..100 {
            if matches!(self.node.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.node.kill().ok();
        self.node.wait().ok();
    }
}
