// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Damage at the destination and the way out of it, as users meet them; and what must not happen to begin with.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use support::{World, flip, inventory};

/// Files below a folder of the destination, largest first.
fn stored(world: &World, folder: &str) -> Vec<PathBuf> {
    let mut files = inventory(&world.destination().join(folder));
    files.sort_by_key(|(_, content)| std::cmp::Reverse(content.len()));
    files.into_iter().map(|(path, _)| path).collect()
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// A world with one version and its largest pack damaged inside.
fn damaged() -> World {
    let world = World::new();
    std::fs::write(world.source().join("large"), noise(1_500_000)).unwrap();
    world.backup(&["--backup-test-samples=0"]).expect(0);
    flip(&stored(&world, "packs")[0]);
    world
}

fn assert_restores(world: &World, version: &str) {
    let target = format!("out-{version}");
    world
        .on_destination(
            "restore",
            &[
                &format!("--version={version}"),
                &format!("--restore-path={target}"),
            ],
        )
        .expect(0);
    assert!(std::fs::read(world.path(&target).join("large")).unwrap() == noise(1_500_000));
}

#[test]
fn a_damaged_data_file_is_found_saved_from_and_healed_by_the_next_backup() {
    let world = damaged();
    let found = world.on_destination("test", &["all"]).expect(3);
    assert!(found.stdout.contains("Modified: packs/"), "{}", found.stdout);
    assert!(
        found.stdout.contains("/large"),
        "the lost file is named: {}",
        found.stdout
    );
    assert!(
        found.stdout.contains("The way out: run repair,"),
        "{}",
        found.stdout
    );
    world.on_destination("list-broken-files", &[]).expect(3);
    world
        .on_destination("restore", &["--restore-path=broken"])
        .expect(3);
    let before = stored(&world, "packs");
    let repaired = world.on_destination("repair", &[]).expect(3);
    assert!(
        repaired.stdout.contains("damaged: 1 data file"),
        "{}",
        repaired.stdout
    );
    assert!(repaired.stdout.contains("/large"), "{}", repaired.stdout);
    let after = stored(&world, "packs");
    assert!(
        before.iter().all(|pack| after.contains(pack)),
        "repair deletes no pack"
    );
    let healed = world.backup(&[]);
    assert!(
        [0, 1].contains(&healed.code),
        "{}{}",
        healed.stdout,
        healed.stderr
    );
    world.on_destination("test", &["all"]).expect(0);
    world.on_destination("list-broken-files", &[]).expect(0);
    assert_restores(&world, "0");
    world.on_destination("repair", &[]).expect(0);
    world.on_destination("compact", &[]).expect(0);
    world.on_destination("test", &["all"]).expect(0);
    assert_restores(&world, "0");
}

#[test]
fn a_machine_that_knows_nothing_repairs_by_reading_everything() {
    let world = damaged();
    let destination = world.destination();
    let run = |command: &str, more: &[&str]| {
        let mut arguments = vec![command, destination.to_str().unwrap(), "--passphrase=secret"];
        arguments.extend(more);
        let output = world
            .command(&arguments)
            .env("HOME", world.path("other-home"))
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, text) = run("test", &["all"]);
    assert!(
        code == 3 && text.contains("repair --full-remote-verification"),
        "{text}"
    );
    // Nothing looks wrong from outside.
    assert_eq!(run("repair", &[]).0, 0);
    let (code, text) = run("repair", &["--full-remote-verification"]);
    assert!(code == 3 && text.contains("damaged: 1 data file"), "{text}");
    // The machine with the sources was never told; it stores again what the index has no more.
    let healed = world.backup(&[]);
    assert!(
        [0, 1].contains(&healed.code),
        "{}{}",
        healed.stdout,
        healed.stderr
    );
    assert_eq!(run("test", &["all"]).0, 0);
}

#[test]
fn a_sample_behind_each_backup_finds_damage_and_the_next_backup_does_not_rely_on_it() {
    let world = damaged();
    std::fs::write(world.source().join("more"), "more").unwrap();
    world.backup(&["--no-backend-verification"]).expect(0);
    std::fs::write(world.source().join("more"), "and more").unwrap();
    let found = world.backup(&["--backup-test-samples=50"]).expect(3);
    assert!(
        (found.stdout.clone() + &found.stderr).contains("packs/"),
        "{}{}",
        found.stdout,
        found.stderr
    );
    std::fs::write(world.source().join("more"), "and still more").unwrap();
    let told = world.backup(&["--backup-test-samples=0"]).expect(2);
    assert!((told.stdout + &told.stderr).contains("repair"));
    let repaired = world.on_destination("repair", &[]).expect(0);
    assert!(
        repaired.stdout.contains("damaged: 1 data file"),
        "{}",
        repaired.stdout
    );
    world.backup(&[]).expect(1);
    assert_restores(&world, "0");
    assert_restores(&world, "3");
}

#[test]
fn a_version_that_cannot_be_read_goes_only_by_its_name() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let first = stored(&world, "snapshots");
    std::fs::write(world.source().join("c.txt"), "new").unwrap();
    world.backup(&[]).expect(0);
    let second: Vec<_> = stored(&world, "snapshots")
        .into_iter()
        .filter(|path| !first.contains(path))
        .collect();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (lost, whole) = (name(&second[0]), name(&first[0]));
    flip(&second[0]);
    let shown = world.on_destination("list-broken-files", &[]).expect(3);
    assert!(
        shown.stdout.contains(&format!("--give-up={lost}")),
        "{}",
        shown.stdout
    );
    world.on_destination("repair", &[]).expect(3);
    assert!(second[0].exists());
    let refused = world.on_destination("compact", &[]).expect(100);
    assert!(
        refused.stderr.contains(&format!("--give-up={lost}")),
        "{}",
        refused.stderr
    );
    let before = inventory(&world.destination());
    for (value, code) in [
        (whole.as_str(), 100),
        ("0123456789abcdef0123456789abcdef", 100),
        ("7", 200),
    ] {
        world
            .on_destination("delete", &[&format!("--give-up={value}")])
            .expect(code);
    }
    let give_up = format!("--give-up={lost}");
    world
        .on_destination("delete", &[&give_up, "--version=0"])
        .expect(200);
    world.on_destination("delete", &[&give_up, "--dry-run"]).expect(0);
    assert_eq!(inventory(&world.destination()), before);
    world.on_destination("delete", &[&give_up]).expect(0);
    world.on_destination("compact", &[]).expect(0);
    world.on_destination("test", &["all"]).expect(0);
    world.on_destination("restore", &["--restore-path=out"]).expect(0);
    assert_eq!(std::fs::read(world.path("out/a.txt")).unwrap(), b"hello\n");
    world.backup(&[]).expect(0);
}

#[test]
fn deleting_a_version_that_does_not_exist_is_an_error() {
    let world = World::new();
    world.backup(&[]).expect(0);
    world
        .on_destination("delete", &["--version=7"])
        .expect_error(100, "NoFilesetFoundForTimeOrVersion");
}

#[test]
fn a_destination_inside_of_a_source_is_left_out_with_a_warning_however_it_is_reached() {
    let world = World::new();
    let inside = world.source().join("backup");
    let link = world.path("way");
    symlink(world.source(), &link).unwrap();
    for source in [world.source(), link] {
        let run = |more: &[&str]| {
            let mut arguments = vec![
                "backup",
                inside.to_str().unwrap(),
                source.to_str().unwrap(),
                "--no-encryption",
            ];
            arguments.extend(more);
            world.run(&arguments)
        };
        let told = run(&[]).expect(2);
        let text = told.stdout + &told.stderr;
        assert!(text.contains("destination of the backup"), "{text}");
        assert!(text.contains(&format!("{}/backup", source.display())), "{text}");
        let exclude = format!("--exclude={}/backup/", source.display());
        let quiet = run(&[&exclude]);
        assert!([0, 1].contains(&quiet.code), "{}{}", quiet.stdout, quiet.stderr);
        let listed = world
            .run(&["list", inside.to_str().unwrap(), "*", "--no-encryption"])
            .expect(0);
        assert!(
            listed.stdout.contains("a.txt") && !listed.stdout.contains("repository.json"),
            "{}",
            listed.stdout
        );
    }
    for source in [inside.clone(), inside.join("packs")] {
        world
            .run(&[
                "backup",
                inside.to_str().unwrap(),
                source.to_str().unwrap(),
                "--no-encryption",
            ])
            .expect(100);
    }
}

#[test]
fn two_first_backups_at_once_make_one_repository() {
    let world = World::new();
    let (source, destination) = (world.source(), world.destination());
    let children: Vec<_> = ["one", "two"]
        .into_iter()
        .map(|home| {
            let arguments = [
                "backup",
                destination.to_str().unwrap(),
                source.to_str().unwrap(),
                "--passphrase=secret",
            ];
            let mut command = world.command(&arguments);
            command.env("HOME", world.path(home)).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            [0, 1].contains(&output.status.code().unwrap()),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(stored(&world, "keys").len(), 1);
    world.on_destination("test", &["all"]).expect(0);
}

#[test]
fn what_is_kept_on_this_machine_is_for_its_owner_alone() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let folder = world.data_folder();
    assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    let files = inventory(&folder);
    assert!(
        files
            .iter()
            .any(|(path, _)| path.extension().is_some_and(|end| end == "sqlite"))
    );
    for (path, _) in files {
        let mode = std::fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
}

#[test]
fn a_temporary_folder_that_does_not_exist_is_refused() {
    let world = World::new();
    world
        .backup(&["--tempdir=nowhere"])
        .expect_error(100, "InvalidOptionValue");
    assert!(!world.destination().exists());
}

#[test]
fn help_does_not_repeat_a_secret() {
    let world = World::new();
    for word in ["--passphrase=hunter2", "s3://key:hunter2@bucket", "hunter2"] {
        let outcome = world.run(&["help", word]);
        assert!(!(outcome.stdout + &outcome.stderr).contains("hunter2"), "{word}");
    }
}

/// Puts copies of the newest version that are dated far in the future, as a clock that was wrong for a while leaves them.
fn plant_versions_of_the_future(world: &World, count: u8) {
    use duplicati_engine::{crypto::key_file::Unlock, id::SnapshotId, repository::Repository};
    let folder = world.destination();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = duplicati_backends::LocalStore::new(&folder);
        let unlock = Unlock::Passphrase("secret".to_owned().into());
        let repository = Repository::open(std::sync::Arc::new(store), Some(&unlock))
            .await
            .unwrap();
        let (_, mut manifest) = repository
            .list_snapshots()
            .await
            .unwrap()
            .snapshots
            .pop()
            .unwrap();
        for number in 1..=count {
            manifest.time = format!("2190-01-0{number}T00:00:00.000000000Z");
            repository
                .put_manifest(SnapshotId([number; 16]), &manifest)
                .await
                .unwrap();
        }
    });
}

#[test]
fn versions_dated_in_the_future_never_push_out_true_ones() {
    let world = World::new();
    world.backup(&[]).expect(0);
    plant_versions_of_the_future(&world, 2);
    std::fs::write(world.source().join("a.txt"), "today").unwrap();
    let told = world.backup(&["--keep-versions=1"]).expect(2);
    assert!((told.stdout + &told.stderr).contains("is to come"));
    let path = world.source().join("a.txt");
    let dumped = |version: &str| {
        world
            .on_destination("dump", &[path.to_str().unwrap(), &format!("--version={version}")])
            .stdout
    };
    assert_eq!(dumped("2"), "today");
    world.on_destination("delete", &["--keep-versions=1"]).expect(2);
    assert_eq!(dumped("2"), "today");
    world.on_destination("delete", &["--version=0,1"]).expect(0);
    assert_eq!(dumped("0"), "today");
}
