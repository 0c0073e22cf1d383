// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fingerprints of host keys, as people write them and as we show them.
//!
//! Accepted are the form that Duplicati shows (`ssh-rsa 2048 aa:bb:…`, an MD5), the form of OpenSSH (`SHA256:…`, also behind
//! type and length), and either hash in hexadecimal. Case does not matter in hexadecimal.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use md5::{Digest, Md5};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};

/// Kinds of host keys; a server has at most one key of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ed25519,
    Ecdsa,
    Rsa,
}

impl KeyKind {
    pub(super) const ALL: [KeyKind; 3] = [KeyKind::Ed25519, KeyKind::Ecdsa, KeyKind::Rsa];

    /// The kind that the name of a key type or of a signature stands for.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "ssh-ed25519" | "ed25519" => Some(Self::Ed25519),
            "ssh-rsa" | "rsa" | "rsa-sha2-256" | "rsa-sha2-512" => Some(Self::Rsa),
            name if name.starts_with("ecdsa") => Some(Self::Ecdsa),
            _ => None,
        }
    }

    /// What to offer the server so that it shows a key of this kind.
    pub(super) fn algorithms(self) -> Vec<Algorithm> {
        match self {
            Self::Ed25519 => vec![Algorithm::Ed25519],
            Self::Ecdsa => [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521]
                .map(|curve| Algorithm::Ecdsa { curve })
                .to_vec(),
            // Without SHA-1 signatures.
            Self::Rsa => [HashAlg::Sha512, HashAlg::Sha256]
                .map(|hash| Algorithm::Rsa { hash: Some(hash) })
                .to_vec(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hash {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

/// A fingerprint that the server's key must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// The kind of key, where the text says it.
    pub(super) kind: Option<KeyKind>,
    hash: Hash,
}

impl Fingerprint {
    /// Reads one fingerprint.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let hash = parse_hash(words.next_back()?)?;
        let mut kind = None;
        for word in words {
            // What remains is the length of the key, which the hash covers anyway.
            if word.parse::<u32>().is_err() {
                kind = Some(KeyKind::named(word)?);
            }
        }
        Some(Self { kind, hash })
    }

    pub(super) fn is_of(&self, key: &PublicKey) -> bool {
        match &self.hash {
            Hash::Md5(hash) => md5_of(key).as_ref() == Some(hash),
            Hash::Sha256(hash) => key.fingerprint(HashAlg::Sha256).as_bytes() == hash,
        }
    }
}

fn parse_hash(word: &str) -> Option<Hash> {
    if let Some(text) = strip_label(word, "SHA256:") {
        let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        return Some(Hash::Sha256(bytes.try_into().ok()?));
    }
    let digits = strip_label(word, "MD5:").unwrap_or(word);
    if let Some(bytes) = parse_hexadecimal(digits) {
        return match bytes.len() {
            16 => Some(Hash::Md5(bytes.try_into().ok()?)),
            32 => Some(Hash::Sha256(bytes.try_into().ok()?)),
            _ => None,
        };
    }
    let bytes = STANDARD_NO_PAD.decode(word.trim_end_matches('=')).ok()?;
    Some(Hash::Sha256(bytes.try_into().ok()?))
}

fn strip_label<'a>(word: &'a str, label: &str) -> Option<&'a str> {
    let (head, rest) = word.split_at_checked(label.len())?;
    head.eq_ignore_ascii_case(label).then_some(rest)
}

fn parse_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b':' | b'-'))
        .map(|byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

fn md5_of(key: &PublicKey) -> Option<[u8; 16]> {
    Some(Md5::digest(key.to_bytes().ok()?).into())
}

/// Type and length of a key, as they stand before a fingerprint.
fn type_and_length(key: &PublicKey) -> String {
    let algorithm = key.algorithm();
    let bits = match &algorithm {
        Algorithm::Ecdsa { curve } => match curve {
            EcdsaCurve::NistP256 => 256,
            EcdsaCurve::NistP384 => 384,
            EcdsaCurve::NistP521 => 521,
        },
        _ => key.key_data().rsa().map_or(256, |key| key.key_size()),
    };
    format!("{} {bits}", algorithm.as_str())
}

/// The fingerprint to show and to give back to `--ssh-fingerprint`.
pub(super) fn shown(key: &PublicKey) -> String {
    format!("{} {}", type_and_length(key), key.fingerprint(HashAlg::Sha256))
}

/// The same in the old form.
pub(super) fn shown_md5(key: &PublicKey) -> String {
    let bytes: Vec<String> = md5_of(key)
        .unwrap_or_default()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{} {}", type_and_length(key), bytes.join(":"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    fn key() -> PublicKey {
        PublicKey::from_openssh(ED25519).unwrap()
    }

    #[test]
    fn what_is_shown_is_accepted_again() {
        for text in [shown(&key()), shown_md5(&key())] {
            let fingerprint = Fingerprint::parse(&text).unwrap();
            assert!(fingerprint.is_of(&key()), "{text}");
            assert_eq!(fingerprint.kind, Some(KeyKind::Ed25519));
            let hash_alone = text.rsplit(' ').next().unwrap();
            assert!(
                Fingerprint::parse(hash_alone).unwrap().is_of(&key()),
                "{hash_alone}"
            );
        }
    }

    #[test]
    fn each_usual_spelling_is_the_same_fingerprint() {
        // Made with ssh-keygen -l, in both hashes.
        let md5 = "MD5:65:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd";
        for text in [
            md5.to_owned(),
            md5.to_uppercase().replace("MD5:", "ssh-ed25519 256 "),
            md5.replace(':', "").replace("MD5", ""),
            "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU".to_owned(),
            "256 sha256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU=".to_owned(),
            "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU".to_owned(),
        ] {
            assert!(
                Fingerprint::parse(&text).is_some_and(|fingerprint| fingerprint.is_of(&key())),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for text in [
            "",
            "ssh-rsa 2048",
            "ssh-dog 1 aa:bb",
            "aa:bb:cc",
            "SHA256:short",
            "SHA256:",
            "é",
            "nonsense 256 65:96",
        ] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
        let other = Fingerprint::parse("00:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd").unwrap();
        assert!(!other.is_of(&key()));
    }
}
