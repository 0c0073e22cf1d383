// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options that say what belongs to a backup: control files, named changes, policies; and secrets of the command line.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use support::World;

#[test]
fn control_files_are_kept_listed_and_restored() {
    let world = World::new();
    let (first, second) = (world.path("job.json"), world.path("notes"));
    std::fs::write(&first, "{}").unwrap();
    std::fs::write(&second, vec![5; 500_000]).unwrap();
    let option = format!("--control-files={}:{}", first.display(), second.display());
    world.backup(&[&option]).expect(0);
    world.backup(&[&option]).expect(1);
    std::fs::write(&first, "{\"changed\": true}").unwrap();
    world.backup(&[&option]).expect(0);

    let lines = world
        .on_destination("list", &["--control-files", "--json"])
        .expect(0)
        .json();
    let names: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "control-file")
        .map(|line| (line["name"].as_str().unwrap(), line["size"].as_u64().unwrap()))
        .collect();
    assert_eq!(names, [("job.json", 17), ("notes", 500_000)]);

    let target = world.path("restored");
    let into = format!("--restore-path={}", target.display());
    world
        .on_destination("restore", &["--control-files", &into, "--version=1"])
        .expect(0);
    assert_eq!(std::fs::read_to_string(target.join("job.json")).unwrap(), "{}");
    assert_eq!(std::fs::read(target.join("notes")).unwrap(), vec![5; 500_000]);
    let outcome = world.on_destination("restore", &["job.json", "--control-files", &into]);
    assert!(outcome.stderr.contains("--overwrite"), "{}", outcome.stderr);
    assert_ne!(outcome.code, 0);
    world
        .on_destination("restore", &["job.json", "--control-files", &into, "--overwrite"])
        .expect(0);
    assert_eq!(
        std::fs::read_to_string(target.join("job.json")).unwrap(),
        "{\"changed\": true}"
    );
    world.on_destination("test", &["all"]).expect(0);
}

#[test]
fn control_files_that_cannot_be_kept_are_told() {
    let world = World::new();
    let outcome = world.backup(&["--control-files=/nonexistent/x"]).expect(2);
    assert!(
        outcome.stderr.contains("ControlFileUnreadable"),
        "{}",
        outcome.stderr
    );
    world
        .backup(&["--control-files=/a/x:/b/x"])
        .expect_error(100, "InvalidOptionValue");
}

#[test]
fn only_named_changes_are_looked_at_and_everything_else_stays() {
    let world = World::new();
    let source = world.source();
    let write = |name: &str, text: &str| std::fs::write(source.join(name), text).unwrap();
    write("sub/gone.txt", "gone");
    write("sub/kept.txt", "kept");
    world.backup(&[]).expect(0);
    write("a.txt", "changed");
    write("sub/b.bin", "changed too, but not named");
    write("sub/new.txt", "new");
    write("other.txt", "new, but not named");
    std::fs::remove_file(source.join("sub/gone.txt")).unwrap();
    std::fs::remove_file(source.join("sub/kept.txt")).unwrap();
    let path = |name: &str| source.join(name).display().to_string();
    world
        .backup(&[
            &format!("--changed-files={}:{}", path("a.txt"), path("sub/new.txt")),
            &format!("--deleted-files={}", path("sub/gone.txt")),
        ])
        .expect(0);
    let target = world.path("restored");
    world
        .on_destination("restore", &[&format!("--restore-path={}", target.display())])
        .expect(0);
    let read = |name: &str| std::fs::read(target.join(name)).ok();
    assert_eq!(read("a.txt").unwrap(), b"changed");
    assert_eq!(read("sub/new.txt").unwrap(), b"new");
    assert_eq!(read("sub/kept.txt").unwrap(), b"kept");
    assert_eq!(read("sub/b.bin").unwrap(), vec![7_u8; 300_000]);
    assert_eq!(read("sub/gone.txt"), None);
    assert_eq!(read("other.txt"), None);
    world.on_destination("test", &["all"]).expect(0);
    // A whole look brings everything up to date.
    world.backup(&[]).expect(0);
    let listed = world.on_destination("list", &["0"]).expect(0).stdout;
    assert!(
        listed.contains("other.txt") && !listed.contains("kept.txt"),
        "{listed}"
    );
}

#[test]
fn a_file_named_as_changed_that_is_gone_leaves_the_version() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let gone = world.source().join("a.txt");
    std::fs::remove_file(&gone).unwrap();
    world
        .backup(&[&format!("--changed-files={}", gone.display())])
        .expect(0);
    let listed = world.on_destination("list", &["0"]).expect(0).stdout;
    assert!(!listed.contains("a.txt") && listed.contains("b.bin"), "{listed}");
}

#[test]
fn a_source_that_is_new_is_looked_at_whole_whatever_is_named() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let second = world.path("second");
    std::fs::create_dir_all(second.join("deep/er")).unwrap();
    std::fs::write(second.join("deep/er/c.txt"), "new source").unwrap();
    let option = format!("--changed-files={}", world.source().join("a.txt").display());
    world.backup(&[second.to_str().unwrap(), &option]).expect(0);
    let listed = world.on_destination("list", &["0"]).expect(0).stdout;
    assert!(
        listed.contains("deep/er/c.txt") && listed.contains("b.bin"),
        "{listed}"
    );
}

#[test]
fn a_first_backup_looks_at_everything_whatever_is_named() {
    let world = World::new();
    let option = format!("--changed-files={}", world.source().join("a.txt").display());
    world.backup(&[&option]).expect(0);
    assert!(
        world
            .on_destination("list", &["0"])
            .expect(0)
            .stdout
            .contains("b.bin")
    );
}

#[test]
fn secrets_come_from_the_provider_also_into_urls() {
    let world = World::new();
    let secrets = world.path("secrets.json");
    std::fs::write(&secrets, r#"{"backup-key": "secret"}"#).unwrap();
    let provider = format!("--secret-provider=file-secret://{}", secrets.display());
    let (source, destination) = (world.source(), world.destination());
    let arguments = [
        "backup",
        destination.to_str().unwrap(),
        source.to_str().unwrap(),
        &provider,
        "--passphrase=$backup-key",
    ];
    world.run(&arguments).expect(0);
    world.on_destination("list", &[]).expect(0);
    let url = format!("file://{}?auth-password=$nothing", destination.display());
    let outcome = world
        .run(&["list", &url, &provider, "--passphrase=${backup-key}"])
        .expect_error(100, "SecretNotFound");
    assert!(outcome.stderr.contains("nothing"), "{}", outcome.stderr);
    world
        .run(&["list", &url, "--secret-provider=awssm://region"])
        .expect_error(100, "SecretProviderFailed");
}

#[test]
fn locks_are_refused_with_the_reason_after_the_command_line_was_checked() {
    let world = World::new();
    world.backup(&[]).expect(0);
    world
        .on_destination("set-locks", &["--remote-file-lock-duration=1D"])
        .expect_error(200, "WrongArguments");
    world
        .on_destination("set-locks", &["--all-versions"])
        .expect_error(100, "MissingLockDuration");
    world
        .on_destination("set-locks", &["--all-versions", "--remote-file-lock-duration=0s"])
        .expect_error(100, "LockDurationTooShort");
    world
        .on_destination("set-locks", &["--version=0", "--remote-file-lock-duration=1D"])
        .expect_error(100, "BackendDoesNotSupportLocking");
    world
        .on_destination("read-lock-info", &[])
        .expect_error(100, "BackendDoesNotSupportLocking");
    world.backup(&["--remote-file-lock-duration=1D"]).expect(2);
}

#[test]
fn what_the_machine_cannot_do_is_refused_or_told() {
    let world = World::new();
    world
        .backup(&["--snapshot-policy=Required"])
        .expect_error(100, "SnapshotFailed");
    world
        .backup(&["--usn-policy=Required"])
        .expect_error(100, "OptionNotSupported");
    world
        .backup(&["--allowed-encryption-modules=aes"])
        .expect_error(100, "EncryptionNotAllowed");
    assert!(!world.destination().exists());
    world.backup(&["--snapshot-policy=Auto"]).expect(0);
    world.backup(&["--snapshot-policy=On"]).expect(2);
}

#[test]
fn a_quota_that_is_too_small_warns_and_numbers_go_to_a_file() {
    let world = World::new();
    let metrics = world.path("metrics.prom");
    let lines = world
        .backup(&[
            "--json",
            "--quota-size=1kb",
            &format!("--metrics-file={}", metrics.display()),
        ])
        .expect(2)
        .json();
    let statistics = &lines.last().unwrap()["BackendStatistics"];
    assert_eq!(statistics["ReportedQuotaError"], true);
    assert_eq!(statistics["AssignedQuotaSpace"], 1024);
    assert!(statistics["KnownFileCount"].as_u64().unwrap() >= 4);
    assert!(
        std::fs::read_to_string(metrics)
            .unwrap()
            .contains("duplicati_pipeline")
    );
}

#[test]
fn a_backup_reads_a_sample_back_and_finds_damage() {
    let world = World::new();
    let lines = world.backup(&["--json"]).expect(0).json();
    let tested = &lines.last().unwrap()["TestResults"];
    assert_eq!(tested["ExaminedFiles"], 3, "{tested}");
    let lines = world
        .backup(&[
            "--json",
            "--no-backend-verification",
            "--upload-unchanged-backups",
        ])
        .expect(0)
        .json();
    assert_eq!(lines.last().unwrap()["TestResults"], serde_json::Value::Null);

    let packs: Vec<_> = support::inventory(&world.destination())
        .into_iter()
        .filter(|(path, _)| path.components().any(|part| part.as_os_str() == "packs"))
        .collect();
    assert!(!packs.is_empty());
    for (path, mut content) in packs {
        let middle = content.len() / 2;
        content[middle] ^= 1;
        std::fs::write(path, content).unwrap();
    }
    std::fs::write(world.source().join("new.txt"), "new").unwrap();
    let outcome = world.backup(&["--backup-test-samples=100"]).expect(3);
    assert!(
        outcome.stderr.contains("VerificationFailed"),
        "{}",
        outcome.stderr
    );
}
