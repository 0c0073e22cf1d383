// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the passphrase or key comes from: options, environment, an identity file, standard input, or the terminal.

use std::io::{IsTerminal, Read};

use duplicati_engine::crypto::key_file::{KeyHolder, Unlock};
use duplicati_programs_common::{Options, error_id::ids};
use secrecy::{ExposeSecret, SecretString};

use crate::failure::{Outcome, failed};

/// Longest passphrase read from standard input, bytes.
const PASSPHRASE_BYTES_MAX: usize = 16 << 10;
/// Longest identity file, bytes.
const IDENTITY_BYTES_MAX: u64 = 1 << 20;

/// The kind of question to ask at the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Existing,
    New,
}

/// Whether the options turn encryption off.
pub fn is_unencrypted(options: &Options) -> bool {
    options.bool("no-encryption")
        || (options.is_given("encryption-module")
            && options.string("encryption-module").is_some_and(str::is_empty))
}

/// What opens an existing repository; none without encryption.
pub fn unlock(options: &Options) -> Outcome<Option<Unlock>> {
    if is_unencrypted(options) {
        return Ok(None);
    }
    if let Some(path) = options.path("identity") {
        return read_identity(path).map(Some);
    }
    passphrase(options, Question::Existing).map(|passphrase| Some(Unlock::Passphrase(passphrase)))
}

/// Who may open a new repository; none without encryption.
pub fn holder(options: &Options) -> Outcome<Option<KeyHolder>> {
    if is_unencrypted(options) {
        return Ok(None);
    }
    if let Some(recipient) = recipient(options) {
        return Ok(Some(recipient));
    }
    passphrase(options, Question::New).map(|passphrase| Some(KeyHolder::Passphrase(passphrase)))
}

/// The holder that `--recipient` names.
pub fn recipient(options: &Options) -> Option<KeyHolder> {
    let text = options.string("recipient").filter(|text| !text.is_empty())?;
    Some(KeyHolder::Recipients(vec![text.to_owned()]))
}

/// The new passphrase of a key, from its option or the terminal.
pub fn new_passphrase(options: &Options) -> Outcome<SecretString> {
    match options.secret("new-passphrase") {
        Some(given) => not_empty(given.clone()),
        None if may_ask(options) => ask(Question::New),
        None => Err(failed(
            ids::MISSING_PASSPHRASE,
            "no new passphrase was given; use --new-passphrase, or --recipient for a public key",
        )),
    }
}

fn passphrase(options: &Options, question: Question) -> Outcome<SecretString> {
    if let Some(given) = options.secret("passphrase") {
        return not_empty(given.clone());
    }
    if options.bool("force-passphrase-from-stdin") {
        return not_empty(read_line(std::io::stdin().lock())?);
    }
    if may_ask(options) {
        return ask(question);
    }
    Err(failed(
        ids::MISSING_PASSPHRASE,
        "the backup is encrypted and no passphrase was given; use --passphrase, the environment variable PASSPHRASE, \
         --identity or --force-passphrase-from-stdin, or say --no-encryption if the backup shall not be encrypted",
    ))
}

fn may_ask(options: &Options) -> bool {
    let is_off = |name: &String| name.eq_ignore_ascii_case("console-password-input");
    std::io::stdin().is_terminal() && !options.list("disable-module").iter().any(is_off)
}

fn ask(question: Question) -> Outcome<SecretString> {
    let read = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(SecretString::from)
            .map_err(|error| {
                failed(
                    ids::MISSING_PASSPHRASE,
                    format!("failed to read the passphrase from the terminal: {error}"),
                )
            })
    };
    match question {
        Question::Existing => not_empty(read("Passphrase: ")?),
        Question::New => {
            let first = not_empty(read("New passphrase: ")?)?;
            let second = read("Repeat the passphrase: ")?;
            if first.expose_secret() != second.expose_secret() {
                return Err(failed(
                    ids::PASSPHRASE_MISMATCH,
                    "the two passphrases are not the same; nothing was done",
                ));
            }
            Ok(first)
        }
    }
}

fn not_empty(passphrase: SecretString) -> Outcome<SecretString> {
    if passphrase.expose_secret().is_empty() {
        return Err(failed(
            ids::EMPTY_PASSPHRASE,
            "the passphrase is empty; an unencrypted backup needs --no-encryption",
        ));
    }
    Ok(passphrase)
}

/// Reads a line byte by byte, because what follows it may be the data of a backup.
fn read_line(mut input: impl Read) -> Outcome<SecretString> {
    let mut line = Vec::with_capacity(PASSPHRASE_BYTES_MAX);
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == PASSPHRASE_BYTES_MAX => {
                return Err(failed(
                    ids::MISSING_PASSPHRASE,
                    format!("the line on standard input is longer than {PASSPHRASE_BYTES_MAX} bytes"),
                ));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(failed(
                    ids::MISSING_PASSPHRASE,
                    format!("failed to read the passphrase from standard input: {error}"),
                ));
            }
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match String::from_utf8(line) {
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(failed(
            ids::MISSING_PASSPHRASE,
            "the passphrase on standard input is not UTF-8",
        )),
    }
}

fn read_identity(path: &std::path::Path) -> Outcome<Unlock> {
    let unreadable = |reason: &dyn std::fmt::Display| {
        failed(
            ids::INVALID_KEY,
            format!("failed to read the identity file {}: {reason}", path.display()),
        )
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    file.take(IDENTITY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    let text = SecretString::from(text);
    Unlock::from_identity_text(text.expose_secret()).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_standard_input_ends_before_the_data_that_follows() {
        let mut input: &[u8] = b"secret words\r\nDATA";
        let passphrase = read_line(&mut input).unwrap_or_else(|_| panic!("the line is readable"));
        assert_eq!(passphrase.expose_secret(), "secret words");
        assert_eq!(input, b"DATA");
    }

    #[test]
    fn an_endless_line_is_refused() {
        assert!(read_line(std::io::repeat(b'x')).is_err());
    }
}
