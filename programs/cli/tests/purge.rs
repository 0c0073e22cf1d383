// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Taking files out of versions as users do it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use support::{World, inventory};

#[test]
fn purge_takes_named_files_out_of_every_version() {
    let world = World::new();
    world.backup(&[]).expect(0);
    std::fs::write(world.source().join("c.txt"), "new").unwrap();
    world.backup(&[]).expect(0);
    let unwanted = world.source().join("sub/b.bin");
    let unwanted = unwanted.to_str().unwrap();
    let before = inventory(&world.destination());
    let dry = world
        .on_destination("purge", &[unwanted, "--dry-run"])
        .expect(0)
        .stdout;
    assert!(dry.contains("Would take 1 file"), "{dry}");
    assert_eq!(inventory(&world.destination()), before);
    let done = world.on_destination("purge", &[unwanted]).expect(0).stdout;
    assert_eq!(done.matches("Took 1 file").count(), 2, "{done}");
    let listed = world
        .on_destination("list", &["*", "--all-versions"])
        .expect(0)
        .stdout;
    assert!(
        !listed.contains("b.bin") && listed.contains("a.txt") && listed.contains("c.txt"),
        "{listed}"
    );
    world.on_destination("restore", &["--restore-path=out"]).expect(0);
    world
        .on_destination("test", &["all", "--full-remote-verification"])
        .expect(0);
}

#[test]
fn purge_refuses_to_take_everything() {
    let world = World::new();
    world.backup(&[]).expect(0);
    let before = inventory(&world.destination());
    world
        .on_destination("purge", &[])
        .expect_error(100, "EmptyFilterPurgeNotAllowed");
    world
        .on_destination("purge", &[world.source().to_str().unwrap()])
        .expect_error(100, "PurgeWouldRemoveEntireFileset");
    world
        .on_destination("purge-broken-files", &["--exclude=*.txt"])
        .expect_error(100, "FiltersNotAllowedOnPurgeBrokenFiles");
    assert_eq!(inventory(&world.destination()), before);
}

#[test]
fn a_lost_stored_file_is_told_and_its_files_can_be_taken_out() {
    let world = World::new();
    std::fs::remove_file(world.source().join("a.txt")).unwrap();
    world.backup(&[]).expect(0);
    let known: Vec<_> = inventory(&world.destination().join("packs"));
    std::fs::write(world.source().join("c.txt"), "new").unwrap();
    world.backup(&[]).expect(0);
    // Data and trees of the second backup: the affected one with a single file is the data.
    let mut lost = None;
    for (path, _) in inventory(&world.destination().join("packs")) {
        if known.iter().any(|(old, _)| *old == path) {
            continue;
        }
        let told = world
            .on_destination("affected", &[path.to_str().unwrap()])
            .expect(0)
            .stdout;
        if told.contains("c.txt") && !told.contains("b.bin") && told.contains("1 file in 1 version") {
            lost = Some(path);
        }
    }
    std::fs::remove_file(lost.unwrap()).unwrap();
    let done = world.on_destination("purge-broken-files", &[]).expect(0).stdout;
    assert!(done.contains("c.txt") && done.contains("Took 1 file"), "{done}");
    world.on_destination("restore", &["--restore-path=out"]).expect(0);
    world
        .on_destination("affected", &["nonsense"])
        .expect_error(200, "WrongArguments");
}
