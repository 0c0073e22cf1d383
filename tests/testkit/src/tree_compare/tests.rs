// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Each kind of difference is detected, and nothing else is reported with it.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, symlink},
};

use rustix::fs::{CWD, Gid, Uid, XattrFlags};

use super::*;
use crate::{fidelity_tree::set_modified, tree_remove::TestFolder};

/// Builds two equal trees, changes the second, and returns the kinds of difference found at the changed place.
fn kinds_after(change: impl FnOnce(&Path)) -> Vec<DifferenceKind> {
    let guard = TestFolder::new().unwrap();
    let roots = ["a", "b"].map(|name| guard.path().join(name));
    for root in &roots {
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(root.join("file"), vec![7; 300_000]).unwrap();
        fs::write(root.join("folder/linked"), "linked").unwrap();
        fs::hard_link(root.join("folder/linked"), root.join("also linked")).unwrap();
        symlink("file", root.join("link")).unwrap();
        let sparse = File::create(root.join("sparse")).unwrap();
        sparse.set_len(1 << 20).unwrap();
        rustix::fs::mkfifoat(CWD, root.join("pipe"), Mode::RUSR).unwrap();
        settle(root);
    }
    assert_eq!(compare_trees(&roots[0], &roots[1]), []);
    change(&roots[1]);
    let differences = compare_trees(&roots[0], &roots[1]);
    differences
        .into_iter()
        .map(|difference| difference.kind)
        .collect()
}

/// Gives everything one time, so that only what a test changes differs.
fn settle(root: &Path) {
    for name in ["folder/linked", "file", "link", "sparse", "pipe", "folder", "."] {
        if root.join(name).symlink_metadata().is_ok() {
            set_modified(&root.join(name), 1_000_000_000, 5).unwrap();
        }
    }
}

#[test]
fn missing_and_extra_entries_are_found() {
    let missing = kinds_after(|root| {
        fs::remove_file(root.join("file")).unwrap();
        settle(root);
    });
    assert_eq!(missing, [DifferenceKind::OnlyInFirst]);
    let extra = kinds_after(|root| {
        fs::write(root.join("folder/more"), "").unwrap();
        settle(root);
    });
    assert_eq!(extra, [DifferenceKind::OnlyInSecond]);
}

#[test]
fn another_kind_of_file_is_found() {
    let kinds = kinds_after(|root| {
        fs::remove_file(root.join("pipe")).unwrap();
        File::create(root.join("pipe")).unwrap();
        settle(root);
    });
    assert_eq!(kinds, [DifferenceKind::FileKind]);
}

#[test]
fn changed_byte_and_changed_size_are_found() {
    let content = kinds_after(|root| {
        let file = File::options().write(true).open(root.join("file")).unwrap();
        file.write_all_at(b"x", 299_999).unwrap();
        settle(root);
    });
    assert_eq!(content, [DifferenceKind::Content]);
    let size = kinds_after(|root| {
        let file = File::options().write(true).open(root.join("file")).unwrap();
        file.set_len(299_999).unwrap();
        settle(root);
    });
    assert_eq!(size, [DifferenceKind::Size]);
}

#[test]
fn changed_mode_is_found_on_files_and_folders() {
    for name in ["file", "folder"] {
        let kinds =
            kinds_after(|root| rustix::fs::chmod(root.join(name), Mode::from_raw_mode(0o4711)).unwrap());
        assert_eq!(kinds, [DifferenceKind::Mode], "{name}");
    }
}

#[test]
fn one_nanosecond_is_found_on_files_folders_links_and_the_root() {
    for name in ["file", "folder", "link", "pipe", "."] {
        let kinds = kinds_after(|root| set_modified(&root.join(name), 1_000_000_000, 6).unwrap());
        assert_eq!(kinds, [DifferenceKind::ModifiedTime], "{name}");
    }
}

#[test]
fn changed_owner_is_found_also_on_links() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: owners need root");
        return;
    }
    for name in ["file", "link", "folder"] {
        let kinds = kinds_after(|root| {
            let (user, group) = (Some(Uid::from_raw(1_234)), Some(Gid::from_raw(4_321)));
            rustix::fs::chownat(CWD, root.join(name), user, group, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        });
        assert_eq!(kinds, [DifferenceKind::Uid, DifferenceKind::Gid], "{name}");
    }
}

#[test]
fn extended_attribute_is_found() {
    for name in ["file", "folder"] {
        let kinds = kinds_after(|root| {
            let path = root.join(name);
            rustix::fs::lsetxattr(&path, "user.comment", b"x", XattrFlags::empty()).unwrap();
        });
        assert_eq!(kinds, [DifferenceKind::Xattrs], "{name}");
    }
}

#[test]
fn separated_and_joined_hard_links_are_found() {
    let separated = kinds_after(|root| {
        fs::remove_file(root.join("also linked")).unwrap();
        fs::write(root.join("also linked"), "linked").unwrap();
        set_modified(&root.join("also linked"), 1_000_000_000, 5).unwrap();
        settle(root);
    });
    assert_eq!(separated, [DifferenceKind::HardLinks]);
}

#[test]
fn filled_hole_is_found() {
    let kinds = kinds_after(|root| {
        fs::write(root.join("sparse"), vec![0; 1 << 20]).unwrap();
        settle(root);
    });
    assert_eq!(kinds, [DifferenceKind::Holes]);
}

#[test]
fn other_link_target_is_found() {
    let kinds = kinds_after(|root| {
        fs::remove_file(root.join("link")).unwrap();
        symlink("folder", root.join("link")).unwrap();
        settle(root);
    });
    assert_eq!(kinds, [DifferenceKind::LinkTarget]);
}

#[test]
fn other_device_numbers_are_found() {
    let guard = TestFolder::new().unwrap();
    let roots = ["a", "b"].map(|name| guard.path().join(name));
    for (root, minor) in roots.iter().zip([3, 5]) {
        fs::create_dir(root).unwrap();
        let number = rustix::fs::makedev(1, minor);
        let made = rustix::fs::mknodat(
            CWD,
            root.join("device"),
            FileType::CharacterDevice,
            Mode::RUSR,
            number,
        );
        if let Err(errno) = made {
            println!("skipped: devices cannot be made here: {errno}");
            return;
        }
        set_modified(&root.join("device"), 5, 5).unwrap();
        set_modified(root, 5, 5).unwrap();
    }
    let differences = compare_trees(&roots[0], &roots[1]);
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(differences[0].kind, DifferenceKind::Device);
}

#[test]
fn missing_root_is_a_difference() {
    let guard = TestFolder::new().unwrap();
    let differences = compare_trees(guard.path(), &guard.path().join("none"));
    assert_eq!(differences[0].kind, DifferenceKind::Unreadable);
}
