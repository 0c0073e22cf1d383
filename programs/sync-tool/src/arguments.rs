// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command line: `--name value` and `--name=value` both work, as for the other tools of this family.

use std::{ffi::OsString, time::Duration};

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    pub source: String,
    pub destination: String,
    pub source_options: Vec<OsString>,
    pub destination_options: Vec<OsString>,
    pub auto_create_folders: bool,
    pub confirmed: bool,
    pub dry_run: bool,
    pub force: bool,
    pub parse_only: bool,
    pub progress: bool,
    pub retention: bool,
    pub tries: u32,
    pub retry_delay: Duration,
    pub doubles_delay: bool,
    pub verify_contents: bool,
    pub verify_after_put: bool,
}

/// Tries that are made at most, whatever is asked for.
const TRIES_MAX: u32 = 1_000;

const FLAGS: [&str; 11] = [
    "auto-create-folders",
    "backend-retry-with-exponential-backoff",
    "confirm",
    "yes",
    "dry-run",
    "force",
    "parse-arguments-only",
    "progress",
    "retention",
    "verify-contents",
    "verify-get-after-put",
];

impl Arguments {
    /// Reads the arguments; an error is a sentence.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut parsed = Self {
            source: String::new(),
            destination: String::new(),
            source_options: Vec::new(),
            destination_options: Vec::new(),
            auto_create_folders: true,
            confirmed: false,
            dry_run: false,
            force: false,
            parse_only: false,
            progress: false,
            retention: false,
            tries: 4,
            retry_delay: Duration::from_millis(1_000),
            doubles_delay: false,
            verify_contents: false,
            verify_after_put: false,
        };
        let mut urls = Vec::new();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            let long = match argument.as_str() {
                "-y" => "confirm",
                "-d" => "dry-run",
                "-f" => "force",
                other => match other.strip_prefix("--") {
                    Some(long) => long,
                    None if other.starts_with('-') && other.len() > 1 => return Err(unknown(other)),
                    None => {
                        urls.push(other.to_owned());
                        continue;
                    }
                },
            };
            let (name, given) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            if FLAGS.contains(&name) {
                let follows =
                    rest.next_if(|next| given.is_none() && matches!(next.as_str(), "true" | "false"));
                parsed.set_flag(
                    name,
                    given.as_deref().or(follows.map(String::as_str)) != Some("false"),
                );
            } else if matches!(name, "global-options" | "src-options" | "dst-options") {
                let mut pairs: Vec<String> = given.into_iter().collect();
                while let Some(pair) =
                    rest.next_if(|next| !next.starts_with('-') && next.contains('=') && !next.contains("://"))
                {
                    pairs.push(pair.clone());
                }
                parsed.add_options(name, &pairs);
            } else {
                let value = given
                    .or_else(|| rest.next().cloned())
                    .ok_or_else(|| format!("the option --{name} needs a value"))?;
                parsed.set_value(name, &value)?;
            }
        }
        match <[String; 2]>::try_from(urls) {
            Ok([source, destination]) => Ok(Self {
                source,
                destination,
                ..parsed
            }),
            Err(_) => Err("give the URL of the source and the URL of the destination".to_owned()),
        }
    }

    fn set_flag(&mut self, name: &str, value: bool) {
        match name {
            "auto-create-folders" => self.auto_create_folders = value,
            "backend-retry-with-exponential-backoff" => self.doubles_delay = value,
            "confirm" | "yes" => self.confirmed = value,
            "dry-run" => self.dry_run = value,
            "force" => self.force = value,
            "parse-arguments-only" => self.parse_only = value,
            "progress" => self.progress = value,
            "retention" => self.retention = value,
            "verify-contents" => self.verify_contents = value,
            _ => self.verify_after_put = value,
        }
    }

    fn add_options(&mut self, name: &str, pairs: &[String]) {
        for pair in pairs {
            let option = OsString::from(format!("--{}", pair.trim_start_matches('-')));
            if name != "dst-options" {
                self.source_options.push(option.clone());
            }
            if name != "src-options" {
                self.destination_options.push(option);
            }
        }
    }

    fn set_value(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("the value of --{name} is not a whole number"))
        };
        match name {
            // Both count tries of the same request here.
            "retry" | "backend-retries" => {
                self.tries = u32::try_from(number()?).unwrap_or(TRIES_MAX).min(TRIES_MAX - 1) + 1;
            }
            "backend-retry-delay" => self.retry_delay = Duration::from_millis(number()?),
            "log-file" | "log-level" => {
                return Err(format!("the option --{name} is not part of this version"));
            }
            _ => return Err(unknown(&format!("--{name}"))),
        }
        Ok(())
    }
}

fn unknown(option: &str) -> String {
    let shown: String = option
        .chars()
        .take_while(|letter| *letter != '=')
        .take(64)
        .collect();
    format!("unknown option {shown}; 'duplicati-sync-tool --help' lists all")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments, String> {
        Arguments::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn both_spellings_of_values_and_lists_of_options_are_read() {
        let parsed = parse(
            "--global-options a=1 b=2 --dst-options=c=3 /from /to -y --retry 7 --verify-contents=false",
        )
        .unwrap();
        assert_eq!(
            (parsed.source.as_str(), parsed.destination.as_str()),
            ("/from", "/to")
        );
        assert_eq!(parsed.source_options, ["--a=1", "--b=2"]);
        assert_eq!(parsed.destination_options, ["--a=1", "--b=2", "--c=3"]);
        assert!(parsed.confirmed && parsed.tries == 8 && !parsed.verify_contents);
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for text in [
            "/from",
            "/from /to /more",
            "/from /to --frob",
            "/from /to --retry x",
            "/from /to -x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
