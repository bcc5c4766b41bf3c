//! Freezes a server: its processes are stopped.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Stops a process and its children, reports it, and continues them when its input ends, at the latest with this
/// process. In /proc/PID/stat the second field after the name in parentheses is the parent.
const SCRIPT: &str = r#"
    tell() {
        kill "$1" "$2" || return
        for stat in /proc/[0-9]*/stat; do
            read -r line 2>/dev/null < "$stat" || continue
            set -- "$1" "$2" ${line##*) }
            [ "$4" = "$2" ] || continue
            child=${stat#/proc/}
            kill "$1" "${child%/stat}" 2>/dev/null
        done
        :
    }
    tell -STOP "$1" && echo frozen
    read -r _
    tell -CONT "$1"
"#;

/// A frozen server; dropping this continues it.
#[derive(Debug)]
pub struct Frozen {
    keeper: Child,
}

impl Frozen {
    /// Freezes a process and its children (SIGSTOP).
    ///
    /// # Errors
    /// There is no such process, or it may not be stopped.
    pub fn new(process: u32) -> Result<Self> {
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(process.to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run /bin/sh")?;
        let said = keeper.stdout.take().context("its output is not piped")?;
        let frozen = Self { keeper };
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        ensure!(line == "frozen\n", "process {process} cannot be stopped");
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // The end of its input is the signal to continue.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
