// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Copies between folders and to a real server.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, path::Path, process::Command};

use duplicati_testkit::servers::{
    or_skip,
    webdav::{PASSWORD, USER, nginx},
};

fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_duplicati-sync-tool"))
        .args(arguments)
        .env_clear()
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_copy_follows_its_source_and_asks_before_it_takes_away() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, "packs/aa/1", "data");
    write(&from, "snapshots/1", "version");
    let urls = [from.to_str().unwrap(), to.to_str().unwrap()];
    assert_eq!(run(&[urls[0], urls[1], "--verify-get-after-put"]).0, 0);
    assert_eq!(fs::read_to_string(to.join("packs/aa/1")).unwrap(), "data");
    fs::remove_file(from.join("snapshots/1")).unwrap();
    let (code, text) = run(&urls);
    assert_eq!(code, 255, "{text}");
    assert!(to.join("snapshots/1").exists());
    assert_eq!(run(&[urls[0], urls[1], "-d"]).0, 0);
    assert!(to.join("snapshots/1").exists());
    assert_eq!(run(&[urls[0], urls[1], "-y", "--retention"]).0, 0);
    assert!(!to.join("snapshots/1").exists());
    assert_eq!(fs::read_dir(to.join("snapshots")).unwrap().count(), 1);
}

#[test]
fn damage_of_the_same_size_is_healed_when_contents_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, "packs/aa/1", "data");
    write(&to, "packs/aa/1", "rust");
    let urls = [from.to_str().unwrap(), to.to_str().unwrap()];
    assert_eq!(run(&urls).0, 0);
    assert_eq!(fs::read_to_string(to.join("packs/aa/1")).unwrap(), "rust");
    assert_eq!(run(&[urls[0], urls[1], "--verify-contents", "-y"]).0, 0);
    assert_eq!(fs::read_to_string(to.join("packs/aa/1")).unwrap(), "data");
}

#[test]
fn a_copy_that_differs_in_content_alone_is_not_replaced_without_consent() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, "packs/aa/1", "rust");
    write(&to, "packs/aa/1", "data");
    let urls = [from.to_str().unwrap(), to.to_str().unwrap()];
    let (code, text) = run(&[urls[0], urls[1], "--verify-contents"]);
    assert!(
        code == 255 && text.contains("packs/aa/1 differs") && text.contains("replace: 1 files"),
        "{text}"
    );
    let (code, text) = run(&[urls[0], urls[1], "--verify-contents", "--dry-run"]);
    assert!(code == 0 && text.contains("replace: 1 files"), "{text}");
    assert_eq!(fs::read_to_string(to.join("packs/aa/1")).unwrap(), "data");
}

const PACK: &str = "packs/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SNAPSHOT: &str = "snapshots/dddddddddddddddddddddddddddddddd";

#[test]
fn a_version_is_not_copied_when_its_data_could_not_be() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, PACK, "data");
    write(&from, "packs/bb/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "data");
    write(&from, SNAPSHOT, "version");
    // No file can be written where a folder is.
    fs::create_dir_all(to.join(PACK)).unwrap();
    let urls = [from.to_str().unwrap(), to.to_str().unwrap()];
    let (code, text) = run(&[urls[0], urls[1], "--retry", "0"]);
    assert!(
        code == 1 && text.contains("1 files that may need those that failed"),
        "{text}"
    );
    assert!(!to.join(SNAPSHOT).exists());
    assert!(to.join("packs/bb/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb").exists());
    fs::remove_dir(to.join(PACK)).unwrap();
    assert_eq!(run(&urls).0, 0);
    assert!(to.join(SNAPSHOT).exists());
}

#[test]
fn the_data_of_a_version_that_could_not_be_removed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, "notes.txt", "note");
    // There is no room for the time in such a name, so it cannot be kept.
    let version = format!("{}.dlist.zip", "x".repeat(230));
    write(&to, &version, "version");
    write(&to, "x.dblock.zip", "data");
    let urls = [from.to_str().unwrap(), to.to_str().unwrap()];
    let (code, text) = run(&[urls[0], urls[1], "-y", "--retention", "--retry", "0"]);
    assert!(code == 1 && text.contains("1 files stay"), "{text}");
    assert!(to.join(version).exists() && to.join("x.dblock.zip").exists());
}

#[test]
fn an_upload_that_was_cut_off_is_replaced_though_it_is_newer_and_other_newer_files_count_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, PACK, "data");
    write(&from, "notes.txt", "old note");
    write(&to, PACK, "da");
    write(&to, "notes.txt", "note");
    write(&to, "gone", "x");
    for path in [PACK, "notes.txt"] {
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let file = fs::File::options().write(true).open(from.join(path)).unwrap();
        file.set_modified(old).unwrap();
    }
    let urls = [from.to_str().unwrap(), to.to_str().unwrap()];
    assert_eq!(run(&urls).0, 255);
    assert_eq!(fs::read_to_string(to.join(PACK)).unwrap(), "da");
    let (code, text) = run(&[urls[0], urls[1], "-y"]);
    assert!(code == 1 && text.contains("notes.txt is left alone"), "{text}");
    assert_eq!(fs::read_to_string(to.join(PACK)).unwrap(), "data");
    assert_eq!(fs::read_to_string(to.join("notes.txt")).unwrap(), "note");
    assert!(to.join("gone").exists());
    assert_eq!(run(&[urls[0], urls[1], "-y", "-f"]).0, 0);
    assert_eq!(fs::read_to_string(to.join("notes.txt")).unwrap(), "old note");
    assert!(!to.join("gone").exists());
}

#[test]
fn what_was_kept_is_kept_under_one_name_by_all_later_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, PACK, "data");
    write(&to, "gone", "x");
    write(&to, "other.kept", "x");
    let urls = [from.to_str().unwrap(), to.to_str().unwrap()];
    let kept = || -> Vec<_> {
        fs::read_dir(&to)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("gone."))
            .collect()
    };
    assert_eq!(run(&[urls[0], urls[1], "-y", "--retention"]).0, 0);
    let first = kept();
    assert!(first.len() == 1 && !to.join("gone").exists(), "{first:?}");
    assert_eq!(run(&[urls[0], urls[1], "-y", "--retention"]).0, 0);
    assert_eq!(kept(), first);
    assert_eq!(run(&[urls[0], urls[1], "-y"]).0, 0);
    assert_eq!(kept(), first);
    assert!(!to.join("other.kept").exists());
}

#[test]
fn an_empty_source_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).unwrap();
    write(&to, "packs/aa/1", "data");
    let (code, text) = run(&[from.to_str().unwrap(), to.to_str().unwrap(), "-y"]);
    assert!(code == 1 && text.contains("empty"), "{text}");
    assert!(to.join("packs/aa/1").exists());
}

#[test]
fn a_folder_is_copied_to_webdav_with_options_for_one_side() {
    let Some(server) = or_skip("sync tool on nginx", nginx()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "packs/aa/1", "data");
    write(folder.path(), "repository.json", "{}");
    let url = format!("webdav://127.0.0.1:{}/copy", server.port);
    let (user, password) = (
        format!("auth-username={USER}"),
        format!("auth-password={PASSWORD}"),
    );
    let arguments = [
        folder.path().to_str().unwrap(),
        &url,
        "--dst-options",
        &user,
        &password,
        "--progress",
    ];
    let (code, text) = run(&arguments);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains(PASSWORD));
    assert_eq!(
        fs::read_to_string(server.root().join("copy/packs/aa/1")).unwrap(),
        "data"
    );
}

#[test]
fn every_spelling_of_help_and_the_version_are_answered() {
    for word in ["help", "--help", "-h", "-?"] {
        let (code, text) = run(&[word]);
        assert!(code == 0 && text.contains("--verify-contents"), "{word}: {text}");
    }
    assert_eq!(
        run(&["--version"]),
        (0, format!("{}\n", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(run(&[]).0, 1);
}
