// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the option table and the command line parser promise.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Zoned;
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::options_value::Value;
use super::parameters_file::parse_serialized_filter;
use super::*;
use crate::environment::Environment;
use crate::error_id::UserError;
use crate::value::Timespan;

fn now() -> Zoned {
    "2026-03-31T12:00:00+00:00[UTC]"
        .parse()
        .expect("the literal is a valid time")
}

fn parse_in(environment: &Environment, arguments: &[&OsStr]) -> Result<Options, UserError> {
    let context = ParseContext {
        environment,
        now: &now(),
    };
    Options::parse(arguments.iter().map(OsString::from), &context)
}

fn try_parse(arguments: &[&str]) -> Result<Options, UserError> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    parse_in(&Environment::for_tests(Path::new("/nowhere")), &arguments)
}

fn parse(arguments: &[&str]) -> Options {
    try_parse(arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn error(arguments: &[&str]) -> UserError {
    try_parse(arguments).expect_err("the arguments are not acceptable")
}

/// Parses with a parameters file of the given content.
fn parse_with_file(content: &str, arguments: &[&str]) -> Result<Options, UserError> {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let path = folder.path().join("parameters");
    std::fs::write(&path, content).expect("the file is writable");
    let option = format!("--parameters-file={}", path.display());
    let arguments: Vec<&str> = arguments.iter().copied().chain([option.as_str()]).collect();
    try_parse(&arguments)
}

fn rules(options: &Options) -> Vec<String> {
    let sign = |rule: &FilterRule| if rule.include { '+' } else { '-' };
    options
        .filters()
        .iter()
        .map(|rule| format!("{}{}", sign(rule), rule.expression))
        .collect()
}

#[test]
fn every_default_in_the_table_can_be_read() {
    for spec in table::all().filter(|spec| !spec.default.is_empty()) {
        let value = Value::read(spec, Some(OsStr::new(spec.default)), &now());
        assert!(value.is_ok(), "{}: {value:?}", spec.name);
    }
}

#[test]
fn option_names_and_aliases_are_unique_and_lower_case() {
    let mut seen = BTreeSet::new();
    for spec in table::all() {
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            assert!(seen.insert(*name), "{name} is declared twice");
            assert_eq!(*name, name.to_lowercase());
            assert!(!name.starts_with('-'));
        }
        assert!(
            spec.help.ends_with('.'),
            "the help of {} is a sentence",
            spec.name
        );
    }
    assert!(seen.len() > 250, "only {} names", seen.len());
}

#[test]
fn warned_values_are_values_the_option_has() {
    for spec in table::all() {
        if let Kind::Enum { values, .. } | Kind::Flags(values) = spec.kind {
            for (value, _) in spec.value_warnings {
                assert!(values.contains(value), "{}: {value}", spec.name);
            }
        }
    }
}

#[test]
fn our_own_options_are_marked() {
    let own: Vec<_> = table::all()
        .filter(|spec| spec.own)
        .map(|spec| spec.name)
        .collect();
    for name in [
        "json",
        "zstd-level",
        "skip-pack-verification",
        "stdin",
        "stdin-name",
        "one-file-system",
        "respect-nodump",
        "identity",
        "recipient",
        "label",
        "workers",
        "metrics-file",
    ] {
        assert!(own.contains(&name), "{name}");
    }
}

#[test]
fn options_are_recognised_wherever_they_stand() {
    let options = parse(&[
        "--DRY-run",
        "backup",
        "--dblock-size=100",
        "file:///x",
        "/home",
        "-h",
    ]);
    assert_eq!(options.positional(), ["backup", "file:///x", "/home", "-h"]);
    assert!(options.bool("dry-run"));
    assert_eq!(options.size("dblock-size"), Some(100 << 20));
}

#[test]
fn the_last_occurrence_wins_across_aliases_and_quotes_are_removed() {
    let options = parse(&["--dryrun", "--dry-run=no", "--backup-name=\"a \"b\" c\""]);
    assert!(!options.bool("dry-run"));
    assert_eq!(options.string("backup-name"), Some("a \"b\" c"));
}

#[test]
fn absent_options_answer_with_their_default() {
    let options = parse(&[]);
    assert_eq!(options.size("dblock-size"), Some(16 << 20));
    assert_eq!(options.timespan("retry-delay"), Some(Timespan::from_seconds(10)));
    assert_eq!(options.string("symlink-policy"), Some("Store"));
    assert_eq!(options.list("ignore-filenames"), ["CACHEDIR.TAG"]);
    assert_eq!(options.versions("version"), None);
    assert!(!options.bool("overwrite") && !options.is_given("dblock-size"));
    assert!(options.warnings().is_empty());
}

#[test]
#[should_panic(expected = "is not in the table")]
fn asking_for_an_undeclared_option_is_a_mistake() {
    parse(&[]).bool("dryy-run");
}

#[test]
#[should_panic(expected = "is not of the kind")]
fn asking_for_another_kind_is_a_mistake() {
    let _ = parse(&[]).integer("dblock-size");
}

#[test]
fn includes_and_excludes_keep_their_order() {
    let options = parse(&["--exclude=*.tmp", "--include=/a/", "--exclude=/a/*"]);
    assert_eq!(rules(&options), ["-*.tmp", "+/a/", "-/a/*"]);
}

#[test]
fn an_unknown_option_names_the_closest_known_one() {
    let error = error(&["--dblok-size=50mb"]);
    assert_eq!((error.id, error.exit_code.code()), ("UnknownOption", 200));
    assert!(error.message.contains("--dblock-size"), "{error}");
}

#[test]
fn a_wrong_separator_does_not_print_the_secret() {
    let error = error(&["--passphrase:hunter2"]);
    assert!(
        !error.message.contains("hunter2") && error.message.contains("--passphrase="),
        "{error}"
    );
}

#[test]
fn a_bad_value_is_answered_with_option_value_and_accepted_form() {
    for (argument, expected) in [
        ("--dblock-size=big", "a size"),
        ("--keep-time=6H", "a time span"),
        ("--version=newest", "version numbers"),
        ("--symlink-policy=Drop", "Store, Follow, Ignore"),
        ("--cpu-intensity=11", "from 1 to 10"),
        ("--zstd-level=0", "from 1 to 19"),
        ("--dbpath", "a path"),
    ] {
        let error = error(&[argument]);
        assert_eq!(
            (error.id, error.exit_code.code()),
            ("InvalidOptionValue", 200),
            "{argument}"
        );
        let name = argument.split('=').next().unwrap_or_default();
        assert!(
            error.message.contains(name) && error.message.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn an_option_without_meaning_is_accepted_with_one_warning() {
    let options = parse(&["--usn-policy=On", "--usn-policy=Off"]);
    assert_eq!(options.warnings().len(), 1);
    assert!(options.warnings()[0].contains("usn-policy") && options.warnings()[0].contains("Linux"));
    let options = parse(&[
        "--encryption-module=aes",
        "--exclude-files-attributes=hidden,system",
    ]);
    assert_eq!(options.warnings().len(), 2, "{:?}", options.warnings());
    assert_eq!(options.list("exclude-files-attributes"), ["Hidden", "System"]);
}

#[test]
fn mapped_options_are_silent() {
    assert!(
        parse(&["--dblock-size=10mb", "--compression-level=9"])
            .warnings()
            .is_empty()
    );
}

#[test]
fn compression_levels_of_archives_become_zstd_levels() {
    assert_eq!(parse(&[]).zstd_level(), 3);
    assert_eq!(parse(&["--compression-level=0"]).zstd_level(), 1);
    assert_eq!(parse(&["--zip-compression-level=9"]).zstd_level(), 9);
    assert_eq!(parse(&["--tzstd-compression-level=22"]).zstd_level(), 19);
    assert_eq!(
        parse(&["--tzstd-compression-level=22", "--zstd-level=2"]).zstd_level(),
        2
    );
}

#[test]
fn the_old_log_level_sets_both_new_ones_unless_they_are_given() {
    let options = parse(&["--log-level=Verbose", "--console-log-level=error"]);
    assert_eq!(options.string("log-file-log-level"), Some("Verbose"));
    assert_eq!(options.string("console-log-level"), Some("Error"));
    assert_eq!(options.warnings().len(), 1);
}

#[test]
fn the_environment_stands_in_for_absent_credentials() {
    let environment = Environment::for_tests(Path::new("/"))
        .with("PASSPHRASE", "env")
        .with("AUTH_USERNAME", "me");
    let options =
        parse_in(&environment, &[OsStr::new("--auth-username=you")]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        options.secret("passphrase").map(|secret| secret.expose_secret()),
        Some("env")
    );
    assert_eq!(options.string("auth-username"), Some("you"));
}

#[test]
fn secrets_do_not_appear_in_debug_output() {
    let options = parse(&["--passphrase=hunter2", "--auth-password=hunter2"]);
    assert!(!format!("{options:?}").contains("hunter2"));
}

#[test]
fn arguments_and_paths_that_are_not_utf8_survive() {
    let environment = Environment::for_tests(Path::new("/"));
    let source = OsStr::from_bytes(b"/home/\xff");
    let option = OsStr::from_bytes(b"--restore-path=/to/\xff");
    let options = parse_in(&environment, &[source, option]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(options.positional(), [source]);
    assert_eq!(
        options.path("restore-path"),
        Some(Path::new(OsStr::from_bytes(b"/to/\xff")))
    );
    assert!(parse_in(&environment, &[OsStr::from_bytes(b"--backup-name=\xff")]).is_err());
    assert!(parse_in(&environment, &[OsStr::from_bytes(b"--\xff=1")]).is_err());
}

#[test]
fn an_open_family_of_options_keeps_each_name() {
    let options = parse(&["--s3-ext-forcepathstyle=true"]);
    assert_eq!(options.string("s3-ext-forcepathstyle"), Some("true"));
    assert!(try_parse(&["--s3-ext-=true"]).is_err());
}

#[test]
fn the_parameters_file_wins_over_the_command_line() {
    let content = "\u{feff}# comment\n\n--backup-name=file\n--target=file:///t\n--source=/a\n--source=/b\n";
    let options = parse_with_file(content, &["backup", "file:///x", "/c", "--backup-name=line"])
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(options.string("backup-name"), Some("file"));
    assert_eq!(options.positional(), ["backup", "file:///t", "/c", "/a", "/b"]);
    let options = parse_with_file(content, &["list"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        options.positional(),
        ["list", "file:///t"],
        "sources are only for commands that take them"
    );
    let options = parse_with_file(content, &["test-filters", "/c"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(options.positional(), ["test-filters", "/c", "/a", "/b"]);
}

#[test]
fn filters_in_two_places_are_an_error_but_can_be_combined() {
    let error = parse_with_file("--exclude=a", &["--exclude=b"]).expect_err("the order is unknown");
    assert_eq!(error.exit_code.code(), 200);
    let with = |content| parse_with_file(content, &["--exclude=b"]).map(|options| rules(&options));
    assert_eq!(
        with("--append-filter=+c:-d"),
        Ok(vec!["-b".into(), "+c".into(), "-d".into()])
    );
    assert_eq!(with("--prepend-filter=+c"), Ok(vec!["+c".into(), "-b".into()]));
    assert_eq!(with("--replace-filter=+c"), Ok(vec!["+c".into()]));
}

#[test]
fn an_unreadable_parameters_file_exits_with_100() {
    let error = error(&["--parameters-file=/does/not/exist"]);
    assert_eq!(
        (error.id, error.exit_code.code()),
        ("ParametersFileUnreadable", 100)
    );
}

#[test]
fn a_stray_line_in_the_parameters_file_is_named_but_not_shown() {
    let error = parse_with_file("--dry-run\nhunter2\n", &[]).expect_err("the line is no option");
    assert!(
        error.message.contains("line 2") && !error.message.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn separators_inside_regular_expressions_and_groups_do_not_split() {
    let split = |text| {
        parse_serialized_filter(text)
            .map(|rules| rules.into_iter().map(|rule| rule.expression).collect::<Vec<_>>())
    };
    assert_eq!(
        split("+/a:-[b:[0-9]+:c]:-d"),
        Ok(vec!["/a".into(), "[b:[0-9]+:c]".into(), "d".into()])
    );
    assert_eq!(
        split("-{Temp:Cache}:+x"),
        Ok(vec!["{Temp:Cache}".into(), "x".into()])
    );
    assert_eq!(split("+/a:b/:-c"), Ok(vec!["/a:b/".into(), "c".into()]));
    assert!(split("a").is_err());
}

#[test]
fn a_refused_option_says_why() {
    let spec = OptionSpec::new(Group::Storage, "x", Kind::Boolean, "", "X.").refused("because");
    assert_eq!(spec.handling, Handling::Refused("because"));
}

proptest! {
    #[test]
    fn parsing_never_panics(arguments in prop::collection::vec("(--)?[a-z-]{0,14}(=\\PC{0,12})?", 0..6)) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let _ = try_parse(&arguments);
    }

    #[test]
    fn no_value_of_any_option_makes_parsing_panic(index in 0usize..400, value in "\\PC{0,20}") {
        let specs: Vec<_> = table::all().collect();
        let spec = specs[index % specs.len()];
        let _ = Value::read(spec, Some(OsStr::new(&value)), &now());
        let _ = parse_serialized_filter(&value);
    }
}
