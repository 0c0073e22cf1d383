// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Filters against a model that follows the user's documentation word by word, alone and in whole backups.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::{collections::BTreeSet, sync::Arc};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    events::Monitor,
};
use duplicati_engine::{
    format::chunk_list::ChunkList,
    snapshot::{TreeReader, WalkStep},
    source::filter::{FilterEnvironment, RuleKind, SourceFilter, VariableStyle, parse_serialized, serialize},
    storage::{Store, memory::MemoryStore},
};
use maintenance::{Workplace, clock, create, index};
use proptest::{collection::vec, prelude::*, sample::select};

/// A piece of a regular expression.
#[derive(Debug, Clone)]
enum Piece {
    Letter(char),
    Any,
    AnyRun,
    Optional(char),
    Either(String, String),
}

/// A rule by its form.
#[derive(Debug, Clone)]
enum Form {
    Text(String),
    Regex(Vec<Piece>),
    Groups(Vec<&'static str>),
    Literal(String),
    /// `%BASE%` and a plain text behind it.
    Variable(String),
}

const BASE: &str = "/home/anna";

impl Form {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Regex(pieces) => {
                let piece = |piece: &Piece| match piece {
                    Piece::Letter(letter) => letter.to_string(),
                    Piece::Any => ".".to_owned(),
                    Piece::AnyRun => ".*".to_owned(),
                    Piece::Optional(letter) => format!("{letter}?"),
                    Piece::Either(one, other) => format!("({one}|{other})"),
                };
                format!("[{}]", pieces.iter().map(piece).collect::<String>())
            }
            Self::Groups(names) => format!("{{{}}}", names.join(",")),
            Self::Literal(text) => format!("@{text}"),
            Self::Variable(text) => format!("%BASE%{text}"),
        }
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Text(text) => text_matches(text, path),
            Self::Regex(pieces) => regex_matches(pieces, path),
            Self::Groups(names) => names
                .iter()
                .any(|name| group(name).iter().any(|pattern| text_matches(pattern, path))),
            Self::Literal(text) => text == path,
            Self::Variable(text) => text_matches(&format!("{BASE}{text}"), path),
        }
    }
}

/// Plain text is the whole path, case and all; with a wildcard it is a pattern over the whole path.
fn text_matches(text: &str, path: &str) -> bool {
    let mut pattern = text.chars();
    match pattern.next() {
        None => path.is_empty(),
        Some('*') => {
            let rest = pattern.as_str();
            let mut ends = path.char_indices().map(|(at, _)| at).chain([path.len()]);
            ends.any(|at| text_matches(rest, &path[at..]))
        }
        Some(letter) => {
            let mut path = path.chars();
            path.next().is_some_and(|first| letter == '?' || letter == first)
                && text_matches(pattern.as_str(), path.as_str())
        }
    }
}

fn regex_matches(pieces: &[Piece], path: &str) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return path.is_empty();
    };
    let after = |text: &str| {
        path.strip_prefix(text)
            .is_some_and(|path| regex_matches(rest, path))
    };
    match piece {
        Piece::Letter(letter) => after(&letter.to_string()),
        Piece::Any => path
            .chars()
            .next()
            .is_some_and(|first| first != '\n' && after(&first.to_string())),
        Piece::AnyRun => {
            let mut ends = path.char_indices().map(|(at, _)| at).chain([path.len()]);
            ends.any(|at| !path[..at].contains('\n') && regex_matches(rest, &path[at..]))
        }
        Piece::Optional(letter) => after(&letter.to_string()) || regex_matches(rest, path),
        Piece::Either(one, other) => after(one) || after(other),
    }
}

/// The table of groups as users know it, with the folders of [`environment`].
fn group(name: &str) -> Vec<String> {
    let all = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    match name {
        "SystemFiles" | "sys" => all(&["/dev/", "/proc/", "/selinux/", "/sys/"]),
        "OperatingSystem" | "OS" => all(&["/bin/", "/boot/", "/etc/", "/initrd/", "/sbin/", "/var/"]),
        "TemporaryFiles" | "Tmp" => all(&["/scratch/", "/tmp/", "*/lost+found/", "*~"]),
        "Applications" | "APP" => all(&["/lib/", "/lib64/", "/opt/", "/usr/"]),
        "CacheFiles" => all(&[
            "/home/anna/xdg/",
            "*/.cache/",
            "*/Google/Chrome/*cache*",
            "*/Google/Chrome/*Safe Browsing*",
            "*/.config/google-chrome/Default/Cookies",
            "*/.config/google-chrome/Default/Cookies-journal",
            "*/Mozilla/Firefox/*cache*",
            "*/cookies.sqlite-*",
            "*/permissions.sqlite-*",
            "*/iPhoto Library/iPod Photo Cache/",
            "/data/control_dir_v2/",
        ]),
        "DefaultExcludes" => ["sys", "OS", "Tmp", "APP", "CacheFiles"]
            .iter()
            .flat_map(|name| group(name))
            .collect(),
        "DefaultIncludes" | "None" => Vec::new(),
        _ => panic!("{name}"),
    }
}

const GROUPS: [&str; 13] = [
    "SystemFiles",
    "sys",
    "OperatingSystem",
    "OS",
    "TemporaryFiles",
    "Tmp",
    "Applications",
    "APP",
    "CacheFiles",
    "DefaultExcludes",
    "DefaultIncludes",
    "None",
    "Tmp",
];

fn environment() -> FilterEnvironment {
    let mut environment = FilterEnvironment {
        temporary_folder: "/scratch".to_owned(),
        data_folder: "/data".to_owned(),
        ..FilterEnvironment::default()
    };
    for (name, value) in [("BASE", BASE), ("XDG_CACHE_HOME", "/home/anna/xdg")] {
        environment.variables.insert(name.to_owned(), value.to_owned());
    }
    environment
}

/// What happens to a path: whether a rule decided, and how.
fn model_decides(rules: &[(RuleKind, Form)], path: &str) -> (bool, bool) {
    match rules.iter().find(|(_, form)| form.matches(path)) {
        Some((kind, _)) => (true, *kind == RuleKind::Include),
        None => {
            let excludes = rules.iter().any(|(kind, _)| *kind == RuleKind::Exclude);
            (false, excludes || rules.is_empty())
        }
    }
}

fn form(letters: &'static str) -> impl Strategy<Value = Form> {
    let letter = || select(letters.chars().collect::<Vec<_>>());
    let word = move || vec(letter(), 0..4).prop_map(String::from_iter);
    let piece = prop_oneof![
        5 => letter().prop_map(Piece::Letter),
        1 => Just(Piece::Any),
        2 => Just(Piece::AnyRun),
        1 => letter().prop_map(Piece::Optional),
        1 => (word(), word()).prop_map(|(one, other)| Piece::Either(one, other)),
    ];
    let wild = select(letters.chars().chain("**??".chars()).collect::<Vec<_>>());
    let pattern = vec(wild, 0..7).prop_map(|text| format!("/{}", String::from_iter(text)));
    let literal = (word(), any::<bool>()).prop_map(|(word, wild)| {
        let end = if wild { "*" } else { "" };
        Form::Literal(format!("/{word}{end}"))
    });
    prop_oneof![
        3 => pattern.clone().prop_map(Form::Text),
        1 => pattern.prop_map(|text| Form::Text(format!("*{text}"))),
        3 => vec(piece, 1..6).prop_map(|mut pieces| {
            pieces.insert(0, Piece::Letter('/'));
            Form::Regex(pieces)
        }),
        1 => vec(select(&GROUPS[..]), 1..3).prop_map(Form::Groups),
        1 => literal,
        1 => word().prop_map(|word| Form::Variable(format!("/{word}"))),
    ]
}

fn rules() -> impl Strategy<Value = Vec<(RuleKind, Form)>> {
    let kind = select(&[RuleKind::Include, RuleKind::Exclude][..]);
    let mixed = vec((kind, form("abé/")), 0..6);
    let includes = vec((Just(RuleKind::Include), form("abé/")), 1..4);
    prop_oneof![3 => mixed, 1 => includes]
}

/// Paths near to what the rules name.
fn path() -> impl Strategy<Value = String> {
    let fixed = select(
        &[
            "/proc/",
            "/etc/",
            "/etc",
            "/usr/",
            "/tmp/",
            "/scratch/",
            "/home/anna/x~",
            "/home/anna/xdg/",
            "/home/anna/.cache/",
            "/a/Google/Chrome/x/cache/1",
            "/x/cookies.sqlite-wal",
            "/data/control_dir_v2/",
            "/home/anna/a",
            "/home/anna/",
        ][..],
    );
    prop_oneof![4 => "/[abé/]{0,6}", 1 => "/[abé]{0,3}\n?[ab/*]{0,3}", 1 => fixed.prop_map(str::to_owned)]
}

fn parse(rules: &[(RuleKind, Form)]) -> SourceFilter {
    let texts: Vec<_> = rules.iter().map(|(kind, form)| (*kind, form.text())).collect();
    let texts = texts.iter().map(|(kind, text)| (*kind, text.as_str()));
    SourceFilter::parse(texts, VariableStyle::CommandLine, &environment()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_decide_as_the_model_does(rules in rules(), paths in vec(path(), 1..20)) {
        let filter = parse(&rules);
        for path in paths {
            let (by_rule, included) = model_decides(&rules, &path);
            let decision = filter.decide(path.as_bytes());
            prop_assert_eq!(decision.is_included(), included, "{:?}", path);
            prop_assert_eq!(decision.may_enter(), included || !by_rule, "{:?}", path);
        }
    }

    #[test]
    fn serialized_rules_decide_the_same_when_read_again(rules in rules(), paths in vec(path(), 1..10)) {
        let texts: Vec<_> = rules.iter().map(|(kind, form)| (*kind, form.text())).collect();
        let text = serialize(texts.iter().map(|(kind, text)| (*kind, text.as_str())));
        let read = parse_serialized(&text).unwrap();
        prop_assert_eq!(read.len(), rules.len(), "{}", text);
        let read = read.iter().map(|(kind, text)| (*kind, text.as_str()));
        let read = SourceFilter::parse(read, VariableStyle::CommandLine, &environment()).unwrap();
        for path in paths {
            let (_, included) = model_decides(&rules, &path);
            prop_assert_eq!(read.decide(path.as_bytes()).is_included(), included, "{:?} {:?}", text, path);
        }
    }
}

/// Names below the source; a name with a slash at its end is a folder.
type Names = BTreeSet<String>;

fn names() -> impl Strategy<Value = Names> {
    let file = "[ab]{1,2}(/[ab]{1,2}){0,3}";
    vec(file, 1..12).prop_map(|files| {
        let mut names = Names::new();
        for file in files {
            let above: Vec<_> = file
                .match_indices('/')
                .map(|(at, _)| file[..=at].to_owned())
                .collect();
            let clashes = names.contains(&format!("{file}/"))
                || above
                    .iter()
                    .any(|folder| names.contains(folder.trim_end_matches('/')));
            if !clashes {
                names.extend(above);
                names.insert(file);
            }
        }
        names
    })
}

/// What of a source is stored: an excluded folder is not entered; a folder that only no include names is there when
/// something below is.
fn model_stored(source: &str, names: &Names, rules: &[(RuleKind, Form)]) -> BTreeSet<String> {
    let decides = |name: &str| model_decides(rules, &format!("{source}/{name}"));
    let is_open = |name: &str| {
        let mut above = name.trim_end_matches('/').match_indices('/');
        above.all(|(at, _)| {
            let (by_rule, included) = decides(&name[..=at]);
            included || !by_rule
        })
    };
    let mut stored = BTreeSet::new();
    for name in names.iter().filter(|name| is_open(name) && decides(name).1) {
        stored.insert(name.trim_end_matches('/').to_owned());
        stored.extend(
            name.trim_end_matches('/')
                .match_indices('/')
                .map(|(at, _)| name[..at].to_owned()),
        );
    }
    stored
}

async fn backed_up(place: &Workplace, filter: SourceFilter) -> BTreeSet<String> {
    let repository = create(Arc::new(MemoryStore::new()) as Arc<dyn Store>, None).await;
    let source = place.folder.path().join("source");
    let options = BackupOptions {
        sources: vec![source.as_os_str().as_encoded_bytes().to_vec()],
        filter,
        commit_unchanged: true,
        ..BackupOptions::default()
    };
    let local = place.local(&repository, "filters");
    let (monitor, control) = (Monitor::silent(), RunControl::new());
    run_backup(Arc::clone(&repository), local, options, clock(), monitor, control)
        .await
        .unwrap();
    let (_, manifest) = repository.list_snapshots().await.unwrap().snapshots.remove(0);
    let reader = TreeReader::new(Arc::clone(&repository), index(&repository).await, 1 << 20);
    let mut walk = reader.walk(&ChunkList::from(manifest.root));
    let above = source.to_str().unwrap().trim_start_matches('/').to_owned() + "/";
    let mut stored = BTreeSet::new();
    while let Some(step) = walk.next().await.unwrap() {
        let path = std::str::from_utf8(walk.path()).unwrap();
        if let (WalkStep::Entry(_), Some(name)) = (step, path.strip_prefix(&above)) {
            stored.insert(name.to_owned());
        }
    }
    stored
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_backup_holds_what_the_model_lets_in(
        names in names(),
        rules in vec((select(&[RuleKind::Include, RuleKind::Exclude][..]), "(\\*/)?[ab*?]{1,3}(/|/\\*)?"), 1..5),
    ) {
        let place = Workplace::new();
        let source = place.folder.path().join("source");
        std::fs::remove_dir_all(&source).unwrap();
        std::fs::create_dir(&source).unwrap();
        for name in &names {
            let path = source.join(name);
            if name.ends_with('/') {
                std::fs::create_dir(path).unwrap();
            } else {
                std::fs::write(path, name).unwrap();
            }
        }
        let source = source.to_str().unwrap();
        let rules: Vec<_> = rules
            .into_iter()
            .map(|(kind, text)| (kind, Form::Text(format!("{source}/{text}"))))
            .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let stored = runtime.block_on(backed_up(&place, parse(&rules)));
        prop_assert_eq!(stored, model_stored(source, &names, &rules));
    }
}
