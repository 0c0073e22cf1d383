// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The options that this program alone has.

use std::{ffi::OsString, time::Duration};

use duplicati_programs_common::{
    UserError,
    error_id::ids,
    value::{SizeUnit, Timespan, parse_boolean, parse_size},
};

/// What to test, and how hard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub reruns: u32,
    pub extended_chars: bool,
    pub number_of_files: u32,
    pub min_file_size: u64,
    pub max_file_size: u64,
    pub min_filename_length: usize,
    pub max_filename_length: usize,
    pub auto_create_folder: bool,
    pub skip_overwrite_test: bool,
    pub auto_clean: bool,
    pub force: bool,
    pub wait_after_upload: Duration,
    pub wait_after_delete: Duration,
    pub failure_retries: u32,
    pub verification_retries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reruns: 5,
            extended_chars: false,
            number_of_files: 10,
            min_file_size: 1 << 10,
            max_file_size: 50 << 20,
            min_filename_length: 5,
            max_filename_length: 80,
            auto_create_folder: false,
            skip_overwrite_test: false,
            auto_clean: false,
            force: false,
            wait_after_upload: Duration::ZERO,
            wait_after_delete: Duration::ZERO,
            failure_retries: 0,
            verification_retries: 3,
        }
    }
}

/// Files of one round; each is kept as a name and a hash.
const FILES_MAX: u32 = 100_000;
/// A file is held in memory while it is tested, bytes.
const FILE_SIZE_MAX: u64 = 1 << 30;
/// Names longer than this fit no file system.
const NAME_LENGTH_MAX: usize = 255;

impl Settings {
    /// Takes this program's options out of the arguments; the rest is that of the destination.
    pub fn take(arguments: Vec<OsString>) -> Result<(Self, Vec<OsString>), UserError> {
        let mut settings = Self::default();
        let mut rest = Vec::new();
        for argument in arguments {
            let text = argument.to_str().and_then(|text| text.strip_prefix("--"));
            let taken = match text {
                Some(text) => {
                    let (name, value) = text.split_once('=').unwrap_or((text, ""));
                    settings.set(&name.to_lowercase(), value)?
                }
                None => false,
            };
            if !taken {
                rest.push(argument);
            }
        }
        settings.check()?;
        Ok((settings, rest))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<bool, UserError> {
        let number = || {
            value
                .trim()
                .parse::<u32>()
                .map_err(|_| invalid(name, "a whole number"))
        };
        let size = || parse_size(value, SizeUnit::Kilobytes).map_err(|error| invalid(name, &error.accepted));
        let time = || {
            Timespan::parse(value)
                .map(|span| span.to_duration())
                .map_err(|error| invalid(name, &error.accepted))
        };
        match name {
            "reruns" => self.reruns = number()?,
            "extended-chars" => self.extended_chars = parse_boolean(value),
            "number-of-files" => self.number_of_files = number()?,
            "min-file-size" => self.min_file_size = size()?,
            "max-file-size" => self.max_file_size = size()?,
            "min-filename-length" => self.min_filename_length = number()? as usize,
            "max-filename-length" => self.max_filename_length = number()? as usize,
            "auto-create-folder" => self.auto_create_folder = parse_boolean(value),
            "skip-overwrite-test" => self.skip_overwrite_test = parse_boolean(value),
            "auto-clean" => self.auto_clean = parse_boolean(value),
            "force" => self.force = parse_boolean(value),
            "wait-after-upload" => self.wait_after_upload = time()?,
            "wait-after-delete" => self.wait_after_delete = time()?,
            "failure-retries" => self.failure_retries = number()?,
            "verification-retries" => self.verification_retries = number()?,
            // Names made here never begin or end with a space.
            "trim-filename-spaces" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&self) -> Result<(), UserError> {
        let wrong = |message: &str| {
            Err(UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                message,
            ))
        };
        if self.reruns == 0 || self.number_of_files == 0 || self.number_of_files > FILES_MAX {
            return wrong(
                "--reruns and --number-of-files are at least 1, and there are at most 100000 files",
            );
        }
        if self.min_file_size == 0
            || self.min_file_size > self.max_file_size
            || self.max_file_size > FILE_SIZE_MAX
        {
            return wrong("--min-file-size is at least 1 byte, --max-file-size not below it and at most 1gb");
        }
        if self.min_filename_length == 0
            || self.min_filename_length > self.max_filename_length
            || self.max_filename_length > NAME_LENGTH_MAX
        {
            return wrong(
                "--min-filename-length is at least 1, --max-filename-length not below it and at most 255",
            );
        }
        Ok(())
    }

    /// The help text.
    pub fn help() -> String {
        "\
Usage: duplicati-backend-tester <URL> [options]

Uploads random files to an empty folder, lists, downloads, compares and deletes them, and asks for one that is missing.
Exit codes: 0 all passed, 1 something failed.

  --reruns=5                    rounds
  --number-of-files=10          files in each round
  --min-file-size=1kb           --max-file-size=50mb
  --min-filename-length=5       --max-filename-length=80
  --extended-chars              also uses spaces, signs and letters beyond ASCII in names
  --auto-create-folder          makes a missing folder
  --auto-clean --force          both together: erases the files of a folder that is not empty
  --skip-overwrite-test         does not write one file twice
  --wait-after-upload=0s        --wait-after-delete=0s
  --failure-retries=0           tries again a request that failed
  --verification-retries=3      looks again when a listing is not right yet

All options of the destination may be given as well, as for duplicati-cli.
"
        .to_owned()
    }
}

fn invalid(name: &str, accepted: &str) -> UserError {
    UserError::invalid_command_line(
        ids::INVALID_OPTION_VALUE,
        format!("the value of the option --{name} is not {accepted}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(arguments: &[&str]) -> Result<(Settings, Vec<OsString>), UserError> {
        Settings::take(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn own_options_are_taken_and_others_left() {
        let (settings, rest) = take(&[
            "--Reruns=2",
            "s3://b",
            "--use-ssl",
            "--force",
            "--max-file-size=2mb",
        ])
        .unwrap();
        assert_eq!(
            (settings.reruns, settings.force, settings.max_file_size),
            (2, true, 2 << 20)
        );
        assert_eq!(rest, ["s3://b", "--use-ssl"]);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for option in [
            "--reruns=0",
            "--reruns=x",
            "--min-file-size=60mb",
            "--max-filename-length=4",
            "--wait-after-upload=soon",
        ] {
            assert!(take(&[option]).is_err(), "{option}");
        }
    }
}
