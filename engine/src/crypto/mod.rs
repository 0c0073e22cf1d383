// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sealing and opening objects: age v1 files (F-1), the repository's secret (F-3), key files (F-7).

pub mod age_file;
pub mod envelope;
pub mod key_file;
pub mod secret;

pub use envelope::Envelope;

/// Why something could not be sealed or opened. Never names a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The bytes are not an age file.
    #[error("not an age file: {0}")]
    NotAge(&'static str),
    /// No identity at hand fits.
    #[error("no key at hand opens it")]
    NoKey,
    /// The content was changed or cut off.
    #[error("its seal is broken: the content was changed or cut off")]
    BrokenSeal,
    /// The object was not sealed although everything here is, or the other way round.
    #[error("it is {0}, which this repository's objects are not")]
    WrongLayer(&'static str),
    /// A key or recipient cannot be read.
    #[error("unusable key: {0}")]
    BadKey(String),
    /// A passphrase file that asks for more work than is done for it.
    #[error(
        "it asks for 2^{found} rounds of work for each try, and at most 2^{limit} are done; make it again with a lower work factor, or remove it if nobody \
         here has put it there"
    )]
    TooMuchWork {
        /// The factor it asks for.
        found: u8,
        /// The largest that is done.
        limit: u8,
    },
    /// The system's random source failed.
    #[error("the system's random source does not answer")]
    NoRandom,
}
