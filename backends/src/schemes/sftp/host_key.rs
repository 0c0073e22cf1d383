// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the server is the one that is meant. Nothing is sent to a server whose key is not trusted.

use std::path::PathBuf;

use russh::keys::{Algorithm, PublicKey};

use super::{
    fingerprint::{self, Fingerprint, KeyKind},
    known_hosts::{self, Verdict},
};

/// Separate several fingerprints of `--ssh-fingerprint`.
const FINGERPRINT_SEPARATORS: [char; 2] = [',', ';'];
/// Fingerprints that may be given at once.
const FINGERPRINTS_MAX: usize = 64;

/// Which host key is the right one.
#[derive(Debug, Clone)]
pub struct HostKeyPolicy(Rule);

#[derive(Debug, Clone)]
enum Rule {
    /// One of these, whatever any file says.
    Fingerprints(Vec<Fingerprint>),
    /// Whatever the server shows.
    Any,
    /// What ssh's own files say.
    KnownHosts(Vec<PathBuf>),
}

/// What to ask the server for: kinds of keys, best first. Others are not offered.
pub(super) type Offer = Vec<KeyKind>;

impl HostKeyPolicy {
    /// The given fingerprints; an error when the text holds none or something else.
    pub fn fingerprints(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text
            .split(FINGERPRINT_SEPARATORS)
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect();
        let parsed: Option<Vec<Fingerprint>> = parts.iter().map(|part| Fingerprint::parse(part)).collect();
        match parsed {
            Some(fingerprints) if (1..=FINGERPRINTS_MAX).contains(&fingerprints.len()) => {
                Ok(Self(Rule::Fingerprints(fingerprints)))
            }
            _ => Err(
                "give it as \"ssh-ed25519 256 SHA256:…\" or \"ssh-rsa 2048 aa:bb:…\"; \
                      `ssh-keyscan HOST | ssh-keygen -lf -` shows it"
                    .to_owned(),
            ),
        }
    }

    /// Trusts every server.
    pub fn any() -> Self {
        Self(Rule::Any)
    }

    /// Trusts the servers that these files know.
    pub fn known_hosts(files: Vec<PathBuf>) -> Self {
        Self(Rule::KnownHosts(files))
    }

    /// What to ask the server for, one connection after the other until the key is the right one.
    pub(super) fn offers(&self, host: &str, port: u16) -> Vec<Offer> {
        match &self.0 {
            Rule::Any => vec![KeyKind::ALL.to_vec()],
            Rule::KnownHosts(files) => {
                let mut kinds = known_hosts::known_kinds(files, host, port);
                add_missing(&mut kinds, KeyKind::ALL);
                vec![kinds]
            }
            // A server has a key of each kind and shows one: it may be another than the one that was written down.
            Rule::Fingerprints(fingerprints) => {
                let mut kinds = Vec::new();
                add_missing(
                    &mut kinds,
                    fingerprints.iter().filter_map(|fingerprint| fingerprint.kind),
                );
                if fingerprints.iter().any(|fingerprint| fingerprint.kind.is_none()) {
                    add_missing(&mut kinds, KeyKind::ALL);
                }
                kinds.into_iter().map(|kind| vec![kind]).collect()
            }
        }
    }

    /// The reason why a key is not trusted, with the way out.
    pub(super) fn check(&self, host: &str, port: u16, key: &PublicKey) -> Result<(), String> {
        let shown = fingerprint::shown(key);
        match &self.0 {
            Rule::Any => Ok(()),
            Rule::Fingerprints(fingerprints) => {
                if fingerprints.iter().any(|fingerprint| fingerprint.is_of(key)) {
                    return Ok(());
                }
                Err(format!(
                    "the server's host key is not the one that --ssh-fingerprint names: it is \"{shown}\" (in the old form \
                     \"{}\"). Somebody may be posing as the server. If its administrator tells you that the key was changed, \
                     give the new fingerprint: --ssh-fingerprint=\"{shown}\"",
                    fingerprint::shown_md5(key)
                ))
            }
            Rule::KnownHosts(files) => {
                let ask = format!(
                    "compare it with what its administrator tells you, and if it is the same, add \
                     --ssh-fingerprint=\"{shown}\""
                );
                match known_hosts::judge(files, host, port, key) {
                    Verdict::Known => Ok(()),
                    Verdict::Unknown => Err(format!(
                        "the server's host key is not known here: it is \"{shown}\"; {ask} (or, where nobody can stand \
                         between, --ssh-accept-any-fingerprints)"
                    )),
                    Verdict::Other {
                        file,
                        line,
                        is_same_kind: true,
                    } => Err(format!(
                        "the server's host key has CHANGED: {} line {line} has another one than \"{shown}\". Somebody may be \
                         posing as the server; {ask}, or correct that file",
                        file.display()
                    )),
                    Verdict::Other { file, line, .. } => Err(format!(
                        "the server's host key is not known here: it is \"{shown}\", and {} line {line} has a key of another \
                         kind; {ask}",
                        file.display()
                    )),
                    Verdict::Revoked { file, line } => Err(format!(
                        "the server's host key \"{shown}\" is revoked by {} line {line}: whoever shows it is not to be trusted",
                        file.display()
                    )),
                }
            }
        }
    }
}

fn add_missing(kinds: &mut Offer, more: impl IntoIterator<Item = KeyKind>) {
    for kind in more {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
}

/// The names of the algorithms of an offer.
pub(super) fn algorithms(offer: &[KeyKind]) -> Vec<Algorithm> {
    offer.iter().flat_map(|kind| kind.algorithms()).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::fingerprint::tests::ED25519, *};

    #[test]
    fn unknown_host_is_refused_with_the_option_that_would_allow_it() {
        let key = PublicKey::from_openssh(ED25519).unwrap();
        let policy = HostKeyPolicy::known_hosts(vec!["/nowhere/known_hosts".into()]);
        let message = policy.check("host", 22, &key).unwrap_err();
        let option = format!("--ssh-fingerprint=\"{}\"", fingerprint::shown(&key));
        assert!(message.contains(&option), "{message}");
        assert!(HostKeyPolicy::any().check("host", 22, &key).is_ok());
        let policy = HostKeyPolicy::fingerprints(&fingerprint::shown(&key)).unwrap();
        assert!(policy.check("host", 22, &key).is_ok());
    }

    #[test]
    fn several_fingerprints_are_each_enough_and_rubbish_is_refused() {
        let key = PublicKey::from_openssh(ED25519).unwrap();
        let other = "ssh-rsa 2048 00:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd";
        let both = format!("{other}, {}", fingerprint::shown(&key));
        assert!(
            HostKeyPolicy::fingerprints(&both)
                .unwrap()
                .check("h", 22, &key)
                .is_ok()
        );
        let message = HostKeyPolicy::fingerprints(other)
            .unwrap()
            .check("h", 22, &key)
            .unwrap_err();
        assert!(message.contains("posing"), "{message}");
        for text in ["", ",", "rubbish", "ssh-rsa 2048"] {
            assert!(HostKeyPolicy::fingerprints(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_kind_that_is_written_down_is_the_one_that_is_asked_for() {
        let rsa = HostKeyPolicy::fingerprints("ssh-rsa 2048 00:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd");
        assert_eq!(rsa.unwrap().offers("h", 22), [vec![KeyKind::Rsa]]);
        let bare = HostKeyPolicy::fingerprints("00:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd").unwrap();
        assert_eq!(bare.offers("h", 22).len(), 3);
    }
}
