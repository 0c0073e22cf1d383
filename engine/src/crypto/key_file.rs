// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Key files (section 4): age files that hold a repository's identities and secret (F-7).

use std::{
    fmt,
    io::{Read, Write},
    str::FromStr,
};

use age::{Identity, Recipient, scrypt, ssh, x25519};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{CryptoError, Envelope, secret::Secret};
use crate::{
    format::FormatError,
    id::{RepositoryId, write_hex},
};

/// scrypt work factor (log2 N): about 0.1 s and 32 MiB.
pub const WORK_FACTOR: u8 = 15;
/// Largest work factor that is tried when opening, what stock age programs use: about a second and 256 MiB. Key files come from the target, and a hostile one
/// must not cost minutes or gigabytes.
pub const WORK_FACTOR_MAX: u8 = 18;
/// Largest key file that is read, bytes.
pub const KEY_FILE_SIZE_BYTES_MAX: u64 = 64 << 10;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// Everything.
    Full,
    /// Back up and deduplicate; no reading of content or trees.
    WriteOnly,
}

/// The plaintext of a key file.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct KeyContent {
    /// 1.
    pub version: u32,
    /// The repository that it opens.
    #[zeroize(skip)]
    pub repository_id: RepositoryId,
    /// What it may do.
    #[zeroize(skip)]
    pub kind: KeyKind,
    /// Free text.
    #[serde(default)]
    pub label: String,
    /// ISO 8601.
    #[serde(default)]
    pub created: String,
    /// Identities that open packs and manifests, newest first.
    pub data_identities: Vec<String>,
    /// What new packs and manifests are sealed for.
    pub data_recipient: String,
    /// Identities that open index segments, sessions and plans.
    pub index_identities: Vec<String>,
    /// What those are sealed for.
    pub index_recipient: String,
    /// The repository's secret.
    pub secret: Secret,
}

impl fmt::Debug for KeyContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "KeyContent({:?} key of {})",
            self.kind, self.repository_id
        )
    }
}

impl KeyContent {
    /// New identities and secret for a new repository.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(
        repository_id: RepositoryId,
        label: String,
        created: String,
    ) -> Result<Self, CryptoError> {
        let (data, index) = (x25519::Identity::generate(), x25519::Identity::generate());
        Ok(Self {
            version: 1,
            repository_id,
            kind: KeyKind::Full,
            label,
            created,
            data_identities: vec![data.to_string().expose_secret().to_owned()],
            data_recipient: data.to_public().to_string(),
            index_identities: vec![index.to_string().expose_secret().to_owned()],
            index_recipient: index.to_public().to_string(),
            secret: Secret::generate()?,
        })
    }

    /// The same repository for a machine that shall only add.
    pub fn write_only(&self, label: String, created: String) -> Self {
        let mut copy = self.clone();
        copy.data_identities.zeroize();
        copy.kind = KeyKind::WriteOnly;
        copy.label = label;
        copy.created = created;
        copy
    }

    /// The same rights under another label.
    pub fn relabelled(&self, label: String, created: String) -> Self {
        let mut copy = self.clone();
        copy.label = label;
        copy.created = created;
        copy
    }

    /// For whom objects are sealed, in one text.
    pub fn recipients(&self) -> String {
        format!("{}\n{}", self.data_recipient, self.index_recipient)
    }

    /// What a machine remembers of the recipients.
    pub fn pin(&self) -> String {
        pin_text(&self.secret, &self.recipients())
    }

    /// Whether what is sealed for the recipients opens with the identities that stand beside them. A forged file may name recipients of its maker.
    ///
    /// # Errors
    /// When not, or when the texts are not keys.
    pub fn check(&self) -> Result<(), CryptoError> {
        let belongs = |identities: &[String], recipient: &str, what: &str| match identities.first() {
            None => Ok(()),
            Some(text) => {
                let identity = x25519::Identity::from_str(text).map_err(|_| {
                    CryptoError::BadKey(format!("the {what} identity in the key file cannot be read"))
                })?;
                if identity.to_public().to_string() == recipient {
                    return Ok(());
                }
                Err(CryptoError::BadKey(format!(
                    "the {what} recipient in the key file does not belong to its identity, so somebody else would read what is stored: do not use it, and \
                     remove it if nobody here has made it"
                )))
            }
        };
        if self.kind == KeyKind::Full && self.data_identities.is_empty() || self.index_identities.is_empty() {
            return Err(CryptoError::BadKey(
                "the key file lacks identities that its kind has".to_owned(),
            ));
        }
        belongs(&self.data_identities, &self.data_recipient, "data")?;
        belongs(&self.index_identities, &self.index_recipient, "index")
    }

    /// The layer of packs and manifests.
    ///
    /// # Errors
    /// When the texts are not keys.
    pub fn data_envelope(&self) -> Result<Envelope, CryptoError> {
        Envelope::from_texts(&self.data_recipient, &self.data_identities)
    }

    /// The layer of index segments, sessions and plans.
    ///
    /// # Errors
    /// When the texts are not keys.
    pub fn index_envelope(&self) -> Result<Envelope, CryptoError> {
        Envelope::from_texts(&self.index_recipient, &self.index_identities)
    }
}

/// What a machine remembers of recipients, as text.
pub(crate) fn pin_text(secret: &Secret, recipients: &str) -> String {
    let mut text = String::with_capacity(64);
    write_hex(&mut text, &secret.pin(recipients)).expect("writing to a string cannot fail");
    text
}

/// For whom a key file is made.
#[derive(Clone)]
pub enum KeyHolder {
    /// Whoever knows the passphrase.
    Passphrase(SecretString),
    /// Holders of any of these age or ssh keys (`age1…`, `ssh-ed25519 …`, `ssh-rsa …`).
    Recipients(Vec<String>),
}

/// Makes a key file.
///
/// # Errors
/// When a recipient cannot be read.
pub fn seal(content: &KeyContent, holder: &KeyHolder) -> Result<Vec<u8>, CryptoError> {
    let recipients: Vec<Box<dyn Recipient + Send>> = match holder {
        KeyHolder::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(WORK_FACTOR);
            vec![Box::new(recipient)]
        }
        KeyHolder::Recipients(texts) => texts
            .iter()
            .map(|text| parse_recipient(text))
            .collect::<Result<_, _>>()?,
    };
    let mut json = serde_json::to_vec(content).expect("keys of plain texts are always JSON");
    let mut object = Vec::new();
    let failed = |error: String| CryptoError::BadKey(error);
    let written = age::Encryptor::with_recipients(
        recipients
            .iter()
            .map(|recipient| recipient.as_ref() as &dyn Recipient),
    )
    .map_err(|error| failed(error.to_string()))
    .and_then(|encryptor| {
        let mut writer = encryptor
            .wrap_output(&mut object)
            .map_err(|error| failed(error.to_string()))?;
        writer
            .write_all(&json)
            .map_err(|error| failed(error.to_string()))?;
        writer
            .finish()
            .map(|_| ())
            .map_err(|error| failed(error.to_string()))
    });
    json.zeroize();
    written.map(|()| object)
}

fn parse_recipient(text: &str) -> Result<Box<dyn Recipient + Send>, CryptoError> {
    let text = text.trim();
    if let Ok(recipient) = x25519::Recipient::from_str(text) {
        return Ok(Box::new(recipient));
    }
    if let Ok(recipient) = ssh::Recipient::from_str(text) {
        return Ok(Box::new(recipient));
    }
    Err(CryptoError::BadKey(
        "a recipient is `age1…`, `ssh-ed25519 …` or `ssh-rsa …`".to_owned(),
    ))
}

/// What may open a key file.
pub enum Unlock {
    /// A passphrase.
    Passphrase(SecretString),
    /// Identities from an age or ssh key file.
    Identities(Vec<Box<dyn Identity + Send + Sync>>),
}

impl Unlock {
    /// Reads the text of an identity file (age identities, one a line, or an unencrypted ssh private key).
    ///
    /// # Errors
    /// When it holds no key that can be used.
    pub fn from_identity_text(text: &str) -> Result<Self, CryptoError> {
        let mut identities: Vec<Box<dyn Identity + Send + Sync>> = Vec::new();
        if text.contains("PRIVATE KEY-----") {
            match ssh::Identity::from_buffer(text.as_bytes(), None) {
                Ok(identity @ ssh::Identity::Unencrypted(_)) => identities.push(Box::new(identity)),
                Ok(_) => {
                    return Err(CryptoError::BadKey(
                        "the ssh key is protected by a passphrase; give an unprotected copy or an age identity".to_owned(),
                    ));
                }
                Err(error) => {
                    return Err(CryptoError::BadKey(format!(
                        "the ssh key cannot be read: {error}"
                    )));
                }
            }
        }
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("AGE-SECRET-KEY-"))
        {
            let identity =
                x25519::Identity::from_str(line).map_err(|error| CryptoError::BadKey(error.to_owned()))?;
            identities.push(Box::new(identity));
        }
        if identities.is_empty() {
            return Err(CryptoError::BadKey(
                "the identity file holds no age or ssh private key".to_owned(),
            ));
        }
        Ok(Self::Identities(identities))
    }
}

/// How a key file is opened, as far as anybody can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderKind {
    /// By passphrase.
    Passphrase,
    /// By recipients, this many.
    Recipients(usize),
}

/// Looks at a key file's header only.
///
/// # Errors
/// When it is not an age file.
pub fn holder_kind(object: &[u8]) -> Result<HolderKind, CryptoError> {
    let decryptor =
        age::Decryptor::new_buffered(object).map_err(|_| CryptoError::NotAge("the header cannot be read"))?;
    if decryptor.is_scrypt() {
        return Ok(HolderKind::Passphrase);
    }
    let length = super::age_file::header_length(object)?;
    let header = String::from_utf8_lossy(&object[..length]);
    let stanzas = header
        .lines()
        .filter(|line| line.starts_with("-> X25519 ") || line.starts_with("-> ssh-"))
        .count();
    Ok(HolderKind::Recipients(stanzas))
}

/// The work that trying a passphrase costs (log2); none when it is not for a passphrase, or cannot be read.
pub fn scrypt_work_factor(object: &[u8]) -> Option<u8> {
    let Ok(stanzas) = super::age_file::stanza_arguments(object) else {
        // What another reader takes for a passphrase file, and this one cannot read, is not tried.
        let is_scrypt = age::Decryptor::new_buffered(object).is_ok_and(|file| file.is_scrypt());
        return is_scrypt.then_some(u8::MAX);
    };
    let (_, arguments) = stanzas.iter().find(|(tag, _)| tag == "scrypt")?;
    // What is no small number is more than anybody does.
    Some(
        arguments
            .get(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(u8::MAX),
    )
}

/// Opens a key file, or says with [`CryptoError::NoKey`] that this one is for somebody else.
///
/// # Errors
/// Also when it is damaged or newer than this program.
pub fn open(object: &[u8], unlock: &Unlock) -> Result<KeyContent, KeyFileError> {
    let decryptor = age::Decryptor::new_buffered(object)
        .map_err(|_| KeyFileError::Crypto(CryptoError::NotAge("the header cannot be read")))?;
    let stream = match unlock {
        Unlock::Passphrase(passphrase) if decryptor.is_scrypt() => {
            if let Some(found) = scrypt_work_factor(object).filter(|factor| *factor > WORK_FACTOR_MAX) {
                let limit = WORK_FACTOR_MAX;
                return Err(CryptoError::TooMuchWork { found, limit }.into());
            }
            let mut identity = scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(WORK_FACTOR_MAX);
            decryptor.decrypt(std::iter::once(&identity as &dyn Identity))
        }
        Unlock::Identities(identities) if !decryptor.is_scrypt() => decryptor.decrypt(
            identities
                .iter()
                .map(|identity| identity.as_ref() as &dyn Identity),
        ),
        _ => return Err(CryptoError::NoKey.into()),
    };
    let stream = stream.map_err(|error| match error {
        age::DecryptError::NoMatchingKeys
        | age::DecryptError::DecryptionFailed
        | age::DecryptError::KeyDecryptionFailed => CryptoError::NoKey,
        age::DecryptError::InvalidMac => CryptoError::BrokenSeal,
        _ => CryptoError::NotAge("the header cannot be used"),
    })?;
    let mut json = Vec::new();
    stream
        .take(KEY_FILE_SIZE_BYTES_MAX)
        .read_to_end(&mut json)
        .map_err(|_| CryptoError::BrokenSeal)?;
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    // serde's messages may repeat a value, so they are not passed on.
    let damaged = || FormatError::damaged("key file", "it does not say what a key file says");
    let version = serde_json::from_slice::<Version>(&json)
        .map_err(|_| damaged())?
        .version;
    if version != 1 {
        return Err(FormatError::UnknownVersion {
            object: "key file",
            found: version,
        }
        .into());
    }
    let content = serde_json::from_slice(&json).map_err(|_| damaged());
    json.zeroize();
    Ok(content?)
}

/// Why a key file did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The seal.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The content.
    #[error(transparent)]
    Format(#[from] FormatError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> KeyContent {
        KeyContent::generate(RepositoryId([3; 16]), "first".to_owned(), String::new()).unwrap()
    }

    fn passphrase(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn a_passphrase_opens_its_key_file_and_no_other_does() {
        let object = seal(&content(), &KeyHolder::Passphrase(passphrase("right"))).unwrap();
        assert_eq!(holder_kind(&object), Ok(HolderKind::Passphrase));
        let opened = open(&object, &Unlock::Passphrase(passphrase("right"))).unwrap();
        assert_eq!(opened.repository_id, RepositoryId([3; 16]));
        let wrong = open(&object, &Unlock::Passphrase(passphrase("wrong"))).unwrap_err();
        assert_eq!(wrong, CryptoError::NoKey.into());
    }

    #[test]
    fn any_of_several_recipients_opens_a_key_file() {
        let (one, two) = (x25519::Identity::generate(), x25519::Identity::generate());
        let texts = vec![one.to_public().to_string(), two.to_public().to_string()];
        let object = seal(&content(), &KeyHolder::Recipients(texts)).unwrap();
        for identity in [one, two] {
            let text = format!("# comment\n{}\n", identity.to_string().expose_secret());
            assert!(open(&object, &Unlock::from_identity_text(&text).unwrap()).is_ok());
        }
    }

    #[test]
    fn a_write_only_key_holds_no_data_identity_and_opens_no_data() {
        let full = content();
        let object = full.data_envelope().unwrap().seal(b"content").unwrap();
        let write_only = full.write_only("laptop".to_owned(), String::new());
        assert!(
            !serde_json::to_string(&write_only)
                .unwrap()
                .contains(&full.data_identities[0])
        );
        assert!(write_only.data_envelope().unwrap().open(&object).is_err());
        assert!(write_only.index_envelope().unwrap().open(&object).is_err());
        assert_eq!(full.data_envelope().unwrap().open(&object).unwrap(), b"content");
    }

    #[test]
    fn a_passphrase_file_that_asks_for_too_much_work_is_refused_before_any_is_done() {
        let object = seal(&content(), &KeyHolder::Passphrase(passphrase("right"))).unwrap();
        assert_eq!(scrypt_work_factor(&object), Some(WORK_FACTOR));
        let header = String::from_utf8_lossy(&object[..100]).into_owned();
        let end = header.find(" 15\n").unwrap();
        for (text, found) in [(" 19\n", 19), (" 63\n", 63), (" 999\n", 255)] {
            let mut hostile = object.clone();
            hostile.splice(end..end + 4, text.bytes());
            let error = open(&hostile, &Unlock::Passphrase(passphrase("right"))).unwrap_err();
            let limit = WORK_FACTOR_MAX;
            assert_eq!(error, CryptoError::TooMuchWork { found, limit }.into(), "{text}");
        }
    }

    #[test]
    fn a_recipient_that_does_not_belong_to_the_identity_beside_it_is_noticed() {
        assert!(content().check().is_ok());
        assert!(content().write_only(String::new(), String::new()).check().is_ok());
        let other = content();
        let mut forged = content();
        forged.data_recipient.clone_from(&other.data_recipient);
        assert!(matches!(forged.check(), Err(CryptoError::BadKey(_))));
        let mut forged = content();
        forged.index_recipient.clone_from(&other.index_recipient);
        assert!(forged.check().is_err());
        let mut emptied = content();
        emptied.data_identities.clear();
        assert!(emptied.check().is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        let content = content();
        let text = format!("{content:?} {:?}", content.data_envelope().unwrap());
        assert!(!text.contains("AGE-SECRET-KEY"));
    }
}
