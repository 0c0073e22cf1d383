// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PEM: certificates and one private key in a text, in any order, the key perhaps encrypted.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::certificate::CertificateError;

/// How a block of PEM begins.
pub const BEGIN: &[u8] = b"-----BEGIN ";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// What marks keys that are encrypted in a way of long ago, which is weak.
const OLD_ENCRYPTION: &str = "Proc-Type: 4,ENCRYPTED";
/// Characters of a line of PEM.
const LINE: usize = 64;

/// Certificates and key of a text.
pub fn read(
    text: &[u8],
    password: Option<&str>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    let shown = String::from_utf8_lossy(text);
    if shown.contains(OLD_ENCRYPTION) {
        return Err(CertificateError::OldEncryption);
    }
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::Damaged(error.to_string()))?;
    if let Some(sealed) = block(&shown, ENCRYPTED) {
        return Ok((certificates, decrypted(sealed, password)?));
    }
    let key = PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => CertificateError::NoKey,
        error => CertificateError::Damaged(error.to_string()),
    })?;
    Ok((certificates, key))
}

/// What stands in the first block of a kind.
fn block<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    let begin = format!("-----BEGIN {kind}-----");
    let after = &text[text.find(&begin)? + begin.len()..];
    Some(&after[..after.find("-----END ")?])
}

fn decrypted(body: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let packed: String = body
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let damaged = |error: &dyn std::fmt::Display| CertificateError::Damaged(error.to_string());
    let der = STANDARD.decode(packed).map_err(|error| damaged(&error))?;
    let sealed = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|error| damaged(&error))?;
    let key = sealed
        .decrypt(password.unwrap_or_default())
        .map_err(|_| CertificateError::Password {
            is_given: password.is_some(),
        })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// A block of PEM.
pub fn write(kind: &str, der: &[u8]) -> String {
    let packed = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {kind}-----\n");
    for line in packed.as_bytes().chunks(LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {kind}-----\n"));
    text
}
