// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Secrets kept on disk for times when their provider cannot be reached: an age file in the data folder, sealed with a key made of the provider's
//! address. Whoever knows the address and can read the file could have asked the provider.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::provider::unusable;
use crate::data_folder;
use crate::error_id::UserError;

/// The largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Cost of the key as a power of two: it is made from an address that may hold little that is secret, so guessing must cost.
const SCRYPT_LOG: u8 = 15;
/// Digits of the address's hash in the file name.
const NAME_DIGITS: usize = 12;

pub(super) struct PersistentCache {
    folder: PathBuf,
    path: PathBuf,
    address: SecretString,
}

impl PersistentCache {
    pub(super) fn new(folder: &Path, address: SecretString) -> Self {
        let hash = Sha256::digest(address.expose_secret().as_bytes());
        let mut digits = String::new();
        for byte in hash.iter() {
            digits.push_str(&format!("{byte:02x}"));
        }
        digits.truncate(NAME_DIGITS);
        Self {
            folder: folder.to_owned(),
            path: folder.join(format!("secret-cache-{digits}.json.age")),
            address,
        }
    }

    /// A secret from an earlier run. A cache that cannot be read is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<SecretString> {
        self.read().remove(name).map(SecretString::from)
    }

    /// Keeps a secret, unless it is there already.
    pub(super) fn keep(&self, name: &str, value: &SecretString) -> Result<(), UserError> {
        let mut known = self.read();
        if known
            .get(name)
            .is_some_and(|known| known == value.expose_secret())
        {
            return Ok(());
        }
        known.insert(name.to_owned(), value.expose_secret().to_owned());
        self.write(&known).map_err(|reason| {
            unusable(format!(
                "failed to write the cache of secrets {}: {reason}; --secret-provider-cache=None does without it",
                self.path.display()
            ))
        })
    }

    fn read(&self) -> BTreeMap<String, String> {
        let read = || {
            let mut content = Vec::new();
            File::open(&self.path)
                .ok()?
                .take(FILE_BYTES_MAX)
                .read_to_end(&mut content)
                .ok()?;
            let mut identity = age::scrypt::Identity::new(self.address.clone());
            identity.set_max_work_factor(SCRYPT_LOG);
            let plain = Zeroizing::new(age::decrypt(&identity, &content).ok()?);
            serde_json::from_slice(&plain).ok()
        };
        read().unwrap_or_default()
    }

    fn write(&self, known: &BTreeMap<String, String>) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        data_folder::create(&self.folder).map_err(|error| error.message)?;
        let plain = Zeroizing::new(serde_json::to_vec(known).map_err(|error| text(&error))?);
        let mut recipient = age::scrypt::Recipient::new(self.address.clone());
        recipient.set_work_factor(SCRYPT_LOG);
        let sealed = age::encrypt(&recipient, &plain).map_err(|error| text(&error))?;
        // Beside and then renamed, so that a crash leaves the old file or the new one.
        let beside = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(&sealed)?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&beside, &self.path));
        written.map_err(|error| {
            let _left_behind = std::fs::remove_file(&beside);
            text(&error)
        })
    }
}
