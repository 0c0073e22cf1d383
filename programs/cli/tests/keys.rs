// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys as a user meets them: changing one leaves the others alone, a repository that was exchanged is noticed, and a machine that may only add keeps no names.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::path::{Path, PathBuf};

use duplicati_engine::{
    crypto::key_file::{self, KeyContent, KeyHolder, Unlock},
    id::RepositoryId,
};
use support::{Outcome, World, inventory};

fn key(world: &World, arguments: &[&str]) -> Outcome {
    let mut all = vec!["key"];
    all.extend(arguments);
    world.run(&all)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Ids of all keys with what is known of each.
fn keys(world: &World, passphrase: &str) -> Vec<serde_json::Value> {
    let url = world.destination();
    let listed = key(world, &["list", text(&url), passphrase, "--json"]).expect(0);
    let lines = listed.json().into_iter();
    lines.filter(|line| line["type"] == "key").collect()
}

fn id_of(keys: &[serde_json::Value], label: &str) -> String {
    let found = keys.iter().find(|key| key["label"] == label).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

/// An identity in a file, and its recipient.
fn identity(world: &World, name: &str) -> (PathBuf, String) {
    let pair = KeyContent::generate(RepositoryId([0; 16]), String::new(), String::new()).unwrap();
    let path = world.path(name);
    std::fs::write(&path, &pair.data_identities[0]).unwrap();
    (path, pair.data_recipient.clone())
}

#[test]
fn changing_a_passphrase_leaves_every_other_key_alone() {
    let world = World::new();
    world.backup(&["--label=mine"]).expect(0);
    let url = world.destination();
    let url = text(&url);
    let add_with = |passphrase: &str, more: &[&str]| {
        let mut all = vec!["add", url, passphrase];
        all.extend(more);
        key(&world, &all).expect(0);
    };
    let add = |more: &[&str]| add_with("--passphrase=secret", more);
    // Write-only keys with the same and with another passphrase, and somebody else's full key.
    add(&["--new-passphrase=secret", "--write-only", "--label=same"]);
    add(&["--new-passphrase=client", "--write-only", "--label=client"]);
    add(&["--new-passphrase=theirs", "--label=theirs"]);
    let changed = key(
        &world,
        &["change", url, "--passphrase=secret", "--new-passphrase=better"],
    )
    .expect(0);
    assert!(
        changed.stdout.contains("still opens as before"),
        "{}",
        changed.stdout
    );
    let opens = |passphrase: &str| world.run(&["list", url, passphrase]).code == 0;
    assert!(opens("--passphrase=better") && opens("--passphrase=theirs"));
    assert_eq!(
        id_of(&keys(&world, "--passphrase=better"), "mine").len(),
        32,
        "the label goes on"
    );
    let source = world.source();
    for passphrase in ["--passphrase=secret", "--passphrase=client"] {
        std::fs::write(source.join("a.txt"), passphrase).unwrap();
        world.run(&["backup", url, text(&source), passphrase]).expect(0);
        world
            .run(&["list", url, "0", passphrase])
            .expect_error(100, "WriteOnlyKey");
    }
    // Named, it changes and stays what it is, and it goes.
    let same = id_of(&keys(&world, "--passphrase=secret"), "same");
    let client = id_of(&keys(&world, "--passphrase=client"), "client");
    let change = [
        "change",
        url,
        &client,
        "--passphrase=better",
        "--new-passphrase=x",
    ];
    key(&world, &change).expect_error(100, "InvalidKey");
    add_with(
        "--passphrase=better",
        &["--new-passphrase=better", "--write-only", "--label=own client"],
    );
    let own = id_of(&keys(&world, "--passphrase=better"), "own client");
    let change = [
        "change",
        url,
        &own,
        "--passphrase=better",
        "--new-passphrase=newest",
    ];
    key(&world, &change).expect(0);
    world
        .run(&["list", url, "0", "--passphrase=newest"])
        .expect_error(100, "WriteOnlyKey");
    key(&world, &["remove", url, &same, "--passphrase=better"]).expect(0);
    world
        .run(&["backup", url, text(&source), "--passphrase=secret"])
        .expect_error(100, "WrongPassphrase");
}

#[test]
fn a_change_that_could_lock_somebody_else_out_is_refused_until_a_key_is_named() {
    let world = World::new();
    world.backup(&["--label=mine"]).expect(0);
    let url = world.destination();
    let url = text(&url);
    let twice = [
        "add",
        url,
        "--passphrase=secret",
        "--new-passphrase=secret",
        "--label=twin",
    ];
    key(&world, &twice).expect(0);
    let before = inventory(&world.destination().join("keys"));
    let change = ["change", url, "--passphrase=secret", "--new-passphrase=better"];
    key(&world, &change).expect_error(100, "PassphraseChangeNotSupported");
    assert_eq!(inventory(&world.destination().join("keys")), before);
    let twin = id_of(&keys(&world, "--passphrase=secret"), "twin");
    key(
        &world,
        &[
            "change",
            url,
            &twin,
            "--passphrase=secret",
            "--new-passphrase=better",
        ],
    )
    .expect(0);
    assert_eq!(keys(&world, "--passphrase=secret").len(), 2);
    world.run(&["list", url, "--passphrase=secret"]).expect(0);
    world.run(&["list", url, "--passphrase=better"]).expect(0);
}

#[test]
fn a_key_that_was_changed_on_another_machine_does_not_stop_this_one() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let url = world.destination();
    let url = text(&url);
    let elsewhere = |arguments: &[&str]| {
        let output = world
            .command(arguments)
            .env("HOME", world.path("elsewhere"))
            .output();
        assert_eq!(output.unwrap().status.code(), Some(0));
    };
    elsewhere(&[
        "key",
        "change",
        url,
        "--passphrase=secret",
        "--new-passphrase=better",
    ]);
    std::fs::write(world.source().join("a.txt"), "changed").unwrap();
    let source = world.source();
    world
        .run(&["backup", url, text(&source), "--passphrase=better"])
        .expect(0);
}

#[test]
fn a_repository_that_was_exchanged_is_refused_until_it_is_trusted() {
    let world = World::new();
    let (path, recipient) = identity(&world, "identity.txt");
    let (url, source) = (world.destination(), world.source());
    let (url, source) = (text(&url).to_owned(), text(&source).to_owned());
    let with_identity = format!("--identity={}", text(&path));
    let for_me = format!("--recipient={recipient}");
    let back_up = || world.run(&["backup", &url, &source, &for_me, &with_identity]);
    back_up().expect(0);
    // Somebody who knows the public key only, with a repository of his own for it.
    let forged = world.path("forged");
    let output = world
        .command(&["backup", text(&forged), &source, &for_me])
        .env("HOME", world.path("attacker"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    std::fs::rename(world.destination(), world.path("true-one")).unwrap();
    std::fs::rename(&forged, world.destination()).unwrap();
    let before = inventory(&world.destination());
    std::fs::write(world.source().join("a.txt"), "for nobody else").unwrap();
    let refused = back_up().expect_error(100, "RepositoryChanged");
    assert!(refused.stderr.contains("key trust"), "{}", refused.stderr);
    assert_eq!(inventory(&world.destination()), before, "nothing was stored");
    key(&world, &["add", &url, &with_identity, "--new-passphrase=x"]).expect_error(100, "RepositoryChanged");
    // Looking is possible, and says so.
    let listed = world.run(&["list", &url, &with_identity]).expect(2);
    assert!(listed.stderr.contains("exchanged") || listed.stdout.contains("exchanged"));
    // Also by commands that use the local database; it does not forget by that which one was meant.
    for command in [
        &["test", &url, "1"][..],
        &["list", &url, "*"],
        &["create-report", &url],
    ] {
        world.run(&[command, &[&with_identity]].concat());
    }
    back_up().expect_error(100, "RepositoryChanged");
    // The true one is as good as before.
    std::fs::rename(world.destination(), world.path("forged")).unwrap();
    std::fs::rename(world.path("true-one"), world.destination()).unwrap();
    back_up().expect(0);
    // And when it was meant, as after making it anew from another machine:
    std::fs::remove_dir_all(world.destination()).unwrap();
    std::fs::rename(world.path("forged"), world.destination()).unwrap();
    key(&world, &["trust", &url, &with_identity]).expect(0);
    std::fs::write(world.source().join("a.txt"), "as it was meant").unwrap();
    back_up().expect(0);
    world.run(&["list", &url, &with_identity]).expect(0);
}

#[test]
fn an_unencrypted_repository_that_was_exchanged_can_be_trusted_too() {
    let world = World::new();
    let (url, source) = (world.destination(), world.source());
    let (url, source) = (text(&url).to_owned(), text(&source).to_owned());
    let back_up = || world.run(&["backup", &url, &source, "--no-encryption"]);
    back_up().expect(0);
    let anew = world.path("anew");
    let output = world
        .command(&["backup", text(&anew), &source, "--no-encryption"])
        .env("HOME", world.path("elsewhere"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    std::fs::remove_dir_all(&url).unwrap();
    std::fs::rename(&anew, &url).unwrap();
    back_up().expect_error(100, "RepositoryChanged");
    key(&world, &["list", &url, "--no-encryption"]).expect_error(100, "PassphraseAdditionNotSupported");
    key(&world, &["trust", &url, "--no-encryption"]).expect(0);
    std::fs::write(world.source().join("a.txt"), "stored there").unwrap();
    back_up().expect(0);
}

#[test]
fn the_last_key_of_a_backup_stays_whatever_other_keys_lie_beside_it() {
    let world = World::new();
    world.backup(&["--label=mine"]).expect(0);
    let other = world.path("other");
    let source = world.source();
    world
        .run(&["backup", text(&other), text(&source), "--passphrase=secret"])
        .expect(0);
    // A full key for the same passphrase, but of another backup.
    let stranger = std::fs::read_dir(other.join("keys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let place = world.destination().join("keys").join(stranger.file_name());
    std::fs::copy(stranger.path(), &place).unwrap();
    let url = world.destination();
    let url = text(&url);
    let mine = id_of(&keys(&world, "--passphrase=secret"), "mine");
    key(&world, &["remove", url, &mine, "--passphrase=secret"])
        .expect_error(100, "PassphraseRemovalNotSupported");
    // What does not open anything here can go.
    let stranger = stranger.file_name().into_string().unwrap();
    std::fs::write(world.source().join("a.txt"), "changed").unwrap();
    world.backup(&[]).expect(0);
    assert!(
        keys(&world, "--passphrase=secret")
            .iter()
            .any(|key| key["id"] == stranger && key["opened"] == false)
    );
}

#[test]
fn a_key_file_that_cannot_be_read_locks_nobody_else_out() {
    let world = World::new();
    world.backup(&["--label=mine"]).expect(0);
    let folder = world.destination().join("keys");
    // What a folder gives under the name of a file is what a bad place of a disk gives: an object that is there and cannot be read.
    for name in [
        "00000000000000000000000000000001",
        "ffffffffffffffffffffffffffffffff",
    ] {
        std::os::unix::fs::symlink("nowhere", folder.join(name)).unwrap();
    }
    std::fs::write(world.source().join("a.txt"), "changed").unwrap();
    world.backup(&[]).expect(0);
    let url = world.destination();
    key(&world, &["list", text(&url), "--passphrase=secret"]);
    world.on_destination("list", &[]).expect(0);
}

#[test]
fn a_repository_that_this_machine_made_anew_needs_no_trust() {
    let world = World::new();
    world.backup(&[]).expect(0);
    std::fs::remove_dir_all(world.destination()).unwrap();
    let refused = world.backup(&[]).expect(100);
    let database = refused.stderr.split("local database ").nth(1).unwrap();
    let database = database.split(' ').next().unwrap();
    std::fs::rename(database, world.path("aside.sqlite")).unwrap();
    world.backup(&[]).expect(0);
    world.backup(&[]).expect(1);
}

/// Puts a full key file for `recipient` that seals for its maker, as a holder of a write-only key can.
fn forge(world: &World, passphrase: &str, recipient: &str, name: &str) {
    let folder = world.destination().join("keys");
    let unlock = Unlock::Passphrase(passphrase.to_owned().into());
    let known = std::fs::read_dir(&folder).unwrap().find_map(|file| {
        let object = std::fs::read(file.unwrap().path()).unwrap();
        key_file::open(&object, &unlock).ok()
    });
    let mut content = known.unwrap();
    let own = KeyContent::generate(content.repository_id, String::new(), String::new()).unwrap();
    content.kind = key_file::KeyKind::Full;
    content.label = "mine".to_owned();
    content.data_identities.clone_from(&own.data_identities);
    content.data_recipient.clone_from(&own.data_recipient);
    let holder = KeyHolder::Recipients(vec![recipient.to_owned()]);
    std::fs::write(folder.join(name), key_file::seal(&content, &holder).unwrap()).unwrap();
}

#[test]
fn a_forged_key_file_is_passed_over_by_who_knows_better_and_refused_by_who_does_not() {
    let world = World::new();
    let (path, recipient) = identity(&world, "identity.txt");
    let (url, source) = (world.destination(), world.source());
    let (url, source) = (text(&url).to_owned(), text(&source).to_owned());
    let with_identity = format!("--identity={}", text(&path));
    let for_me = format!("--recipient={recipient}");
    world
        .run(&["backup", &url, &source, &for_me, "--label=true"])
        .expect(0);
    let add = [
        "add",
        &url,
        &with_identity,
        "--new-passphrase=client",
        "--write-only",
    ];
    key(&world, &add).expect(0);
    // One that is tried before the true one, and one after it.
    let forged = ["0".repeat(32), "f".repeat(32)];
    let name = std::fs::read_dir(world.destination().join("keys"))
        .unwrap()
        .next();
    let suffix = name.unwrap().unwrap().file_name().into_string().unwrap()[32..].to_owned();
    for id in &forged {
        forge(&world, "client", &recipient, &format!("{id}{suffix}"));
    }
    std::fs::write(world.source().join("a.txt"), "for me alone").unwrap();
    world.run(&["backup", &url, &source, &with_identity]).expect(0);
    // What was stored opens with the true key alone.
    for id in &forged {
        std::fs::remove_file(world.destination().join("keys").join(format!("{id}{suffix}"))).unwrap();
    }
    let dumped = world
        .run(&["dump", &url, &format!("{source}/a.txt"), &with_identity])
        .expect(0);
    assert_eq!(dumped.stdout, "for me alone");
    forge(&world, "client", &recipient, &format!("{}{suffix}", forged[0]));
    // A machine that comes here for the first time cannot know.
    let fresh = |arguments: &[&str]| {
        let output = world
            .command(arguments)
            .env("HOME", world.path("fresh"))
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), error)
    };
    let (code, error) = fresh(&["backup", &url, &source, &with_identity]);
    assert!(
        code == 100 && error.contains("ErrorID: RepositoryChanged") && error.contains(&forged[0]),
        "{error}"
    );
    let listed = keys(&world, &with_identity);
    let true_one = id_of(&listed, "true");
    let is_marked = |id: &str| {
        let found = listed.iter().find(|key| key["id"] == id).unwrap();
        found["other_recipients"] == true
    };
    assert!(is_marked(&forged[0]) && !is_marked(&true_one));
    let (code, error) = fresh(&["key", "trust", &url, &true_one, &with_identity]);
    assert_eq!(code, 0, "{error}");
    std::fs::write(world.source().join("a.txt"), "known by now").unwrap();
    let (code, error) = fresh(&["backup", &url, &source, &with_identity]);
    assert_eq!(code, 0, "{error}");
    key(&world, &["remove", &url, &forged[0], &with_identity]).expect(0);
}

#[test]
fn a_key_file_that_costs_too_much_is_left_out_and_named() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let folder = world.destination().join("keys");
    let own = std::fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let suffix = own.file_name().unwrap().to_str().unwrap()[32..].to_owned();
    let object = std::fs::read(&own).unwrap();
    // 2^40 rounds would take years and more memory than there is.
    let position = object.windows(4).position(|window| window == b" 15\n").unwrap();
    let mut hostile = object.clone();
    hostile.splice(position..position + 4, b" 40\n".iter().copied());
    std::fs::write(folder.join(format!("{}{suffix}", "0".repeat(32))), &hostile).unwrap();
    world.on_destination("list", &[]).expect(0);
    std::fs::write(world.source().join("a.txt"), "still works").unwrap();
    world.backup(&[]).expect(0);
    let wrong = world
        .run(&["list", text(&world.destination()), "--passphrase=wrong"])
        .expect(100);
    assert!(wrong.stderr.contains("2^40"), "{}", wrong.stderr);
}

#[test]
fn the_local_database_of_a_machine_that_may_only_add_holds_no_name() {
    let world = World::new();
    let (url, source) = (world.destination(), world.source());
    let (url, source) = (text(&url).to_owned(), text(&source).to_owned());
    let missing = world.path("missing-source");
    let missing = text(&missing).to_owned();
    // First with a full key: what was told then must go as well.
    world
        .run(&["backup", &url, &source, &missing, "--passphrase=secret"])
        .expect(2);
    let databases = || {
        let mut bytes = Vec::new();
        for (path, content) in inventory(&world.path("home")) {
            if path.to_string_lossy().contains(".sqlite") {
                bytes.extend(content);
            }
        }
        bytes
    };
    let holds = |part: &str| {
        databases()
            .windows(part.len())
            .any(|window| window == part.as_bytes())
    };
    assert!(holds("missing-source"), "this search finds what is there");
    let add = [
        "add",
        &url,
        "--passphrase=secret",
        "--new-passphrase=client",
        "--write-only",
    ];
    key(&world, &add).expect(0);
    std::fs::write(world.source().join("secretly-named.txt"), "x").unwrap();
    for _ in 0..2 {
        world
            .run(&["backup", &url, &source, &missing, "--passphrase=client"])
            .expect(2);
    }
    for part in ["missing-source", "secretly-named", "a.txt", "b.bin", &source] {
        assert!(!holds(part), "{part}");
    }
    let again = world
        .run(&["backup", &url, &source, "--passphrase=client", "--json"])
        .expect(0);
    let lines = again.json();
    let result = lines.last().unwrap();
    assert_eq!(
        (&result["OpenedFiles"], &result["ExaminedFiles"]),
        (&0.into(), &3.into())
    );
    assert!(!holds("secretly-named"));
}
