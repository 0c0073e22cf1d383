// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Index segments (section 7): which pack and frame holds each chunk.

use super::{
    FORMAT_VERSION, FormatError,
    codec::{Decoder, put_bytes, put_varint},
    pack::PackFooter,
};
use crate::id::PackId;

/// Most packs in one segment that a reader accepts.
pub const PACKS_MAX: u64 = 1 << 20;
/// Longest age header that a reader accepts, bytes.
pub const AGE_HEADER_BYTES_MAX: usize = 64 << 10;

/// One pack as an index segment describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackDescription {
    /// The pack.
    pub id: PackId,
    /// The whole stored object, bytes.
    pub object_size_bytes: u64,
    /// The object's age header, repeated so that one range request reads a chunk; empty without encryption.
    pub age_header: Vec<u8>,
    /// Its frames and chunks.
    pub footer: PackFooter,
}

impl PackDescription {
    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        put_varint(out, self.object_size_bytes);
        put_bytes(out, &self.age_header);
        let mut footer = Vec::new();
        self.footer.encode(&mut footer);
        put_bytes(out, &footer);
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the grammar or a limit is broken.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, FormatError> {
        let id = PackId(decoder.array()?);
        let object_size_bytes = decoder.varint()?;
        let age_header = decoder.bytes()?;
        if age_header.len() > AGE_HEADER_BYTES_MAX {
            return Err(decoder.damaged("an age header is too long"));
        }
        let age_header = age_header.to_vec();
        let mut payload = Decoder::new("pack in an index segment", decoder.bytes()?);
        let footer = PackFooter::decode(&mut payload)?;
        if !payload.is_empty() {
            return Err(payload.damaged("it has bytes too many"));
        }
        Ok(Self {
            id,
            object_size_bytes,
            age_header,
            footer,
        })
    }
}

/// Encodes a segment from packs in their stored form ([`PackDescription::encode`]).
pub fn encode_segment<'a>(packs: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![FORMAT_VERSION];
    put_varint(&mut out, packs.len() as u64);
    for pack in packs {
        out.extend_from_slice(pack);
    }
    out
}

/// Reads a segment pack by pack, so that a large one never stands in memory twice.
///
/// # Errors
/// When the grammar is broken, or `each` fails.
pub fn decode_segment<E: From<FormatError>>(
    content: &[u8],
    mut each: impl FnMut(PackDescription) -> Result<(), E>,
) -> Result<(), E> {
    let mut decoder = Decoder::new("index segment", content);
    decoder.version()?;
    let count = decoder.varint_up_to("the number of packs", PACKS_MAX)?;
    for _ in 0..count {
        each(PackDescription::decode(&mut decoder)?)?;
    }
    if !decoder.is_empty() {
        return Err(decoder.damaged("it has bytes too many").into());
    }
    Ok(())
}
