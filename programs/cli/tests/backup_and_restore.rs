// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Backups and what can be done with them, by exit codes, output and files.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{fs::File, os::unix::fs::PermissionsExt, process::Stdio, time::Duration};

use support::{World, inventory};

#[test]
fn the_second_backup_of_the_same_files_exits_with_1() {
    let world = World::new();
    let first = world.backup(&[]).expect(0);
    assert!(first.stdout.contains("Files added: 2 files"), "{}", first.stdout);
    let before = inventory(&world.destination());
    world.backup(&[]).expect(1);
    assert_eq!(inventory(&world.destination()), before);
    std::fs::write(world.source().join("a.txt"), "changed\n").unwrap();
    let third = world.backup(&[]).expect(0);
    assert!(third.stdout.contains("Files changed: 1 file"), "{}", third.stdout);
    world.backup(&["--upload-unchanged-backups"]).expect(0);
    let listed = world.on_destination("list-filesets", &[]).expect(0).stdout;
    assert_eq!(
        listed.lines().filter(|line| line.contains("\t: ")).count(),
        3,
        "{listed}"
    );
}

#[test]
fn everything_comes_back_as_it_was() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let target = world.path("restored");
    let option = format!("--restore-path={}", target.display());
    world.on_destination("restore", &[&option]).expect(0);
    assert_eq!(std::fs::read(target.join("a.txt")).unwrap(), b"hello\n");
    assert_eq!(
        std::fs::read(target.join("sub/b.bin")).unwrap(),
        vec![7_u8; 300_000]
    );
    let again = world.on_destination("restore", &[&option]).expect(0);
    assert!(
        again.stdout.contains("Already right: 2 files"),
        "{}",
        again.stdout
    );
}

#[test]
fn single_files_are_restored_by_path_name_and_pattern() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let path = world.source().join("sub/b.bin");
    for (position, wanted) in [path.to_str().unwrap(), "b.bin", "*.bin"].into_iter().enumerate() {
        let target = world.path(&format!("restored-{position}"));
        let option = format!("--restore-path={}", target.display());
        world.on_destination("restore", &[wanted, &option]).expect(0);
        let names: Vec<_> = inventory(&target)
            .into_iter()
            .map(|(path, _)| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["b.bin"], "{wanted}");
    }
    let nothing = world.on_destination("restore", &["absent", "--restore-path=elsewhere"]);
    assert!(nothing.expect(2).stderr.contains("NoFilesRestored"));
}

#[test]
fn every_version_is_restored_into_its_own_folder() {
    let world = World::new();
    world.backup(&[]).expect(0);
    std::thread::sleep(Duration::from_millis(1_100));
    std::fs::write(world.source().join("a.txt"), "second\n").unwrap();
    world.backup(&[]).expect(0);
    world
        .on_destination("restore", &["--restore-all-files"])
        .expect_error(100, "RestoreAllFilesRequiresRestorePath");
    world
        .on_destination("restore", &["a.txt", "--restore-all-files", "--restore-path=all"])
        .expect(0);
    let contents: Vec<_> = inventory(&world.path("all"))
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    assert_eq!(contents, [b"hello\n".to_vec(), b"second\n".to_vec()]);
}

#[test]
fn a_wrong_passphrase_changes_nothing_anywhere() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let (home, destination) = (inventory(&world.path("home")), inventory(&world.destination()));
    let (source, url) = (world.source(), world.destination());
    let (source, url) = (source.to_str().unwrap(), url.to_str().unwrap());
    for arguments in [
        &["backup", url, source][..],
        &["list", url],
        &["restore", url, "--restore-path=out"],
        &["delete", url, "--version=0"],
        &["key", "list", url],
    ] {
        let mut arguments = arguments.to_vec();
        arguments.push("--passphrase=wrong");
        world.run(&arguments).expect_error(100, "WrongPassphrase");
    }
    world
        .run(&["backup", url, source, "--no-encryption"])
        .expect_error(100, "MissingPassphrase");
    assert_eq!(inventory(&world.path("home")), home);
    assert_eq!(inventory(&world.destination()), destination);
    assert!(!world.path("out").exists());
}

#[test]
fn an_unencrypted_backup_is_readable_only_when_that_is_said() {
    let world = World::new();
    let (source, url) = (world.source(), world.destination());
    let (source, url) = (source.to_str().unwrap(), url.to_str().unwrap());
    world.run(&["backup", url, source, "--no-encryption"]).expect(0);
    world.run(&["list", url, "--no-encryption"]).expect(0);
    world.run(&["list", url]).expect_error(100, "MissingPassphrase");
    world
        .backup(&[])
        .expect_error(100, "PassphraseAdditionNotSupported");
}

#[test]
fn a_missing_source_is_a_warning_an_error_or_nothing() {
    let world = World::new();
    world.backup(&["/nonexistent"]).expect(2);
    world
        .backup(&["/nonexistent", "--allow-missing-source"])
        .expect(1);
    world
        .backup(&["/nonexistent", "--abort-if-source-missing"])
        .expect_error(100, "SourceIsMissing");
    world
        .on_destination("backup", &["/nonexistent"])
        .expect_error(100, "NoSources");
    world
        .on_destination("backup", &[])
        .expect_error(100, "NoSourceFolders");
    std::fs::create_dir(world.path("empty")).unwrap();
    world
        .on_destination("backup", &["empty", "--prevent-empty-source"])
        .expect_error(100, "SourceFolderEmpty");
}

#[test]
fn an_unreadable_file_is_left_out_with_a_warning() {
    let world = World::new();
    let path = world.source().join("a.txt");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    if File::open(&path).is_ok() {
        // Root reads everything.
        return;
    }
    let outcome = world.backup(&[]).expect(2);
    assert!(outcome.stderr.contains("a.txt"), "{}", outcome.stderr);
    let listed = world.on_destination("list", &["0"]).expect(0).stdout;
    assert!(listed.contains("b.bin") && !listed.contains("a.txt"), "{listed}");
}

#[test]
fn a_locked_file_is_left_out_unless_locks_are_ignored() {
    let world = World::new();
    let file = File::open(world.source().join("a.txt")).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let outcome = world.backup(&[]).expect(2);
    assert!(
        outcome.stderr.contains("locked by another process"),
        "{}",
        outcome.stderr
    );
    assert!(
        !world
            .on_destination("list", &["0"])
            .expect(0)
            .stdout
            .contains("a.txt")
    );
    world.backup(&["--ignore-advisory-locking=true"]).expect(0);
    assert!(
        world
            .on_destination("list", &["0"])
            .expect(0)
            .stdout
            .contains("a.txt")
    );
}

#[test]
fn the_local_database_is_found_by_destination_or_by_path() {
    let world = World::new();
    world.backup(&["--backup-name=documents"]).expect(0);
    let config = std::fs::read_to_string(world.data_folder().join("dbconfig.json")).unwrap();
    let entries: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(entries[0]["Type"], "file");
    let database = entries[0]["Databasepath"].as_str().unwrap();
    assert!(database.ends_with("documents.sqlite"), "{database}");
    assert!(std::path::Path::new(database).exists());
    let other = world.path("other.sqlite");
    let option = format!("--dbpath={}", other.display());
    world.backup(&[&option, "--backup-name=documents"]).expect(1);
    assert!(other.exists());
    assert_eq!(
        std::fs::read_to_string(world.data_folder().join("dbconfig.json")).unwrap(),
        config
    );
}

#[test]
fn a_lost_local_database_does_not_stop_a_backup() {
    let world = World::new();
    world.backup(&[]).expect(0);
    std::fs::remove_dir_all(world.data_folder()).unwrap();
    world.backup(&[]).expect(1);
    world.on_destination("list", &["0", "--no-local-db"]).expect(0);
}

#[test]
fn a_second_writer_on_the_same_database_is_refused_with_the_process() {
    let world = World::new();
    let database = world.path("x.sqlite");
    let option = format!("--dbpath={}", database.display());
    world.backup(&[&option]).expect(0);
    let lock = File::options()
        .write(true)
        .read(true)
        .open(world.path("x.sqlite.lock"))
        .unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let outcome = world.backup(&[&option]).expect_error(100, "LocalDatabaseInUse");
    assert!(outcome.stderr.contains("process "), "{}", outcome.stderr);
    world.on_destination("list", &[&option]).expect(0);
}

#[test]
fn a_dry_run_stores_nothing() {
    let world = World::new();
    world.backup(&["--dry-run"]).expect(0);
    assert_eq!(inventory(&world.destination()), []);
    world.backup(&[]).expect(0);
    std::fs::write(world.source().join("new"), "new").unwrap();
    let before = inventory(&world.destination());
    world.backup(&["--dry-run"]).expect(0);
    world
        .on_destination("restore", &["--dry-run", "--restore-path=out"])
        .expect(0);
    world
        .on_destination("delete", &["--version=0", "--allow-full-removal", "--dry-run"])
        .expect(0);
    assert_eq!(inventory(&world.destination()), before);
    assert!(!world.path("out").exists());
}

#[test]
fn retention_removes_versions_after_a_backup() {
    let world = World::new();
    for text in ["1", "2", "3"] {
        std::fs::write(world.source().join("a.txt"), text).unwrap();
        world.backup(&["--keep-versions=2"]).expect(0);
    }
    let versions = |world: &World| {
        let listed = world.on_destination("list-filesets", &[]).expect(0).stdout;
        listed.lines().filter(|line| line.contains("\t: ")).count()
    };
    assert_eq!(versions(&world), 2);
    world.on_destination("delete", &["--version=0,1"]).expect(2);
    assert_eq!(versions(&world), 1);
    let kept = world.on_destination("dump", &[world.source().join("a.txt").to_str().unwrap()]);
    assert_eq!(kept.expect(0).stdout, "3");
    world
        .on_destination("delete", &["--version=0", "--allow-full-removal"])
        .expect(0);
    assert_eq!(versions(&world), 0);
    world
        .on_destination("restore", &[])
        .expect_error(100, "NoFilesetsFound");
}

#[test]
fn versions_are_listed_searched_and_compared() {
    let world = World::new();
    world.backup(&[]).expect(0);
    world
        .on_destination("compare", &[])
        .expect_error(100, "NeedTwoBackupsToStartDiff");
    std::fs::write(world.source().join("a.txt"), "changed").unwrap();
    std::fs::write(world.source().join("c.txt"), "new").unwrap();
    std::fs::remove_file(world.source().join("sub/b.bin")).unwrap();
    world.backup(&[]).expect(0);
    let compared = world.on_destination("compare", &[]).expect(0).stdout;
    for part in ["1 file added", "1 file modified", "1 file deleted", "c.txt", "- "] {
        assert!(compared.contains(part), "{part} is missing in {compared}");
    }
    let newest = world.on_destination("list", &["*.txt"]).expect(0).stdout;
    assert!(
        newest.contains("c.txt (3 bytes)") && newest.contains("a.txt (7 bytes)"),
        "{newest}"
    );
    let widened = world.on_destination("list", &["b.bin"]).expect(0).stdout;
    assert!(
        widened.contains("looking in all versions") && widened.contains("sub/b.bin"),
        "{widened}"
    );
    let found = world.on_destination("find", &["c.txt"]).expect(0).stdout;
    assert!(found.contains("0\t: ") && found.contains(" -"), "{found}");
    let folder = world.source();
    let folder = folder.to_str().unwrap();
    let content = world
        .on_destination("list-folder-content", &[folder])
        .expect(0)
        .stdout;
    assert!(content.contains("sub/") && content.contains("a.txt"), "{content}");
    world
        .on_destination("list-folder-content", &["/nonexistent"])
        .expect_error(100, "FileNotFound");
    let file = format!("{folder}/a.txt");
    let versions = world
        .on_destination("list-file-versions", &[&file])
        .expect(0)
        .stdout;
    assert!(
        versions.contains("7 bytes") && versions.contains("6 bytes"),
        "{versions}"
    );
    let old = world.on_destination("dump", &[&file, "--version=1"]).expect(0);
    assert_eq!(old.stdout, "hello\n");
    world
        .on_destination("list", &["--version=7"])
        .expect_error(100, "NoFilesetFoundForTimeOrVersion");
    world
        .on_destination("list", &["--time=2001-01-01"])
        .expect_error(100, "NoBackupAtDate");
    let searched = world
        .on_destination("search-entries", &["*.bin"])
        .expect(0)
        .stdout;
    assert!(searched.contains("b.bin"), "{searched}");
}

#[test]
fn standard_input_becomes_a_file() {
    let world = World::new();
    let url = world.destination();
    let arguments = [
        "backup",
        url.to_str().unwrap(),
        "--passphrase=secret",
        "--stdin",
        "--stdin-name=dump.sql",
    ];
    world.run_with_input(&arguments, b"CREATE TABLE t;").expect(0);
    let dumped = world.on_destination("dump", &["/dump.sql"]).expect(0);
    assert_eq!(dumped.stdout, "CREATE TABLE t;");
}

#[test]
fn keys_are_added_listed_changed_and_removed() {
    let world = World::new();
    world.backup(&["--label=mine"]).expect(0);
    let url = world.destination();
    let url = url.to_str().unwrap();
    let key = |arguments: &[&str]| {
        let mut all = vec!["key"];
        all.extend(arguments);
        world.run(&all)
    };
    key(&[
        "add",
        url,
        "--passphrase=secret",
        "--new-passphrase=other",
        "--label=theirs",
    ])
    .expect(0);
    world.run(&["list", url, "--passphrase=other"]).expect(0);
    let listed = key(&["list", url, "--passphrase=secret", "--json"])
        .expect(0)
        .json();
    let keys: Vec<_> = listed.iter().filter(|line| line["type"] == "key").collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    let mine = keys.iter().find(|line| line["opened"] == true).unwrap();
    let id = mine["id"].as_str().unwrap();
    assert_eq!(mine["label"], "mine");
    key(&["remove", url, id, "--passphrase=secret"]).expect_error(100, "PassphraseRemovalNotSupported");
    key(&["remove", url, id, "--passphrase=other"]).expect(0);
    world
        .on_destination("list", &[])
        .expect_error(100, "WrongPassphrase");
    key(&["change", url, "--passphrase=other", "--new-passphrase=third"]).expect(0);
    world
        .run(&["list", url, "--passphrase=other"])
        .expect_error(100, "WrongPassphrase");
    world.run(&["list", url, "--passphrase=third"]).expect(0);
    let file = world.path("key.age");
    key(&[
        "export",
        url,
        file.to_str().unwrap(),
        "--passphrase=third",
        "--new-passphrase=safe",
    ])
    .expect(0);
    assert!(
        std::fs::read(&file)
            .unwrap()
            .starts_with(b"age-encryption.org/v1")
    );
}

#[test]
fn a_write_only_key_backs_up_and_reads_nothing() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let (source, url) = (world.source(), world.destination());
    let (source, url) = (source.to_str().unwrap(), url.to_str().unwrap());
    world
        .run(&[
            "key",
            "add",
            url,
            "--passphrase=secret",
            "--new-passphrase=client",
            "--write-only",
        ])
        .expect(0);
    std::fs::write(world.source().join("new"), "new").unwrap();
    world
        .run(&["backup", url, source, "--passphrase=client"])
        .expect(0);
    assert_ne!(world.run(&["list", url, "0", "--passphrase=client"]).code, 0);
    let listed = world.on_destination("list", &["0"]).expect(0).stdout;
    assert!(listed.contains("/new ("), "{listed}");
}

#[test]
fn json_prints_one_object_per_line_with_the_result_last() {
    let world = World::new();
    let lines = world.backup(&["--json"]).expect(0).json();
    let result = lines.last().unwrap();
    assert_eq!(result["type"], "result");
    assert_eq!(result["MainOperation"], "Backup");
    assert_eq!(result["ParsedResult"], "Success");
    assert_eq!(result["AddedFiles"], 2);
    let lines = world.on_destination("list", &["--json", "0"]).expect(0).json();
    assert!(
        lines
            .iter()
            .any(|line| line["type"] == "entry" && line["size"] == 6)
    );
    let lines = world
        .on_destination("list-filesets", &["--json"])
        .expect(0)
        .json();
    assert_eq!(lines[0]["type"], "version");
    let failed = world
        .on_destination("list", &["--json", "--version=9"])
        .expect_error(100, "NoFilesetFoundForTimeOrVersion");
    assert_eq!(failed.json().last().unwrap()["type"], "error");
}

#[test]
fn a_quiet_console_prints_errors_only() {
    let world = World::new();
    let outcome = world.backup(&["--quiet-console"]).expect(0);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    let outcome = world
        .on_destination("list", &["--quiet-console", "--version=9"])
        .expect(100);
    assert!(
        outcome.stdout.is_empty() && outcome.stderr.starts_with("ErrorID: "),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_log_file_gets_lines_with_level_operation_and_id() {
    let world = World::new();
    world
        .backup(&["--log-file=log", "--log-file-log-level=Information"])
        .expect(0);
    let log = std::fs::read_to_string(world.path("log")).unwrap();
    let line = log.lines().next().unwrap();
    assert!(
        line.contains(" +00 - [Information-Backup-RepositoryCreated]: "),
        "{line}"
    );
}

#[test]
fn an_interrupted_backup_ends_at_once_and_the_next_one_succeeds() {
    let world = World::new();
    let url = world.destination();
    // Standard input that never ends keeps the backup going until it is told to stop.
    let arguments = [
        "backup",
        url.to_str().unwrap(),
        "--passphrase=secret",
        "--stdin",
        "--json",
    ];
    let mut child = world.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    wait_until(|| url.join("repository.json").exists());
    std::thread::sleep(Duration::from_millis(300));
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let mut ended = None;
    for _ in 0..50 {
        ended = child.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let Some(status) = ended else {
        child.kill().unwrap();
        panic!("the program did not end");
    };
    assert_eq!(status.code(), Some(100));
    world.backup(&[]).expect(0);
}

fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..100 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the condition never came true");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::new();
    for number in 0..3_000 {
        std::fs::write(
            world.source().join(format!("a-file-with-a-long-name-{number}")),
            "",
        )
        .unwrap();
    }
    world.backup(&[]).expect(0);
    let url = world.destination();
    let mut child = world
        .command(&["list", url.to_str().unwrap(), "0", "--passphrase=secret"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn vacuum_and_reports_work_on_the_local_database() {
    let world = World::new();
    world.backup(&[]).expect(0);
    world.on_destination("vacuum", &[]).expect(0);
    world.on_destination("create-report", &["report.json"]).expect(0);
    let report = std::fs::read_to_string(world.path("report.json")).unwrap();
    assert!(
        report.contains("\"Backup\"") && !report.contains("a.txt"),
        "{report}"
    );
    std::fs::remove_dir_all(world.data_folder()).unwrap();
    world
        .on_destination("create-report", &[])
        .expect_error(100, "NoLocalDatabase");
}

#[test]
fn space_comes_back_when_versions_go() {
    let world = World::new();
    let noise = |seed: u32| -> Vec<u8> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..2_000_000).map(next).collect()
    };
    std::fs::write(world.source().join("sub/b.bin"), noise(1)).unwrap();
    world.backup(&[]).expect(0);
    std::fs::write(world.source().join("sub/b.bin"), noise(2)).unwrap();
    let size = |world: &World| -> usize {
        inventory(&world.destination())
            .iter()
            .map(|(_, content)| content.len())
            .sum()
    };
    let with_one = size(&world);
    world
        .backup(&["--keep-versions=1", "--no-auto-compact"])
        .expect(0);
    let with_two = size(&world);
    assert!(with_two > with_one + 1_900_000);
    world.on_destination("compact", &["--dry-run"]).expect(0);
    assert_eq!(size(&world), with_two);
    let compacted = world.on_destination("compact", &["--json"]).expect(0).json();
    assert_eq!(compacted.last().unwrap()["MainOperation"], "Compact");
    assert!(
        size(&world) < with_one + 200_000,
        "{} of {with_two}",
        size(&world)
    );
    std::fs::write(world.source().join("sub/b.bin"), noise(3)).unwrap();
    let automatic = world.backup(&["--keep-versions=1"]).expect(0).stdout;
    assert!(automatic.contains("Compacted: deleted"), "{automatic}");
    let target = world.path("restored");
    let option = format!("--restore-path={}", target.display());
    world.on_destination("restore", &[&option]).expect(0);
    assert_eq!(std::fs::read(target.join("sub/b.bin")).unwrap(), noise(3));
}

#[test]
fn a_missing_source_never_costs_an_older_version() {
    let world = World::new();
    let other = world.path("other");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("only-here"), "precious").unwrap();
    let more = [other.to_str().unwrap(), "--keep-versions=1"];
    world.backup(&more).expect(0);
    std::fs::rename(&other, world.path("unmounted")).unwrap();
    let second = world.backup(&more).expect(2);
    let told = second.stderr + &second.stdout;
    assert!(told.contains("no older version is deleted"), "{told}");
    let found = world.on_destination("find", &["*only-here"]).expect(0);
    assert!(found.stdout.contains("only-here"));
}

#[test]
fn a_source_that_cannot_be_entered_never_costs_an_older_version() {
    // Root enters everything, so the source is replaced by what no listing opens: a file where a folder above it was.
    let world = World::new();
    let above = world.path("mounts");
    let other = above.join("other");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("only-here"), "precious").unwrap();
    let link = world.path("link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let more = [
        link.to_str().unwrap(),
        "--symlink-policy=Follow",
        "--keep-versions=1",
    ];
    world.backup(&more).expect(0);
    std::fs::rename(&above, world.path("unmounted")).unwrap();
    let second = world.backup(&more);
    assert_eq!(second.code, 2, "{}", second.stderr);
    let found = world.on_destination("find", &["*only-here"]).expect(0);
    assert!(found.stdout.contains("only-here"));
}

#[test]
fn retention_thins_out_the_versions_of_this_machine_and_job_only() {
    let world = World::new();
    let text = |text: &str| std::fs::write(world.source().join("a.txt"), text).unwrap();
    text("of the other machine");
    world.backup(&["--machine-name=seldom"]).expect(0);
    text("of the other job");
    world.backup(&["--backup-name=photos"]).expect(0);
    for version in ["1", "2", "3"] {
        text(version);
        world.backup(&["--keep-versions=1"]).expect(0);
    }
    let kept = |world: &World| {
        let path = world.source().join("a.txt");
        let dump = |version: String| world.on_destination("dump", &[path.to_str().unwrap(), &version]);
        (0..5)
            .map(|version| dump(format!("--version={version}")))
            .filter(|outcome| outcome.code == 0)
            .map(|outcome| outcome.stdout)
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(&world), ["3", "of the other job", "of the other machine"]);
    text("4");
    world.backup(&[]).expect(0);
    // By hand as well: every history keeps its newest.
    world.on_destination("delete", &["--keep-versions=1"]).expect(0);
    assert_eq!(kept(&world), ["4", "of the other job", "of the other machine"]);
}

#[test]
fn a_repository_that_lost_its_config_is_not_papered_over() {
    let world = World::new();
    world.backup(&[]).expect(0);
    std::fs::remove_file(world.destination().join("repository.json")).unwrap();
    let refused = world.backup(&[]).expect(100);
    assert!(refused.stderr.contains("lost its config"), "{}", refused.stderr);
    assert_eq!(
        std::fs::read_dir(world.destination().join("keys"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn compaction_without_any_version_deletes_nothing() {
    let world = World::new();
    world.backup(&[]).expect(0);
    for entry in std::fs::read_dir(world.destination().join("snapshots")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let refused = world.on_destination("compact", &[]).expect(100);
    assert!(refused.stderr.contains("lists no version"), "{}", refused.stderr);
}
