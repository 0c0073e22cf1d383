// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A real btrfs snapshot for the time of a backup. Needs root, loop devices and `mkfs.btrfs`; elsewhere it says that it did not run.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use support::World;

/// Size of the file system, bytes.
const IMAGE_BYTES: u64 = 256 << 20;

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone_or_not = Command::new("umount").arg(&self.0).status();
    }
}

fn succeeds(program: &str, arguments: &[&Path]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// A btrfs below the world; none where the machine cannot have one.
fn btrfs(world: &World) -> Option<Mounted> {
    let (image, place) = (world.path("image"), world.path("mounted"));
    std::fs::File::create(&image)
        .unwrap()
        .set_len(IMAGE_BYTES)
        .unwrap();
    std::fs::create_dir(&place).unwrap();
    let is_made = succeeds("mkfs.btrfs", &[Path::new("-q"), &image])
        && succeeds("mount", &[Path::new("-o"), Path::new("loop"), &image, &place]);
    is_made.then_some(Mounted(place))
}

#[test]
fn a_btrfs_source_is_read_from_a_snapshot_and_recorded_under_its_own_path() {
    let world = World::new();
    let Some(mounted) = btrfs(&world) else {
        eprintln!("not run: this needs root, loop devices and mkfs.btrfs");
        return;
    };
    let source = mounted.0.join("files");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a.txt"), "before").unwrap();
    let (text, destination) = (source.to_str().unwrap(), world.destination());
    let backup = |more: &[&str]| {
        let mut arguments = vec![
            "backup",
            destination.to_str().unwrap(),
            text,
            "--passphrase=secret",
            "--snapshot-policy=Required",
        ];
        arguments.extend(more);
        world.run(&arguments)
    };
    backup(&[]).expect(0);
    // The device number of each snapshot is new; nothing else is.
    backup(&[]).expect(1);
    std::fs::write(source.join("b.txt"), "new").unwrap();
    let lines = backup(&["--json"]).expect(0).json();
    assert_eq!(lines.last().unwrap()["OpenedFiles"], 1);
    let listed = world.on_destination("list", &["0"]).expect(0).stdout;
    assert!(listed.contains(&format!("{text}/a.txt")), "{listed}");
    let left: Vec<_> = std::fs::read_dir(&mounted.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["files"]);
}
