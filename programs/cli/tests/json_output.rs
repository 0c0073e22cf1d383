// SPDX-License-Identifier: Apache-2.0 OR MIT
//! With `--json`, every command prints objects and nothing else, and every type and key is on the page that describes them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{collections::BTreeSet, path::Path};

use duplicati_programs_common::commands::COMMANDS;
use serde_json::Value;
use support::World;

/// Commands that print what they always print.
const TEXT_ONLY: [&str; 4] = ["help", "example", "changelog", "dump"];
/// Commands that this version does not carry out; they end with an error object.
const NOT_AVAILABLE: [&str; 1] = ["sync"];

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/user/json.md");
    std::fs::read_to_string(path).unwrap()
}

/// The arguments with which a command has something to say.
fn arguments(world: &World, command: &str) -> Vec<String> {
    let (source, destination) = (world.source(), world.destination());
    let (source, destination) = (source.to_str().unwrap(), destination.to_str().unwrap());
    let pack = support::inventory(&world.destination())
        .into_iter()
        .find(|(path, _)| path.components().any(|part| part.as_os_str() == "packs"))
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
        .unwrap();
    let words: &[&str] = match command {
        "backup" | "sync" => &[destination, source],
        "restore" => &[destination, "--dry-run"],
        "list" => &[destination, "*"],
        "find" => &[destination],
        "list-folder-content" => &[destination, source],
        "list-file-versions" => &[destination, "*/a.txt"],
        "delete" => &[destination, "--version=0", "--dry-run"],
        "key" => &["list", destination],
        "affected" => &[destination, &pack],
        "purge" => &[destination, "*.bin", "--dry-run"],
        "create-report" => &[destination, "report.json"],
        "test-filters" => &[source],
        "system-info" => &[],
        "send-mail" => &["--send-mail-to=me@example.org"],
        "set-locks" => &[destination, "--all-versions", "--remote-file-lock-duration=1D"],
        _ => &[destination],
    };
    let mut all = vec![
        command.to_owned(),
        "--json".to_owned(),
        "--passphrase=secret".to_owned(),
    ];
    all.extend(words.iter().map(|word| (*word).to_owned()));
    all
}

#[test]
fn every_command_prints_objects_that_the_page_describes_and_ends_with_one() {
    let world = World::new();
    world.backup(&["--control-files=/etc/hostname"]).expect(0);
    std::fs::write(world.source().join("a.txt"), "changed").unwrap();
    world.backup(&[]).expect(0);
    let page = page();
    let mut types = BTreeSet::new();
    for command in COMMANDS.iter().map(|command| command.name) {
        if TEXT_ONLY.contains(&command) {
            continue;
        }
        let outcome = world.run(&arguments(&world, command));
        let lines = outcome.json();
        let last = lines
            .last()
            .unwrap_or_else(|| panic!("{command} printed nothing: {}", outcome.stderr));
        let ending = last["type"].as_str().unwrap();
        let fails = NOT_AVAILABLE.contains(&command)
            || ["send-mail", "set-locks", "read-lock-info"].contains(&command);
        assert_eq!(
            ending,
            if fails { "error" } else { "result" },
            "{command}: {last}"
        );
        assert_eq!(last["exit_code"], outcome.code, "{command}");
        for line in &lines {
            types.insert(line["type"].as_str().unwrap().to_owned());
            assert!(line.is_object(), "{command}: {line}");
        }
        if ending == "result" {
            for key in [
                "MainOperation",
                "ParsedResult",
                "BeginTime",
                "EndTime",
                "Duration",
                "BackendStatistics",
            ] {
                assert_ne!(last[key], Value::Null, "{command} has no {key}");
            }
        }
    }
    for expected in [
        "version",
        "entry",
        "difference",
        "key",
        "version-deleted",
        "purged-file",
    ] {
        assert!(types.contains(expected), "no command printed {expected}");
    }
    for seen in types {
        assert!(
            page.contains(&format!("`{seen}`")),
            "docs/user/json.md says nothing of {seen}"
        );
    }
}

#[test]
fn the_result_of_a_backup_has_the_keys_that_report_collectors_read() {
    let world = World::new();
    let lines = world.backup(&["--json", "--keep-versions=1"]).expect(0).json();
    let result = lines.last().unwrap();
    for key in [
        "DeletedFiles",
        "DeletedFolders",
        "ModifiedFiles",
        "ExaminedFiles",
        "OpenedFiles",
        "AddedFiles",
        "SizeOfModifiedFiles",
        "SizeOfAddedFiles",
        "SizeOfExaminedFiles",
        "SizeOfOpenedFiles",
        "NotProcessedFiles",
        "AddedFolders",
        "TooLargeFiles",
        "FilesWithError",
        "TimestampChangedFiles",
        "ModifiedFolders",
        "ModifiedSymlinks",
        "AddedSymlinks",
        "DeletedSymlinks",
        "PartialBackup",
        "Dryrun",
        "CompactResults",
        "VacuumResults",
        "DeleteResults",
        "RepairResults",
        "TestResults",
        "LockResults",
        "RemoteSynchronizationResults",
        "Interrupted",
        "Fatal",
        "Version",
        "MessagesActualLength",
        "WarningsActualLength",
        "ErrorsActualLength",
        "Messages",
        "Warnings",
        "Errors",
    ] {
        assert!(result.get(key).is_some(), "{key} is missing");
    }
    let statistics = &result["BackendStatistics"];
    for key in [
        "RemoteCalls",
        "BytesUploaded",
        "BytesDownloaded",
        "FilesUploaded",
        "FilesDownloaded",
        "FilesDeleted",
        "FoldersCreated",
        "RetryAttempts",
        "UnknownFileSize",
        "UnknownFileCount",
        "KnownFileCount",
        "KnownFileSize",
        "KnownFilesets",
        "LastBackupDate",
        "BackupListCount",
        "TotalQuotaSpace",
        "FreeQuotaSpace",
        "AssignedQuotaSpace",
        "ReportedQuotaError",
        "ReportedQuotaWarning",
        "ParsedResult",
        "Version",
    ] {
        assert!(
            statistics.get(key).is_some(),
            "BackendStatistics.{key} is missing"
        );
    }
}

#[test]
fn a_wrong_command_line_is_told_as_an_object() {
    let world = World::new();
    let outcome = world
        .run(&["list", "/nowhere", "--json", "--passphrase=x"])
        .expect(100);
    let lines = outcome.json();
    assert_eq!(lines.last().unwrap()["id"], "EmptyRemoteLocation");
    let outcome = world.run(&["list", "--json", "--nonsense"]).expect(200);
    let lines = outcome.json();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["type"], "error");
}

#[test]
fn quiet_consoles_print_errors_alone() {
    let world = World::new();
    let outcome = world.backup(&["--quiet-console"]).expect(0);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    let outcome = world.backup(&["/nonexistent", "--quiet-console"]).expect(2);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    let outcome = world
        .on_destination("restore", &["--version=9", "--quiet-console"])
        .expect(100);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("ErrorID: "));
}
