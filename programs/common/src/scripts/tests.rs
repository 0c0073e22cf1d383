// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What exit codes, output and environment of the user's programs promise.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::ffi::OsStr;
use std::time::Duration;

use super::settings::{Script, ScriptSettings};
use super::*;

fn options(given: &[(&str, &str)]) -> Options {
    let now = "2026-03-31T12:00:00Z[UTC]".parse().unwrap();
    let mut options = Options::defaults(&now);
    for (name, value) in given {
        options.set(name, Some(OsStr::new(value)), &now).unwrap();
    }
    options
}

/// Runs a line of shell as the program of one event.
fn shell(event: Event, required: bool, line: &str, timeout: Option<Duration>) -> Outcome {
    let settings = ScriptSettings {
        timeout,
        with_arguments: true,
        ..ScriptSettings::from_options(&options(&[]))
    };
    let script = Script {
        event,
        required,
        value: format!("/bin/sh -c '{line}'").into(),
        option: "run-script-before",
    };
    let options = options(&[("backup-name", "my job"), ("passphrase", "hunter2")]);
    let circumstances = Circumstances {
        event,
        operation: "Backup",
        options: &options,
        remote_url: OsStr::new("file:///x"),
        local_path: &["/a".into(), "/b".into()],
        result_file: None,
        parsed_result: None,
    };
    run(&script, &settings, &circumstances)
}

#[test]
fn every_exit_code_before_an_operation_has_its_meaning() {
    let expected = [
        (0, Verdict::Run, None),
        (1, Verdict::DoNotRun, None),
        (2, Verdict::Run, Some(Weight::Warning)),
        (3, Verdict::DoNotRun, Some(Weight::Warning)),
        (4, Verdict::Run, Some(Weight::Error)),
        (5, Verdict::DoNotRun, Some(Weight::Error)),
        (77, Verdict::DoNotRun, Some(Weight::Error)),
    ];
    for (code, verdict, weight) in expected {
        let outcome = shell(Event::Before, false, &format!("exit {code}"), None);
        assert_eq!(outcome.verdict, verdict, "{code}");
        assert_eq!(
            outcome.notices.first().map(|notice| notice.weight),
            weight,
            "{code}"
        );
    }
}

#[test]
fn exit_codes_after_an_operation_only_speak() {
    for (code, weight) in [
        (0, None),
        (1, None),
        (2, Some(Weight::Warning)),
        (3, Some(Weight::Warning)),
        (4, Some(Weight::Error)),
        (9, Some(Weight::Error)),
    ] {
        let outcome = shell(Event::After, false, &format!("exit {code}"), None);
        assert_eq!(outcome.verdict, Verdict::Run);
        assert_eq!(
            outcome.notices.first().map(|notice| notice.weight),
            weight,
            "{code}"
        );
    }
}

#[test]
fn a_required_program_must_end_with_zero() {
    assert_eq!(shell(Event::Before, true, "true", None).verdict, Verdict::Run);
    for code in [1, 2, 4] {
        let outcome = shell(Event::Before, true, &format!("exit {code}"), None);
        assert!(
            matches!(&outcome.verdict, Verdict::Fail(error) if error.id == "RunScriptInvalidExitCode"),
            "{outcome:?}"
        );
    }
    let killed = shell(Event::Before, true, "kill -9 $$", None);
    assert!(matches!(&killed.verdict, Verdict::Fail(error) if error.message.contains("signal 9")));
}

#[test]
fn a_program_that_takes_too_long_is_a_warning_or_the_end() {
    let short = Some(Duration::from_millis(50));
    let outcome = shell(Event::Before, false, "exec sleep 5", short);
    assert_eq!(outcome.verdict, Verdict::Run);
    assert_eq!(outcome.notices[0].id, "ScriptTimeout");
    let outcome = shell(Event::Before, true, "exec sleep 5", short);
    assert!(matches!(outcome.verdict, Verdict::Fail(error) if error.id == "RunScriptTimeout"));
}

#[test]
fn lines_change_options_and_speak_to_the_log() {
    let outcome = shell(
        Event::Before,
        false,
        "echo --Keep-Versions=3; echo --dry-run; echo --eventname=x; echo LOG:WARN careful; echo other; echo bad >&2",
        None,
    );
    let changes: Vec<_> = outcome
        .changes
        .iter()
        .map(|change| (change.name.as_str(), change.value.clone()))
        .collect();
    assert_eq!(changes, [("keep-versions", Some("3".into())), ("dry-run", None)]);
    let notices: Vec<_> = outcome
        .notices
        .iter()
        .map(|notice| (notice.weight, notice.message.contains("careful")))
        .collect();
    assert_eq!(
        notices,
        [
            (Weight::Warning, true),
            (Weight::Verbose, false),
            (Weight::Warning, false)
        ]
    );
    let after = shell(Event::After, false, "echo --keep-versions=3", None);
    assert!(after.changes.is_empty());
}

#[test]
fn the_environment_says_what_is_going_on() {
    let outcome = shell(
        Event::Before,
        false,
        "env | grep ^DUPLICATI__ | sed s/^/LOG:INFO\\ /",
        None,
    );
    let lines: Vec<_> = outcome
        .notices
        .iter()
        .map(|notice| notice.message.as_str())
        .collect();
    for line in [
        "DUPLICATI__EVENTNAME=BEFORE",
        "DUPLICATI__OPERATIONNAME=Backup",
        "DUPLICATI__REMOTEURL=file:///x",
        "DUPLICATI__LOCALPATH=/a:/b",
        "DUPLICATI__backup_name=my job",
        "DUPLICATI__passphrase=hunter2",
    ] {
        assert!(lines.contains(&line), "{line} is missing in {lines:?}");
    }
}

#[test]
fn a_program_that_does_not_exist_warns_and_required_stops() {
    let settings = ScriptSettings::from_options(&options(&[]));
    let mut script = Script {
        event: Event::Before,
        required: false,
        value: "/nonexistent/script".into(),
        option: "run-script-before",
    };
    let options = options(&[]);
    let circumstances = Circumstances {
        event: Event::Before,
        operation: "Backup",
        options: &options,
        remote_url: OsStr::new(""),
        local_path: &[],
        result_file: None,
        parsed_result: None,
    };
    let outcome = run(&script, &settings, &circumstances);
    assert_eq!(
        (outcome.verdict, outcome.notices[0].id),
        (Verdict::Run, "ScriptExecuteError")
    );
    script.required = true;
    assert!(matches!(
        run(&script, &settings, &circumstances).verdict,
        Verdict::Fail(_)
    ));
}

#[test]
fn endless_output_is_cut_and_does_not_stop_the_program() {
    let outcome = shell(Event::After, false, "yes | head -c 3000000; exit 2", None);
    assert_eq!(outcome.notices.len(), 10_000 + 1);
    assert_eq!(
        outcome.notices.last().map(|notice| notice.weight),
        Some(Weight::Warning)
    );
}

#[test]
fn a_program_left_in_the_background_does_not_hold_the_operation() {
    let outcome = shell(
        Event::After,
        false,
        "sleep 30 & echo LOG:INFO done",
        Some(Duration::from_secs(20)),
    );
    assert_eq!(outcome.notices[0].message, "done");
}
