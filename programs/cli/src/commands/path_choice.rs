// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which stored paths a command is about: its arguments, and among them what includes and excludes leave.

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use duplicati_engine::{
    restore::Selection,
    source::filter::{RuleKind, SourceFilter},
};

use crate::{
    failure::{Outcome, wrong_arguments},
    invocation::Invocation,
};

/// What the arguments name.
#[derive(Clone)]
enum Named {
    Everything,
    /// Absolute paths; each stands for itself and everything below. Nothing else needs to be walked.
    Paths(Vec<Vec<u8>>),
    Matching(SourceFilter),
}

/// Decides about stored paths.
#[derive(Clone)]
pub struct PathChoice {
    given: SourceFilter,
    named: Named,
}

impl PathChoice {
    /// The choice that arguments and options make together.
    pub fn new(invocation: &Invocation, arguments: &[OsString]) -> Outcome<Self> {
        Ok(Self {
            given: invocation.source_filter()?,
            named: named(invocation, arguments)?,
        })
    }

    /// Whether nothing is left out.
    pub fn takes_everything(&self) -> bool {
        self.given.is_empty() && matches!(self.named, Named::Everything)
    }

    /// Decides about an absolute path; a folder's ends with `/`.
    pub fn select(&self, path: &[u8]) -> Selection {
        let named = match &self.named {
            Named::Everything => Selection::Take,
            Named::Paths(paths) => select_by_paths(paths, path),
            Named::Matching(filter) => select_by_filter(filter, path),
        };
        match (named, select_by_filter(&self.given, path)) {
            (Selection::Leave, _) | (_, Selection::Leave) => Selection::Leave,
            (Selection::Below, _) | (_, Selection::Below) => Selection::Below,
            (Selection::Take, Selection::Take) => Selection::Take,
        }
    }
}

fn named(invocation: &Invocation, arguments: &[OsString]) -> Outcome<Named> {
    if arguments.is_empty() {
        return Ok(Named::Everything);
    }
    if arguments.iter().all(|argument| is_path(argument.as_bytes())) {
        let trimmed = |argument: &OsString| {
            let bytes = argument.as_bytes();
            let end = bytes
                .iter()
                .rposition(|byte| *byte != b'/')
                .map_or(0, |last| last + 1);
            bytes[..end].to_vec()
        };
        return Ok(Named::Paths(arguments.iter().map(trimmed).collect()));
    }
    let mut texts = Vec::new();
    for argument in arguments {
        let text = argument.to_str().ok_or_else(|| {
            wrong_arguments("an argument is not valid UTF-8; write a ? for each byte that is not")
        })?;
        texts.extend(expressions(text));
    }
    let rules = texts.iter().map(|text| (RuleKind::Include, text.as_str()));
    Ok(Named::Matching(invocation.filter_of(rules)?))
}

/// Whether an argument is a whole path, without anything that has a meaning in filters.
fn is_path(argument: &[u8]) -> bool {
    let has_meaning = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'{' | b'%');
    argument.first() == Some(&b'/') && !argument.iter().any(has_meaning)
}

/// What an argument means as filter expressions. A bare name is looked for in all folders, and a folder means its content as well.
fn expressions(argument: &str) -> Vec<String> {
    let is_literal = argument.starts_with('@');
    if is_literal || argument.contains(['*', '?', '[', '{']) {
        return vec![argument.to_owned()];
    }
    let path = argument.trim_end_matches('/');
    let base = if path.contains('/') {
        path.to_owned()
    } else {
        format!("*/{path}")
    };
    vec![format!("{base}/"), format!("{base}/*"), base]
}

fn select_by_paths(paths: &[Vec<u8>], path: &[u8]) -> Selection {
    let (bare, is_folder) = match path.strip_suffix(b"/") {
        Some(bare) => (bare, true),
        None => (path, false),
    };
    let is_at_or_below = |below: &[u8], above: &[u8]| {
        below
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    if paths.iter().any(|wanted| is_at_or_below(bare, wanted)) {
        Selection::Take
    } else if is_folder && paths.iter().any(|wanted| is_at_or_below(wanted, bare)) {
        Selection::Below
    } else {
        Selection::Leave
    }
}

fn select_by_filter(filter: &SourceFilter, path: &[u8]) -> Selection {
    let decision = filter.decide(path);
    if decision.is_included() {
        Selection::Take
    } else if decision.may_enter() && path.last() == Some(&b'/') {
        Selection::Below
    } else {
        Selection::Leave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_mean_any_folder_and_folders_mean_their_content() {
        assert_eq!(expressions("x.txt"), ["*/x.txt/", "*/x.txt/*", "*/x.txt"]);
        assert_eq!(expressions("a/b/"), ["a/b/", "a/b/*", "a/b"]);
        assert_eq!(expressions("@x.txt"), ["@x.txt"]);
        assert_eq!(expressions("*.txt"), ["*.txt"]);
    }

    #[test]
    fn named_paths_lead_to_themselves_and_nowhere_else() {
        let paths = [b"/home/me".to_vec()];
        let select = |path: &str| select_by_paths(&paths, path.as_bytes());
        assert_eq!(select("/home/"), Selection::Below);
        assert_eq!(select("/home/me/"), Selection::Take);
        assert_eq!(select("/home/me/x"), Selection::Take);
        assert_eq!(select("/home/me2/"), Selection::Leave);
        assert_eq!(select("/home"), Selection::Leave);
        assert_eq!(select_by_paths(&[Vec::new()], b"/any"), Selection::Take);
    }
}
