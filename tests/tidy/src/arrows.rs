// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which crate may know which, and which libraries stay out of which crate.
//!
//! ```text
//! engine ← backends    engine ← actors    engine, actors ← api    all ← programs    anything ← tests, benches
//! ```

use crate::tree::{assert_none, files, read};

/// A part of the product: where it lies, which own crates it may use, which libraries it must not.
struct Part {
    folder: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

const PARTS: [Part; 7] = [
    Part {
        folder: "engine/",
        may_use: &[],
        never: &[
            "tokio", "ractor", "opendal", "reqwest", "russh", "axum", "sqlx", "clap", "anyhow", "metrics",
        ],
    },
    Part {
        folder: "backends/",
        may_use: &["duplicati-engine"],
        never: &["ractor", "axum", "sqlx", "clap", "rusqlite", "anyhow"],
    },
    Part {
        folder: "actors/",
        may_use: &["duplicati-engine"],
        never: &[
            "opendal", "reqwest", "russh", "axum", "sqlx", "clap", "rusqlite", "anyhow",
        ],
    },
    Part {
        folder: "api/",
        may_use: &["duplicati-engine", "duplicati-actors"],
        never: &["opendal", "russh", "clap", "rusqlite", "ractor"],
    },
    Part {
        // One file with all programs in it.
        folder: "programs/all/",
        may_use: &[
            "duplicati-programs-common",
            "duplicati-cli",
            "duplicati-server",
            "duplicati-server-util",
            "duplicati-configure",
            "duplicati-backend-tool",
            "duplicati-backend-tester",
            "duplicati-sync-tool",
        ],
        never: &[],
    },
    Part {
        folder: "programs/",
        may_use: &[
            "duplicati-engine",
            "duplicati-backends",
            "duplicati-actors",
            "duplicati-api",
            "duplicati-programs-common",
            // The server carries jobs out with the commands of the command line.
            "duplicati-cli",
        ],
        never: &[],
    },
    Part {
        folder: "",
        may_use: &[
            "duplicati-engine",
            "duplicati-backends",
            "duplicati-actors",
            "duplicati-api",
            "duplicati-programs-common",
            "duplicati-cli",
            "duplicati-testkit",
            "duplicati-parsers",
        ],
        never: &[],
    },
];

/// A dependency by its name and the kind of its section.
struct Dependency {
    name: String,
    for_tests: bool,
}

/// Reads the sections of a `Cargo.toml`; this repository writes one dependency on a line.
fn dependencies(text: &str) -> Vec<Dependency> {
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            if let Some((above, name)) = section.rsplit_once("dependencies.") {
                found.push(Dependency {
                    name: name.to_owned(),
                    for_tests: above.ends_with("dev-"),
                });
            }
        } else if section.ends_with("dependencies")
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
        {
            found.push(Dependency {
                name: name.to_owned(),
                for_tests: section.ends_with("dev-dependencies"),
            });
        }
    }
    found
}

fn complaints(path: &str, text: &str) -> Vec<String> {
    let part = PARTS.iter().find(|part| path.starts_with(part.folder)).unwrap();
    let mut complaints = Vec::new();
    for Dependency { name, for_tests } in dependencies(text) {
        let allowed = part.may_use.contains(&name.as_str()) || for_tests && name == "duplicati-testkit";
        if name.starts_with("duplicati-") && !allowed {
            complaints.push(format!(
                "{path}: {name} lies on the wrong side of {}",
                part.folder
            ));
        }
        let never = part
            .never
            .iter()
            .any(|word| name == *word || name.starts_with(&format!("{word}-")));
        if never && !for_tests {
            complaints.push(format!("{path}: {} does not know {name}", part.folder));
        }
    }
    complaints
}

#[test]
fn every_arrow_between_crates_points_the_right_way() {
    let manifests = files(&["Cargo.toml"]);
    let complaints: Vec<_> = manifests
        .iter()
        .filter(|file| file.path != "Cargo.toml")
        .flat_map(|file| complaints(&file.path, &file.text))
        .collect();
    assert_none(&complaints);
}

#[test]
fn a_wrong_arrow_is_found_in_every_way_of_writing_it() {
    for text in [
        "[dependencies]\nduplicati-actors.workspace = true",
        "[dependencies]\nduplicati-actors = { path = \"../actors\" }",
        "[dependencies.duplicati-actors]\nworkspace = true",
        "[target.'cfg(unix)'.dependencies]\ntokio = \"1\"",
        "[build-dependencies]\ntokio-util.workspace = true",
    ] {
        assert_eq!(complaints("engine/Cargo.toml", text).len(), 1, "{text}");
    }
    let fine = "[dev-dependencies]\nduplicati-testkit.workspace = true\ntokio.workspace = true";
    assert!(complaints("engine/Cargo.toml", fine).is_empty());
}

/// What a folder of the engine must not import from another: nouns do not know verbs.
const ENGINE_FOLDERS: [(&str, &[&str]); 5] = [
    (
        "format",
        &[
            "repository",
            "index",
            "snapshot",
            "restore",
            "compaction",
            "source",
            "retention",
            "chunking",
            "hashing",
            "compression",
            "storage",
        ],
    ),
    ("crypto", &["chunking", "hashing", "compression", "repository"]),
    ("chunking", &["crypto", "hashing", "compression", "repository"]),
    ("retention", &["repository", "storage", "snapshot", "source"]),
    (
        "storage",
        &[
            "repository",
            "format",
            "crypto",
            "index",
            "snapshot",
            "restore",
            "compaction",
        ],
    ),
];

#[test]
fn folders_of_the_engine_import_only_what_lies_below_them() {
    let mut found = Vec::new();
    for file in files(&[".rs"]) {
        for (folder, never) in ENGINE_FOLDERS {
            if !file.path.starts_with(&format!("engine/src/{folder}/")) {
                continue;
            }
            // Tests may use everything.
            let code = file.text.split("#[cfg(test)]").next().unwrap();
            for other in never {
                let direct = format!("crate::{other}");
                let grouped = format!("\n    {other}::");
                if code.contains(&direct) || code.contains("use crate::{") && code.contains(&grouped) {
                    found.push(format!("{}: {folder} does not know {other}", file.path));
                }
            }
        }
    }
    assert_none(&found);
}

#[test]
fn every_crate_is_listed_in_the_workspace() {
    let workspace = read("Cargo.toml");
    let mut missing = Vec::new();
    for file in files(&["/Cargo.toml", "Cargo.toml"]) {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else {
            continue;
        };
        // A folder with its own workspace says so.
        if !workspace.contains(&format!("\"{folder}\"")) && !file.text.contains("[workspace]") {
            missing.push(format!("{folder} is not a member of the workspace"));
        }
    }
    assert_none(&missing);
}
