// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signed tokens (JWT, HS256). Pure: the time is handed in.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rand::RngCore;
use ring::{digest, hmac};
use serde_json::{Value, json};

const ISSUER: &str = "https://duplicati";
/// Clocks may differ this much, seconds.
const SKEW_SECONDS: i64 = 5;
/// Longest token that is looked at, bytes.
const TOKEN_BYTES_MAX: usize = 8 << 10;
const KEY_BYTES: usize = 32;

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Names the family it belongs to.
    Access {
        family: String,
    },
    Refresh {
        family: String,
        counter: i64,
        nonce_hash: Option<String>,
        issued: i64,
    },
    Signin,
    SingleOperation {
        operation: String,
    },
}

/// A token's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub kind: Kind,
    pub user_id: String,
    /// Unix seconds.
    pub expires: i64,
}

/// Signs and checks tokens.
#[derive(Clone)]
pub struct TokenKey(hmac::Key);

impl TokenKey {
    /// The key of the stored configuration. It is the text that is the key, not the bytes that it encodes.
    pub fn from_text(text: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()))
    }

    /// A new key text.
    pub fn random_text() -> String {
        let mut bytes = [0; KEY_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        STANDARD.encode(bytes)
    }

    /// A token.
    pub fn sign(&self, claims: &Claims, now: i64) -> String {
        let kind = match &claims.kind {
            Kind::Access { .. } => "AccessToken",
            Kind::Refresh { .. } => "RefreshToken",
            Kind::Signin => "SigninToken",
            Kind::SingleOperation { .. } => "SingleOperationToken",
        };
        let mut payload = json!({
            "iss": ISSUER, "aud": ISSUER, "nbf": now, "exp": claims.expires, "typ": kind, "sid": claims.user_id,
        });
        match &claims.kind {
            Kind::Access { family } => payload["fam"] = family.as_str().into(),
            Kind::Refresh {
                family,
                counter,
                nonce_hash,
                issued,
            } => {
                payload["fam"] = family.as_str().into();
                payload["cnt"] = (*counter).into();
                payload["iat"] = (*issued).into();
                payload["nce"] = nonce_hash.clone().into();
            }
            Kind::SingleOperation { operation } => payload["sop"] = operation.as_str().into(),
            Kind::Signin => {}
        }
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&payload));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The content of a token that is whole, ours and valid at this time.
    pub fn check(&self, token: &str, now: i64) -> Option<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).ok()?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (header, payload) = (decode(header)?, decode(payload)?);
        let text = |name: &str| payload[name].as_str().map(str::to_owned);
        let number = |name: &str| payload[name].as_i64();
        let is_ours = header["alg"] == "HS256" && payload["iss"] == ISSUER && payload["aud"] == ISSUER;
        let expires = number("exp")?;
        let is_valid =
            expires + SKEW_SECONDS > now && number("nbf").is_none_or(|from| from - SKEW_SECONDS <= now);
        if !is_ours || !is_valid {
            return None;
        }
        let kind = match text("typ")?.as_str() {
            "AccessToken" => Kind::Access { family: text("fam")? },
            "RefreshToken" => Kind::Refresh {
                family: text("fam")?,
                counter: number("cnt")?,
                nonce_hash: text("nce"),
                issued: number("iat")?,
            },
            "SigninToken" => Kind::Signin,
            "SingleOperationToken" => Kind::SingleOperation {
                operation: text("sop")?,
            },
            _ => return None,
        };
        Some(Claims {
            kind,
            user_id: text("sid").unwrap_or_default(),
            expires,
        })
    }
}

/// A new nonce.
pub fn nonce() -> String {
    TokenKey::random_text()
}

/// What a token carries of a nonce. A nonce is random, so a plain hash gives nothing away.
pub fn nonce_hash(nonce: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, nonce.as_bytes()))
}

/// A new name for a family.
pub fn family_id() -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(kind: Kind) -> Claims {
        Claims {
            kind,
            user_id: "webserver".to_owned(),
            expires: 1_000,
        }
    }

    #[test]
    fn every_kind_comes_back_as_it_was_signed() {
        let key = TokenKey::from_text("key");
        for kind in [
            Kind::Access {
                family: "F".to_owned(),
            },
            Kind::Refresh {
                family: "F".to_owned(),
                counter: 7,
                nonce_hash: Some("H".to_owned()),
                issued: 100,
            },
            Kind::Signin,
            Kind::SingleOperation {
                operation: "export".to_owned(),
            },
        ] {
            let claims = claims(kind);
            assert_eq!(key.check(&key.sign(&claims, 100), 500), Some(claims));
        }
    }

    #[test]
    fn a_token_ends_with_its_time_and_begins_with_it() {
        let key = TokenKey::from_text("key");
        let token = key.sign(&claims(Kind::Signin), 100);
        assert!(key.check(&token, 1_004).is_some());
        assert!(key.check(&token, 1_005).is_none());
        assert!(key.check(&token, 94).is_none());
    }

    #[test]
    fn a_token_of_another_key_or_with_a_changed_byte_is_refused() {
        let key = TokenKey::from_text("key");
        let token = key.sign(&claims(Kind::Signin), 100);
        assert!(TokenKey::from_text("other").check(&token, 500).is_none());
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character of a part carries bits that mean nothing.
            if changed != token {
                assert!(key.check(&changed, 500).is_none(), "{position}");
            }
        }
        for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(10_000)] {
            assert!(key.check(nonsense, 500).is_none());
        }
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "none", "typ": "JWT"}));
        let payload = part(json!({"iss": ISSUER, "aud": ISSUER, "exp": 1_000, "typ": "SigninToken"}));
        assert!(
            TokenKey::from_text("key")
                .check(&format!("{header}.{payload}."), 500)
                .is_none()
        );
    }
}
