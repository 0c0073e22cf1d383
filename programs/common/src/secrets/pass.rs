// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `pass://`: secrets from the password store of the program `pass`. The first line of an entry is its secret.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, Stdio};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::provider::unusable;
use crate::error_id::UserError;

/// The longest entry that is read, bytes.
const ENTRY_BYTES_MAX: u64 = 1 << 20;
/// What the program says of an entry that does not exist.
const MISSING: &str = "is not in the password store";

pub(super) struct Pass {
    program: OsString,
}

impl Pass {
    pub(super) fn new() -> Self {
        Self {
            program: OsString::from("pass"),
        }
    }

    #[cfg(test)]
    pub(super) fn with_program(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<SecretString>, UserError> {
        if name.starts_with('-') {
            return Err(unusable(format!(
                "{name:?} is not the name of an entry of the password store"
            )));
        }
        let failed = |reason: &dyn std::fmt::Display| {
            unusable(format!("failed to read {name:?} with the program pass: {reason}"))
        };
        let mut child = Command::new(&self.program)
            .arg("show")
            .arg(name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut entry = Zeroizing::new(Vec::new());
        if let Some(stdout) = child.stdout.take() {
            let read = stdout.take(ENTRY_BYTES_MAX).read_to_end(&mut entry);
            read.map_err(|error| failed(&error))?;
        }
        let mut complaint = String::new();
        if let Some(stderr) = child.stderr.take() {
            let _unreadable_is_empty = stderr.take(4096).read_to_string(&mut complaint);
        }
        let status = child.wait().map_err(|error| failed(&error))?;
        if !status.success() {
            if complaint.contains(MISSING) {
                return Ok(None);
            }
            return Err(failed(&complaint.trim()));
        }
        let line = entry.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = std::str::from_utf8(line).map_err(|_| failed(&"the entry is not valid UTF-8"))?;
        Ok(Some(SecretString::from(text)))
    }
}
