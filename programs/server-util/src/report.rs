// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is printed: lines of text, or with `--json` one object at the end.

use std::io::Write;

use duplicati_engine::clock::{Clock, SystemClock};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{arguments::Arguments, client::Failure};

/// Exit code of a failure.
const FAILED: u8 = 1;
/// Exit code of a request that cannot be carried out as it stands.
const USER_ERROR: u8 = 2;

/// Collects what a command says.
pub struct Report {
    is_json: bool,
    is_quiet: bool,
    command: &'static str,
    messages: Vec<String>,
    values: Map<String, Value>,
    exit_code: u8,
}

impl Report {
    pub fn new(arguments: &Arguments) -> Self {
        Self {
            is_json: arguments.is_on("json"),
            is_quiet: arguments.is_on("quiet"),
            command: arguments.command,
            messages: Vec::new(),
            values: Map::new(),
            exit_code: 0,
        }
    }

    /// Says something.
    pub fn line(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.is_json && !self.is_quiet {
            print(&format!("{text}\n"));
        }
        self.messages.push(text);
    }

    /// Sets a key of the object.
    pub fn value(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Ends with this code though nothing failed.
    pub fn exit_with(&mut self, code: u8) {
        self.exit_code = code;
    }

    /// Prints the end and gives the exit code.
    pub fn finish(mut self, outcome: Result<(), Failure>) -> u8 {
        let mut exceptions = Vec::new();
        if let Err(failure) = &outcome {
            self.exit_code = if failure.is_of_user { USER_ERROR } else { FAILED };
            exceptions.push(failure.message.clone());
            if !self.is_json {
                print_error(&failure.message);
            }
        }
        if self.is_json {
            let now = SystemClock.now();
            let time = Timestamp::from_second(now.seconds).unwrap_or(Timestamp::UNIX_EPOCH);
            let mut object = json!({
                "Timestamp": time.to_string(), "UnixTimestamp": now.seconds, "Command": self.command,
                "Success": self.exit_code == 0, "ExitCode": self.exit_code, "Messages": self.messages,
                "Exceptions": exceptions,
            });
            if let Value::Object(object) = &mut object {
                object.append(&mut self.values);
            }
            print(&format!("{object:#}\n"));
        }
        self.exit_code
    }
}

/// Prints to standard output.
pub fn print(text: &str) {
    // A reader that has gone is no failure.
    let _seen = std::io::stdout().lock().write_all(text.as_bytes()).is_ok();
}

/// Prints a line to standard error.
pub fn print_error(text: &str) {
    let _seen = writeln!(std::io::stderr().lock(), "{text}").is_ok();
}
