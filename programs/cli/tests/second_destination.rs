// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A second destination as a user meets it: `sync`, `repair --heal-from`, and copies behind a backup.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::{World, inventory};

/// Two versions at the destination, and the path of a second one.
fn world() -> (World, PathBuf) {
    let world = World::new();
    world.backup(&[]).expect(0);
    fs::write(world.source().join("a.txt"), "hello again\n").unwrap();
    world.backup(&[]).expect(0);
    let second = world.path("second");
    (world, second)
}

fn sync(world: &World, second: &Path, more: &[&str]) -> support::Outcome {
    let mut arguments = vec![second.to_str().unwrap()];
    arguments.extend(more);
    world.on_destination("sync", &arguments)
}

/// Name below a folder and content.
type Files = Vec<(PathBuf, Vec<u8>)>;

fn files(folder: &Path) -> Files {
    inventory(folder)
        .into_iter()
        .map(|(path, content)| (path.strip_prefix(folder).unwrap().to_owned(), content))
        .collect()
}

fn one_of(folder: &Path, kind: &str) -> PathBuf {
    let found = inventory(&folder.join(kind));
    found.first().unwrap().0.clone()
}

#[test]
fn a_second_destination_follows_and_restores_alone() {
    let (world, second) = world();
    let dry = sync(&world, &second, &["--dry-run"]).expect(0);
    assert!(
        dry.stdout.contains("Would copy") && !second.exists(),
        "{}",
        dry.stdout
    );
    sync(&world, &second, &[]).expect(0);
    assert_eq!(files(&second), files(&world.destination()));
    let again = sync(&world, &second, &["--json"]).expect(0);
    let result = again.json().pop().unwrap();
    assert_eq!(result["MainOperation"], "Sync");
    assert_eq!(
        (&result["CopiedFileCount"], &result["FailedFileCount"]),
        (&0.into(), &0.into())
    );
    fs::remove_dir_all(world.destination()).unwrap();
    let restored = world.path("restored");
    world
        .run(&[
            "restore",
            second.to_str().unwrap(),
            "--passphrase=secret",
            &format!("--restore-path={}", restored.display()),
        ])
        .expect(0);
    assert_eq!(
        fs::read_to_string(restored.join("a.txt")).unwrap(),
        "hello again\n"
    );
}

#[test]
fn versions_that_the_first_deleted_go_only_when_asked_and_strangers_never() {
    let (world, second) = world();
    sync(&world, &second, &[]).expect(0);
    fs::write(second.join("notes.txt"), "mine").unwrap();
    fs::write(second.join("packs/mine"), "mine").unwrap();
    world.on_destination("delete", &["--version=1"]).expect(0);
    world.on_destination("compact", &[]).expect(0);
    let kept = sync(&world, &second, &[]).expect(0);
    assert!(kept.stdout.contains("--sync-then-delete"), "{}", kept.stdout);
    sync(&world, &second, &["--sync-then-delete"]).expect(0);
    let mut expected = files(&world.destination());
    expected.push(("notes.txt".into(), b"mine".to_vec()));
    expected.push(("packs/mine".into(), b"mine".to_vec()));
    expected.sort();
    assert_eq!(files(&second), expected);
}

#[test]
fn wrong_second_destinations_are_refused_and_nothing_is_written() {
    let (world, second) = world();
    sync(&world, &world.destination(), &[]).expect_error(100, "InvalidDestination");
    fs::create_dir(&second).unwrap();
    fs::write(second.join("holiday.jpg"), "x").unwrap();
    sync(&world, &second, &[]).expect_error(100, "DestinationOccupied");
    assert_eq!(files(&second).len(), 1);
    let empty = world.path("empty");
    fs::create_dir(&empty).unwrap();
    world
        .run(&[
            "sync",
            empty.to_str().unwrap(),
            second.to_str().unwrap(),
            "--passphrase=x",
        ])
        .expect_error(100, "EmptyRemoteLocation");
    world
        .run(&["sync", "/a", "/b", "/c"])
        .expect_error(200, "WrongArguments");
    world.run(&["sync", "/a"]).expect_error(200, "WrongArguments");
}

#[test]
fn damage_found_by_a_test_is_healed_from_the_second_destination() {
    let (world, second) = world();
    sync(&world, &second, &[]).expect(0);
    let whole = files(&world.destination());
    let pack = one_of(&world.destination(), "packs");
    let mut content = fs::read(&pack).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&pack, &content).unwrap();
    let found = world.on_destination("test", &["all"]).expect(3);
    assert!(found.stdout.contains("--heal-from"), "{}", found.stdout);
    let heal = format!("--heal-from={}", second.display());
    let dry = world.on_destination("repair", &[&heal, "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("Would heal 1"), "{}", dry.stdout);
    assert_eq!(fs::read(&pack).unwrap(), content);
    let healed = world.on_destination("repair", &[&heal]).expect(0);
    assert!(healed.stdout.contains("Healed 1"), "{}", healed.stdout);
    assert_eq!(files(&world.destination()), whole);
    world.on_destination("test", &["all"]).expect(0);
}

#[test]
fn a_lost_config_and_key_come_back_and_what_is_lost_in_both_places_is_named() {
    let (world, second) = world();
    sync(&world, &second, &[]).expect(0);
    let whole = files(&world.destination());
    fs::remove_file(world.destination().join("repository.json")).unwrap();
    fs::remove_file(one_of(&world.destination(), "keys")).unwrap();
    world
        .on_destination("list", &[])
        .expect_error(100, "EmptyRemoteLocation");
    let heal = format!("--heal-from={}", second.display());
    world.on_destination("repair", &[&heal]).expect(0);
    assert_eq!(files(&world.destination()), whole);
    let pack = one_of(&world.destination(), "packs");
    fs::write(&pack, "gone").unwrap();
    let other = second.join(pack.strip_prefix(world.destination()).unwrap());
    fs::remove_file(other).unwrap();
    let before = files(&world.destination());
    let outcome = world.on_destination("repair", &[&heal]).expect(3);
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(outcome.stdout.contains(name), "{}", outcome.stdout);
    assert_eq!(files(&world.destination()), before);
}

#[test]
fn a_copy_into_itself_is_refused_also_by_a_way_that_is_not_there_yet() {
    let (world, _) = world();
    let before = files(&world.destination());
    for way in ["destination", "missing/../destination"] {
        let second = world.path(way);
        world
            .on_destination("sync", &[second.to_str().unwrap()])
            .expect_error(100, "InvalidDestination");
    }
    assert_eq!(files(&world.destination()), before);
}

#[test]
fn another_backup_as_healer_is_refused() {
    let (world, second) = world();
    world
        .run(&[
            "backup",
            second.to_str().unwrap(),
            world.source().to_str().unwrap(),
            "--passphrase=secret",
        ])
        .expect(0);
    fs::remove_file(one_of(&world.destination(), "packs")).unwrap();
    let before = files(&world.destination());
    let outcome = world.on_destination("repair", &[&format!("--heal-from={}", second.display())]);
    assert_eq!(outcome.code, 100, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stderr.contains("nothing was changed"),
        "{}",
        outcome.stderr
    );
    assert_eq!(files(&world.destination()), before);
    let same = format!("--heal-from={}", world.destination().display());
    world
        .on_destination("repair", &[&same])
        .expect_error(100, "InvalidDestination");
}

#[test]
fn further_destinations_follow_behind_a_backup_as_their_mode_says() {
    let world = World::new();
    let [inline, counting, broken] = ["inline", "counting", "broken"].map(|name| world.path(name));
    fs::write(&broken, "a file, no folder").unwrap();
    let config = serde_json::json!({"destinations": [
        {"url": inline, "mode": "Inline", "verify-get-after-put": true},
        {"url": counting, "mode": "Counting", "count": 2},
    ]});
    let file = world.path("copies.json");
    fs::write(&file, config.to_string()).unwrap();
    let option = format!("--remote-sync-json-config={}", file.display());
    let result = world.backup(&[&option, "--json"]).expect(0).json().pop().unwrap();
    let followed = result["RemoteSynchronizationResults"].as_array().unwrap();
    assert_eq!(followed.len(), 2, "{result}");
    assert!(
        followed.iter().all(|entry| entry["Result"] == "Success"),
        "{result}"
    );
    assert_eq!(files(&inline), files(&world.destination()));
    fs::write(world.source().join("new"), "1").unwrap();
    world.backup(&[&option]).expect(0);
    assert_eq!(files(&inline), files(&world.destination()));
    assert_ne!(files(&counting), files(&world.destination()), "one backup of two");
    fs::write(world.source().join("new"), "22").unwrap();
    world.backup(&[&option]).expect(0);
    assert_eq!(files(&counting), files(&world.destination()));

    let config = serde_json::json!({"destinations": [{"url": broken}]}).to_string();
    fs::write(world.source().join("new"), "333").unwrap();
    let outcome = world
        .backup(&[&format!("--remote-sync-json-config={config}")])
        .expect(3);
    assert!(outcome.stderr.contains("does not follow"), "{}", outcome.stderr);
    world
        .backup(&["--remote-sync-json-config={\"destinations\": 1}"])
        .expect_error(200, "InvalidOptionValue");
    world
        .backup(&["--remote-sync-json-config=/none/such.json"])
        .expect_error(100, "ParametersFileUnreadable");
}

/// Backs a change up with one further destination, and gives the entry of it in the result.
fn backup_followed_by(world: &World, entry: serde_json::Value, code: i32) -> serde_json::Value {
    let changing = world.source().join("changing");
    let before = fs::read_to_string(&changing).unwrap_or_default();
    fs::write(changing, before + "more ").unwrap();
    let config = serde_json::json!({"destinations": [entry]});
    let outcome = world.backup(&[&format!("--remote-sync-json-config={config}"), "--json"]);
    let mut result = outcome.expect(code).json().pop().unwrap();
    result["RemoteSynchronizationResults"][0].take()
}

#[test]
fn what_the_first_lets_go_stays_at_a_further_destination_unless_its_configuration_asks() {
    let (world, second) = world();
    backup_followed_by(&world, serde_json::json!({"url": second}), 0);
    let whole = files(&second);
    world.on_destination("delete", &["--version=1"]).expect(0);
    world.on_destination("compact", &[]).expect(0);
    for keeping in [
        serde_json::json!({"url": second}),
        serde_json::json!({"url": second, "retention": false}),
    ] {
        let entry = backup_followed_by(&world, keeping, 0);
        assert_eq!(entry["RemovedFileCount"], 0, "{entry}");
        let now = files(&second);
        assert!(whole.iter().all(|file| now.contains(file)));
    }
    backup_followed_by(
        &world,
        serde_json::json!({"url": second, "sync-then-delete": true}),
        0,
    );
    assert_eq!(files(&second), files(&world.destination()));
}

#[test]
fn a_dry_run_is_no_copy_that_makes_the_next_one_wait() {
    let (world, second) = world();
    let entry = serde_json::json!({"url": second, "mode": "Interval", "interval": "1W", "dry-run": true});
    assert_eq!(backup_followed_by(&world, entry.clone(), 0)["Dryrun"], true);
    assert!(!second.exists());
    let mut entry = entry;
    entry["dry-run"] = false.into();
    assert_eq!(backup_followed_by(&world, entry, 0)["Result"], "Success");
    assert_eq!(files(&second), files(&world.destination()));
}

#[test]
fn the_destination_of_the_backup_is_no_copy_of_itself() {
    let (world, second) = world();
    std::os::unix::fs::symlink(world.destination(), &second).unwrap();
    for url in [&world.destination(), &second] {
        let entry = backup_followed_by(&world, serde_json::json!({"url": url}), 3);
        assert_eq!(entry["Result"], "Error", "{entry}");
    }
}

#[test]
fn a_further_destination_that_is_the_backup_itself_by_a_way_that_is_not_there_yet_is_no_copy() {
    let (world, _) = world();
    let entry = backup_followed_by(
        &world,
        serde_json::json!({"url": world.path("missing/../destination")}),
        3,
    );
    assert_eq!(entry["Result"], "Error", "{entry}");
}
