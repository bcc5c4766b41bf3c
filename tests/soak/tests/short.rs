//! A short soak of the real program: few faults, all clients, bounds that hold on a busy machine.

use std::process::Command;

/// This seed draws a changed password, a migration, ended sessions and a failover directly, and a migration and a killed
/// database behind PgBouncer.
const SEED: &str = "4";

#[test]
#[ignore = "takes a minute and a half and wants the machine for itself; `cargo xtask test` runs it"]
fn the_program_lives_through_a_minute_and_a_half_of_everything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_poolgate-soak"))
        .args(["--minutes", "1.5", "--seed", SEED, "--least", "70", "--out"])
        .arg(folder.path())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    assert!(said.ends_with("The soak holds.\n"), "{said}");
    for picture in ["goodput-direct.svg", "goodput-pgbouncer.svg"] {
        assert!(folder.path().join(picture).is_file(), "{picture}");
    }
}
