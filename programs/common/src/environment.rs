// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the process finds around itself, handed in as a value so that tests need no real environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Environment variables, user and places. Has no `Debug`: variables hold passphrases.
#[derive(Clone)]
pub struct Environment {
    pub variables: BTreeMap<OsString, OsString>,
    pub user_id: u32,
    pub current_folder: PathBuf,
    /// Where the running program lies; portable mode keeps its data there.
    pub program_folder: PathBuf,
    /// The root of the file system; another folder in tests.
    pub system_root: PathBuf,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn from_process() -> Self {
        let program_folder = std::env::current_exe()
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned))
            .unwrap_or_default();
        Self {
            variables: std::env::vars_os().collect(),
            user_id: rustix::process::geteuid().as_raw(),
            current_folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            program_folder,
            system_root: PathBuf::from("/"),
        }
    }

    /// A variable, if it is set to something.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    #[cfg(test)]
    pub(crate) fn for_tests(root: &Path) -> Self {
        Self {
            variables: BTreeMap::new(),
            user_id: rustix::process::geteuid().as_raw(),
            current_folder: root.join("cwd"),
            program_folder: root.join("program"),
            system_root: root.to_owned(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
}
