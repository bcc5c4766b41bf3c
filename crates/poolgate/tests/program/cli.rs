//! The command line and the settings: what is read, what is refused, and what the messages say.

use std::net::TcpListener;

use crate::process::{failure, poolgate};

#[test]
fn bad_settings_stop_the_start_and_name_the_key() {
    let message = failure(poolgate(&["--check-config"]).env("POOLGATE_POOL__SIZE", "none"));
    assert!(message.contains("pool.size"), "{message}");
    let message = failure(poolgate(&["--check-config"]).env("POOLGATE_POOL__SIZEE", "3"));
    assert!(message.contains("pool.sizee"), "{message}");
    let message = failure(&mut poolgate(&["--check-config", "--config", "/nowhere/poolgate.toml"]));
    assert!(message.contains("/nowhere/poolgate.toml"), "{message}");
    let message = failure(&mut poolgate(&["serve", "--port", "0"]));
    assert!(message.contains("database.url"), "{message}");
    assert!(poolgate(&["--check-config"]).output().expect("started").status.success());
}

#[test]
fn every_command_reads_the_settings_file_that_the_environment_names() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[server]\nbind = \"127.0.0.1:1\"\n[pool]\nsize = 7\n").expect("written");
    for arguments in [&["--print-config"][..], &["serve", "--print-config"]] {
        let output = poolgate(arguments).env("POOLGATE_CONFIG_FILE", file.path()).output().expect("started");
        assert!(output.status.success(), "{arguments:?}");
        let printed = String::from_utf8(output.stdout).expect("text");
        assert!(printed.contains("size = 7"), "{arguments:?}: {printed}");
    }
    let message = failure(poolgate(&["healthcheck"]).env("POOLGATE_CONFIG_FILE", file.path()));
    assert!(message.contains("127.0.0.1:1"), "{message}");
}

#[test]
fn the_printed_settings_hide_secrets() {
    let printed =
        poolgate(&["--print-config", "--profile", "before", "--database-url", "postgres://app:hunter2@db/shop"])
            .env("POOLGATE_SERVER__ADMIN_TOKEN", "hunter2hunter2hunter2")
            .output()
            .expect("started");
    let printed = String::from_utf8(printed.stdout).expect("text");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("size = 6") && printed.contains("timeout = \"50ms\""), "{printed}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let message = failure(&mut poolgate(&["serve", "--port", &port, "--database-url", "sqlite::memory:"]));
    assert!(message.contains(&port) && message.contains("in use") && message.contains("--port"), "{message}");
}

#[test]
fn messages_name_key_source_and_valid_values() {
    for (arguments, variable, expected) in [
        (&["--bind", "nope"][..], None, &["server.bind", "(--bind)", "127.0.0.1:8000"][..]),
        (&["--database-url", "mysql://app@db/shop"], None, &["database.url", "--database-url", "postgres://"]),
        (&[], Some(("POOLGATE_POLICY", "strict")), &["policy", "POOLGATE_POLICY", "`adaptive`", "`fixed`"]),
        (&[], Some(("POOLGATE_POOL__SIZE", "1.5")), &["pool.size", "POOLGATE_POOL__SIZE", "whole number"]),
        (&[], Some(("POOLGATE_POOL__MAX_OVERFLOW", "true")), &["pool.max_overflow", "whole number"]),
        (&[], Some(("POOLGATE_POOL__SIZE", "99999999999")), &["pool.size", "whole number"]),
        (&[], Some(("POOLGATE_DEMO__ENABLED", "perhaps")), &["demo.enabled", "`true` or `false`"]),
        (&[], Some(("POOLGATE_SERVER__ALLOWED_HOSTS", "https://a.example")), &["server.allowed_hosts", "app.example"]),
        (&[], Some(("POOLGATE_SERVER__ADMIN_TOKEN", "                    ")), &["server.admin_token"]),
    ] {
        let message = failure(poolgate(&["--check-config"]).args(arguments).envs(variable));
        for expected in expected {
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
    let missing = failure(&mut poolgate(&["--check-config", "--config", "/nowhere/poolgate.toml"]));
    assert_eq!(missing.matches("No such file").count(), 1, "{missing}");
    let checked =
        poolgate(&["--check-config"]).env("POOLGATE_SERVER__REQUEST_TIMEOUT", "1s").output().expect("started");
    let advice = String::from_utf8(checked.stdout).expect("text");
    assert!(checked.status.success() && advice.contains("pool.timeout"), "{advice}");
    let help = poolgate(&["--help"]).output().expect("started");
    assert!(String::from_utf8(help.stdout).expect("text").starts_with("Keep a database at its peak"), "the program's");
}

#[test]
fn a_database_url_of_another_program_is_ignored_if_it_is_not_needed() {
    let others = [
        "mysql2://u:p@db/x",
        "postgis://u:p@db/x",
        "file:./dev.db",
        "mongodb+srv://u:p@db/x",
        "jdbc:postgresql://db/x",
    ];
    for url in others {
        for arguments in [
            &["--watch", "pgbouncer://stats@pooler/shop"][..],
            &["--database-url", "postgres://app@db/shop"],
            &["--demo"],
        ] {
            let output =
                poolgate(&["--check-config"]).args(arguments).env("DATABASE_URL", url).output().expect("started");
            let log = String::from_utf8(output.stderr).expect("text");
            assert!(output.status.success() && log.contains("DATABASE_URL is ignored"), "{url} {arguments:?}: {log}");
        }
        let message = failure(poolgate(&["--check-config"]).env("DATABASE_URL", url));
        assert!(message.contains("DATABASE_URL in the environment") && message.contains("postgres://"), "{message}");
    }
    for url in ["postgresql+asyncpg://u:p@db/x", "postgresql+psycopg://u:p@db/x", "POSTGRES://u:p@db/x"] {
        for arguments in [&["--watch", "pgbouncer://stats@pooler/shop"][..], &[]] {
            let mut command = poolgate(&["--check-config"]);
            let output = command.args(arguments).env("DATABASE_URL", url).output().expect("started");
            assert!(output.status.success(), "{url}: {output:?}");
        }
    }
}
