//! The guides' commands, run as they stand, with real apps: each is overwhelmed alone, and keeps its peak behind the gate.
//! Only their ports are others, because those of the guides may be in use.

use std::{
    env,
    ffi::OsString,
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use poolgate_test_postgres::{PgBouncer, Postgres};

/// With the installation of what the app requires.
const PATIENCE: Duration = Duration::from_secs(300);
const SECONDS: f64 = 5.0;

/// What `crowd` has printed.
#[derive(Debug, PartialEq)]
struct Crowd {
    sent: f64,
    served: f64,
    failed: f64,
    late: f64,
}

impl Crowd {
    /// `1800 sent: 590 served (p50 …), 1210 turned away, 0 failed, 0 late`.
    fn read(line: &str) -> Option<Self> {
        let (sent, rest) = line.split_once(" sent: ")?;
        let before = |word: &str| rest.split_once(word)?.0.rsplit(' ').next()?.parse().ok();
        let (served, failed, late) = (before(" served")?, before(" failed")?, before(" late")?);
        Some(Self { sent: sent.parse().ok()?, served, failed, late })
    }
}

/// Everything between ```` ```sh ```` and ```` ``` ````.
fn commands(guide: &str) -> String {
    let mut commands = String::new();
    let mut is_inside = false;
    for line in guide.lines() {
        if line.starts_with("```") {
            is_inside = line == "```sh";
        } else if is_inside {
            commands += line;
            commands.push('\n');
        }
    }
    commands
}

/// The settings that a guide shows are those in the app's folder.
fn assert_settings_are_shown(guide: &str, app: &Path) {
    let settings = fs::read_to_string(app.join("poolgate.toml")).expect("poolgate.toml");
    assert!(guide.contains(&format!("```toml\n{settings}```")), "the guide shows other settings:\n{settings}");
}

/// A copy of the app's folder, in which the ports are free ones.
fn copy_app(from: &Path, to: &Path, ports: &[String; 2]) {
    for entry in fs::read_dir(from).expect("the app's folder").map(|entry| entry.expect("an entry")) {
        let name = entry.file_name();
        if entry.file_type().expect("a type").is_dir() {
            if name != "node_modules" && name != "__pycache__" {
                fs::create_dir(to.join(&name)).expect("a folder");
                copy_app(&entry.path(), &to.join(&name), ports);
            }
        } else {
            let text = fs::read_to_string(entry.path()).expect("text");
            let text = if name == "package-lock.json" { text } else { with_ports(&text, ports) };
            fs::write(to.join(&name), text).expect("written");
        }
    }
}

/// The free ports in the place of the app's and the gateway's.
fn with_ports(text: &str, [app, gateway]: &[String; 2]) -> String {
    text.replace("8001", "<app>").replace("8000", "<gateway>").replace("<app>", app).replace("<gateway>", gateway)
}

/// PATH with `poolgate` and `crowd`.
fn path() -> OsString {
    let folder = |program: PathBuf| program.parent().map(Path::to_path_buf).expect("a folder");
    let programs = [PathBuf::from(env!("CARGO_BIN_EXE_crowd")), poolgate_e2e::binary().expect("poolgate").to_owned()];
    let rest = env::var_os("PATH").unwrap_or_default();
    env::join_paths(programs.map(folder).into_iter().chain(env::split_paths(&rest))).expect("a PATH")
}

/// Runs a guide's commands, and returns what its crowds met.
fn follow(name: &str, environment: &[(&str, &str)]) -> [Crowd; 3] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("../../docs/guides").join(format!("{name}.md"))).expect("the guide");
    assert_settings_are_shown(&guide, &root.join(name));
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let free = held.each_ref().map(|port| port.local_addr().expect("an address").port().to_string());
    let [app, gateway, admin] = free;
    let ports = [app, gateway.clone()];
    let folder = tempfile::Builder::new().prefix("poolgate-guide-").tempdir().expect("a folder");
    copy_app(&root.join(name), folder.path(), &ports);
    let commands = with_ports(&commands(&guide), &ports);
    // What the commands have started ends with them.
    let script = format!("set -eu\ntrap 'kill $(jobs -p) || true; wait' EXIT\n{commands}");
    drop(held);
    let output = folder.path().join("output");
    let file = fs::File::create(&output).expect("a file");
    let mut shell = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path())
        .env("POOLGATE_SERVER__BIND", format!("127.0.0.1:{gateway}"))
        .env("POOLGATE_SERVER__ADMIN_BIND", format!("127.0.0.1:{admin}"))
        .envs(environment.iter().copied())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a file"))
        .stderr(file)
        .spawn()
        .expect("bash");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = shell.try_wait().expect("a status") {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            // The group is ours: the shell and what it has started.
            let _ = Command::new("kill").args(["--", &format!("-{}", shell.id())]).status();
            panic!("the guide takes too long");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let printed = fs::read_to_string(&output).expect("its output");
    println!("{name}:\n{printed}");
    assert!(status.success(), "{status}");
    let crowds: Vec<_> = printed.lines().filter_map(Crowd::read).collect();
    crowds.try_into().expect("before, after, and at rest")
}

/// What the app serves behind the gate, of what it can serve at most, and that no request waits in vain. App, crowd and
/// gateway share the machine's cores, so a share of the most is left to them: on two cores 69 to 82 % were served.
fn assert_it_keeps_its_peak([alone, behind, calm]: [Crowd; 3], capacity: f64) {
    let most = capacity * SECONDS;
    assert!(alone.served < 0.8 * most && alone.late > 0.5 * alone.sent, "alone it is overwhelmed: {alone:?}");
    assert_eq!((behind.failed, behind.late), (0.0, 0.0), "{behind:?}");
    assert!(behind.served > 0.5 * most && behind.served > 1.3 * alone.served, "{behind:?} of {most}, alone {alone:?}");
    assert!(calm.served > 0.99 * calm.sent, "no request is turned away where there is room: {calm:?}");
}

#[test]
#[ignore = "installs packages of PyPI; `cargo xtask test` runs it"]
fn fastapi() {
    let postgres = Postgres::start().expect("PostgreSQL");
    let url = postgres.create_database("shop").expect("a database");
    assert_it_keeps_its_peak(follow("fastapi", &[("DATABASE_URL", &url)]), 120.0);
}

#[test]
#[ignore = "installs packages of npm; `cargo xtask test` runs it"]
fn express() {
    let postgres = Postgres::start().expect("PostgreSQL");
    let url = postgres.create_database("shop").expect("a database");
    assert_it_keeps_its_peak(follow("express", &[("DATABASE_URL", &url)]), 200.0);
}

#[test]
#[ignore = "installs packages of PyPI; `cargo xtask test` runs it"]
fn flask() {
    let postgres = Postgres::start().expect("PostgreSQL");
    postgres.create_database("shop").expect("a database");
    let pooler =
        PgBouncer::start(&postgres, "shop", &["pool_mode=transaction", "default_pool_size=6"]).expect("PgBouncer");
    assert_it_keeps_its_peak(follow("flask", &[("POOLER", &format!("127.0.0.1:{}", pooler.port()))]), 120.0);
}
