// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file runs the program that it is started as, however that name is given.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt},
    path::Path,
    process::{Command, Output},
};

const FILE: &str = env!("CARGO_BIN_EXE_duplicati-programs");
/// Each program with words of its help that no other program says.
const PROGRAMS: [(&str, &str); 7] = [
    ("duplicati-cli", "compare"),
    ("duplicati-server", "--webservice-port"),
    ("duplicati-server-util", "list-backups"),
    ("duplicati-configure", "secure-datafolder"),
    ("duplicati-backend-tool", "CREATEFOLDER"),
    ("duplicati-backend-tester", "--reruns"),
    ("duplicati-sync-tool", "--verify-get-after-put"),
];

fn run(command: &mut Command) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = command.env("HOME", home.path()).output().unwrap();
    (
        status.code().unwrap_or(-1),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[track_caller]
fn expect(command: &mut Command, wanted: &str) {
    let (code, said, errors) = run(command);
    assert!(code == 0 && said.contains(wanted), "{code}: {said}{errors}");
}

#[track_caller]
fn expect_refusal(command: &mut Command) {
    let (code, said, errors) = run(command);
    assert_eq!((code, said.as_str()), (200, ""), "{errors}");
    assert!(errors.contains("ErrorID: UnknownCommand"), "{errors}");
    for (name, _) in PROGRAMS {
        assert!(errors.contains(name), "{errors}");
    }
}

#[test]
fn a_link_runs_the_program_that_it_is_named_after() {
    let folder = tempfile::tempdir().unwrap();
    for (name, wanted) in PROGRAMS {
        let link = folder.path().join(name);
        symlink(FILE, &link).unwrap();
        for word in ["help", "--help", "-h"] {
            expect(Command::new(&link).arg(word), wanted);
        }
        let (code, said, errors) = run(Command::new(&link).arg("--version"));
        assert_eq!(
            (code, said.trim_end()),
            (0, env!("CARGO_PKG_VERSION")),
            "{name}: {errors}"
        );
    }
}

#[test]
fn the_name_may_be_absolute_relative_or_bare() {
    let folder = tempfile::tempdir().unwrap();
    symlink(FILE, folder.path().join("duplicati-sync-tool")).unwrap();
    let wanted = "--verify-get-after-put";
    expect(
        Command::new(folder.path().join("duplicati-sync-tool")).arg("help"),
        wanted,
    );
    for line in [
        "./duplicati-sync-tool help",
        "PATH=. duplicati-sync-tool help",
        "cd / && \"$OLDPWD\"/../\"${OLDPWD##*/}\"/duplicati-sync-tool help",
    ] {
        expect(
            Command::new("/bin/sh")
                .args(["-c", line])
                .current_dir(folder.path()),
            wanted,
        );
    }
    for name in [
        "duplicati-sync-tool",
        "../x/duplicati-sync-tool",
        "/nowhere/duplicati-sync-tool",
    ] {
        expect(Command::new(FILE).arg0(name).arg("help"), wanted);
    }
}

/// A folder on the file system of the build, where hard links to the file can be made. Such a link is what a renamed file is.
fn near_the_file() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn hard_links_and_renamed_files_work_like_links() {
    let folder = near_the_file();
    for (name, wanted) in PROGRAMS {
        let hard = folder.path().join(name);
        fs::hard_link(FILE, &hard).unwrap();
        expect(Command::new(&hard).arg("help"), wanted);
        expect(Command::new(&hard).arg0("duplicati-cli").arg("help"), "compare");
    }
}

#[test]
fn a_link_of_any_name_to_the_link_of_a_program_runs_that_program() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::create_dir(folder.path().join("lib")).unwrap();
    symlink(FILE, folder.path().join("lib/duplicati-programs")).unwrap();
    symlink(
        "duplicati-programs",
        folder.path().join("lib/duplicati-server-util"),
    )
    .unwrap();
    symlink("../lib/duplicati-server-util", folder.path().join("bin/ask")).unwrap();
    expect(
        Command::new(folder.path().join("bin/ask")).arg("help"),
        "list-backups",
    );
    expect(
        Command::new("./ask")
            .arg("help")
            .current_dir(folder.path().join("bin")),
        "list-backups",
    );
    // `exec -a` and systemd's `@` choose the first word freely.
    expect(
        Command::new(folder.path().join("lib/duplicati-server-util"))
            .arg0("nightly")
            .arg("help"),
        "list-backups",
    );
}

#[test]
fn other_names_and_no_name_are_refused_with_200_and_all_names() {
    let folder = near_the_file();
    let renamed = folder.path().join("backup");
    fs::hard_link(FILE, &renamed).unwrap();
    expect_refusal(Command::new(&renamed).args(["duplicati-cli", "help"]));
    symlink(FILE, folder.path().join("duplicati-recovery-tool")).unwrap();
    expect_refusal(&mut Command::new(folder.path().join("duplicati-recovery-tool")));
    symlink(&renamed, folder.path().join("other")).unwrap();
    expect_refusal(&mut Command::new(folder.path().join("other")));
    expect_refusal(Command::new(FILE).arg0("").arg("help"));
    // A name that is no text, and one without an end.
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    expect_refusal(Command::new(&renamed).arg0(OsStr::from_bytes(b"\xff\xfe")));
    let (_, _, errors) = run(Command::new(&renamed).arg0("x".repeat(100_000)));
    assert!(errors.len() < 1_000, "{}", errors.len());
}

#[test]
fn under_its_own_name_it_lists_the_programs_and_runs_the_one_asked_for() {
    for words in [&[][..], &["help"], &["--help"], &["-h"]] {
        let (code, said, errors) = run(Command::new(FILE).args(words));
        assert_eq!(code, 0, "{errors}");
        for (name, _) in PROGRAMS {
            assert_eq!(
                said.lines()
                    .filter(|line| line.split_whitespace().next() == Some(name))
                    .count(),
                1,
                "{said}"
            );
        }
    }
    expect(Command::new(FILE).arg("--version"), env!("CARGO_PKG_VERSION"));
    for (name, wanted) in PROGRAMS {
        expect(Command::new(FILE).args([name, "help"]), wanted);
    }
    let (code, _, errors) = run(Command::new(FILE).args(["duplicati-cli", "list"]));
    assert_eq!(code, 200);
    assert!(
        errors.contains("WrongArguments"),
        "the program's own error: {errors}"
    );
    expect_refusal(Command::new(FILE).arg("duplicati-programs"));
    let (code, _, errors) = run(Command::new(FILE).arg("duplicati-clo"));
    assert!(
        code == 200 && errors.contains("did you mean duplicati-cli?"),
        "{errors}"
    );
}

#[test]
fn the_manual_describes_exactly_the_programs_inside() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/user/programs.md");
    let text = fs::read_to_string(page).unwrap();
    let mut described: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    described.push("duplicati-cli");
    described.sort_unstable();
    let mut inside = PROGRAMS.map(|(name, _)| name);
    inside.sort_unstable();
    assert_eq!(described, inside);
}

#[test]
fn the_packages_that_it_is_made_of_are_the_programs_inside() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let mut used: Vec<_> = manifest
        .lines()
        .filter_map(|line| line.strip_suffix(".workspace = true"))
        .filter(|name| name.starts_with("duplicati-") && *name != "duplicati-programs-common")
        .collect();
    used.sort_unstable();
    let mut inside = PROGRAMS.map(|(name, _)| name);
    inside.sort_unstable();
    assert_eq!(used, inside);
}
