// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The parts of a destination that choose a store, already decoded and typed.

use std::{ffi::OsString, sync::Arc};

use duplicati_engine::storage::ObjectKind;
use secrecy::SecretString;

use crate::{options::StoreOptions, registry::OpenError, transfer::Limits};

/// The prefix that stands for the target itself; any other one is a sub-folder, so that several repositories share a target.
pub const DEFAULT_PREFIX: &str = "duplicati";

/// Longest prefix accepted; well below what any target allows for one folder name.
const PREFIX_LENGTH_MAX: usize = 128;

/// The parts of a destination URL that choose a store, with the options that apply to it.
#[derive(Debug, Clone)]
pub struct StoreAddress {
    /// The word before `://`, lower case.
    pub scheme: String,
    /// Who signs in: from the URL, else from `auth-username`.
    pub user: Option<String>,
    /// With what: from the URL, else from `auth-password`.
    pub password: Option<SecretString>,
    /// The host, or the bucket or container; its case is kept. Empty for `file`.
    pub host: String,
    /// The port, where the URL names one.
    pub port: Option<u16>,
    /// For `file` the path of the folder, as bytes because a path need not be UTF-8. For all others what follows the host,
    /// decoded and without its leading `/`.
    pub path: OsString,
    /// [`DEFAULT_PREFIX`], or the name of a sub-folder.
    pub prefix: String,
    /// Options of the URL, and those of the command line that the URL does not name.
    pub options: StoreOptions,
    /// How fast bytes may move; shared with whoever changes that while transfers run.
    pub limits: Arc<Limits>,
}

impl Default for StoreAddress {
    fn default() -> Self {
        Self {
            scheme: String::new(),
            user: None,
            password: None,
            host: String::new(),
            port: None,
            path: OsString::new(),
            prefix: DEFAULT_PREFIX.to_owned(),
            options: StoreOptions::default(),
            limits: Arc::default(),
        }
    }
}

impl StoreAddress {
    /// The address of a local folder under the default prefix.
    pub fn local(path: impl Into<OsString>) -> Self {
        Self {
            scheme: "file".to_owned(),
            path: path.into(),
            ..Self::default()
        }
    }

    /// The sub-folder that the prefix stands for; none for the default.
    pub fn sub_folder(&self) -> Result<Option<&str>, OpenError> {
        let prefix = self.prefix.as_str();
        if prefix == DEFAULT_PREFIX {
            return Ok(None);
        }
        let is_kind_folder = ObjectKind::ALL.into_iter().any(|kind| kind.folder() == prefix);
        let is_one_component = !prefix.contains(['/', '\0']) && prefix != "." && prefix != "..";
        if prefix.is_empty() || prefix.len() > PREFIX_LENGTH_MAX || is_kind_folder || !is_one_component {
            return Err(OpenError::InvalidPrefix {
                prefix: prefix.chars().take(PREFIX_LENGTH_MAX).collect(),
            });
        }
        Ok(Some(prefix))
    }

    /// The folder of the repository at a remote target: path and prefix as one relative path without `/` at either end,
    /// empty for the root. A path that is not UTF-8, or that climbs, is refused.
    pub fn remote_folder(&self, scheme: &'static str) -> Result<String, OpenError> {
        let invalid = |message: &str| OpenError::InvalidPath {
            scheme,
            path: self.path.to_string_lossy().into_owned(),
            message: message.to_owned(),
        };
        let path = self
            .path
            .to_str()
            .ok_or_else(|| invalid("names at this kind of target are UTF-8"))?;
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..")) || path.contains('\0') {
            return Err(invalid(
                "a path at a target holds no '.' or '..' and no zero byte",
            ));
        }
        parts.extend(self.sub_folder()?);
        Ok(parts.join("/"))
    }
}
