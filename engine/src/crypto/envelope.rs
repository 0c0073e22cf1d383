// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who can read a class of objects: a recipient to seal for, identities to open with, or no layer at all.

use std::{fmt, str::FromStr};

use age::{Identity, x25519};

use super::{CryptoError, age_file};

/// Seals and opens the objects of one class.
#[derive(Clone)]
pub enum Envelope {
    /// No encryption: objects stand bare.
    Open,
    /// age files.
    Age {
        /// What new objects are sealed for.
        recipient: x25519::Recipient,
        /// What opens them; empty for a write-only key's data class.
        identities: Vec<x25519::Identity>,
    },
}

impl Envelope {
    /// An envelope from the texts of a key file.
    ///
    /// # Errors
    /// When a text is not a recipient or identity.
    pub fn from_texts(recipient: &str, identities: &[String]) -> Result<Self, CryptoError> {
        let bad = |what: &str| CryptoError::BadKey(format!("the {what} in the key file cannot be read"));
        Ok(Self::Age {
            recipient: x25519::Recipient::from_str(recipient).map_err(|_| bad("recipient"))?,
            identities: identities
                .iter()
                .map(|text| x25519::Identity::from_str(text).map_err(|_| bad("identity")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether objects of this class can be read here.
    pub fn can_open(&self) -> bool {
        match self {
            Self::Open => true,
            Self::Age { identities, .. } => !identities.is_empty(),
        }
    }

    /// The recipient for [`age_file::FileBuilder::new`].
    pub fn recipient(&self) -> Option<&dyn age::Recipient> {
        match self {
            Self::Open => None,
            Self::Age { recipient, .. } => Some(recipient),
        }
    }

    /// The identities as the age functions take them.
    pub fn identities(&self) -> Vec<&dyn Identity> {
        match self {
            Self::Open => Vec::new(),
            Self::Age { identities, .. } => identities
                .iter()
                .map(|identity| identity as &dyn Identity)
                .collect(),
        }
    }

    /// Seals a whole object.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match self {
            Self::Open => Ok(plaintext.to_vec()),
            Self::Age { recipient, .. } => age_file::seal(recipient, plaintext),
        }
    }

    /// Opens a whole object.
    ///
    /// # Errors
    /// When no identity fits or the object was changed.
    pub fn open(&self, object: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match self {
            Self::Open if object.starts_with(b"age-encryption.org/") => {
                Err(CryptoError::WrongLayer("encrypted"))
            }
            Self::Open => Ok(object.to_vec()),
            Self::Age { .. } => age_file::open(&self.identities(), object),
        }
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => formatter.write_str("Open"),
            Self::Age {
                recipient,
                identities,
            } => {
                write!(formatter, "Age(for {recipient}, {} identities)", identities.len())
            }
        }
    }
}
