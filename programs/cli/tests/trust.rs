// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a backup may rely on and what it must not: damaged packs, files that cannot be read now, other jobs, empty dumps, readers that have gone.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use support::{World, flip, inventory};

fn versions(world: &World) -> Vec<serde_json::Value> {
    let lines = world.on_destination("list-filesets", &["--json"]).json();
    lines
        .into_iter()
        .filter(|line| line["type"] == "version")
        .collect()
}

/// Restores a version and gives its files by the path below the source.
fn restored(world: &World, number: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let target = world.path("restored");
    let _absent = std::fs::remove_dir_all(&target);
    let (version, path) = (
        format!("--version={number}"),
        format!("--restore-path={}", target.display()),
    );
    let outcome = world.on_destination("restore", &[&version, &path]);
    // 2: another version may be unreadable.
    assert!(
        [0, 2].contains(&outcome.code),
        "{}{}",
        outcome.stdout,
        outcome.stderr
    );
    inventory(&target)
        .into_iter()
        .map(|(path, content)| (path.strip_prefix(&target).unwrap().to_owned(), content))
        .collect()
}

fn names(world: &World, number: usize) -> Vec<String> {
    let mut names: Vec<_> = restored(world, number)
        .into_iter()
        .map(|(path, _)| path.to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn lock(path: &Path) -> File {
    let file = File::options().read(true).write(true).open(path).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[test]
fn a_version_is_never_built_on_a_pack_that_turned_out_to_be_damaged() {
    let world = World::new();
    for number in 0..40 {
        std::fs::write(
            world.source().join(format!("sub/{number}")),
            format!("file {number}"),
        )
        .unwrap();
    }
    let noise: Vec<u8> = (0..200_000_u64)
        .map(|number| (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8)
        .collect();
    std::fs::write(world.source().join("noise"), noise).unwrap();
    world.backup(&["--no-backend-verification"]).expect(0);
    // Trees have packs of their own, and here a smaller one.
    let mut packs = inventory(&world.destination().join("packs"));
    packs.sort_by_key(|(_, content)| content.len());
    flip(&packs[0].0);
    std::fs::write(world.source().join("new"), "new").unwrap();
    let outcome = world.backup(&["--no-backend-verification"]).expect(2);
    assert!(outcome.stderr.contains("PacksDamaged"), "{}", outcome.stderr);
    assert_eq!(restored(&world, 0).len(), 44);
}

#[test]
fn a_file_that_cannot_be_read_now_is_taken_over_from_the_version_before() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let path = world.source().join("a.txt");
    std::fs::write(&path, "changed, and in use").unwrap();
    let locked = lock(&path);
    std::fs::write(world.source().join("other"), "more").unwrap();
    let outcome = world.backup(&["--keep-versions=1"]).expect(2);
    assert!(outcome.stderr.contains("a.txt"), "{}", outcome.stderr);
    assert_eq!(versions(&world).len(), 1);
    let content = |name: &str| {
        let files = restored(&world, 0);
        files
            .into_iter()
            .find(|(path, _)| path.ends_with(name))
            .map(|(_, content)| content)
    };
    assert_eq!(content("a.txt").as_deref(), Some(&b"hello\n"[..]));
    assert_eq!(content("other").as_deref(), Some(&b"more"[..]));
    // Once it can be read, it is.
    drop(locked);
    world.backup(&[]).expect(0);
    assert_eq!(content("a.txt").as_deref(), Some(&b"changed, and in use"[..]));
}

#[test]
fn every_name_of_a_hard_linked_file_that_is_missing_is_told() {
    let world = World::new();
    let first = world.source().join("first");
    std::fs::write(&first, "linked").unwrap();
    std::fs::hard_link(&first, world.source().join("sub/second")).unwrap();
    let locked = lock(&first);
    let outcome = world.backup(&[]).expect(2);
    assert!(
        outcome.stderr.contains("/first") && outcome.stderr.contains("/sub/second"),
        "{}",
        outcome.stderr
    );
    drop(locked);
    world.backup(&[]).expect(0);
    assert_eq!(names(&world, 0), ["a.txt", "first", "sub/b.bin", "sub/second"]);
}

#[test]
fn a_further_name_of_a_file_that_was_taken_over_is_read_as_soon_as_the_file_can_be() {
    let world = World::new();
    let first = world.source().join("first");
    std::fs::write(&first, "old content").unwrap();
    std::fs::hard_link(&first, world.source().join("sub/second")).unwrap();
    world.backup(&[]).expect(0);
    std::fs::write(&first, "new content").unwrap();
    let locked = lock(&first);
    world.backup(&[]).expect(2);
    drop(locked);
    world.backup(&[]).expect(0);
    let target = world.path("one");
    let path = format!("--restore-path={}", target.display());
    let second = world.source().join("sub/second");
    world
        .on_destination("restore", &[second.to_str().unwrap(), &path])
        .expect(0);
    let files = inventory(&target);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].1, b"new content");
}

#[test]
fn what_is_there_and_cannot_be_looked_at_is_taken_over_from_the_version_before() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    const NOBODY: u32 = 65534;
    let world = World::new();
    let is_root = rustix::process::geteuid().is_root();
    let own = |path: &Path| {
        if is_root {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    };
    for folder in ["", "source", "source/sub"] {
        own(&world.path(folder));
    }
    for (path, _) in inventory(&world.source()) {
        own(&path);
    }
    let (url, source) = (world.destination(), world.source());
    let run = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output()
    };
    let mut look = std::process::Command::new("cat");
    look.arg(source.join("a.txt"));
    if is_root {
        look.uid(NOBODY).gid(NOBODY);
    }
    if run(&["help"]).is_err() || !look.output().is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: another user may not run the program here, or not reach the folder for temporary files"
        );
        return;
    }
    let back_up = |code: i32| {
        let arguments = [
            "backup",
            url.to_str().unwrap(),
            source.to_str().unwrap(),
            "--passphrase=secret",
        ];
        let output = run(&arguments).unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}");
        told
    };
    back_up(0);
    // It can be listed, and nothing in it can be looked at.
    let sub = world.source().join("sub");
    let rights = |mode| std::fs::set_permissions(&sub, std::fs::Permissions::from_mode(mode)).unwrap();
    rights(0o444);
    std::fs::write(world.source().join("more"), "more").unwrap();
    own(&world.source().join("more"));
    assert!(back_up(2).contains("sub/b.bin"));
    rights(0o755);
    assert_eq!(names(&world, 0), ["a.txt", "more", "sub/b.bin"]);
}

#[test]
fn standard_input_without_a_byte_makes_no_version() {
    let world = World::new();
    let arguments = [
        "backup",
        world.destination().to_str().unwrap(),
        "--stdin",
        "--passphrase=secret",
        "--keep-versions=1",
    ]
    .map(str::to_owned);
    world.run_with_input(&arguments, b"a dump").expect(0);
    let outcome = world.run_with_input(&arguments, b"").expect(100);
    assert!(
        outcome.stderr.contains("without a single byte"),
        "{}",
        outcome.stderr
    );
    assert_eq!(versions(&world).len(), 1);
    assert_eq!(restored(&world, 0)[0].1, b"a dump");
}

#[test]
fn standard_input_and_source_folders_do_not_go_together() {
    let world = World::new();
    world.backup(&["--stdin"]).expect(200);
    assert!(!world.destination().exists());
}

#[test]
fn backups_without_a_name_are_thinned_out_by_their_sources() {
    let world = World::new();
    let other = world.path("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("file"), "of the other").unwrap();
    world.backup(&["--keep-versions=1"]).expect(0);
    for number in 0..2 {
        std::fs::write(other.join("file"), format!("state {number}")).unwrap();
        world
            .on_destination("backup", &[other.to_str().unwrap(), "--keep-versions=1"])
            .expect(0);
    }
    assert_eq!(versions(&world).len(), 2, "one of each set of sources");
    assert_eq!(names(&world, 1), ["a.txt", "sub/b.bin"]);
}

#[test]
fn a_job_has_versions_of_its_own_although_another_stored_the_same() {
    let world = World::new();
    world.backup(&["--backup-name=daily"]).expect(0);
    world.backup(&["--backup-name=weekly"]).expect(0);
    world.backup(&["--backup-name=weekly"]).expect(1);
    let jobs: Vec<_> = versions(&world)
        .iter()
        .map(|line| line["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(jobs, ["weekly", "daily"]);
}

#[test]
fn a_file_of_another_machine_is_not_taken_for_the_same_by_its_time_alone() {
    let world = World::new();
    let options = ["--check-filetime-only", "--no-local-db"];
    let on = |host: &str| {
        let host = format!("--machine-name={host}");
        let mut all = vec![host.as_str()];
        all.extend(options);
        world.backup(&all)
    };
    let path = world.source().join("a.txt");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    on("one").expect(0);
    std::fs::write(&path, "of two").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    on("two").expect(0);
    let files = restored(&world, 0);
    assert!(
        files.iter().any(|(_, content)| content == b"of two"),
        "the content of the other machine was taken"
    );
}

#[test]
fn what_is_newly_excluded_makes_a_version_without_it() {
    let world = World::new();
    world.backup(&[]).expect(0);
    world.backup(&["--exclude=*.txt"]).expect(0);
    assert_eq!(names(&world, 0), ["sub/b.bin"]);
    world.backup(&["--exclude=*.txt"]).expect(1);
    world.backup(&["--exclude=*.txt", "--exclude=*/sub/"]).expect(0);
}

#[test]
fn a_backup_goes_on_when_nobody_reads_its_output() {
    let world = World::new();
    let (destination, source) = (world.destination(), world.source());
    let arguments = [
        "backup",
        destination.to_str().unwrap(),
        source.to_str().unwrap(),
        "--passphrase=secret",
    ];
    let mut child = world.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(versions(&world).len(), 1);
    // And what goes wrong is still said by the exit code.
    for (path, _) in inventory(&world.destination().join("packs")) {
        std::fs::remove_file(path).unwrap();
    }
    let mut child = world
        .command(&[
            "test",
            destination.to_str().unwrap(),
            "all",
            "--passphrase=secret",
        ])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_failure_while_cleaning_up_does_not_take_the_version_away() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let manifests = inventory(&world.destination().join("snapshots"));
    std::fs::write(world.source().join("a.txt"), "second").unwrap();
    world.backup(&[]).expect(0);
    std::fs::write(world.source().join("a.txt"), "third").unwrap();
    flip(&manifests[0].0);
    let outcome = world.backup(&["--keep-versions=1", "--json"]).expect(3);
    let result = outcome.json().pop().unwrap();
    assert!(result.to_string().contains("CleaningUpFailed"), "{result}");
    assert!(result.to_string().contains("SnapshotId"), "{result}");
    assert_eq!(restored(&world, 0).len(), 2);
}

#[test]
fn a_folder_that_stands_in_for_the_destination_is_not_backed_up_into_itself() {
    let world = World::new();
    let stand_in = world.source().join("disk");
    std::fs::create_dir(&stand_in).unwrap();
    let alternates = format!("--alternate-target-paths={}", stand_in.display());
    let outcome = world.backup(&[&alternates]).expect(2);
    assert!(
        outcome.stderr.contains("DestinationInSource"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn numbers_beyond_sense_are_cut_or_refused() {
    let world = World::new();
    world.backup(&["--workers=20000"]).expect(0);
    std::fs::write(world.source().join("a.txt"), "more").unwrap();
    world.backup(&["--concurrency-max-threads=100000"]).expect(0);
    let outcome = world.backup(&["--dblock-size=1tb"]).expect(100);
    assert!(outcome.stderr.contains("the most is 1gb"), "{}", outcome.stderr);
}

#[test]
fn a_destination_that_is_empty_although_it_held_a_backup_gets_no_new_one() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let away = world.path("away");
    std::fs::rename(world.destination(), &away).unwrap();
    for arguments in [&[][..], &["--dry-run"][..]] {
        let outcome = world.backup(arguments).expect_error(100, "EmptyRemoteLocation");
        assert!(outcome.stderr.contains("mounted"), "{}", outcome.stderr);
        assert!(!world.destination().exists());
    }
    std::fs::rename(&away, world.destination()).unwrap();
    world.backup(&[]).expect(1);
    // Whoever means it moves the local database away, as the message says.
    std::fs::remove_dir_all(world.destination()).unwrap();
    for (path, _) in inventory(&world.data_folder()) {
        if path.extension().is_some_and(|extension| extension == "sqlite") {
            std::fs::rename(&path, world.path("moved")).unwrap();
        }
    }
    world.backup(&[]).expect(0);
}

#[test]
fn a_local_database_that_cannot_be_opened_keeps_nobody_from_a_restore() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let database = world.path("folder.sqlite");
    std::fs::create_dir(&database).unwrap();
    let option = format!("--dbpath={}", database.display());
    let into = format!("--restore-path={}", world.path("restored").display());
    let outcome = world.on_destination("restore", &[&option, &into]).expect(2);
    assert!(
        outcome.stderr.contains("LocalDatabaseUnusable"),
        "{}",
        outcome.stderr
    );
    assert_eq!(inventory(&world.path("restored")).len(), 2);
    world.on_destination("list-broken-files", &[&option]).expect(2);
}

#[test]
fn the_age_from_which_a_session_is_over_can_be_chosen() {
    let world = World::new();
    world.backup(&[]).expect(0);
    world
        .on_destination("compact", &["--session-age-max=30D"])
        .expect(0);
    world
        .on_destination("compact", &["--session-age-max=soon"])
        .expect_error(200, "InvalidOptionValue");
}

#[test]
fn what_lies_in_the_place_of_a_pack_costs_its_files_and_no_others() {
    let world = World::new();
    let noise = |seed: u64| -> Vec<u8> {
        (1..300_000_u64)
            .map(|number| ((number + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8)
            .collect()
    };
    std::fs::write(world.source().join("noise"), noise(0)).unwrap();
    world.backup(&["--no-backend-verification"]).expect(0);
    std::fs::write(world.source().join("more"), noise(1 << 40)).unwrap();
    world.backup(&["--no-backend-verification"]).expect(0);
    let mut packs = inventory(&world.destination().join("packs"));
    packs.sort_by_key(|(_, content)| content.len());
    let largest = packs.pop().unwrap().0;
    std::fs::remove_file(&largest).unwrap();
    std::os::unix::fs::symlink(&largest, &largest).unwrap();
    let into = format!("--restore-path={}", world.path("restored").display());
    world.on_destination("restore", &[&into]).expect(3);
    assert_eq!(inventory(&world.path("restored")).len(), 3, "all but one file");
    let found = world.on_destination("test", &["all"]).expect(3);
    assert!(found.stdout.contains("packs/"), "{}", found.stdout);
}

#[test]
fn a_filter_whose_bracket_is_not_closed_is_refused() {
    let world = World::new();
    let outcome = world.backup(&["--exclude=[.*\\.key"]);
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("close it"), "{}", outcome.stderr);
    assert!(!world.destination().exists(), "nothing was stored");
    world.backup(&["--exclude=@[.key"]).expect(0);
}

#[test]
fn giving_up_nothing_is_refused() {
    let world = World::new();
    world.backup(&[]).expect(0);
    world.on_destination("delete", &["--give-up="]).expect(200);
}

#[test]
fn a_command_line_that_cannot_be_understood_is_told_in_json_as_well() {
    let world = World::new();
    let calls: [&[&str]; 3] = [
        &["backupp", "x", "--json"],
        &["list", "--json"],
        &["list", "x", "--parameters-file=/nonexistent", "--json=true"],
    ];
    for arguments in calls {
        let outcome = world.run(arguments);
        assert_ne!(outcome.code, 0, "{arguments:?}");
        let line = outcome.json().pop().unwrap();
        assert_eq!(line["type"], "error", "{line}");
        assert_eq!(line["exit_code"], outcome.code, "{line}");
    }
}
