// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Nothing in the repository names a certain machine: no home folders, no private mirrors of registries.

use regex::Regex;

use crate::tree::{assert_none, files, read};

/// What only exists on somebody's machine. The pieces are joined here so that this file does not find itself.
fn patterns() -> Vec<(Regex, &'static str)> {
    let pattern = |pieces: &[&str]| Regex::new(&pieces.concat()).unwrap();
    vec![
        (pattern(&["/ro", "ot/[.a-z]"]), "the folder of a user"),
        (
            pattern(&[r"(^|[^A-Za-z0-9_./-])/wo", "rk/"]),
            "a folder of one machine",
        ),
        (pattern(&["/tmp/bash", "_"]), "a folder of one machine"),
        (
            pattern(&[
                "(?i)https?://[a-z0-9.-]*(mirror|artifactory|nexus|verdaccio|pypi",
                "server|proxy)[a-z0-9.-]*",
            ]),
            "a private mirror",
        ),
        (pattern(&["(?i)replace", "-with *="]), "a replaced registry"),
        (
            pattern(&["(?i)(extra-)?index", "-url"]),
            "a registry of one place",
        ),
    ]
}

fn complaints(path: &str, text: &str) -> Vec<String> {
    let patterns = patterns();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (pattern, what) in &patterns {
            if let Some(hit) = pattern.find(line) {
                found.push(format!("{path}:{}: {:?} is {what}", number + 1, hit.as_str()));
            }
        }
    }
    found
}

#[test]
fn nothing_names_a_certain_machine() {
    let found: Vec<_> = files(&[])
        .iter()
        .flat_map(|file| complaints(&file.path, &file.text))
        .collect();
    assert_none(&found);
}

#[test]
fn names_of_machines_are_found() {
    let bad = [
        "cd /ro",
        "ot/.cargo\ncp /wo",
        "rk/x y\nhttps://crates-mi",
        "rror.example/index",
    ]
    .concat();
    assert_eq!(complaints("x", &bad).len(), 3);
    assert!(complaints("x", "chroot/x, network/y, https://example.org").is_empty());
}

#[test]
fn every_locked_crate_comes_from_the_public_registry() {
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let lock = read("Cargo.lock");
    let other: Vec<_> = lock
        .lines()
        .filter(|line| line.starts_with("source = ") && *line != public)
        .map(str::to_owned)
        .collect();
    assert_none(&other);
}
