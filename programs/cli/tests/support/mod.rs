// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs the real program in a temporary world of its own: home, sources, destination.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod servers;

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A home folder, a source with two files, and a place for a destination.
pub struct World {
    folder: tempfile::TempDir,
}

/// What a call of the program left.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The lines of standard output as JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the line {line:?}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Checks the exit code, and shows everything when it is another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Checks for a failure with an id.
    #[track_caller]
    pub fn expect_error(self, code: i32, id: &str) -> Self {
        let outcome = self.expect(code);
        assert!(
            outcome
                .stderr
                .lines()
                .any(|line| line == format!("ErrorID: {id}")),
            "{}",
            outcome.stderr
        );
        outcome
    }
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder };
        std::fs::create_dir_all(world.source().join("sub")).unwrap();
        std::fs::write(world.source().join("a.txt"), "hello\n").unwrap();
        std::fs::write(world.source().join("sub/b.bin"), vec![7_u8; 300_000]).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    pub fn destination(&self) -> PathBuf {
        self.path("destination")
    }

    pub fn data_folder(&self) -> PathBuf {
        self.path("home/.config/Duplicati")
    }

    /// The program with an environment that knows nothing of the user who runs the tests.
    pub fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_duplicati-cli"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TZ", "UTC")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program as it is.
    pub fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Outcome {
        outcome(self.command(arguments).output().unwrap())
    }

    /// Runs the program with something on standard input.
    pub fn run_with_input(&self, arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        outcome(child.wait_with_output().unwrap())
    }

    /// Runs a command on the destination of this world, with its passphrase and further arguments.
    pub fn on_destination(&self, command: &str, more: &[&str]) -> Outcome {
        let destination = self.destination();
        let mut arguments = vec![command, destination.to_str().unwrap(), "--passphrase=secret"];
        arguments.extend(more);
        self.run(&arguments)
    }

    /// Backs up the source of this world.
    pub fn backup(&self, more: &[&str]) -> Outcome {
        let source = self.source();
        let mut arguments = vec![source.to_str().unwrap()];
        arguments.extend(more);
        self.on_destination("backup", &arguments)
    }
}

fn outcome(output: Output) -> Outcome {
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Every file below a folder with its content, for "nothing changed".
pub fn inventory(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// Changes one bit in the middle of a stored file.
pub fn flip(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mut content = std::fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(path, content).unwrap();
}
