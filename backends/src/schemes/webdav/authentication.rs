// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signing in: Basic at once, Digest when the server asks for it or the user wants nothing else (RFC 7616).

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// Who signs in.
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
    /// Whether the password must never be sent in a form that can be read.
    pub(super) digest_only: bool,
}

/// Credentials and what the server asked for.
pub(super) struct Authentication {
    credentials: Credentials,
    challenge: Mutex<Option<Challenge>>,
    /// Requests signed under the present challenge.
    count: AtomicU32,
}

#[derive(Clone)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    protects: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &str) -> String {
        let bytes: Vec<u8> = match self {
            Self::Md5 => Md5::digest(text.as_bytes()).to_vec(),
            Self::Sha256 => ring::digest::digest(&ring::digest::SHA256, text.as_bytes())
                .as_ref()
                .to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Authentication {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            challenge: Mutex::new(None),
            count: AtomicU32::new(0),
        }
    }

    /// Whether there is anything to sign in with.
    pub(super) fn has_user(&self) -> bool {
        self.credentials.user.is_some()
    }

    /// The header for a request, as far as one can be made.
    pub(super) fn header(&self, method: &str, target: &str) -> Option<HeaderValue> {
        let user = self.credentials.user.as_deref()?;
        let password = self
            .credentials
            .password
            .as_ref()
            .map_or("", |password| password.expose_secret());
        let challenge = self.lock().clone();
        let text = match challenge {
            Some(challenge) => {
                let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
                let own_nonce = format!("{:016x}", rand::random::<u64>());
                digest(&challenge, user, password, method, target, count, &own_nonce)
            }
            None if self.credentials.digest_only => return None,
            None => format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes up what a refusal asks for. Returns whether another try with it makes sense.
    pub(super) fn learn<'a>(&self, offers: impl Iterator<Item = &'a str>) -> bool {
        if !self.has_user() {
            return false;
        }
        let mut challenges: Vec<Challenge> = offers.filter_map(parse).collect();
        // The stronger one last.
        challenges.sort_by_key(|challenge| challenge.algorithm == Algorithm::Sha256);
        let Some(offered) = challenges.pop() else {
            return false;
        };
        let mut known = self.lock();
        // The same nonce refused again means that the password is wrong.
        let is_new = known.as_ref().is_none_or(|known| known.nonce != offered.nonce);
        if is_new {
            self.count.store(0, Ordering::Relaxed);
            *known = Some(offered);
        }
        is_new
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Challenge>> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(
    challenge: &Challenge,
    user: &str,
    password: &str,
    method: &str,
    target: &str,
    count: u32,
    own_nonce: &str,
) -> String {
    let Challenge {
        realm,
        nonce,
        opaque,
        algorithm,
        protects,
    } = challenge;
    let secret = algorithm.hash(&format!("{user}:{realm}:{password}"));
    let request = algorithm.hash(&format!("{method}:{target}"));
    let response = if *protects {
        algorithm.hash(&format!(
            "{secret}:{nonce}:{count:08x}:{own_nonce}:auth:{request}"
        ))
    } else {
        algorithm.hash(&format!("{secret}:{nonce}:{request}"))
    };
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut header = format!(
        "Digest username=\"{}\", realm=\"{}\", nonce=\"{nonce}\", uri=\"{target}\", response=\"{response}\", algorithm={}",
        quote(user),
        quote(realm),
        algorithm.name()
    );
    if *protects {
        header.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{own_nonce}\""));
    }
    if let Some(opaque) = opaque {
        header.push_str(&format!(", opaque=\"{opaque}\""));
    }
    header
}

/// Reads one `WWW-Authenticate` header if it is a digest challenge that we can answer.
fn parse(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let fields = fields(rest);
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let algorithm = match field("algorithm")
        .map(|name| name.to_ascii_uppercase())
        .as_deref()
    {
        None | Some("MD5") => Algorithm::Md5,
        Some("SHA-256") => Algorithm::Sha256,
        Some(_) => return None,
    };
    let quality = field("qop");
    let protects = match &quality {
        None => false,
        Some(offers) => offers
            .split(',')
            .any(|offer| offer.trim().eq_ignore_ascii_case("auth"))
            .then_some(true)?,
    };
    Some(Challenge {
        realm: field("realm")?,
        nonce: field("nonce")?,
        opaque: field("opaque"),
        algorithm,
        protects,
    })
}

/// `name=value` and `name="value"`, separated by commas.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut characters = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((place, character)) = characters.next() {
                    match character {
                        '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                        '"' => {
                            end = place + 1;
                            break;
                        }
                        other => value.push(other),
                    }
                }
                (value, &quoted[end..])
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        fields.push((name.trim().to_owned(), value));
        rest = after.trim_start_matches([',', ' ']);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authentication(digest_only: bool) -> Authentication {
        Authentication::new(Credentials {
            user: Some("Mufasa".to_owned()),
            password: Some("Circle of Life".into()),
            digest_only,
        })
    }

    /// The example of RFC 7616, section 3.9.1.
    #[test]
    fn the_digests_of_the_standard_are_reproduced() {
        let offer = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
                     nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let own_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let sign = |offer: &str| {
            let challenge = parse(offer).unwrap();
            digest(
                &challenge,
                "Mufasa",
                "Circle of Life",
                "GET",
                "/dir/index.html",
                1,
                own_nonce,
            )
        };
        assert!(sign(offer).contains("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"));
        let old = offer.replace("SHA-256", "MD5");
        assert!(sign(&old).contains("8ca523f5e9506fed4657c9700eebdbec"));
    }

    #[test]
    fn basic_is_sent_at_once_unless_only_digest_is_wanted() {
        let value = authentication(false).header("GET", "/").unwrap();
        assert!(value.to_str().unwrap().starts_with("Basic "));
        assert!(!format!("{value:?}").contains("Basic"));
        assert!(authentication(true).header("GET", "/").is_none());
    }

    #[test]
    fn a_challenge_is_answered_once_and_a_repeated_one_means_a_wrong_password() {
        let authentication = authentication(false);
        let offers = [
            "Basic realm=\"x\"",
            "Digest realm=\"a \\\"b\\\"\", nonce=\"n\", qop=\"auth\"",
        ];
        assert!(authentication.learn(offers.into_iter()));
        let value = authentication.header("GET", "/x").unwrap();
        let text = value.to_str().unwrap();
        assert!(
            text.starts_with("Digest ") && text.contains("nc=00000001"),
            "{text}"
        );
        assert!(!authentication.learn(offers.into_iter()));
        assert!(!authentication.learn(["Basic realm=\"x\""].into_iter()));
    }
}
