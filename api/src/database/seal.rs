// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Secrets at rest: single values sealed under a key that is made from a text which is not stored.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::RngCore;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What a sealed value begins with.
const MARK: &str = "sealed-v1:";
/// Shortest text that a key is made from, characters.
pub const KEY_TEXT_CHARACTERS_MIN: usize = 8;
/// Memory of the key derivation, KiB; paid once per start.
const DERIVATION_MEMORY_KIB: u32 = 19 << 10;
const DERIVATION_PASSES: u32 = 2;
const KEY_BYTES: usize = 32;

/// Why a value cannot be sealed or opened. Never holds the value.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error(
        "the server database holds sealed values and no key was given; start with --settings-encryption-key"
    )]
    NoKey,
    #[error(
        "the key given with --settings-encryption-key is not the one that the server database was sealed with"
    )]
    WrongKey,
    #[error("the key for --settings-encryption-key has less than {KEY_TEXT_CHARACTERS_MIN} characters")]
    ShortKey,
    #[error("a value could not be sealed")]
    Failed,
}

/// Seals and opens values.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<LessSafeKey>,
}

impl Sealer {
    /// The sealer of a text and a salt.
    ///
    /// # Errors
    /// When the text is too short.
    pub fn new(text: &str, salt: &[u8]) -> Result<Self, SealError> {
        if text.chars().count() < KEY_TEXT_CHARACTERS_MIN {
            return Err(SealError::ShortKey);
        }
        let parameters = Params::new(DERIVATION_MEMORY_KIB, DERIVATION_PASSES, 1, Some(KEY_BYTES))
            .map_err(|_| SealError::Failed)?;
        let mut key = [0; KEY_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(text.as_bytes(), salt, &mut key)
            .map_err(|_| SealError::Failed)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| SealError::Failed)?;
        Ok(Self {
            key: Arc::new(LessSafeKey::new(key)),
        })
    }

    /// Seals the value of a field; it opens under the same field name only.
    ///
    /// # Errors
    /// Never in practice: only for values beyond the cipher's limit.
    pub fn seal(&self, field: &str, value: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = value.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(field.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| SealError::Failed)?;
        let mut whole = nonce.to_vec();
        whole.append(&mut sealed);
        Ok(format!("{MARK}{}", STANDARD.encode(whole)))
    }

    /// Opens a sealed value.
    ///
    /// # Errors
    /// When the key is another one or the value was changed.
    pub fn unseal(&self, field: &str, value: &str) -> Result<String, SealError> {
        let text = value.strip_prefix(MARK).ok_or(SealError::WrongKey)?;
        let mut whole = STANDARD.decode(text).map_err(|_| SealError::WrongKey)?;
        if whole.len() < NONCE_LEN {
            return Err(SealError::WrongKey);
        }
        let mut sealed = whole.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&whole).map_err(|_| SealError::WrongKey)?;
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(field.as_bytes()), &mut sealed)
            .map_err(|_| SealError::WrongKey)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SealError::WrongKey)
    }
}

/// Whether a stored value is sealed.
pub fn is_sealed(value: &str) -> bool {
    value.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_with_its_key_and_field_only() {
        let sealer = Sealer::new("correct horse", b"salt salt salt").unwrap();
        let sealed = sealer.seal("target", "secret").unwrap();
        assert!(is_sealed(&sealed) && !sealed.contains("secret"));
        assert_eq!(sealer.unseal("target", &sealed).unwrap(), "secret");
        assert!(sealer.unseal("other", &sealed).is_err());
        let other = Sealer::new("correct house", b"salt salt salt").unwrap();
        assert!(matches!(
            other.unseal("target", &sealed),
            Err(SealError::WrongKey)
        ));
        for damaged in ["sealed-v1:", "sealed-v1:AAAA", "sealed-v1:%%%"] {
            assert!(sealer.unseal("target", damaged).is_err());
        }
    }

    #[test]
    fn short_keys_are_refused() {
        assert!(matches!(
            Sealer::new("1234567", b"salt salt salt"),
            Err(SealError::ShortKey)
        ));
    }
}
