// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opens small AES Crypt files (versions 2 and 3), as Duplicati makes them for secrets and exported settings. Nothing is written in this format.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

const MAGIC: &[u8] = b"AES";
const BLOCK_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// Rounds that version 2 makes of a passphrase.
const ROUNDS_OF_VERSION_2: u32 = 8192;
/// The most rounds of version 3 that are worked off; a hostile file could ask for years.
const ROUNDS_MAX: u32 = 5_000_000;

/// Why a file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AesCryptError {
    #[error("it is not an AES Crypt file")]
    NotAesCrypt,
    #[error("it is an AES Crypt file of version {0}, and only versions 2 and 3 are read")]
    UnknownVersion(u8),
    #[error("the passphrase is wrong, or the beginning of the file is damaged")]
    WrongPassphrase,
    #[error("it is damaged")]
    Damaged,
}

/// Whether content begins like an AES Crypt file.
pub fn is_aes_crypt(content: &[u8]) -> bool {
    content.starts_with(MAGIC) && content.len() > MAGIC.len()
}

/// Opens a file that is in memory.
///
/// # Errors
/// When it is no such file, the passphrase is another one, or any byte was changed.
pub fn open(content: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, AesCryptError> {
    if !is_aes_crypt(content) {
        return Err(AesCryptError::NotAesCrypt);
    }
    let mut rest = Reader(&content[MAGIC.len()..]);
    let version = rest.byte()?;
    if !matches!(version, 2 | 3) {
        return Err(AesCryptError::UnknownVersion(version));
    }
    rest.byte()?;
    loop {
        let length = u16::from_be_bytes(rest.array()?);
        if length == 0 {
            break;
        }
        rest.take(length.into())?;
    }
    let rounds = match version {
        3 => u32::from_be_bytes(rest.array()?),
        _ => ROUNDS_OF_VERSION_2,
    };
    if !(1..=ROUNDS_MAX).contains(&rounds) {
        return Err(AesCryptError::Damaged);
    }
    let public_iv: [u8; BLOCK_BYTES] = rest.array()?;
    let sealed: [u8; BLOCK_BYTES + KEY_BYTES] = rest.array()?;
    let tag: [u8; TAG_BYTES] = rest.array()?;
    let key = match version {
        3 => derive_3(passphrase, &public_iv, rounds),
        _ => derive_2(passphrase, &public_iv, rounds),
    };
    let suffix: &[u8] = if version == 3 { &[3] } else { &[] };
    verify(&key[..], &[&sealed, suffix], &tag).map_err(|()| AesCryptError::WrongPassphrase)?;
    let mut session = Zeroizing::new(sealed.to_vec());
    decrypt(&key[..], &public_iv, &mut session)?;
    let (session_iv, session_key) = session.split_at(BLOCK_BYTES);

    let trailer = TAG_BYTES + usize::from(version == 2);
    let ciphertext_bytes = rest.0.len().checked_sub(trailer).ok_or(AesCryptError::Damaged)?;
    if !ciphertext_bytes.is_multiple_of(BLOCK_BYTES) {
        return Err(AesCryptError::Damaged);
    }
    let ciphertext = rest.take(ciphertext_bytes)?;
    let last_block_bytes = if version == 2 { rest.byte()? & 0x0f } else { 0 };
    let tag: [u8; TAG_BYTES] = rest.array()?;
    verify(session_key, &[ciphertext], &tag).map_err(|()| AesCryptError::Damaged)?;
    let mut plain = Zeroizing::new(ciphertext.to_vec());
    decrypt(session_key, session_iv, &mut plain)?;
    let padding = match (version, plain.last()) {
        (3, Some(count)) => usize::from(*count),
        (3, None) => return Err(AesCryptError::Damaged),
        _ if last_block_bytes == 0 => 0,
        _ => BLOCK_BYTES - usize::from(last_block_bytes),
    };
    let length = plain
        .len()
        .checked_sub(padding)
        .filter(|_| padding <= BLOCK_BYTES);
    plain.truncate(length.ok_or(AesCryptError::Damaged)?);
    Ok(plain)
}

fn derive_2(passphrase: &str, iv: &[u8; BLOCK_BYTES], rounds: u32) -> Zeroizing<[u8; KEY_BYTES]> {
    let passphrase: Zeroizing<Vec<u8>> =
        Zeroizing::new(passphrase.encode_utf16().flat_map(u16::to_le_bytes).collect());
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    key[..BLOCK_BYTES].copy_from_slice(iv);
    for _ in 0..rounds {
        let digest = Sha256::new()
            .chain_update(*key)
            .chain_update(&*passphrase)
            .finalize();
        key.copy_from_slice(&digest);
    }
    key
}

fn derive_3(passphrase: &str, salt: &[u8; BLOCK_BYTES], rounds: u32) -> Zeroizing<[u8; KEY_BYTES]> {
    Zeroizing::new(pbkdf2::pbkdf2_hmac_array::<Sha512, KEY_BYTES>(
        passphrase.as_bytes(),
        salt,
        rounds,
    ))
}

fn verify(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> Result<(), ()> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| ())?;
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(tag).map_err(|_| ())
}

fn decrypt(key: &[u8], iv: &[u8], content: &mut [u8]) -> Result<(), AesCryptError> {
    let decryptor = cbc::Decryptor::<Aes256>::new_from_slices(key, iv).map_err(|_| AesCryptError::Damaged)?;
    decryptor
        .decrypt_padded::<NoPadding>(content)
        .map_err(|_| AesCryptError::Damaged)?;
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], AesCryptError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(AesCryptError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, AesCryptError> {
        Ok(self.take(1)?[0])
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], AesCryptError> {
        self.take(COUNT)?.try_into().map_err(|_| AesCryptError::Damaged)
    }
}

#[cfg(test)]
mod tests;
