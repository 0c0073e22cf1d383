// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What providers, patterns and the cache promise.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::pass::Pass;
use super::*;
use crate::environment::Environment;
use crate::options::Options;

fn environment(root: &Path) -> Environment {
    Environment::for_tests(root).with("HOME", root.join("home"))
}

fn parse_in(environment: &Environment, arguments: &[&str]) -> Result<Options, UserError> {
    let now = "2026-03-31T12:00:00Z[UTC]".parse().unwrap();
    let context = ParseContext {
        environment,
        now: &now,
    };
    Options::parse(arguments.iter().map(OsString::from), &context)
}

fn secret(options: &Options, name: &str) -> String {
    options.secret(name).unwrap().expose_secret().to_owned()
}

#[test]
fn values_that_are_exactly_a_name_are_replaced_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path())
        .with("MY_PASS", "hunter2")
        .with("COUNT", "7");
    let options = parse_in(
        &environment,
        &[
            "--secret-provider=env://",
            "--passphrase=$MY_PASS",
            "--auth-password=${MY_PASS}",
            "--send-mail-password=x$MY_PASS",
            "--keep-versions=$COUNT",
        ],
    )
    .unwrap();
    assert_eq!(secret(&options, "passphrase"), "hunter2");
    assert_eq!(secret(&options, "auth-password"), "hunter2");
    assert_eq!(secret(&options, "send-mail-password"), "x$MY_PASS");
    assert_eq!(options.integer("keep-versions"), Some(7));
    let hidden: Vec<_> = options
        .given_texts()
        .filter(|given| given.is_secret)
        .map(|given| given.name.to_owned())
        .collect();
    assert!(hidden.contains(&"keep-versions".to_owned()), "{hidden:?}");
    assert!(!format!("{options:?}").contains("hunter2"));
}

#[test]
fn without_a_provider_a_dollar_is_a_dollar() {
    let folder = tempfile::tempdir().unwrap();
    let options = parse_in(&environment(folder.path()), &["--passphrase=$x"]).unwrap();
    assert_eq!(secret(&options, "passphrase"), "$x");
}

#[test]
fn another_pattern_and_an_address_from_the_environment_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path())
        .with("PROVIDER", "env://")
        .with("P", "hunter2");
    for provider in ["$PROVIDER", "${PROVIDER}", "%PROVIDER%"] {
        let options = parse_in(
            &environment,
            &[
                &format!("--secret-provider={provider}"),
                "--secret-provider-pattern=!",
                "--passphrase=!P",
                "--auth-password=$P",
            ],
        )
        .unwrap();
        assert_eq!(secret(&options, "passphrase"), "hunter2");
        assert_eq!(secret(&options, "auth-password"), "$P");
    }
    let error = parse_in(&environment, &["--secret-provider=$NOWHERE"]).unwrap_err();
    assert_eq!(error.id, "SecretProviderFailed");
}

#[test]
fn an_unknown_secret_and_an_unusable_provider_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path());
    let error = parse_in(&environment, &["--secret-provider=env://", "--passphrase=$NO"]).unwrap_err();
    assert_eq!(error.id, "SecretNotFound");
    assert!(error.message.contains("NO"));
    for (provider, part) in [
        ("hcv://host:8200?token=t0ken", "HashiCorp"),
        ("libsecret://", "keyring"),
        ("nonsense://x", "env://"),
        ("plain", "URL"),
    ] {
        let error = parse_in(&environment, &[&format!("--secret-provider={provider}")]).unwrap_err();
        assert_eq!(error.id, "SecretProviderFailed");
        assert!(error.message.contains(part), "{error}");
        assert!(!error.message.contains("t0ken"), "{error}");
    }
}

#[test]
fn url_values_of_a_destination_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path()).with("KEY", "a&b");
    let options = parse_in(&environment, &["--secret-provider=env://"]).unwrap();
    let mut destination = Destination::parse(
        "s3://bucket/x?auth-password=$KEY&use-ssl=true".as_ref(),
        Path::new("/"),
    )
    .unwrap();
    let secrets = options.secrets().unwrap();
    secrets.replace_in_destination(&mut destination).unwrap();
    assert_eq!(
        destination.query_value("auth-password").unwrap().expose_secret(),
        "a&b"
    );
    assert_eq!(format!("{secrets:?}"), "Secrets(\"env\")");
}

#[test]
fn a_file_of_secrets_may_be_plain_or_an_age_file() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path());
    let plain = folder.path().join("plain.json");
    std::fs::write(&plain, r#"{"pass": "hunter2", "number": 7}"#).unwrap();
    let sealed = folder.path().join("sealed.json.age");
    let mut recipient = age::scrypt::Recipient::new(SecretString::from("key word"));
    recipient.set_work_factor(4);
    std::fs::write(
        &sealed,
        age::encrypt(&recipient, br#"{"pass": "hunter2"}"#).unwrap(),
    )
    .unwrap();
    for address in [
        format!("file-secret://{}", plain.display()),
        format!("file-secret://{}?passphrase=key%20word", sealed.display()),
    ] {
        let options = parse_in(
            &environment,
            &[&format!("--secret-provider={address}"), "--passphrase=$pass"],
        )
        .unwrap();
        assert_eq!(secret(&options, "passphrase"), "hunter2");
    }
    for (address, part) in [
        (format!("file-secret://{}", sealed.display()), "passphrase"),
        (
            format!("file-secret://{}?passphrase=wrong", sealed.display()),
            "sealed",
        ),
        (
            format!("file-secret://{}?passphrase=x", plain.display()),
            "not encrypted",
        ),
        ("file-secret:///nonexistent".to_owned(), "nonexistent"),
    ] {
        let error = parse_in(
            &environment,
            &[&format!("--secret-provider={address}"), "--passphrase=$pass"],
        )
        .unwrap_err();
        assert_eq!(error.id, "SecretProviderFailed");
        assert!(error.message.contains(part), "{error}");
    }
}

#[test]
fn a_file_that_is_no_json_object_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.json");
    std::fs::write(&file, "hunter2").unwrap();
    let provider = format!("--secret-provider=file-secret://{}", file.display());
    let error = parse_in(&environment(folder.path()), &[&provider, "--passphrase=$x"]).unwrap_err();
    assert!(!error.message.contains("hunter2"), "{error}");
}

#[test]
fn the_persistent_cache_stands_in_when_the_file_is_gone_and_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path());
    let file = folder.path().join("s.json");
    std::fs::write(&file, r#"{"pass": "hunter2"}"#).unwrap();
    let arguments = [
        &format!("--secret-provider=file-secret://{}", file.display())[..],
        "--secret-provider-cache=Persistent",
        "--passphrase=$pass",
    ];
    parse_in(&environment, &arguments).unwrap();
    std::fs::remove_file(&file).unwrap();
    let options = parse_in(&environment, &arguments).unwrap();
    assert_eq!(secret(&options, "passphrase"), "hunter2");
    assert!(parse_in(&environment, &[arguments[0], "--passphrase=$pass"]).is_err());
    let cache = std::fs::read_dir(folder.path().join("home/.config/Duplicati"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let content = std::fs::read(cache.path()).unwrap();
    assert!(!String::from_utf8_lossy(&content).contains("hunter2"));
    assert_eq!(cache.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_first_line_of_an_entry_of_pass_is_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("pass");
    let script = "#!/bin/sh\nif [ \"$2\" = backup/key ]; then echo hunter2; echo user: me\n\
                  else echo \"Error: $2 is not in the password store.\" >&2; exit 1; fi\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let pass = Pass::with_program(&program);
    assert_eq!(
        pass.get("backup/key").unwrap().unwrap().expose_secret(),
        "hunter2"
    );
    assert!(pass.get("other").unwrap().is_none());
    assert!(pass.get("--help").is_err());
    let missing = Pass::with_program(folder.path().join("nowhere"));
    assert_eq!(missing.get("x").unwrap_err().id, "SecretProviderFailed");
}
