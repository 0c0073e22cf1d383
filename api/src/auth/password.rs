// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one password, kept as an argon2id hash.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::RngCore;
use serde_json::{Value, json};

const SALT_BYTES: usize = 32;
const HASH_BYTES: usize = 32;
/// Memory of one check, KiB.
const MEMORY_KIB: u32 = 19 << 10;
const PASSES: u32 = 2;
/// Longest password that is looked at, bytes; a longer one is wrong.
pub const PASSWORD_BYTES_MAX: usize = 4 << 10;

/// What is stored of a password, as JSON.
pub fn hash(password: &str) -> Option<String> {
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let hash = derive(password, &salt, MEMORY_KIB, PASSES)?;
    let stored = json!({
        "Algorithm": "argon2id", "Version": 1, "Salt": STANDARD.encode(salt), "Hash": STANDARD.encode(hash),
        "MemoryKiB": MEMORY_KIB, "Passes": PASSES,
    });
    Some(stored.to_string())
}

/// Whether a password is the stored one. Takes a while on purpose.
pub fn is_right(password: &str, stored: &str) -> bool {
    let check = || {
        let stored: Value = serde_json::from_str(stored).ok()?;
        let bytes = |name: &str| STANDARD.decode(stored[name].as_str()?).ok();
        let number = |name: &str| u32::try_from(stored[name].as_u64()?).ok();
        let hash = derive(password, &bytes("Salt")?, number("MemoryKiB")?, number("Passes")?)?;
        Some(is_same(&hash, &bytes("Hash")?))
    };
    password.len() <= PASSWORD_BYTES_MAX && check().unwrap_or(false)
}

/// A password that nobody knows.
pub fn random() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    STANDARD.encode(bytes)
}

fn derive(password: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Option<Vec<u8>> {
    let parameters = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).ok()?;
    let mut hash = vec![0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .ok()?;
    Some(hash)
}

/// Compares without telling by time where two texts differ.
pub fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |difference, (left, right)| difference | (left ^ right))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_right() {
        let stored = hash("easy1234").unwrap();
        assert!(!stored.contains("easy1234"));
        assert!(is_right("easy1234", &stored));
        assert!(!is_right("easy1235", &stored));
        assert!(!is_right("", &stored));
        for damaged in [
            "",
            "{}",
            "null",
            r#"{"Salt":"AAAA","Hash":"","MemoryKiB":8,"Passes":1}"#,
        ] {
            assert!(!is_right("easy1234", damaged));
        }
    }
}
