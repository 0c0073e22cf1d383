// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the lines that a program prints mean: changed options, and lines for the log.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Notice, Weight};
use crate::options::parse::split_option;

/// An option that a program wants changed.
#[derive(Clone, PartialEq, Eq)]
pub struct OptionChange {
    /// Lower case, without dashes.
    pub name: String,
    pub value: Option<OsString>,
}

/// Names only: values may be secret.
impl std::fmt::Debug for OptionChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name)
    }
}

#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) changes: Vec<OptionChange>,
    pub(super) notices: Vec<Notice>,
}

/// The most lines of one program that have an effect; a program that prints more has lost its way.
const LINES_MAX: usize = 10_000;

/// Names that describe the event and cannot be changed.
const FIXED: [&str; 3] = ["eventname", "operationname", "main-action"];

pub(super) fn read(stdout: &[u8]) -> Read {
    let mut read = Read::default();
    for line in stdout.split(|byte| *byte == b'\n').take(LINES_MAX) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if line.starts_with(b"--") {
            if let Ok(Some((name, value))) = split_option(OsStr::from_bytes(line))
                && !FIXED.contains(&name.as_str())
            {
                read.changes.push(OptionChange { name, value });
            }
            continue;
        }
        let text = String::from_utf8_lossy(line);
        let marks = [
            ("LOG:INFO ", Weight::Information),
            ("LOG:WARN ", Weight::Warning),
            ("LOG:ERROR ", Weight::Error),
        ];
        let marked = marks
            .iter()
            .find_map(|(mark, weight)| Some((text.strip_prefix(mark)?, *weight)));
        let (message, weight) = marked.unwrap_or((&text, Weight::Verbose));
        read.notices
            .push(Notice::new(weight, "ScriptOutput", message.trim()));
    }
    read
}
