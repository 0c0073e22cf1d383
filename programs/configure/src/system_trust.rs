// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What this machine trusts: a folder of certificates, and a program that makes the list which other programs read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use duplicati_api::https::certificate::Facts;
use duplicati_programs_common::{Environment, UserError, error_id::ids};

/// The folders of the distributions, with the program that makes the list.
const FOLDERS: [(&str, &str); 3] = [
    ("usr/local/share/ca-certificates", "update-ca-certificates"),
    ("etc/pki/ca-trust/source/anchors", "update-ca-trust"),
    ("etc/ca-certificates/trust-source/anchors", "update-ca-trust"),
];
/// Digits of the hash that a file is named by.
const NAME_DIGITS: usize = 8;
/// Where these programs are, whatever the search path of the caller is.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The folder and the program of this machine.
pub struct SystemTrust {
    folder: PathBuf,
    /// None when the user named a folder that no program of ours looks after.
    program: Option<&'static str>,
}

impl SystemTrust {
    /// A folder that the user named, or that of the distribution.
    pub fn new(folder: Option<PathBuf>, environment: &Environment) -> Self {
        let known = FOLDERS.map(|(folder, program)| (environment.system_root.join(folder), program));
        if let Some(folder) = folder {
            let folder = environment.current_folder.join(folder);
            let program = known
                .iter()
                .find(|(known, _)| *known == folder)
                .map(|(_, program)| *program);
            return Self { folder, program };
        }
        let [debian, others @ ..] = known;
        let (folder, program) = others
            .into_iter()
            .find(|(folder, _)| folder.is_dir() && !debian.0.is_dir())
            .unwrap_or(debian);
        Self {
            folder,
            program: Some(program),
        }
    }

    /// The file of an authority.
    pub fn file(&self, facts: &Facts) -> PathBuf {
        let digits: String = facts.sha256.chars().take(NAME_DIGITS).collect();
        self.folder
            .join(format!("duplicati-local-ca-{}.crt", digits.to_ascii_lowercase()))
    }

    pub fn has(&self, facts: &Facts) -> bool {
        self.file(facts).is_file()
    }

    /// Whether it can be changed.
    pub fn check(&self) -> Result<(), UserError> {
        let probe = self.folder.join(format!(".duplicati-{}", std::process::id()));
        let tried = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe));
        tried.map_err(|error| {
            UserError::invalid_command_line(
                ids::CERTIFICATE_UNUSABLE,
                format!(
                    "what this machine trusts cannot be changed ({}: {error}); run this as root, or leave it alone with --no-trust",
                    self.folder.display()
                ),
            )
        })
    }

    /// Trusts an authority.
    pub fn add(&self, facts: &Facts, pem: &str) -> Result<(), UserError> {
        let file = self.file(facts);
        fs::write(&file, pem).map_err(|error| failed(&file, &error.to_string()))?;
        self.update()
    }

    /// Trusts an authority no more.
    pub fn remove(&self, facts: &Facts) -> Result<(), UserError> {
        let file = self.file(facts);
        match fs::remove_file(&file) {
            Ok(()) => self.update(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&file, &error.to_string())),
        }
    }

    fn update(&self) -> Result<(), UserError> {
        let Some(program) = self.program else {
            return Ok(());
        };
        let output = Command::new("/usr/bin/env")
            .arg(program)
            .env("PATH", SEARCH_PATH)
            .stdin(Stdio::null())
            .output();
        let said = match &output {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        Err(failed(Path::new(program), &said))
    }
}

fn failed(what: &Path, reason: &str) -> UserError {
    UserError::failed(
        ids::CERTIFICATE_UNUSABLE,
        format!(
            "the certificate is stored, but this machine does not trust it: {}: {reason}",
            what.display()
        ),
    )
}
