// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writing and reading age v1 files (age-encryption.org/v1) with the payload cipher done by `ring`, which is several
//! times faster than the portable one. Stanzas are wrapped and unwrapped by the `age` crate.
//!
//! A file is a text header, a 16-byte nonce, and the payload in blocks of 64 KiB, each followed by a 16-byte tag.

use age::{Identity, Recipient};
use age_core::format::{FileKey, Stanza};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ring::{
    aead::{self, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use secrecy::ExposeSecret;

use super::{CryptoError, secret::fill_random};

/// Plaintext bytes in a block.
pub const BLOCK_SIZE_BYTES: usize = 64 << 10;
/// Bytes of a block's tag.
pub const TAG_SIZE_BYTES: usize = 16;
/// Bytes of the nonce between header and payload.
pub const NONCE_SIZE_BYTES: usize = 16;
/// Longest header that is read, bytes.
pub const HEADER_SIZE_BYTES_MAX: usize = 64 << 10;

const VERSION_LINE: &str = "age-encryption.org/v1\n";

/// Seals or opens the blocks of one file.
pub struct PayloadKey(LessSafeKey);

impl PayloadKey {
    fn derive(file_key: &FileKey, nonce: &[u8]) -> Self {
        let key = age_core::primitives::hkdf(nonce, b"payload", file_key.expose_secret());
        let key = UnboundKey::new(&aead::CHACHA20_POLY1305, &key).expect("the key has the cipher's 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts one block in place and returns its tag.
    ///
    /// # Errors
    /// Never with blocks of at most 64 KiB; the cipher's own limit is far above.
    pub fn seal(
        &self,
        number: u64,
        last: bool,
        block: &mut [u8],
    ) -> Result<[u8; TAG_SIZE_BYTES], CryptoError> {
        let tag = self
            .0
            .seal_in_place_separate_tag(block_nonce(number, last), Aad::empty(), block)
            .map_err(|_| CryptoError::BrokenSeal)?;
        let mut bytes = [0; TAG_SIZE_BYTES];
        bytes.copy_from_slice(tag.as_ref());
        Ok(bytes)
    }

    /// Decrypts one block with its tag in place and returns its plaintext.
    ///
    /// # Errors
    /// [`CryptoError::BrokenSeal`] when content, place or last-block flag differ from what was sealed.
    pub fn open<'a>(
        &self,
        number: u64,
        last: bool,
        block: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        self.0
            .open_in_place(block_nonce(number, last), Aad::empty(), block)
            .map_err(|_| CryptoError::BrokenSeal)
    }
}

fn block_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = last.into();
    Nonce::assume_unique_for_key(nonce)
}

/// The head of a new file.
pub struct NewFile {
    /// The text header.
    pub header: Vec<u8>,
    /// The nonce that follows it.
    pub nonce: [u8; NONCE_SIZE_BYTES],
    /// Seals the blocks.
    pub key: PayloadKey,
}

/// Makes the head of a new file.
///
/// # Errors
/// When a recipient cannot be used or there is no randomness.
pub fn create(recipients: &[&dyn Recipient]) -> Result<NewFile, CryptoError> {
    let mut raw = [0u8; 16];
    fill_random(&mut raw)?;
    let file_key = FileKey::new(Box::new(raw));
    let mut header = VERSION_LINE.to_owned();
    for recipient in recipients {
        let (stanzas, _labels) = recipient
            .wrap_file_key(&file_key)
            .map_err(|error| CryptoError::BadKey(error.to_string()))?;
        stanzas
            .iter()
            .for_each(|stanza| write_stanza(&mut header, stanza));
    }
    header.push_str("---");
    let mac = header_mac(&file_key, header.as_bytes());
    header.push(' ');
    header.push_str(&STANDARD_NO_PAD.encode(mac));
    header.push('\n');
    let mut nonce = [0; NONCE_SIZE_BYTES];
    fill_random(&mut nonce)?;
    let key = PayloadKey::derive(&file_key, &nonce);
    Ok(NewFile {
        header: header.into_bytes(),
        nonce,
        key,
    })
}

fn write_stanza(header: &mut String, stanza: &Stanza) {
    header.push_str("-> ");
    header.push_str(&stanza.tag);
    for argument in &stanza.args {
        header.push(' ');
        header.push_str(argument);
    }
    header.push('\n');
    let body = STANDARD_NO_PAD.encode(&stanza.body);
    let mut rest = body.as_str();
    // The last line of a body is always shorter than 64 columns, if need be empty.
    while rest.len() >= 64 {
        let (line, next) = rest.split_at(64);
        header.push_str(line);
        header.push('\n');
        rest = next;
    }
    header.push_str(rest);
    header.push('\n');
}

fn header_mac(file_key: &FileKey, header: &[u8]) -> [u8; 32] {
    let key = age_core::primitives::hkdf(&[], b"header", file_key.expose_secret());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), header);
    let mut mac = [0; 32];
    mac.copy_from_slice(tag.as_ref());
    mac
}

/// Length of the text header at the start of a file.
///
/// # Errors
/// When the bytes do not begin with a whole header.
pub fn header_length(file: &[u8]) -> Result<usize, CryptoError> {
    parse_header(file).map(|(_, length, _)| length)
}

/// Opens a header: gives back what opens the blocks. `nonce` are the 16 bytes after the header.
///
/// # Errors
/// [`CryptoError::NoKey`] when no identity fits, [`CryptoError::BrokenSeal`] when the header was changed.
pub fn open_header(
    header: &[u8],
    nonce: &[u8; NONCE_SIZE_BYTES],
    identities: &[&dyn Identity],
) -> Result<PayloadKey, CryptoError> {
    let (stanzas, length, mac_input_length) = parse_header(header)?;
    let file_key = identities
        .iter()
        .find_map(|identity| identity.unwrap_stanzas(&stanzas))
        .ok_or(CryptoError::NoKey)?
        .map_err(|_| CryptoError::NoKey)?;
    let mac = header
        .get(mac_input_length + 1..length - 1)
        .and_then(|text| STANDARD_NO_PAD.decode(text).ok())
        .ok_or(CryptoError::NotAge("its check cannot be read"))?;
    let key = age_core::primitives::hkdf(&[], b"header", file_key.expose_secret());
    hmac::verify(
        &hmac::Key::new(hmac::HMAC_SHA256, &key),
        &header[..mac_input_length],
        &mac,
    )
    .map_err(|_| CryptoError::BrokenSeal)?;
    Ok(PayloadKey::derive(&file_key, nonce))
}

/// Kinds and arguments of a header's stanzas, in order.
///
/// # Errors
/// When the bytes do not begin with a whole header.
pub fn stanza_arguments(file: &[u8]) -> Result<Vec<(String, Vec<String>)>, CryptoError> {
    let (stanzas, ..) = parse_header(file)?;
    Ok(stanzas
        .into_iter()
        .map(|stanza| (stanza.tag, stanza.args))
        .collect())
}

/// Stanzas, length of the header, length of what its check covers.
fn parse_header(file: &[u8]) -> Result<(Vec<Stanza>, usize, usize), CryptoError> {
    let window = &file[..file.len().min(HEADER_SIZE_BYTES_MAX)];
    let mut position = 0;
    let mut next_line = || {
        let rest = &window[position..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let start = position;
        position += end + 1;
        Some((start, std::str::from_utf8(&rest[..end]).ok()?))
    };
    let cut = CryptoError::NotAge("the header ends early");
    let (_, version) = next_line().ok_or(CryptoError::NotAge("there is no header"))?;
    if version != VERSION_LINE.trim_end() {
        return Err(CryptoError::NotAge("it does not begin with the version line"));
    }
    let mut stanzas = Vec::new();
    loop {
        let (start, line) = next_line().ok_or(cut.clone())?;
        if line.starts_with("--- ") {
            let length = start + line.len() + 1;
            return Ok((stanzas, length, start + 3));
        }
        let mut words = line
            .strip_prefix("-> ")
            .ok_or(CryptoError::NotAge("a line of the header is misplaced"))?
            .split(' ');
        let tag = words.next().unwrap_or_default().to_owned();
        let args = words.map(str::to_owned).collect();
        let mut text = String::new();
        loop {
            let (_, line) = next_line().ok_or(cut.clone())?;
            text.push_str(line);
            if line.len() < 64 {
                break;
            }
        }
        let body = STANDARD_NO_PAD
            .decode(&text)
            .map_err(|_| CryptoError::NotAge("a stanza's body cannot be read"))?;
        stanzas.push(Stanza { tag, args, body });
    }
}

/// Builds a file in one growing buffer, block by block, as its plaintext comes.
pub struct FileBuilder {
    buffer: Vec<u8>,
    key: Option<PayloadKey>,
    block_start: usize,
    block_number: u64,
    payload_start: usize,
    header_length: usize,
}

impl FileBuilder {
    /// Starts a file in `buffer`, which is cleared and keeps its room. Without recipient the plaintext stands bare.
    ///
    /// # Errors
    /// When the recipient cannot be used or there is no randomness.
    pub fn new(mut buffer: Vec<u8>, recipient: Option<&dyn Recipient>) -> Result<Self, CryptoError> {
        buffer.clear();
        let mut header_length = 0;
        let key = match recipient {
            Some(recipient) => {
                let file = create(&[recipient])?;
                header_length = file.header.len();
                buffer.extend_from_slice(&file.header);
                buffer.extend_from_slice(&file.nonce);
                Some(file.key)
            }
            None => None,
        };
        let payload_start = buffer.len();
        Ok(Self {
            buffer,
            key,
            block_start: payload_start,
            block_number: 0,
            payload_start,
            header_length,
        })
    }

    /// Bytes of the object so far.
    pub fn object_length(&self) -> usize {
        self.buffer.len()
    }

    /// The text header; empty without encryption.
    pub fn header(&self) -> &[u8] {
        &self.buffer[..self.header_length]
    }

    /// Appends plaintext; whole blocks are sealed on the way.
    ///
    /// # Errors
    /// As [`PayloadKey::seal`].
    pub fn push(&mut self, mut plaintext: &[u8]) -> Result<(), CryptoError> {
        let Some(key) = &self.key else {
            self.buffer.extend_from_slice(plaintext);
            return Ok(());
        };
        while !plaintext.is_empty() {
            let mut room = BLOCK_SIZE_BYTES - (self.buffer.len() - self.block_start);
            if room == 0 {
                // Only when more follows is it sure that the full block is not the last one.
                let tag = key.seal(self.block_number, false, &mut self.buffer[self.block_start..])?;
                self.buffer.extend_from_slice(&tag);
                self.block_number += 1;
                self.block_start = self.buffer.len();
                room = BLOCK_SIZE_BYTES;
            }
            let (now, later) = plaintext.split_at(room.min(plaintext.len()));
            self.buffer.extend_from_slice(now);
            plaintext = later;
        }
        Ok(())
    }

    /// Seals the last block and returns the object.
    ///
    /// # Errors
    /// As [`PayloadKey::seal`].
    pub fn finish(mut self) -> Result<(Vec<u8>, PayloadCheck), CryptoError> {
        if let Some(key) = &self.key {
            let tag = key.seal(self.block_number, true, &mut self.buffer[self.block_start..])?;
            self.buffer.extend_from_slice(&tag);
        }
        Ok((
            self.buffer,
            PayloadCheck {
                key: self.key,
                payload_start: self.payload_start,
            },
        ))
    }
}

/// Opens a just-built file again without an identity, to check it before it leaves (F-9).
pub struct PayloadCheck {
    key: Option<PayloadKey>,
    payload_start: usize,
}

impl PayloadCheck {
    /// Opens every block of `object` into `scratch` and hands the plaintext on, block by block.
    ///
    /// # Errors
    /// When a seal does not open.
    pub fn open(
        &self,
        object: &[u8],
        scratch: &mut Vec<u8>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), CryptoError> {
        let payload = object.get(self.payload_start..).ok_or(CryptoError::BrokenSeal)?;
        let Some(key) = &self.key else {
            each(payload);
            return Ok(());
        };
        for_each_block(payload, |number, last, block| {
            scratch.clear();
            scratch.extend_from_slice(block);
            each(key.open(number, last, scratch)?);
            Ok(())
        })
    }
}

/// Walks the sealed blocks of a payload.
fn for_each_block(
    payload: &[u8],
    mut each: impl FnMut(u64, bool, &[u8]) -> Result<(), CryptoError>,
) -> Result<(), CryptoError> {
    let size = BLOCK_SIZE_BYTES + TAG_SIZE_BYTES;
    if payload.is_empty() {
        return Err(CryptoError::BrokenSeal);
    }
    let count = payload.len().div_ceil(size);
    for (number, block) in payload.chunks(size).enumerate() {
        let last = number + 1 == count;
        // An empty last block is right only in an empty file.
        if block.len() < TAG_SIZE_BYTES || (block.len() == TAG_SIZE_BYTES && number > 0) {
            return Err(CryptoError::BrokenSeal);
        }
        each(number as u64, last, block)?;
    }
    Ok(())
}

/// Seals a small object whole.
///
/// # Errors
/// When the recipient cannot be used or there is no randomness.
pub fn seal(recipient: &dyn Recipient, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut builder = FileBuilder::new(Vec::with_capacity(plaintext.len() + 512), Some(recipient))?;
    builder.push(plaintext)?;
    builder.finish().map(|(object, _)| object)
}

/// Opens a whole object.
///
/// # Errors
/// When it is not an age file, no identity fits, or it was changed.
pub fn open(identities: &[&dyn Identity], object: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let length = header_length(object)?;
    let nonce = object
        .get(length..length + NONCE_SIZE_BYTES)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(CryptoError::NotAge("the payload is missing"))?;
    let key = open_header(&object[..length], nonce, identities)?;
    let payload = &object[length + NONCE_SIZE_BYTES..];
    let mut plaintext = Vec::with_capacity(payload.len());
    for_each_block(payload, |number, last, block| {
        let start = plaintext.len();
        plaintext.extend_from_slice(block);
        let opened = key.open(number, last, &mut plaintext[start..])?.len();
        plaintext.truncate(start + opened);
        Ok(())
    })?;
    Ok(plaintext)
}

/// Where the plaintext bytes `start..end` of a payload stand in the object, in whole blocks.
///
/// Returns the first block's number, the object range, and how far into the opened blocks `start` lies.
pub fn block_range(
    header_length: usize,
    object_size: u64,
    start: u64,
    end: u64,
) -> (u64, std::ops::Range<u64>, usize) {
    let (plain, sealed) = (
        BLOCK_SIZE_BYTES as u64,
        (BLOCK_SIZE_BYTES + TAG_SIZE_BYTES) as u64,
    );
    let payload_start = (header_length + NONCE_SIZE_BYTES) as u64;
    let (first, last) = (start / plain, end.saturating_sub(1) / plain);
    let range = payload_start + first * sealed..(payload_start + (last + 1) * sealed).min(object_size);
    (first, range, (start - first * plain) as usize)
}

/// Opens consecutive blocks that begin with block `first`; `to_end` says that the last of them ends the object.
///
/// # Errors
/// [`CryptoError::BrokenSeal`].
pub fn open_blocks(
    key: &PayloadKey,
    first: u64,
    to_end: bool,
    sealed: &[u8],
    plaintext: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    plaintext.clear();
    plaintext.reserve(sealed.len());
    for_each_block(sealed, |number, last, block| {
        let start = plaintext.len();
        plaintext.extend_from_slice(block);
        let opened = key
            .open(first + number, last && to_end, &mut plaintext[start..])?
            .len();
        plaintext.truncate(start + opened);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn sizes() -> [usize; 9] {
        let block = BLOCK_SIZE_BYTES;
        [
            0,
            1,
            100,
            block - 1,
            block,
            block + 1,
            2 * block,
            2 * block + 7,
            5 * block,
        ]
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn the_age_crate_opens_what_we_seal() {
        let identity = age::x25519::Identity::generate();
        for size in sizes() {
            let object = seal(&identity.to_public(), &content(size)).unwrap();
            let decryptor = age::Decryptor::new(&object[..]).unwrap();
            let mut opened = Vec::new();
            let identity = &identity as &dyn Identity;
            decryptor
                .decrypt(std::iter::once(identity))
                .unwrap()
                .read_to_end(&mut opened)
                .unwrap();
            assert_eq!(opened, content(size), "{size}");
        }
    }

    #[test]
    fn we_open_what_the_age_crate_seals() {
        let identity = age::x25519::Identity::generate();
        for size in sizes() {
            let recipient = identity.to_public();
            let recipients = std::iter::once(&recipient as &dyn Recipient);
            let mut object = Vec::new();
            let mut writer = age::Encryptor::with_recipients(recipients)
                .unwrap()
                .wrap_output(&mut object)
                .unwrap();
            writer.write_all(&content(size)).unwrap();
            writer.finish().unwrap();
            assert_eq!(open(&[&identity], &object).unwrap(), content(size), "{size}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let identity = age::x25519::Identity::generate();
        let object = seal(&identity.to_public(), &content(300)).unwrap();
        for position in 0..object.len() {
            let mut damaged = object.clone();
            damaged[position] ^= 1;
            assert!(open(&[&identity], &damaged).is_err(), "bit of byte {position}");
            assert!(
                open(&[&identity], &object[..position]).is_err(),
                "cut at {position}"
            );
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        let identity = age::x25519::Identity::generate();
        let object = seal(&age::x25519::Identity::generate().to_public(), b"x").unwrap();
        assert_eq!(open(&[&identity], &object), Err(CryptoError::NoKey));
    }

    #[test]
    fn a_range_opens_like_the_whole() {
        let identity = age::x25519::Identity::generate();
        let plain = content(3 * BLOCK_SIZE_BYTES + 500);
        let object = seal(&identity.to_public(), &plain).unwrap();
        let length = header_length(&object).unwrap();
        let nonce = object[length..length + NONCE_SIZE_BYTES].try_into().unwrap();
        let key = open_header(&object[..length], nonce, &[&identity]).unwrap();
        for (start, end) in [
            (0, 1),
            (65_535, 65_537),
            (65_536, 131_072),
            (100, plain.len()),
            (plain.len() - 1, plain.len()),
        ] {
            let (first, range, skip) = block_range(length, object.len() as u64, start as u64, end as u64);
            let sealed = &object[range.start as usize..range.end as usize];
            let mut opened = Vec::new();
            open_blocks(&key, first, range.end == object.len() as u64, sealed, &mut opened).unwrap();
            assert_eq!(opened[skip..skip + end - start], plain[start..end]);
        }
    }
}
