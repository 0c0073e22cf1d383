// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ordered chunks of one file or directory (section 8.4).

use super::{
    FormatError,
    codec::{Decoder, put_varint},
};
use crate::id::ChunkId;

/// Levels of list chunks that a reader follows.
pub const DEPTH_MAX: u8 = 4;
/// Ids that a writer keeps inside an entry before it moves them to list chunks.
pub const INLINE_IDS_MAX: usize = 64;

/// The chunks of a file or directory: themselves, or list chunks that name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkList {
    /// 0: `ids` are the chunks; n: `ids` name list chunks of depth n − 1.
    pub depth: u8,
    /// The ids.
    pub ids: Vec<ChunkId>,
}

impl ChunkList {
    /// A list of the chunks themselves.
    pub fn direct(ids: Vec<ChunkId>) -> Self {
        Self { depth: 0, ids }
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.depth.into());
        put_varint(out, self.ids.len() as u64);
        for id in &self.ids {
            out.extend_from_slice(&id.0);
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the bytes end early, or the depth is out of range.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, FormatError> {
        let depth = decoder.varint_up_to("the depth of a chunk list", DEPTH_MAX.into())? as u8;
        let count = decoder.varint()?;
        if depth > 0 && count == 0 {
            return Err(decoder.damaged("a chunk list of depth above 0 has no ids"));
        }
        let raw = decoder.take(
            count
                .checked_mul(32)
                .ok_or_else(|| decoder.damaged("a count overflows"))?,
        )?;
        Ok(Self {
            depth,
            ids: decode_ids(raw),
        })
    }
}

/// Ids of a list chunk's content.
///
/// # Errors
/// When the content is empty or not a multiple of 32 bytes.
pub fn decode_list_chunk(content: &[u8]) -> Result<Vec<ChunkId>, FormatError> {
    if content.is_empty() || !content.len().is_multiple_of(32) {
        return Err(FormatError::damaged(
            "list chunk",
            "its length is not a multiple of 32",
        ));
    }
    Ok(decode_ids(content))
}

fn decode_ids(raw: &[u8]) -> Vec<ChunkId> {
    raw.chunks_exact(32)
        .map(|bytes| {
            let mut id = [0; 32];
            id.copy_from_slice(bytes);
            ChunkId(id)
        })
        .collect()
}
