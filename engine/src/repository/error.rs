// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Errors of a repository as a whole.

use crate::{
    crypto::{CryptoError, key_file::KeyFileError},
    format::FormatError,
    id::PackId,
    index::local::LocalError,
    storage::{ObjectKind, ObjectName, StoreError},
};

/// What went wrong with a repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The target.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another repository lies where this one was.
    #[error(
        "{location} holds another repository than it did when this run began; nothing was committed to it. See whether the right disk is mounted there, then run again"
    )]
    Exchanged {
        /// The target.
        location: String,
    },
    /// There is no repository there.
    #[error("{location} holds no repository; the first backup to it makes one")]
    Absent {
        /// The target.
        location: String,
    },
    /// Something else is there.
    #[error(
        "{location} holds other files ({examples}) and no repository; choose an empty folder, or a new one below it"
    )]
    Occupied {
        /// The target.
        location: String,
        /// A few names.
        examples: String,
    },
    /// Objects without a config.
    #[error(
        "{location} holds {found} objects in {kind}/ but no repository.json, so it is a repository that lost its config; bring that file back from a \
         copy, or choose another folder"
    )]
    ConfigLost {
        /// The target.
        location: String,
        /// The folder with objects.
        kind: &'static str,
        /// How many.
        found: usize,
    },
    /// Two made it at the same time, and the other one was first.
    #[error(
        "another program made a repository at {location} at the same time; run the command again to use that one"
    )]
    MadeByAnother {
        /// The target.
        location: String,
    },
    /// A version's description would be larger than readers accept.
    #[error(
        "the description of the version would take {size_bytes} bytes, and readers accept {limit_bytes}; name fewer sources or control files"
    )]
    ManifestTooLarge {
        /// What it would take.
        size_bytes: u64,
        /// What is accepted.
        limit_bytes: u64,
    },
    /// No passphrase or identity was given.
    #[error("the repository at {location} is encrypted: give --passphrase or --identity")]
    NeedsKey {
        /// The target.
        location: String,
    },
    /// No key file opens.
    #[error(
        "none of the {tried} key files at {location} opens with this passphrase or identity{}",
        left_out_text(*left_out)
    )]
    WrongKey {
        /// The target.
        location: String,
        /// How many were tried.
        tried: usize,
        /// How many were not, because they are too large, too many or too costly.
        left_out: usize,
    },
    /// A passphrase for something that is not encrypted.
    #[error(
        "the repository at {location} is not encrypted, but a passphrase or identity was given; say --no-encryption if that is meant"
    )]
    NotEncrypted {
        /// The target.
        location: String,
    },
    /// A key that cannot read content was used for reading it.
    #[error("the key at hand is write-only: {operation} needs a full key")]
    WriteOnlyKey {
        /// What was asked for.
        operation: &'static str,
    },
    /// An object cannot be opened or understood.
    #[error("{object} at {location}: {source}")]
    Object {
        /// The object.
        object: String,
        /// The target.
        location: String,
        /// Why.
        #[source]
        source: ObjectProblem,
    },
    /// A chunk that is needed is in no pack known.
    #[error("chunk {id} is missing from the index; `repair` may find it in the packs")]
    MissingChunk {
        /// The chunk.
        id: String,
    },
    /// Sealing failed.
    #[error("failed to seal an object: {0}")]
    Seal(#[source] CryptoError),
    /// Compressing failed.
    #[error("failed to compress an object: {0}")]
    Compress(#[source] std::io::Error),
    /// The local database.
    #[error(transparent)]
    Local(#[from] LocalError),
}

fn left_out_text(left_out: usize) -> String {
    match left_out {
        0 => String::new(),
        _ => format!(
            "; {left_out} more were not tried, because trying them costs too much: remove from keys/ what nobody here has put there"
        ),
    }
}

/// Why an object is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectProblem {
    /// Its seal.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// Its content.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A chunk's bytes do not have the chunk's id (F-9).
    #[error("the content does not have the id {expected}")]
    WrongId {
        /// The id looked for.
        expected: String,
    },
}

impl From<KeyFileError> for ObjectProblem {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::Crypto(error) => Self::Crypto(error),
            KeyFileError::Format(error) => Self::Format(error),
        }
    }
}

impl RepositoryError {
    /// An error about one object.
    pub fn object(name: &ObjectName, location: String, source: impl Into<ObjectProblem>) -> Self {
        Self::Object {
            object: name.to_string(),
            location,
            source: source.into(),
        }
    }

    /// What the target answered, if that is what went wrong.
    pub fn store_kind(&self) -> Option<crate::storage::StoreErrorKind> {
        match self {
            Self::Store(error) => Some(error.kind),
            _ => None,
        }
    }

    /// Whether a newer program wrote the object: it is whole, and not ours to judge or remove (F-8).
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            Self::Object {
                source: ObjectProblem::Format(FormatError::UnknownVersion { .. }),
                ..
            }
        )
    }

    /// The pack whose bytes are damaged or missing, if that is what went wrong.
    pub fn damaged_pack(&self) -> Option<PackId> {
        let object = match self {
            Self::Object { object, .. } => object,
            Self::Store(error) if self.is_damage() => &error.object,
            _ => return None,
        };
        let name: ObjectName = object.parse().ok()?;
        (name.kind() == ObjectKind::Pack).then(|| PackId(name.id()))
    }

    /// Whether the bytes at the target are damaged or missing, as against the target not answering.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Object { .. } | Self::MissingChunk { .. } => true,
            Self::Store(error) => {
                matches!(
                    error.kind,
                    crate::storage::StoreErrorKind::NotFound
                        | crate::storage::StoreErrorKind::Truncated
                        | crate::storage::StoreErrorKind::Unreadable
                )
            }
            _ => false,
        }
    }
}
