//! Child processes: find, run, watch and end them.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::step::Took;

/// Poll interval of a waiting parent.
const LOOK: Duration = Duration::from_millis(50);
/// How often a long command prints a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Runs a command with visible output; an error names the command and its status.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", name(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}

/// Returns what a command prints; an error contains its error output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", name(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{} ended with {}: {complaint}", name(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with all output appended to a log, for at most `deadline`; prints a sign of life now and then.
pub(crate) fn run_logged(command: &mut Command, log: &Path, deadline: Duration) -> Result<ExitStatus> {
    let file = File::options().create(true).append(true).open(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {}", name(command)))?;
    let start = Instant::now();
    let mut next_sign = SIGN_OF_LIFE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let elapsed = start.elapsed();
        if elapsed >= deadline {
            end_tree(&mut child)?;
            bail!("{} was ended after {}", name(command), Took(elapsed));
        }
        if elapsed >= next_sign {
            println!("      {} … {}", Took(elapsed), last_line(log)?);
            next_sign += SIGN_OF_LIFE;
        }
        thread::sleep(LOOK);
    }
}

/// Waits for a child at most `deadline`.
pub(crate) fn wait(child: &mut Child, deadline: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= deadline {
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Ends a child and, on Linux, the processes that it started.
pub(crate) fn end_tree(child: &mut Child) -> Result<()> {
    let below = descendants(child.id());
    child.kill()?;
    child.wait()?;
    if !below.is_empty() {
        // They may have ended already; then kill fails, which is fine.
        Command::new("kill").arg("-KILL").args(below.iter().map(u32::to_string)).stderr(Stdio::null()).status()?;
    }
    Ok(())
}

/// The path of a program on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

/// PATH with folders prepended, for a child.
pub(crate) fn path_with(folders: &[PathBuf]) -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let rest = env::split_paths(&path).collect::<Vec<_>>();
    Ok(env::join_paths(folders.iter().chain(&rest))?)
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_stem().unwrap_or_default().to_string_lossy()];
    words.extend(command.get_args().take(3).map(|word| word.to_string_lossy()));
    format!("`{}`", words.join(" "))
}

fn last_line(log: &Path) -> Result<String> {
    const TAIL: u64 = 2000;
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rfind(|line| line.contains(char::is_alphanumeric)).unwrap_or_default();
    Ok(line.trim().chars().take(100).collect())
}

fn descendants(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|id| id.parse().ok());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_ended_with_its_children() {
        let log = env::temp_dir().join(format!("xtask-process-{}.log", std::process::id()));
        let mut hangs = Command::new("sh");
        hangs.args(["-c", "sleep 600 & echo started $!; wait"]);
        let error = run_logged(&mut hangs, &log, Duration::from_millis(500)).unwrap_err();
        assert!(error.to_string().contains("was ended after"), "{error}");
        let printed = fs::read_to_string(&log).unwrap();
        let below: u32 = printed.trim().rsplit(' ').next().unwrap().parse().unwrap();
        fs::remove_file(&log).unwrap();
        let runs = || {
            let state = fs::read_to_string(format!("/proc/{below}/stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        let start = Instant::now();
        while runs() {
            assert!(start.elapsed() < Duration::from_secs(5), "it still runs");
            thread::sleep(LOOK);
        }
    }

    #[test]
    fn the_error_of_a_failing_command_has_its_name_and_output() {
        let error = output(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`sh -c"), "{error}");
        assert!(error.contains("no such thing"), "{error}");
    }
}
