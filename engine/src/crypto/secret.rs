// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The repository's secret and the keys derived from it (section 5 of the format).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::CryptoError;
use crate::id::{parse_hex, write_hex};

const CONTEXT_DATA_CHUNK: &str = "duplicati engine v1 data chunk id";
const CONTEXT_TREE_CHUNK: &str = "duplicati engine v1 tree chunk id";
const CONTEXT_GEAR: &str = "duplicati engine v1 gear table";
const CONTEXT_CONFIG: &str = "duplicati engine v1 config";
const CONTEXT_SKIP_TABLE: &str = "duplicati engine v1 local skip table";
const CONTEXT_PIN: &str = "duplicati engine v1 local pin";

/// 32 random bytes that make chunk ids and cut points this repository's own.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A new secret.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut bytes = [0; 32];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A known secret, for tests with vectors.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Key of data chunk ids.
    pub fn data_chunk_key(&self) -> [u8; 32] {
        blake3::derive_key(CONTEXT_DATA_CHUNK, &self.0)
    }

    /// Key of tree chunk ids.
    pub fn tree_chunk_key(&self) -> [u8; 32] {
        blake3::derive_key(CONTEXT_TREE_CHUNK, &self.0)
    }

    /// The 256 gear numbers.
    pub fn gear_table(&self) -> Box<[u64; 256]> {
        let mut reader = blake3::Hasher::new_derive_key(CONTEXT_GEAR)
            .update(&self.0)
            .finalize_xof();
        let mut table = Box::new([0u64; 256]);
        for number in table.iter_mut() {
            let mut bytes = [0; 8];
            reader.fill(&mut bytes);
            *number = u64::from_le_bytes(bytes);
        }
        table
    }

    /// Key of the local table of unchanged files.
    pub fn skip_table_key(&self) -> [u8; 32] {
        blake3::derive_key(CONTEXT_SKIP_TABLE, &self.0)
    }

    /// What a local database remembers of the recipients: whoever has no key learns nothing from it.
    pub fn pin(&self, recipients: &str) -> [u8; 32] {
        *blake3::keyed_hash(&blake3::derive_key(CONTEXT_PIN, &self.0), recipients.as_bytes()).as_bytes()
    }

    /// Check value of the config's JSON line.
    pub fn config_check(&self, line: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&blake3::derive_key(CONTEXT_CONFIG, &self.0), line).as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        write_hex(&mut text, &self.0).expect("writing to a string cannot fail");
        let result = serializer.serialize_str(&text);
        text.zeroize();
        result
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        // The error of `parse_hex` repeats its input, which must not happen to a secret.
        let bytes =
            parse_hex::<32>(&text).map_err(|_| serde::de::Error::custom("the secret is not 64 digits"));
        text.zeroize();
        bytes.map(Self)
    }
}

/// Fills a buffer from the system's random source.
///
/// # Errors
/// When the system gives none.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), CryptoError> {
    use ring::rand::SecureRandom;
    ring::rand::SystemRandom::new()
        .fill(bytes)
        .map_err(|_| CryptoError::NoRandom)
}

/// 16 random bytes, for an object's name.
///
/// # Errors
/// When the system gives none.
pub fn random_id() -> Result<[u8; 16], CryptoError> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_errors_never_show_the_secret() {
        let secret = Secret::from_bytes([0xaa; 32]);
        assert!(!format!("{secret:?}").contains("aa"));
        let error = serde_json::from_str::<Secret>("\"aaaa\"").unwrap_err();
        assert!(!error.to_string().contains("aaaa"));
    }

    #[test]
    fn derived_values_are_part_of_the_format() {
        let secret = Secret::from_bytes([1; 32]);
        // Values fixed by docs/format.md; a change here breaks deduplication and checks of every repository.
        assert_ne!(secret.data_chunk_key(), secret.tree_chunk_key());
        assert_eq!(
            secret.gear_table()[..2],
            Secret::from_bytes([1; 32]).gear_table()[..2]
        );
        assert_ne!(
            secret.gear_table()[0],
            Secret::from_bytes([2; 32]).gear_table()[0]
        );
    }
}
