// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Parsers of what users type and keep in configuration files.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use duplicati_engine::{
    retention::{
        RetentionOptions, RetentionPolicy, SnapshotForRetention, parse_age, parse_retention_policy,
        parse_timespan, plan,
    },
    source::filter::{
        FilterEnvironment, FilterExpression, RuleKind, SourceFilter, VariableStyle, parse_serialized,
        serialize,
    },
};
use duplicati_programs_common::{
    Environment, Options, ParseContext,
    dbconfig::{self, Access, DatabaseKey},
    destination::Destination,
    options::parameters_file::parse_serialized_filter,
    value::{SizeUnit, Timespan, VersionList, parse_boolean, parse_size, parse_time_point, split_path_list},
};
use jiff::Zoned;

use crate::target::Target;

/// Room for error texts, suggestions and tables that are filled at first use.
const SMALL: usize = 1 << 20;
/// Texts become strings of their parts.
const TEXT: usize = 100;
/// Compiled expressions: the limit of one, which the library may pass by its own buffers, for a few rules.
const EXPRESSIONS: usize = 64 << 20;

pub const TARGETS: &[Target] = &[
    target("destination", destination, destination_samples, SMALL),
    target("filter", filter, filter_samples, EXPRESSIONS),
    target(
        "serialized-filter",
        serialized_filter,
        serialized_samples,
        EXPRESSIONS,
    ),
    target("retention", retention, retention_samples, SMALL),
    target("size", size, size_samples, SMALL),
    target("time-span", time_span, span_samples, SMALL),
    target("time-point", time_point, point_samples, SMALL),
    target("versions", versions, version_samples, SMALL),
    target("lists", lists, list_samples, SMALL),
    target("command-line", command_line, command_samples, SMALL),
    target("parameters-file", parameters_file, parameters_samples, SMALL),
    target("database-list", database_list, database_samples, SMALL),
];

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    samples: fn() -> Vec<Vec<u8>>,
    memory_bytes: usize,
) -> Target {
    Target {
        name,
        run,
        samples,
        memory_bytes,
        memory_factor: TEXT,
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn now() -> Zoned {
    "2026-03-31T12:00:00+02:00[Europe/Berlin]".parse().unwrap()
}

/// A folder for what can only be read from files; it goes with the process's temporary folder.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| tempfile::tempdir().unwrap().keep());

/// A file of this thread with this content.
fn file(content: &[u8], folder: &str, name: &str) -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    let folder = FOLDER.join(thread).join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn destination(bytes: &[u8]) {
    if let Ok(destination) = Destination::parse(OsStr::from_bytes(bytes), Path::new("/current")) {
        let shown = format!("{destination} {destination:?}");
        if let Some(password) = &destination.password {
            use secrecy::ExposeSecret;
            // Long enough not to be part of something else.
            let password = password.expose_secret();
            let elsewhere = destination.user.as_deref().unwrap_or_default().contains(password)
                || destination.host.contains(password)
                || destination.path.to_string_lossy().contains(password)
                || destination
                    .query
                    .iter()
                    .any(|(name, value)| name.contains(password) || value.expose_secret().contains(password));
            assert!(
                password.len() < 8 || elsewhere || !shown.contains(password),
                "a password is shown"
            );
        }
        let _ = DatabaseKey::new(&destination, &Options::defaults(&now()), false);
    }
}

fn destination_samples() -> Vec<Vec<u8>> {
    texts(&[
        "file:///mnt/backup%20disk?option=x",
        "/plain/path",
        "s3://bucket/folder?s3-server-name=host:9000&auth-username=a&auth-password=secretsecret",
        "ssh://user:p%40ssword1@host.example:2222/dir/sub",
        "webdav://u:longpassword@[::1]:80/x?use-ssl=true",
        "ftp://host",
    ])
}

fn filter_environment() -> FilterEnvironment {
    let mut environment = FilterEnvironment {
        temporary_folder: "/tmp".to_owned(),
        data_folder: "/data".to_owned(),
        ..FilterEnvironment::default()
    };
    environment
        .variables
        .insert("HOME".to_owned(), "/home/me".to_owned());
    environment
}

/// The first line is a path, each other one a rule.
fn filter(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let path = lines.next().unwrap_or_default();
    for rule in lines.take(4) {
        let rule = String::from_utf8_lossy(rule);
        for style in [VariableStyle::CommandLine, VariableStyle::StoredJob] {
            if let Ok(expression) = FilterExpression::parse(&rule, style, &filter_environment()) {
                let _ = expression.matches(path);
            }
        }
    }
}

fn filter_samples() -> Vec<Vec<u8>> {
    texts(&[
        "/home/me/x.tmp\n*.tmp\n/home/*/?.tmp",
        "/home/me/x\n[/home/(me|you)/.*]\n[[a-z]{1,5}\\d+]",
        "/tmp/\n{TemporaryFiles,SystemFiles}\n@/tmp/*",
        "/home/me/\n%HOME%/\n${HOME}/\n$HOME/",
    ])
}

fn serialized_filter(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = parse_serialized_filter(&text);
    if let Ok(rules) = parse_serialized(&text) {
        let rules: Vec<(RuleKind, &str)> = rules.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
        let again = parse_serialized(&serialize(rules.iter().copied())).unwrap();
        assert_eq!(again.len(), rules.len());
        let few = rules.into_iter().take(4);
        if let Ok(filter) = SourceFilter::parse(few, VariableStyle::StoredJob, &filter_environment()) {
            let _ = filter.decide(b"/home/me/x.tmp");
        }
    }
}

fn serialized_samples() -> Vec<Vec<u8>> {
    texts(&[
        "+/a:b/:-[x:-y[:]]:-{Tmp:Cache}:+*.txt",
        "-*.tmp",
        "+[.*\\.(jpg|png)]:-*",
        "-/a/:+/a/b",
    ])
}

/// Two lines: ages of versions separated by commas, and a policy, age or number.
fn retention(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (ages, rule) = text.split_once('\n').unwrap_or(("0,1,2", &text));
    let numbers = ages
        .split(',')
        .take(100)
        .filter_map(|age| age.parse::<i64>().ok());
    let versions: Vec<_> = numbers
        .enumerate()
        .map(|(index, age)| SnapshotForRetention {
            index,
            time_unix_seconds: 1_700_000_000_i64.saturating_sub(age),
            complete: index % 3 != 1,
        })
        .collect();
    let _ = parse_timespan(rule);
    let policies = [
        parse_age(rule).ok().map(RetentionPolicy::KeepTime),
        parse_retention_policy(rule).ok().map(RetentionPolicy::Frames),
        rule.parse().ok().map(RetentionPolicy::KeepVersions),
    ];
    for policy in policies.into_iter().flatten() {
        for allow_full_removal in [false, true] {
            let options = RetentionOptions {
                allow_full_removal,
                time_tolerance: true,
            };
            let plan = plan(&versions, 1_700_000_000, &policy, options);
            assert_eq!(plan.snapshots.len(), versions.len());
            let removed = plan.removed().count();
            assert!(allow_full_removal || versions.is_empty() || removed < versions.len());
        }
    }
}

fn retention_samples() -> Vec<Vec<u8>> {
    texts(&[
        "0,86400,172800,9999999\n1W:1D,4W:1W,12M:1M",
        "0,-5,3000\nU:1Y,7D:U",
        "1,2,3\n6M",
        "1,2,3\n1Y2M3W4D5h6m7s",
        "0,5\n2",
    ])
}

fn size(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for unit in [SizeUnit::Bytes, SizeUnit::Terabytes] {
        let _ = parse_size(&text, unit);
    }
    let _ = parse_boolean(&text);
}

fn size_samples() -> Vec<Vec<u8>> {
    texts(&["50mb", "1 GiB", "18446744073709551615b", "0", "16777215tb", "off"])
}

fn time_span(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(span) = Timespan::parse(&text) {
        let _ = (span.to_duration(), span.is_zero());
        assert_eq!(Timespan::parse(&span.to_string()), Ok(span));
        // What one part of the program accepts, the other does as well: options hand spans on as text.
        let age = parse_age(&span.to_string()).unwrap();
        let _ = age.before(1_700_000_000);
    }
}

fn span_samples() -> Vec<Vec<u8>> {
    texts(&["1W2D3h", "-5s", "90", "1Y-3M", "10000Y", "+5", "1D 2h"])
}

fn time_point(bytes: &[u8]) {
    let _ = parse_time_point(&String::from_utf8_lossy(bytes), &now());
}

fn point_samples() -> Vec<Vec<u8>> {
    texts(&[
        "now",
        "2M",
        "2026-03-01",
        "2026/03/01 14:30:00",
        "2026-03-01T14:30:00.5+02:00",
        "20260301T143000Z",
        "2026-03-29 02:30",
        "-9999-01-01",
    ])
}

fn versions(bytes: &[u8]) {
    if let Ok(list) = VersionList::parse(&String::from_utf8_lossy(bytes)) {
        let below: Vec<_> = list.iter_below(50).collect();
        assert!(below.len() <= 50 && below.iter().all(|version| list.contains(*version)));
    }
}

fn version_samples() -> Vec<Vec<u8>> {
    texts(&["0,2-4,7", "0-4294967295", "3", " 1 , 2 "])
}

fn lists(bytes: &[u8]) {
    let paths = split_path_list(OsStr::from_bytes(bytes));
    assert!(paths.iter().all(|path| !path.as_os_str().is_empty()));
}

fn list_samples() -> Vec<Vec<u8>> {
    texts(&["/a:/b c::\u{fffd}", ":"])
}

fn environment(current_folder: PathBuf) -> Environment {
    Environment {
        variables: BTreeMap::new(),
        user_id: 1000,
        current_folder,
        program_folder: PathBuf::from("/usr/bin"),
        system_root: PathBuf::from("/"),
    }
}

fn parse(arguments: Vec<OsString>, current_folder: PathBuf) {
    let (environment, now) = (environment(current_folder), now());
    let context = ParseContext {
        environment: &environment,
        now: &now,
    };
    if let Ok(options) = Options::parse(arguments, &context) {
        let _ = (
            options.filters().len(),
            options.warnings().len(),
            options.zstd_level(),
        );
    }
}

/// Arguments end with NUL, as the kernel hands them over.
fn command_line(bytes: &[u8]) {
    let arguments = bytes
        .split(|byte| *byte == 0)
        .map(|argument| OsString::from_vec(argument.to_vec()));
    // Reading files is for the next target.
    let arguments =
        arguments.filter(|argument| !argument.to_string_lossy().to_lowercase().contains("parameter"));
    parse(arguments.collect(), PathBuf::from("/current"));
}

fn command_samples() -> Vec<Vec<u8>> {
    texts(&[
        "backup\0file:///x\0/home\0--dblock-size=50mb\0--exclude=*.tmp\0--keep-time=6M",
        "restore\0/x\0*\0--time=2M\0--version=0,2-4\0--Overwrite\0--restore-path=\"/a b\"",
        "backup\0--symlink-policy=follow\0--exclude-files-attributes=Hidden,ReadOnly\0--console-log-level=verbose",
        "list\0--zstd-level=19\0--throttle-upload=1kb\0--retention-policy=1W:1D\0--passphrase=x",
    ])
}

fn parameters_file(bytes: &[u8]) {
    let path = file(bytes, "parameters", "file");
    let mut option = OsString::from("--parameters-file=");
    option.push(&path);
    let arguments = vec![OsString::from("backup"), OsString::from("file:///x"), option];
    parse(arguments, PathBuf::from("/current"));
}

fn parameters_samples() -> Vec<Vec<u8>> {
    texts(&[
        "# comment\n--source=/home\n--target=file:///y\n--keep-versions=3\n",
        "\u{feff}--append-filter=+[a:b]:-{Tmp:Cache}\r\n--prepend-filter=-*.x\r\n",
        "--replace-filter=-/a\n--parameters-file=/dev/null\n--dblock-size=10mb",
    ])
}

fn database_list(bytes: &[u8]) {
    let path = file(bytes, "data", "dbconfig.json");
    let destination = Destination::parse(OsStr::new("ssh://user@host:22/dir"), Path::new("/")).unwrap();
    let key = DatabaseKey::new(&destination, &Options::defaults(&now()), false);
    let folder = path.parent().unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let _ = dbconfig::find(folder, &key, access);
    }
}

fn database_samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"[{"Type":"ssh","Server":"host","Path":"dir","Prefix":"duplicati","Username":"user","Port":22,"Databasepath":"/x.sqlite","ParameterFile":null,"IsSyncDb":false}]"#,
        "\u{feff}[]",
        r#"[{"Type":"file","Port":-1},{"Type":null}]"#,
    ])
}
