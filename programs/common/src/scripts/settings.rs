// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which programs run around an operation, and how long each may take.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::verdict::Event;
use crate::options::Options;

/// The longest value of `run-script-…` that is taken apart into words, bytes.
const COMMAND_LINE_BYTES_MAX: usize = 64 << 10;

/// One program of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub event: Event,
    /// Whether its failure forbids the operation.
    pub required: bool,
    /// A path, or a command line.
    pub value: PathBuf,
    pub option: &'static str,
}

impl Script {
    /// The program as messages name it: without arguments, which may hold a secret.
    pub fn name(&self) -> String {
        let text = self.value.to_string_lossy();
        let first = text.split_whitespace().next().unwrap_or_default();
        format!("{first} (--{})", self.option)
    }
}

/// What the options say about scripts.
#[derive(Debug, Clone)]
pub struct ScriptSettings {
    pub before_required: Option<Script>,
    pub before: Option<Script>,
    pub post_backup: Option<Script>,
    pub after: Option<Script>,
    /// None waits for ever.
    pub timeout: Option<Duration>,
    pub with_arguments: bool,
    /// Whether the result file is JSON.
    pub result_as_json: bool,
}

impl ScriptSettings {
    /// Reads the options; nothing when the module is switched off.
    pub fn from_options(options: &Options) -> Self {
        let is_off = options
            .list("disable-module")
            .iter()
            .any(|name| name.eq_ignore_ascii_case("runscript"));
        let script = |option: &'static str, event, required| {
            let value = options.path(option).filter(|_| !is_off)?;
            Some(Script {
                event,
                required,
                value: value.to_owned(),
                option,
            })
        };
        let timeout = options
            .timespan("run-script-timeout")
            .unwrap_or_default()
            .to_duration();
        Self {
            before_required: script("run-script-before-required", Event::Before, true),
            before: script("run-script-before", Event::Before, false),
            post_backup: script("run-script-post-backup", Event::PostBackup, false),
            after: script("run-script-after", Event::After, false),
            timeout: (!timeout.is_zero()).then_some(timeout),
            with_arguments: options.bool("run-script-with-arguments"),
            result_as_json: options.string("run-script-result-output-format") == Some("Json"),
        }
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.before_required.is_none()
            && self.before.is_none()
            && self.post_backup.is_none()
            && self.after.is_none()
    }

    /// The words to start a program with.
    pub(super) fn command_line(&self, script: &Script) -> Result<Vec<OsString>, String> {
        if !self.with_arguments {
            return Ok(vec![script.value.clone().into_os_string()]);
        }
        let words = split_words(script.value.as_os_str())?;
        if words.is_empty() {
            return Err("the command line is empty".to_owned());
        }
        Ok(words)
    }
}

/// Takes a command line apart at spaces outside of quotes. A backslash makes the next character ordinary, except between single quotes; no
/// variables, no pipes: whoever needs a shell names one.
fn split_words(line: &OsStr) -> Result<Vec<OsString>, String> {
    let bytes = line.as_bytes();
    if bytes.len() > COMMAND_LINE_BYTES_MAX {
        return Err(format!(
            "the command line is longer than {COMMAND_LINE_BYTES_MAX} bytes"
        ));
    }
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        match (byte, quote) {
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, Some(open)) if byte == open => quote = None,
            (b'\\', None | Some(b'"')) => {
                let next = rest
                    .next()
                    .ok_or_else(|| "the command line ends with a backslash".to_owned())?;
                word.get_or_insert_default().push(next);
            }
            (b' ' | b'\t' | b'\n', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    if quote.is_some() {
        return Err("a quote in the command line is not closed".to_owned());
    }
    words.extend(word);
    Ok(words
        .into_iter()
        .map(|word| OsStr::from_bytes(&word).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, String> {
        let words = split_words(OsStr::new(line))?;
        Ok(words
            .into_iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect())
    }

    #[test]
    fn quotes_and_backslashes_keep_words_together() {
        assert_eq!(
            words(r#"/bin/x  a\ b 'c "d' "e\"f" ''"#),
            Ok(["/bin/x", "a b", "c \"d", "e\"f", ""].map(str::to_owned).to_vec())
        );
        assert!(words("/bin/x 'open").is_err());
        assert!(words("/bin/x \\").is_err());
        assert_eq!(words("  "), Ok(vec![]));
    }
}
