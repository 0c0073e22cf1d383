// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Programs of the user around a command.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::os::unix::fs::PermissionsExt;

use support::World;

fn script(world: &World, name: &str, body: &str) -> String {
    let path = world.path(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn the_exit_code_of_a_script_decides_whether_a_backup_runs_and_how_it_ends() {
    for (code, runs, exit) in [
        (0, true, 0),
        (1, false, 1),
        (2, true, 2),
        (3, false, 2),
        (4, true, 3),
        (5, false, 3),
    ] {
        let world = World::new();
        let script = script(&world, "before", &format!("exit {code}"));
        world
            .backup(&[&format!("--run-script-before={script}")])
            .expect(exit);
        assert_eq!(world.destination().exists(), runs, "{code}");
    }
}

#[test]
fn a_required_script_that_fails_stops_everything() {
    let world = World::new();
    let script = script(&world, "required", "exit 2");
    world
        .backup(&[&format!("--run-script-before-required={script}")])
        .expect_error(100, "RunScriptInvalidExitCode");
    world
        .backup(&["--run-script-before-required=/nonexistent"])
        .expect_error(100, "RunScriptInvalidExitCode");
    let slow = self::script(&world, "slow", "exec sleep 30");
    world
        .backup(&[
            &format!("--run-script-before-required={slow}"),
            "--run-script-timeout=1s",
        ])
        .expect_error(100, "RunScriptTimeout");
    assert!(!world.destination().exists());
}

#[test]
fn a_script_may_change_options_sources_and_filters() {
    let world = World::new();
    let other = world.path("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("x.txt"), "x").unwrap();
    std::fs::write(other.join("y.tmp"), "y").unwrap();
    let body = format!(
        "echo '--localpath={}'\necho '--filter=-*.tmp'\necho '--backup-name=by script'\necho --nonsense=1",
        other.display()
    );
    let script = script(&world, "before", &body);
    let outcome = world
        .backup(&[&format!("--run-script-before={script}")])
        .expect(2);
    assert!(outcome.stderr.contains("--nonsense"), "{}", outcome.stderr);
    let listed = world.on_destination("list", &["0", "--json"]).expect(0).stdout;
    assert!(
        listed.contains("x.txt") && !listed.contains("y.tmp") && !listed.contains("a.txt"),
        "{listed}"
    );
    assert!(
        world
            .on_destination("list", &["--json"])
            .expect(0)
            .stdout
            .contains("by script")
    );
}

#[test]
fn a_wrong_value_from_a_script_ends_the_run() {
    let world = World::new();
    let script = script(&world, "before", "echo --keep-versions=many");
    world
        .backup(&[&format!("--run-script-before={script}")])
        .expect_error(100, "InvalidOptionValue");
    assert!(!world.destination().exists());
}

#[test]
fn the_script_after_reads_the_result_also_of_a_failure() {
    let world = World::new();
    let copy = world.path("copy");
    let body = format!(
        "cp \"$DUPLICATI__RESULTFILE\" {0}\necho $DUPLICATI__EVENTNAME $DUPLICATI__OPERATIONNAME \
         $DUPLICATI__PARSED_RESULT > {0}.env",
        copy.display()
    );
    let after = format!("--run-script-after={}", script(&world, "after", &body));
    world.backup(&[&after]).expect(0);
    let result = std::fs::read_to_string(&copy).unwrap();
    assert!(
        result.contains("AddedFiles: 2\n") && result.contains("ParsedResult: Success\n"),
        "{result}"
    );
    assert_eq!(
        std::fs::read_to_string(world.path("copy.env")).unwrap(),
        "AFTER Backup Success\n"
    );
    world
        .on_destination(
            "restore",
            &[&after, "--version=9", "--run-script-result-output-format=Json"],
        )
        .expect_error(100, "NoFilesetFoundForTimeOrVersion");
    let result: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&copy).unwrap()).unwrap();
    assert!(
        result["Exception"]
            .as_str()
            .unwrap()
            .contains("NoFilesetFoundForTimeOrVersion")
    );
    assert_eq!(
        std::fs::read_to_string(world.path("copy.env")).unwrap(),
        "AFTER Restore Fatal\n"
    );
}

#[test]
fn what_the_script_after_says_changes_the_exit_code() {
    let world = World::new();
    let after = format!("--run-script-after={}", script(&world, "after", "exit 2"));
    world.backup(&[&after]).expect(2);
    let after = format!("--run-script-after={}", script(&world, "after", "echo bad >&2"));
    let lines = world.backup(&[&after, "--json"]).expect(2).json();
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["exit_code"]), (&"result".into(), &2.into()));
}

#[test]
fn the_script_of_stored_data_runs_before_the_one_at_the_end_and_arguments_are_split() {
    let world = World::new();
    let log = world.path("log");
    let script = script(
        &world,
        "s",
        &format!("echo \"$DUPLICATI__EVENTNAME $1\" >> {}", log.display()),
    );
    world
        .backup(&[
            &format!("--run-script-post-backup={script} 'a b'"),
            &format!("--run-script-after={script} c"),
            "--run-script-with-arguments",
        ])
        .expect(0);
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        "POST-BACKUP a b\nAFTER c\n"
    );
}

#[test]
fn modules_that_are_off_run_nothing() {
    let world = World::new();
    let script = script(&world, "before", "exit 5");
    world
        .backup(&[
            &format!("--run-script-before={script}"),
            "--disable-module=runscript",
        ])
        .expect(0);
}

#[test]
fn a_signal_ends_the_wait_for_a_script_after_the_command() {
    let world = World::new();
    let marker = world.path("marker");
    let body = format!("touch {}\nexec sleep 20", marker.display());
    let after = format!("--run-script-after={}", script(&world, "after", &body));
    let (source, destination) = (world.source(), world.destination());
    let arguments = [
        "backup",
        destination.to_str().unwrap(),
        source.to_str().unwrap(),
        "--passphrase=secret",
        &after,
    ];
    let mut child = world.command(&arguments).spawn().unwrap();
    while !marker.exists() {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "the program ended before its script began"
        );
        std::thread::yield_now();
    }
    let signalled = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    assert_eq!(child.wait().unwrap().code(), Some(100));
    // The version was stored before.
    world.on_destination("list", &["0"]).expect(0);
}
