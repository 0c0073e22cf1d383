// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kinds of stores of secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::pass::Pass;
use super::secret_file::SecretFile;
use crate::destination::Destination;
use crate::environment::Environment;
use crate::error_id::{UserError, ids};

/// What can be asked for secrets, with the form of its address.
pub const AVAILABLE: [(&str, &str); 3] = [
    ("env", "env:// (environment variables)"),
    (
        "file-secret",
        "file-secret:///path?passphrase=… (a JSON object, plain, or sealed with age or AES Crypt)",
    ),
    ("pass", "pass:// (the password store of the program pass)"),
];

/// What Duplicati can ask and this program cannot, with the reason.
const REFUSED: [(&str, &str); 7] = [
    (
        "libsecret",
        "a keyring is open only while its user is signed in, and this program is mostly run without one",
    ),
    ("hcv", "the client of HashiCorp Vault is not part of this version"),
    (
        "awssm",
        "the client of AWS Secrets Manager is not part of this version",
    ),
    (
        "gcsm",
        "the client of Google Secret Manager is not part of this version",
    ),
    (
        "azkv",
        "the client of Azure Key Vault is not part of this version",
    ),
    ("wincred", "it belongs to Windows"),
    ("keychain", "it belongs to macOS"),
];

/// An open store of secrets.
pub(super) enum Provider {
    Environment(BTreeMap<OsString, OsString>),
    /// What could not be opened is told when a secret is asked for, so that a cache can stand in.
    File(Result<SecretFile, UserError>),
    Pass(Pass),
}

impl Provider {
    pub(super) fn open(url: &SecretString, environment: &Environment) -> Result<Self, UserError> {
        let text = url.expose_secret();
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(unusable(
                "the value of --secret-provider is not a URL such as env:// or file-secret:///path",
            ));
        };
        let scheme = scheme.to_ascii_lowercase();
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == scheme) {
            return Err(unusable(format!(
                "secrets cannot be taken from {scheme}://, because {reason}; there are {}",
                available()
            )));
        }
        match scheme.as_str() {
            "env" => Ok(Self::Environment(environment.variables.clone())),
            "pass" => Ok(Self::Pass(Pass::new())),
            "file-secret" => {
                let address = Destination::parse(text.as_ref(), &environment.current_folder)
                    .map_err(|error| unusable(format!("--secret-provider: {}", error.message)))?;
                Ok(Self::File(SecretFile::open(&address)))
            }
            _ => Err(unusable(format!(
                "there is no store of secrets of kind {:?}; there are {}",
                scheme.chars().take(32).collect::<String>(),
                available()
            ))),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Environment(_) => "env",
            Self::File(_) => "file-secret",
            Self::Pass(_) => "pass",
        }
    }

    /// Asks for a secret; none when the store does not have it.
    pub(super) fn get(&self, name: &str) -> Result<Option<SecretString>, UserError> {
        match self {
            Self::Environment(variables) => super::environment_variables::get(variables, name),
            Self::File(Ok(file)) => Ok(file.get(name)),
            Self::File(Err(error)) => Err(error.clone()),
            Self::Pass(pass) => pass.get(name),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.kind())
    }
}

fn available() -> String {
    AVAILABLE.map(|(_, text)| text).join(", ")
}

pub(super) fn unusable(message: impl Into<String>) -> UserError {
    UserError::failed(ids::SECRET_PROVIDER_FAILED, message)
}
