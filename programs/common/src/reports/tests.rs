// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What senders and texts promise; the web server is real.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::*;
use crate::error_id::UserError;
use crate::options::Options;

fn options(given: &[(&str, &str)]) -> Options {
    let now = "2026-03-31T12:00:00Z[UTC]".parse().unwrap();
    let mut options = Options::defaults(&now);
    for (name, value) in given {
        options.set(name, Some(value.as_ref()), &now).unwrap();
    }
    options
}

fn settings(given: &[(&str, &str)]) -> Result<ReportSettings, UserError> {
    ReportSettings::from_options(&options(given))
}

fn report(level: Level) -> Report {
    let Value::Object(result) = json!({
        "ParsedResult": level.name(), "MainOperation": "Backup", "AddedFiles": 3, "Dryrun": false,
        "DeleteResults": {"DeletedSets": [{"Item1": 1}], "Empty": []}, "Messages": ["/secret/path"],
        "Warnings": [], "Errors": [],
    }) else {
        panic!("the literal is an object")
    };
    Report {
        operation: "Backup".to_owned(),
        level,
        result: Some(result),
        failure: None,
        facts: Facts {
            extra: vec![
                ("backup-name", "my job".to_owned()),
                ("machine-name", "box".to_owned()),
            ],
            remote_url: "file:///x".to_owned(),
            local_path: "/a:/b".to_owned(),
            options: vec![("keep-versions".to_owned(), "3".to_owned())],
        },
    }
}

/// Takes requests on a port of its own and answers each with a status.
fn web_server(answers: &'static [&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text
                    .to_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())
                    .unwrap_or(0);
                let done = text
                    .split_once("\r\n\r\n")
                    .is_some_and(|(_, body)| body.len() >= length);
                if done || count == 0 {
                    sender.send(text).unwrap();
                    break;
                }
            }
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, requests)
}

async fn send_with(given: &[(&str, &str)], report: &Report) -> Vec<String> {
    let settings = settings(given).unwrap();
    send_all(&settings, report, |_| {
        vec!["one".to_owned(), "two".to_owned(), "three".to_owned()]
    })
    .await
}

#[tokio::test]
async fn a_json_report_has_the_four_parts_that_collectors_read() {
    let (address, requests) = web_server(&["200 OK"]);
    let given = [
        ("send-http-json-urls", &address[..]),
        ("send-http-max-log-lines", "2"),
        ("send-http-extra-parameters", r#"{"team": "blue"}"#),
    ];
    assert_eq!(
        send_with(&given, &report(Level::Warning)).await,
        Vec::<String>::new()
    );
    let request = requests.recv().unwrap();
    assert!(request.to_lowercase().contains("content-type: application/json"));
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["Data"]["ParsedResult"], "Warning");
    assert_eq!(body["Data"]["AddedFiles"], 3);
    assert_eq!(body["Data"].get("Messages"), None);
    assert_eq!(body["Extra"]["backup-name"], "my job");
    assert_eq!(body["Extra"]["OperationName"], "Backup");
    assert_eq!(body["Extra"]["team"], "blue");
    assert_eq!(body["Extra"].get("RemoteUrl"), None);
    assert_eq!(body["LogLines"], json!(["one", "two", "... and 1 more"]));
    assert_eq!(body["Exception"], Value::Null);
}

#[tokio::test]
async fn a_form_report_is_tried_again_and_failures_never_show_the_address() {
    let (address, requests) = web_server(&["503 Busy", "200 OK"]);
    let given = [
        ("send-http-url", &address[..]),
        ("send-http-message", "%PARSEDRESULT% of %backup-name%"),
        ("send-http-message-parameter-name", "text"),
        ("send-http-extra-parameters", "a=1&b=x%20y"),
        ("send-http-retry-delay", "0s"),
    ];
    assert_eq!(
        send_with(&given, &report(Level::Success)).await,
        Vec::<String>::new()
    );
    requests.recv().unwrap();
    assert!(
        requests
            .recv()
            .unwrap()
            .ends_with("\r\n\r\ntext=Success+of+my+job&a=1&b=x+y")
    );

    let (address, _requests) = web_server(&["403 No"]);
    let url = format!("{address}/hook/k3y?token=hunter2");
    let failures = send_with(&[("send-http-json-urls", &url)], &report(Level::Success)).await;
    assert!(
        failures[0].contains("403") && !failures[0].contains("k3y"),
        "{failures:?}"
    );
    let nobody = "http://user:hunter2@127.0.0.1:1/x";
    let failures = send_with(
        &[("send-http-json-urls", nobody), ("send-http-retries", "0")],
        &report(Level::Success),
    )
    .await;
    assert!(
        failures.len() == 1 && !failures[0].contains("hunter2"),
        "{failures:?}"
    );
}

#[tokio::test]
async fn a_telegram_report_goes_to_the_channel_and_its_key_is_never_shown() {
    let (address, requests) = web_server(&["200 OK", "401 Unauthorized"]);
    let settings = settings(&[
        ("send-telegram-bot-id", "42"),
        ("send-telegram-api-key", "hunter2"),
        ("send-telegram-channel-id", "-100"),
        ("send-telegram-message", "%OPERATIONNAME%: %PARSEDRESULT%"),
    ])
    .unwrap()
    .telegram
    .unwrap();
    telegram::send_to(&address, &settings, &report(Level::Error), &[])
        .await
        .unwrap();
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("POST /bot42:hunter2/sendMessage "),
        "{request}"
    );
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({"chat_id": "-100", "text": "Backup: Error"}));
    let failure = telegram::send_to(&address, &settings, &report(Level::Error), &[])
        .await
        .unwrap_err();
    assert!(!failure.contains("hunter2"), "{failure}");
    assert!(super::tests::settings(&[("send-telegram-bot-id", "42")]).is_err());
}

#[test]
fn levels_and_operations_decide_who_is_told() {
    let wants = |given: &[(&str, &str)], report: &Report| {
        let mut all = vec![("send-http-url", "http://x")];
        all.extend(given);
        settings(&all).unwrap().http.unwrap().sender.wants(report)
    };
    let (success, fatal) = (report(Level::Success), report(Level::Fatal));
    assert!(wants(&[], &success));
    assert!(!wants(&[("send-http-level", "Error,Fatal")], &success));
    assert!(wants(&[("send-http-level", "Error,Fatal")], &fatal));
    assert!(wants(&[("send-http-level", "Error,All")], &success));
    let restore = Report {
        operation: "Restore".to_owned(),
        ..report(Level::Success)
    };
    assert!(!wants(&[], &restore));
    assert!(wants(&[("send-http-any-operation", "true")], &restore));
}

#[test]
fn the_text_has_one_line_for_each_value() {
    let mut failed = report(Level::Fatal);
    failed.failure = Some("ErrorID: X\nit broke".to_owned());
    let text = text::render(
        &failed,
        &[("a".to_owned(), "b".to_owned())],
        &["a line".to_owned()],
    );
    for part in [
        "Failed: ErrorID: X\nDetails: ErrorID: X\nit broke\n\n",
        "AddedFiles: 3\n",
        "DeleteResults: \n  DeletedSets: [\n",
        "  Empty: []\n",
        "Dryrun: False\n",
        "a: b\n",
        "\nLog data:\na line\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    assert!(!text.contains("/secret/path"));
}

#[test]
fn placeholders_are_replaced_in_any_case_and_unknown_ones_vanish() {
    let report = report(Level::Success);
    let replaced = placeholders::replace(
        "%OperationName% %BACKUP-NAME% %keep-versions% %passphrase%|%RESULT%|100 % sure 50%",
        &report,
        "done",
    );
    assert_eq!(replaced, "Backup my job 3 |done|100 % sure 50%");
}

#[test]
fn extra_parameters_that_mean_nothing_are_refused() {
    let error = settings(&[
        ("send-http-url", "http://x"),
        ("send-http-extra-parameters", "{broken"),
    ])
    .unwrap_err();
    assert_eq!((error.id, error.exit_code.code()), ("InvalidOptionValue", 200));
}

#[tokio::test]
async fn mail_without_a_usable_server_or_address_says_what_is_missing() {
    let with = |given: &[(&str, &str)]| {
        let mut all = vec![("send-mail-to", "me@example.org")];
        all.extend(given);
        settings(&all).unwrap().mail.unwrap()
    };
    let report = report(Level::Success);
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[], "--send-mail-url"),
        (&[("send-mail-url", "gopher://x")], "gopher"),
        (&[("send-mail-url", "smtp://me:hunter2@127.0.0.1:1")], "127.0.0.1"),
        (
            &[("send-mail-to", "not an address"), ("send-mail-url", "smtp://x")],
            "--send-mail-to",
        ),
        (
            &[
                ("send-mail-body", "/nonexistent/body"),
                ("send-mail-url", "smtp://x"),
            ],
            "/nonexistent/body",
        ),
    ];
    for (given, part) in cases {
        let failure = mail::send(&with(given), &report, &[]).await.unwrap_err();
        assert!(failure.contains(part), "{failure}");
        assert!(!failure.contains("hunter2"), "{failure}");
    }
}
