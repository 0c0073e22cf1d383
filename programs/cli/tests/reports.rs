// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reports as real servers get them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use support::{
    World,
    servers::{MailServer, WebServer},
};

#[test]
fn a_backup_reports_to_web_addresses_and_other_commands_only_when_asked() {
    let world = World::new();
    let server = WebServer::start();
    let json = format!("--send-http-json-urls={}/json", server.address);
    world.backup(&[&json, "--backup-name=my job"]).expect(0);
    let report = server.json();
    assert_eq!(report["Data"]["MainOperation"], "Backup");
    assert_eq!(report["Data"]["AddedFiles"], 2);
    assert_eq!(report["Data"]["BackendStatistics"]["KnownFilesets"], 1);
    assert_eq!(report["Extra"]["backup-name"], "my job");
    assert_eq!(report["Extra"]["destination-type"], "file");
    world.on_destination("list", &[&json]).expect(0);
    assert!(server.is_idle());
    world
        .on_destination("list", &[&json, "--send-http-any-operation"])
        .expect(0);
    assert_eq!(server.json()["Data"]["MainOperation"], "List");
    world
        .backup(&[&json, "--send-http-level=Error", "--backup-name=my job"])
        .expect(1);
    assert!(server.is_idle());
}

#[test]
fn a_failed_backup_is_reported_and_paths_stay_at_home() {
    let world = World::new();
    let server = WebServer::start();
    let json = format!("--send-http-json-urls={}", server.address);
    world
        .backup(&["/nonexistent/private", "--abort-if-source-missing", &json])
        .expect_error(100, "SourceIsMissing");
    let report = server.json();
    assert_eq!(report["Data"], serde_json::Value::Null);
    assert!(report["Exception"].as_str().unwrap().contains("SourceIsMissing"));
    world.backup(&["/nonexistent/private", &json]).expect(2);
    let report = server.json();
    let lines = report["LogLines"].to_string();
    assert!(
        lines.contains("-redacted-") && !lines.contains("private"),
        "{lines}"
    );
    world
        .backup(&[
            "/nonexistent/private",
            &json,
            "--allow-paths-in-log-messages",
            "--upload-unchanged-backups",
        ])
        .expect(2);
    assert!(
        server.json()["LogLines"]
            .to_string()
            .contains("/nonexistent/private")
    );
}

#[test]
fn a_report_that_nobody_takes_is_a_warning_without_secrets() {
    let world = World::new();
    let outcome = world
        .backup(&[
            "--send-http-json-urls=http://me:hunter2@127.0.0.1:1/k3y",
            "--send-http-retries=0",
            "--send-mail-to=me@example.org",
            "--send-mail-url=smtp://127.0.0.1:1",
            "--send-mail-password=hunter2",
        ])
        .expect(2);
    assert_eq!(
        outcome.stderr.matches("ReportNotSent").count(),
        2,
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("hunter2") && !outcome.stderr.contains("k3y"));
}

#[test]
fn a_mail_arrives_with_subject_body_and_sender() {
    let world = World::new();
    let server = MailServer::start(false);
    world
        .backup(&[
            "--send-mail-to=me@example.org, you@example.net",
            &format!("--send-mail-url=smtp://127.0.0.1:{}", server.port),
            "--send-mail-subject=%PARSEDRESULT%: %backup-name%",
            "--send-mail-body=%OPERATIONNAME% of %LOCALPATH% (%passphrase%)",
            "--backup-name=my job",
        ])
        .expect(0);
    let mail = server.mail();
    for part in [
        "FROM no-reply@example.org\n",
        "TO me@example.org,you@example.net\n",
        "Subject: Success: my job\n",
        "No Reply - Backup report",
        &format!("Backup of {} ()\n", world.source().display()),
    ] {
        assert!(mail.contains(part), "{part:?} is missing in {mail}");
    }
}

#[test]
fn the_command_send_mail_signs_in_and_says_why_it_cannot() {
    let world = World::new();
    let server = MailServer::start(true);
    let url = format!(
        "--send-mail-url=smtp://127.0.0.1:1;smtp://127.0.0.1:{}",
        server.port
    );
    let to = "--send-mail-to=me@example.org";
    let user = "--send-mail-username=me";
    world
        .run(&["send-mail", to, &url, user, "--send-mail-password=hunter2"])
        .expect(0);
    let mail = server.mail();
    assert!(
        mail.contains("AUTH True\n") && mail.contains("SendMail report"),
        "{mail}"
    );
    let outcome = world
        .run(&["send-mail", to, &url, user, "--send-mail-password=wrong"])
        .expect_error(100, "ReportNotSent");
    assert!(!outcome.stderr.contains("wrong"), "{}", outcome.stderr);
    world.run(&["send-mail"]).expect_error(200, "WrongArguments");
    world.run(&["send-mail", to]).expect_error(100, "ReportNotSent");
}
