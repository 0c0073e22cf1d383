// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `file-secret://`: secrets from a file that holds a JSON object of names and texts. It may be plain, an AES Crypt file, or an age file with a
//! passphrase; which one is seen from its beginning.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::provider::unusable;
use crate::aes_crypt;
use crate::destination::Destination;
use crate::error_id::UserError;

/// The largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// The most memory and time, as a power of two, that a passphrase of an age file may ask for.
const SCRYPT_LOG_MAX: u8 = 22;
const AGE_MAGIC: &[u8] = b"age-encryption.org/";

pub(super) struct SecretFile {
    secrets: BTreeMap<String, SecretString>,
}

impl SecretFile {
    pub(super) fn open(address: &Destination) -> Result<Self, UserError> {
        let path = match address.host.as_str() {
            "" => PathBuf::from("/").join(&address.path),
            host => Path::new("/").join(host).join(&address.path),
        };
        let failed = |reason: &dyn std::fmt::Display| {
            unusable(format!(
                "failed to read the file of secrets {}: {reason}",
                path.display()
            ))
        };
        let mut content = Zeroizing::new(Vec::new());
        File::open(&path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content))
            .map_err(|error| failed(&error))?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(failed(&"it is larger than 16 mb"));
        }
        let passphrase = address.query_value("passphrase");
        let plain = unseal(content, passphrase).map_err(|reason| failed(&reason))?;
        let secrets = parse(&plain).map_err(|reason| failed(&reason))?;
        Ok(Self { secrets })
    }

    pub(super) fn get(&self, name: &str) -> Option<SecretString> {
        self.secrets.get(name).cloned()
    }
}

fn unseal(
    content: Zeroizing<Vec<u8>>,
    passphrase: Option<&SecretString>,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let needed = || {
        passphrase
            .map(|passphrase| passphrase.expose_secret())
            .ok_or_else(|| "it is encrypted, and the address has no ?passphrase=…".to_owned())
    };
    if aes_crypt::is_aes_crypt(&content) {
        return aes_crypt::open(&content, needed()?).map_err(|error| error.to_string());
    }
    if content.starts_with(AGE_MAGIC) {
        let passphrase = SecretString::from(needed()?);
        let mut identity = age::scrypt::Identity::new(passphrase);
        identity.set_max_work_factor(SCRYPT_LOG_MAX);
        return age::decrypt(&identity, &content)
            .map(Zeroizing::new)
            .map_err(|error| error.to_string());
    }
    if passphrase.is_some() {
        return Err("the address has a passphrase, but the file is not encrypted".to_owned());
    }
    Ok(content)
}

/// Reads the object. The parser's own messages are not passed on: they may quote a part of a value.
fn parse(plain: &[u8]) -> Result<BTreeMap<String, SecretString>, String> {
    let values: BTreeMap<String, serde_json::Value> = serde_json::from_slice(plain)
        .map_err(|error| format!("line {} is not part of a JSON object", error.line()))?;
    values
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => Ok((name, SecretString::from(text))),
            serde_json::Value::Number(number) => Ok((name, SecretString::from(number.to_string()))),
            _ => Err(format!("the value of {name:?} is not a text")),
        })
        .collect()
}
