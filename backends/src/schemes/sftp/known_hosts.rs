// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files in which ssh keeps the keys of hosts it knows, read by ssh's rules: patterns, negation, hashed names, revoked keys.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;
use russh::keys::{PublicKey, ssh_key};

use super::fingerprint::KeyKind;

/// Largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// The port that needs no mention.
const DEFAULT_PORT: u16 = 22;

/// What the files say about a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Known,
    /// No file knows the host.
    Unknown,
    /// The host is known by another key of the same kind, or only by keys of other kinds.
    Other {
        file: PathBuf,
        line: usize,
        is_same_kind: bool,
    },
    Revoked {
        file: PathBuf,
        line: usize,
    },
}

/// One line about the host in question.
struct Line {
    file: PathBuf,
    number: usize,
    is_revoked: bool,
    key: PublicKey,
}

/// Judges the key that a host shows.
pub(super) fn judge(files: &[PathBuf], host: &str, port: u16, key: &PublicKey) -> Verdict {
    let lines = lines_about(files, host, port);
    let is_this = |line: &&Line| line.key.key_data() == key.key_data();
    if let Some(line) = lines.iter().find(|line| line.is_revoked && is_this(line)) {
        return Verdict::Revoked {
            file: line.file.clone(),
            line: line.number,
        };
    }
    let valid: Vec<&Line> = lines.iter().filter(|line| !line.is_revoked).collect();
    if valid.iter().any(is_this) {
        return Verdict::Known;
    }
    let kind = |key: &PublicKey| KeyKind::named(key.algorithm().as_str());
    let same = valid.iter().find(|line| kind(&line.key) == kind(key));
    match same.or(valid.first()) {
        Some(line) => Verdict::Other {
            file: line.file.clone(),
            line: line.number,
            is_same_kind: same.is_some(),
        },
        None => Verdict::Unknown,
    }
}

/// The kinds of keys by which a host is known; to be asked for first.
pub(super) fn known_kinds(files: &[PathBuf], host: &str, port: u16) -> Vec<KeyKind> {
    let mut kinds = Vec::new();
    for line in lines_about(files, host, port) {
        if let Some(kind) = KeyKind::named(line.key.algorithm().as_str())
            && !line.is_revoked
            && !kinds.contains(&kind)
        {
            kinds.push(kind);
        }
    }
    kinds
}

fn lines_about(files: &[PathBuf], host: &str, port: u16) -> Vec<Line> {
    let host = host.to_ascii_lowercase();
    let name = if port == DEFAULT_PORT {
        host
    } else {
        format!("[{host}]:{port}")
    };
    let mut found = Vec::new();
    for file in files {
        for (index, line) in read(file).lines().enumerate() {
            if let Some((is_revoked, key)) = parse(line, &name) {
                found.push(Line {
                    file: file.clone(),
                    number: index + 1,
                    is_revoked,
                    key,
                });
            }
        }
    }
    found
}

/// A file that is not there or cannot be read knows nobody.
fn read(file: &Path) -> String {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX => {
            String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
        }
        _ => String::new(),
    }
}

fn parse(line: &str, name: &str) -> Option<(bool, PublicKey)> {
    let mut words = line.split_whitespace().peekable();
    let is_revoked = match *words.peek()? {
        "@revoked" => words.next().is_some(),
        // Certificates are not asked for.
        word if word.starts_with(['@', '#']) => return None,
        _ => false,
    };
    if !matches_any(words.next()?, name) {
        return None;
    }
    let _kind = words.next()?;
    let bytes = STANDARD.decode(words.next()?).ok()?;
    let key = ssh_key::PublicKey::from_bytes(&bytes).ok()?;
    Some((is_revoked, key))
}

fn matches_any(patterns: &str, name: &str) -> bool {
    let mut is_match = false;
    for pattern in patterns.split(',') {
        if let Some(pattern) = pattern.strip_prefix('!') {
            if matches(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) {
                return false;
            }
        } else if let Some(hashed) = pattern.strip_prefix("|1|") {
            is_match |= is_hash_of(hashed, name);
        } else {
            is_match |= matches(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
        }
    }
    is_match
}

fn is_hash_of(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::verify(&key, name.as_bytes(), &hash).is_ok()
}

/// `*` stands for any text, `?` for one byte. Each step back is to the last `*` only, so that no pattern takes long.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut last_star = None;
    while at_name < name.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                last_star = Some((at_pattern, at_name));
                at_pattern += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[at_name] => {
                at_pattern += 1;
                at_name += 1;
            }
            _ => match last_star {
                Some((star, from)) => {
                    last_star = Some((star, from + 1));
                    at_pattern = star + 1;
                    at_name = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::{super::fingerprint::tests::ED25519, *};

    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG4rT3vTt99Ox5kndS4HmgTrKBT8SKzhK4rhGkEVGlCI";

    fn judged(content: &str, host: &str, port: u16) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        std::fs::write(&file, content).unwrap();
        let key = PublicKey::from_openssh(ED25519).unwrap();
        match judge(&[folder.path().join("none"), file], host, port, &key) {
            Verdict::Other {
                line, is_same_kind, ..
            } => Verdict::Other {
                file: PathBuf::new(),
                line,
                is_same_kind,
            },
            Verdict::Revoked { line, .. } => Verdict::Revoked {
                file: PathBuf::new(),
                line,
            },
            verdict => verdict,
        }
    }

    #[test]
    fn names_ports_patterns_and_hashes_are_followed() {
        for (hosts, host, port, is_known) in [
            ("example.org", "Example.ORG", 22, true),
            ("example.org", "example.org", 2222, false),
            ("[example.org]:2222", "example.org", 2222, true),
            ("a,b,c", "b", 22, true),
            ("*.example.org,!bad.example.org", "good.example.org", 22, true),
            ("*.example.org,!bad.example.org", "bad.example.org", 22, false),
            ("192.168.0.?", "192.168.0.7", 22, true),
            (
                "*a*a*a*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                22,
                false,
            ),
            // The name "192.168.1.61", hashed.
            (
                "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=",
                "192.168.1.61",
                22,
                true,
            ),
            (
                "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=",
                "192.168.1.62",
                22,
                false,
            ),
        ] {
            let expected = if is_known {
                Verdict::Known
            } else {
                Verdict::Unknown
            };
            let content = format!("# a remark\n\n{hosts} {ED25519} me@here\n");
            assert_eq!(judged(&content, host, port), expected, "{hosts} {host}:{port}");
        }
    }

    #[test]
    fn another_key_and_a_revoked_key_are_told_with_their_line() {
        let changed = Verdict::Other {
            file: PathBuf::new(),
            line: 2,
            is_same_kind: true,
        };
        assert_eq!(judged(&format!("x {ED25519}\nh {OTHER}\n"), "h", 22), changed);
        let revoked = Verdict::Revoked {
            file: PathBuf::new(),
            line: 2,
        };
        assert_eq!(
            judged(&format!("h {ED25519}\n@revoked * {ED25519}\n"), "h", 22),
            revoked
        );
    }

    #[test]
    fn broken_lines_are_passed_over() {
        let content = format!("h\nh ssh-rsa\nh ssh-rsa !!\n@cert-authority h {OTHER}\nh {ED25519}");
        assert_eq!(judged(&content, "h", 22), Verdict::Known);
    }
}
