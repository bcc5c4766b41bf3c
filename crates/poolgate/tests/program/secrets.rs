//! No output contains a part of a password, in any spelling of the URL and in any setting.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use poolgate::settings::{Flag, Overrides, load, to_toml};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::process::poolgate;

/// A shorter part is meaningless and would be found by chance.
const SHORTEST_PART: usize = 4;

/// Letters that occur in no message, and all characters that users forget to escape.
const PASSWORD: &str = "[QXZJKVWqxzjkvw?#@/%:;&=+ !$'(),.~|\\\\^\\[\\]{}<>`-]{8,24}";

/// All known spellings of URLs, valid and invalid; `PW` is the password.
const SHAPES: [&str; 34] = [
    "postgres://app:PW@127.0.0.1:1/shop",
    "postgresql://app:PW@127.0.0.1:1/shop?sslmode=disable",
    "POSTGRES://app:PW@127.0.0.1:1/shop",
    "postgresql+asyncpg://app:PW@127.0.0.1:1/shop",
    "postgres://app:PW@[::1]:1/shop",
    "postgres://app:PW@127.0.0.1:1,127.0.0.2:1/shop?target_session_attrs=read-write",
    "postgres:/app:PW@127.0.0.1/shop",
    "postgres:app:PW@127.0.0.1/shop",
    "postgres//app:PW@127.0.0.1/shop",
    "postgres:///app:PW@127.0.0.1/shop",
    "postgres://app:PW",
    "postgres://app/PW@127.0.0.1/shop",
    "postgres://PW@127.0.0.1:1/shop",
    "postgres://app:1234?PW@127.0.0.1/shop",
    "postgres://app@127.0.0.1:PW/shop",
    "postgres://app@127.0.0.1:1/shop:PW",
    "postgres://127.0.0.1:1/shop?user=app&password=PW",
    "postgres://app@127.0.0.1:1/shop?sslpassword=PW",
    "postgres://app@127.0.0.1:1/shop?passfile=PW&pwd=PW",
    "postgres://app@127.0.0.1:1/shop?sslmode=PW",
    "postgres://app:PW@127.0.0.1:1/shop#PW",
    "pgbouncer://stats:PW@127.0.0.1:1/shop",
    "pgbouncer:stats:PW@127.0.0.1:1/shop",
    "mysql2://app:PW@127.0.0.1:1/shop",
    "postgis://app:PW@127.0.0.1:1/shop",
    "jdbc:postgresql://127.0.0.1:1/shop?password=PW",
    "sqlite://app:PW@127.0.0.1/shop",
    "sqlite:nowhere/shop.db?key=PW",
    "PW",
    " postgres://app:PW@127.0.0.1:1/shop\n",
    "nats://app:PW@127.0.0.1:1",
    "nats://PW@127.0.0.1:1",
    "nats://127.0.0.1:1,tls://app:PW@127.0.0.1:1",
    "nats:app:PW@127.0.0.1:1",
];

/// The parts of the password that must not be shown, plain and URL-encoded.
fn parts(password: &str) -> Vec<String> {
    let escaped: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let windows = |text: &str| -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        characters.windows(SHORTEST_PART).map(|window| window.iter().collect()).collect()
    };
    [windows(password), windows(&escaped).into_iter().filter(|part| part.matches('%').count() > 1).collect()].concat()
}

fn leak(password: &str, printed: &str) -> Option<String> {
    // Also as JSON and as Rust's `Debug` output.
    let unescaped = printed.replace("\\\\", "\\").replace("\\\"", "\"").replace("\\'", "'");
    parts(password).into_iter().find(|part| printed.contains(part) || unescaped.contains(part))
}

/// The messages of loading the settings, with the URL in each possible setting.
fn everything_printed(url: &str) -> String {
    let mut printed = String::new();
    let mut print = |file: &str, environment: &[(&str, &str)], flag: Option<(&'static str, &'static str)>| {
        let path = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(path.path(), file).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let flags = flag.map(|(name, key)| Flag { name, key, value: url.to_owned() }).into_iter().collect();
        let overrides = Overrides { flags, profile: None };
        match load(Some(path.path()), environment, &overrides) {
            Ok(settings) => printed += &format!("{}\n{settings:?}\n", to_toml(&settings)),
            Err(error) => printed += &format!("{error}\n{error:?}\n"),
        }
        printed += &format!("{overrides:?}\n");
    };
    print("", &[("DATABASE_URL", url)], None);
    print("", &[("DATABASE_URL", url), ("POOLGATE_WATCH__URL", "pgbouncer://pooler/shop")], None);
    for variable in [
        "POOLGATE_DATABASE__URL",
        "POOLGATE_WATCH__URL",
        "POOLGATE_CLUSTER__STORE",
        "POOLGATE_DATABASE_URL",
        "POOLGATE_SERVER__BIND",
        "POOLGATE_SERVER__TRUSTED_PROXIES",
        "POOLGATE_SERVER__ALLOWED_ORIGINS",
        "POOLGATE_SERVER__ADMIN_TOKEN",
        "POOLGATE_POOL__SIZE",
        "POOLGATE_POOL__TIMEOUT",
        "POOLGATE_POLICY",
        "POOLGATE_DEMO__ENABLED",
        "POOLGATE_DATABASE__APPLICATION_NAME",
        "POOLGATE_DATABASE",
    ] {
        print("", &[(variable, url)], None);
    }
    for flag in [("--database-url", "database.url"), ("--watch", "watch.url"), ("--bind", "server.bind")] {
        print("", &[], Some(flag));
    }
    let quoted = serde_json::to_string(url).expect("a string");
    for file in [
        format!("[database]\nurl = {quoted}\n"),
        format!("[database]\nurl = {url}\n"),
        format!("[database]\nurl = \"{url}\"\n"),
        format!("[database]\nurl = [{quoted}]\n"),
        format!("[database]\nurl = {{ password = {quoted} }}\n"),
        format!("database = {quoted}\n"),
        format!("[server]\nadmin_token = [{quoted}]\nallowed_origins = [{quoted}]\n"),
        url.to_owned(),
    ] {
        print(&file, &[], None);
    }
    printed
}

// Each case tries every spelling in every setting; `PROPTEST_CASES` does not apply.
proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(8) })]

    #[test]
    fn settings_show_no_part_of_a_password(password in PASSWORD) {
        for shape in SHAPES {
            let url = shape.replace("PW", &password);
            let printed = everything_printed(&url);
            prop_assert_eq!(leak(&password, &printed), None, "{}\n{}", url, printed);
        }
    }
}

/// All output of the program until it ends, or for half a second after it listens.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut child = poolgate(arguments)
        .env("RUST_LOG", "trace")
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(log.reopen().expect("opened"))
        .spawn()
        .expect("started");
    let mut printed = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    while output.read_line(&mut printed).expect("text") > 0 {
        if printed.contains("listening") {
            // Long enough for the first connection attempts, which get no answer.
            std::thread::sleep(Duration::from_millis(500));
            child.kill().expect("ended");
        }
    }
    child.wait().expect("ended");
    printed + &std::fs::read_to_string(log.path()).expect("text")
}

#[test]
fn the_program_prints_no_part_of_a_password() {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::string::string_regex(PASSWORD).expect("a pattern");
    for (number, shape) in SHAPES.into_iter().enumerate() {
        let password = strategy.new_tree(&mut runner).expect("a password").current();
        let url = shape.replace("PW", &password);
        let serve = ["serve", "--port", "0"];
        let variable = match shape {
            _ if shape.starts_with("pgbouncer") => "POOLGATE_WATCH__URL",
            _ if shape.starts_with("nats") => "POOLGATE_CLUSTER__STORE",
            _ => "DATABASE_URL",
        };
        let mut environment = vec![(variable, &*url)];
        if variable == "POOLGATE_CLUSTER__STORE" {
            environment
                .extend([("DATABASE_URL", "postgres://app@127.0.0.1:1/shop"), ("POOLGATE_CLUSTER__CONNECTIONS", "40")]);
        }
        let printed = match number % 3 {
            // Each URL in its proper setting, where most output comes from.
            0 => run(&["--print-config"], &[(variable, &url)]) + &run(&[&url], &[]),
            1 => run(&["--check-config", "--watch", &url], &[]) + &run(&["serve", &format!("--url={url}")], &[]),
            _ => run(&["--config", &url], &[]) + &run(&["--port", &url], &[]) + &run(&["--profile", &url], &[]),
        } + &run(&serve, &environment);
        assert_eq!(leak(&password, &printed), None, "{url}\n{printed}");
    }
}

#[test]
fn help_does_not_show_the_environment() {
    let url = "postgres://app:hunter2@db/shop";
    assert!(!run(&["--help"], &[("POOLGATE_CONFIG_FILE", url), ("DATABASE_URL", url)]).contains("hunter2"));
}
