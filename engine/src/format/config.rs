// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `repository.json` (section 3): parameters, and a check line that only a holder of the secret can make.

use serde::{Deserialize, Serialize};

use super::FormatError;
use crate::{
    crypto::secret::Secret,
    id::{RepositoryId, parse_hex, write_hex},
};

/// Whether objects are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Every object is an age file.
    Age,
    /// The same objects without the age layer.
    None,
}

/// How files are cut; fixed for the life of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkingParameters {
    /// Always [`CHUNKING_ALGORITHM`].
    pub algorithm: String,
    /// Smallest chunk but for the end of a file, bytes.
    pub size_bytes_min: u32,
    /// Aimed-at mean, bytes.
    pub size_bytes_average: u32,
    /// Largest chunk, bytes.
    pub size_bytes_max: u32,
    /// Normalization level of FastCDC.
    pub normalization: u32,
}

/// The only algorithm of version 1.
pub const CHUNKING_ALGORITHM: &str = "fastcdc-2020-keyed";

impl ChunkingParameters {
    /// Parameters around a mean size: a quarter at least, four times at most.
    ///
    /// `average` is rounded to a power of two between 16 KiB and 8 MiB.
    pub fn around(average: u64) -> Self {
        let average = average.clamp(16 << 10, 8 << 20);
        let average = 1u32 << (63 - (average + average / 3).leading_zeros()).min(23);
        Self {
            algorithm: CHUNKING_ALGORITHM.to_owned(),
            size_bytes_min: average / 4,
            size_bytes_average: average,
            size_bytes_max: average * 4,
            normalization: 1,
        }
    }
}

/// The parameters of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryConfig {
    /// Always [`FORMAT_NAME`].
    pub format: String,
    /// Format version of the repository as a whole.
    pub version: u32,
    /// Identity of the repository.
    pub repository_id: RepositoryId,
    /// Whether objects are sealed.
    pub encryption: Encryption,
    /// How files are cut.
    pub chunking: ChunkingParameters,
    /// When it was made, ISO 8601.
    pub created: String,
    /// The secret itself, only in a repository without encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
}

/// Value of the key `format`.
pub const FORMAT_NAME: &str = "duplicati-engine";
/// Largest config that is read, bytes.
pub const CONFIG_SIZE_BYTES_MAX: u64 = 64 << 10;

impl RepositoryConfig {
    /// Parameters of a new repository.
    pub fn new(
        repository_id: RepositoryId,
        encryption: Encryption,
        chunking: ChunkingParameters,
        created: String,
        secret: &Secret,
    ) -> Self {
        let secret = (encryption == Encryption::None).then(|| secret.clone());
        Self {
            format: FORMAT_NAME.to_owned(),
            version: 1,
            repository_id,
            encryption,
            chunking,
            created,
            secret,
        }
    }

    /// The secret that an unencrypted repository keeps here.
    pub fn open_secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// The stored form: JSON line and check line.
    pub fn encode(&self, secret: &Secret) -> Vec<u8> {
        let mut line = serde_json::to_string(self).expect("a config of plain values is always JSON");
        let check = secret.config_check(line.as_bytes());
        line.push('\n');
        write_hex(&mut line, &check).expect("writing to a string cannot fail");
        line.push('\n');
        line.into_bytes()
    }

    /// Reads the stored form; the check line is compared by [`CheckLine::verify`] once the secret is known.
    ///
    /// # Errors
    /// When it is not a config, or of a version that this program does not know.
    pub fn decode(content: &[u8]) -> Result<(Self, CheckLine), FormatError> {
        let damaged = |detail: String| FormatError::damaged("repository.json", detail);
        let text = std::str::from_utf8(content).map_err(|_| damaged("it is not text".to_owned()))?;
        let mut lines = text.split('\n');
        let (Some(json), Some(check), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(damaged("it is not two lines".to_owned()));
        };
        #[derive(Deserialize)]
        struct Version {
            format: String,
            version: u64,
        }
        let version: Version = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
        if version.format != FORMAT_NAME {
            return Err(damaged(format!(
                "its format is {:?}, not {FORMAT_NAME:?}",
                version.format
            )));
        }
        if version.version != 1 {
            return Err(FormatError::UnknownVersion {
                object: "repository.json",
                found: version.version,
            });
        }
        let config: Self = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
        let chunking = &config.chunking;
        let sizes_rise = chunking.size_bytes_min >= 64
            && chunking.size_bytes_min <= chunking.size_bytes_average
            && chunking.size_bytes_average <= chunking.size_bytes_max
            && u64::from(chunking.size_bytes_max) <= super::pack::FRAME_SIZE_BYTES_MAX
            && chunking.size_bytes_average.is_power_of_two()
            && [chunking.size_bytes_min, chunking.size_bytes_max]
                .iter()
                .all(|size| size % 2 == 0);
        if chunking.algorithm != CHUNKING_ALGORITHM || chunking.normalization != 1 || !sizes_rise {
            return Err(damaged(
                "this program does not know its way of cutting chunks".to_owned(),
            ));
        }
        if (config.encryption == Encryption::None) != config.secret.is_some() {
            return Err(damaged(
                "a secret stands in it exactly when nothing is encrypted".to_owned(),
            ));
        }
        let expected = parse_hex::<32>(check).map_err(|error| damaged(error.to_string()))?;
        Ok((
            config,
            CheckLine {
                json: json.to_owned(),
                expected,
            },
        ))
    }
}

/// The second line, still to be checked.
#[derive(Debug)]
pub struct CheckLine {
    json: String,
    expected: [u8; 32],
}

impl CheckLine {
    /// Whether the config was written by a holder of this secret.
    ///
    /// # Errors
    /// When not: the config was changed or belongs to another repository.
    pub fn verify(&self, secret: &Secret) -> Result<(), FormatError> {
        let check = blake3::Hash::from(secret.config_check(self.json.as_bytes()));
        // `blake3::Hash` compares in constant time.
        if check == blake3::Hash::from(self.expected) {
            Ok(())
        } else {
            Err(FormatError::damaged(
                "repository.json",
                "its check line does not fit this repository's secret",
            ))
        }
    }
}
