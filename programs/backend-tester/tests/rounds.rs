// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The tester on a folder and on real servers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::process::Command;

use duplicati_testkit::servers::{
    or_skip,
    s3::{ACCESS_KEY, BUCKET, SECRET_KEY, moto},
    webdav::{PASSWORD, SignIn, USER, apache},
};

fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_duplicati-backend-tester"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

const SMALL: [&str; 5] = [
    "--reruns=2",
    "--number-of-files=5",
    "--max-file-size=200kb",
    "--auto-create-folder",
    "--extended-chars",
];

fn passes(url: &str, more: &[&str]) {
    let arguments: Vec<&str> = [url].iter().chain(&SMALL).chain(more).copied().collect();
    let (code, text) = run(&arguments);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("All tests passed"));
}

#[test]
fn a_folder_passes_and_is_left_empty() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("new");
    passes(target.to_str().unwrap(), &[]);
    assert_eq!(std::fs::read_dir(target).unwrap().count(), 0);
}

#[test]
fn webdav_passes() {
    let Some(server) = or_skip("backend tester on apache", apache(SignIn::Basic)) else {
        return;
    };
    let (user, password) = (
        format!("--auth-username={USER}"),
        format!("--auth-password={PASSWORD}"),
    );
    passes(
        &format!("webdav://127.0.0.1:{}/new", server.port),
        &[&user, &password],
    );
}

#[test]
fn s3_passes() {
    let Some(server) = or_skip("backend tester on moto", moto()) else {
        return;
    };
    let host = format!("--s3-server-name=127.0.0.1:{}", server.port);
    let (user, password) = (
        format!("--auth-username={ACCESS_KEY}"),
        format!("--auth-password={SECRET_KEY}"),
    );
    passes(&format!("s3://{BUCKET}/new"), &[&host, &user, &password]);
}

#[test]
fn a_folder_that_is_not_empty_is_erased_only_with_both_options() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    std::fs::write(&note, "keep me").unwrap();
    let url = folder.path().to_str().unwrap();
    for options in [&[][..], &["--auto-clean"], &["--force"]] {
        let arguments: Vec<&str> = [url].iter().chain(&SMALL).chain(options).copied().collect();
        let (code, text) = run(&arguments);
        assert!(code == 1 && text.contains("not empty"), "{text}");
        assert!(note.exists());
    }
    passes(url, &["--auto-clean", "--force"]);
    assert!(!note.exists());
}
