// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The tool on a folder and on a real WebDAV server, as a user runs it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{path::Path, process::Command};

use duplicati_testkit::servers::{
    or_skip,
    webdav::{PASSWORD, USER, rclone},
};

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_duplicati-backend-tool"))
        .args(arguments)
        .env_clear()
        .env("AUTH_USERNAME", USER)
        .env("AUTH_PASSWORD", PASSWORD)
        .current_dir(folder)
        .output()
        .unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn every_request_does_what_it_says(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("note.txt"), "hello").unwrap();
    let (code, _, stderr) = run(here, &["list", url, "--number-of-retries=0"]);
    assert_eq!(code, 100, "{stderr}");
    assert!(
        stderr.starts_with("Command failed: ") && stderr.contains("list"),
        "{stderr}"
    );
    assert_eq!(run(here, &["CreateFolder", url]).0, 0);
    assert_eq!(
        run(here, &["PUT", url, "note.txt"]),
        (0, String::new(), String::new())
    );
    let (code, stdout, _) = run(here, &["LIST", url]);
    assert_eq!(code, 0);
    let line = stdout
        .lines()
        .find(|line| line.starts_with("note.txt\tFile\t"))
        .unwrap();
    assert!(line.ends_with("\t5"), "{line}");
    let (code, _, stderr) = run(here, &["GET", url, "note.txt"]);
    assert!(code == 100 && stderr.contains("not replaced"), "{stderr}");
    std::fs::remove_file(here.join("note.txt")).unwrap();
    assert_eq!(run(here, &["GET", url, "note.txt"]).0, 0);
    assert_eq!(std::fs::read_to_string(here.join("note.txt")).unwrap(), "hello");
    assert_eq!(run(here, &["DELETE", url, "note.txt"]).0, 0);
    assert_eq!(run(here, &["DELETE", url, "note.txt"]).0, 100);
    let (code, stdout, stderr) = run(here, &["PROBE", url]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("deletes objects:                   yes"),
        "{stdout}"
    );
}

#[test]
fn requests_work_on_a_folder() {
    let target = tempfile::tempdir().unwrap();
    every_request_does_what_it_says(target.path().join("new").to_str().unwrap());
}

#[test]
fn requests_work_on_webdav() {
    let Some(server) = or_skip("backend tool on rclone", rclone()) else {
        return;
    };
    every_request_does_what_it_says(&format!("webdav://127.0.0.1:{}/new/folder", server.port));
}

#[test]
fn wrong_command_lines_exit_with_200_and_send_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["frob", "/tmp"],
        &["LIST"],
        &["GET", "/tmp"],
        &["GET", "/tmp", "a", "b"],
        &["GET", "/tmp", "../etc/passwd"],
        &["LIST", "/tmp", "--no-such-option"],
    ] {
        let (code, stdout, stderr) = run(folder.path(), arguments);
        assert_eq!(code, 200, "{arguments:?}: {stdout}{stderr}");
    }
    let (code, stdout, _) = run(folder.path(), &["--help"]);
    assert!(code == 0 && stdout.contains("CREATEFOLDER"));
}
