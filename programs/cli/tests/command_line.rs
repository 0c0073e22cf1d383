// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Arguments, options, help and their exit codes: what happens before any work is done.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use support::{World, inventory};

#[test]
fn no_arguments_and_help_words_print_help() {
    let world = World::new();
    for arguments in [&[][..], &["help"], &["--help"], &["-h"], &["USAGE"], &["/?"]] {
        let outcome = world.run(arguments);
        if arguments == ["/?"] {
            outcome.expect_error(200, "UnknownCommand");
        } else {
            assert!(outcome.expect(0).stdout.contains("backup"), "{arguments:?}");
        }
    }
    assert!(
        world
            .run(&["help", "--dblock-size"])
            .expect(0)
            .stdout
            .contains("16mb")
    );
    assert!(
        world
            .run(&["backup", "--help"])
            .expect(0)
            .stdout
            .contains("keep-versions")
    );
    assert!(
        world
            .run(&["help", "nonsense"])
            .expect(0)
            .stdout
            .contains("no help")
    );
    assert!(!world.data_folder().exists());
}

#[test]
fn unknown_commands_options_and_argument_counts_exit_with_200_and_do_nothing() {
    let world = World::new();
    let advice = world.run(&["bakcup"]).expect_error(200, "UnknownCommand").stderr;
    assert!(advice.contains("backup"), "{advice}");
    let advice = world
        .backup(&["--keep-version=3"])
        .expect_error(200, "UnknownOption")
        .stderr;
    assert!(advice.contains("--keep-versions"), "{advice}");
    world
        .run(&["repair", "a", "b"])
        .expect_error(200, "WrongArguments");
    world
        .on_destination("delete", &[])
        .expect_error(200, "WrongArguments");
    world
        .on_destination("list-filesets", &["--version=0"])
        .expect_error(200, "WrongArguments");
    world
        .run(&["key", "destroy", "url"])
        .expect_error(200, "WrongArguments");
    world
        .run(&["list", "https://example.org/x"])
        .expect_error(200, "BackendNotSupportedHttp");
    assert!(!world.destination().exists());
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let world = World::new();
    world
        .backup(&["--dblock-size=big"])
        .expect_error(200, "InvalidOptionValue");
    world
        .backup(&["--dblock-size=1kb"])
        .expect_error(100, "VolumeSizeTooSmall");
    world
        .backup(&["--keep-time=1D", "--keep-versions=2"])
        .expect_error(100, "MultipleRetentionOptionsNotSupported");
    world
        .backup(&["--retention-policy=1W:1W"])
        .expect_error(100, "RetentionPolicyParseError");
    world
        .backup(&["--prefix=a-b"])
        .expect_error(100, "PrefixCannotContainHyphens");
    assert!(!world.destination().exists());
}

#[test]
fn options_without_effect_are_warned_about() {
    let world = World::new();
    let outcome = world.backup(&["--block-hash-algorithm=MD5"]).expect(2);
    assert!(
        outcome.stderr.contains("[Warning-Backup-OptionWithoutEffect]"),
        "{}",
        outcome.stderr
    );
    let outcome = world.backup(&[
        "--block-hash-algorithm=MD5",
        "--suppress-warnings=OptionWithoutEffect",
    ]);
    assert_eq!(outcome.expect(1).stderr, "");
}

#[test]
fn a_missing_passphrase_is_an_error_and_never_a_wait() {
    let world = World::new();
    let (source, destination) = (world.source(), world.destination());
    let arguments = ["backup".as_ref(), destination.as_os_str(), source.as_os_str()];
    let outcome = outcome_of(world.command(&arguments));
    assert!(outcome.contains("ErrorID: MissingPassphrase"), "{outcome}");
    assert!(!destination.exists());
    world
        .on_destination("backup", &["--passphrase=", source.to_str().unwrap()])
        .expect_error(100, "EmptyPassphrase");
}

fn outcome_of(mut command: std::process::Command) -> String {
    String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned()
}

#[test]
fn the_passphrase_may_come_from_the_environment_or_standard_input() {
    let world = World::new();
    let (source, destination) = (world.source(), world.destination());
    let backup = ["backup".as_ref(), destination.as_os_str(), source.as_os_str()];
    let status = world
        .command(&backup)
        .env("PASSPHRASE", "secret")
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let list = [
        "list",
        destination.to_str().unwrap(),
        "--force-passphrase-from-stdin",
    ];
    world.run_with_input(&list, b"secret\n").expect(0);
    world
        .run_with_input(&list, b"wrong\n")
        .expect_error(100, "WrongPassphrase");
}

#[test]
fn a_parameters_file_gives_options_sources_and_target() {
    let world = World::new();
    let file = world.path("parameters");
    let text = format!(
        "# a comment\n--target={}\n--source={}\n--passphrase=secret\n--exclude=*.bin\n",
        world.destination().display(),
        world.source().display()
    );
    std::fs::write(&file, text).unwrap();
    let option = format!("--parameters-file={}", file.display());
    world.run(&["backup", "placeholder", &option]).expect(0);
    let listed = world.on_destination("list", &["0"]).expect(0).stdout;
    assert!(listed.contains("a.txt") && !listed.contains("b.bin"), "{listed}");
    world
        .run(&["backup", "x", "--parameters-file=/nonexistent"])
        .expect_error(100, "ParametersFileUnreadable");
}

#[test]
fn system_info_and_examples_need_no_destination() {
    let world = World::new();
    assert!(
        world
            .run(&["system-info"])
            .expect(0)
            .stdout
            .contains("EncryptionModules: age")
    );
    assert!(world.run(&["example"]).expect(0).stdout.contains("duplicati-cli"));
    world.run(&["changelog"]).expect(0);
    assert_eq!(inventory(&world.path("home")), []);
}

#[test]
fn test_filters_counts_what_a_backup_would_take() {
    let world = World::new();
    let source = world.source();
    let arguments = [
        "test-filters",
        source.to_str().unwrap(),
        "--exclude=*.bin",
        "--console-log-level=Verbose",
    ];
    let outcome = world.run(&arguments).expect(0);
    assert!(
        outcome.stdout.contains("Matched 1 file (6 bytes)"),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stdout.contains("Excluding path because of a filter"),
        "{}",
        outcome.stdout
    );
    world
        .run(&["test-filters", "/nonexistent"])
        .expect_error(100, "NoSources");
}
