// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Packs (section 6): the footer that lists a pack's frames and chunks.

use super::{
    FORMAT_VERSION, FormatError,
    codec::{Decoder, put_varint},
};
use crate::id::ChunkId;

/// Magic number of the zstd skippable frame that holds the footer.
pub const FOOTER_FRAME_MAGIC: u32 = 0x184D_2A5D;
/// Last four bytes of a pack's plaintext.
pub const FOOTER_END: [u8; 4] = *b"DPK1";
/// Raw size at which writers finish a frame of file content, bytes (F-4).
pub const FRAME_SIZE_BYTES: usize = 1 << 20;
/// The same for trees. After a history of small changes the directories of one version lie scattered over the packs of many, and each that is read costs the
/// opening of a whole frame.
pub const TREE_FRAME_SIZE_BYTES: usize = 128 << 10;
/// Largest raw size of a frame or chunk that a reader accepts, bytes.
pub const FRAME_SIZE_BYTES_MAX: u64 = 64 << 20;
/// Most frames in a pack, and chunks in a frame.
pub const COUNT_MAX: u64 = 1 << 20;

/// What a pack holds (F-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackClass {
    /// File content.
    Data,
    /// Directories and list chunks.
    Tree,
}

impl PackClass {
    /// Raw size at which writers finish a frame of this class, bytes.
    pub const fn frame_size_bytes(self) -> usize {
        match self {
            Self::Data => FRAME_SIZE_BYTES,
            Self::Tree => TREE_FRAME_SIZE_BYTES,
        }
    }
}

/// One frame of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameDescription {
    /// Bytes in the pack's plaintext.
    pub stored_size_bytes: u32,
    /// Bytes of its content.
    pub raw_size_bytes: u32,
    /// Its chunks in order, with their raw sizes in bytes.
    pub chunks: Vec<(ChunkId, u32)>,
}

/// The frames of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFooter {
    /// What the pack holds.
    pub class: PackClass,
    /// Frames in order, without gaps, from offset 0 of the plaintext.
    pub frames: Vec<FrameDescription>,
}

impl PackFooter {
    /// Appends the payload without the trailer; this is also what an index segment holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT_VERSION);
        out.push(match self.class {
            PackClass::Data => 1,
            PackClass::Tree => 2,
        });
        put_varint(out, self.frames.len() as u64);
        for frame in &self.frames {
            put_varint(out, frame.stored_size_bytes.into());
            put_varint(out, frame.raw_size_bytes.into());
            put_varint(out, frame.chunks.len() as u64);
            for (id, size) in &frame.chunks {
                out.extend_from_slice(&id.0);
                put_varint(out, (*size).into());
            }
        }
    }

    /// The whole footer frame as it ends a pack.
    pub fn encode_frame(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        self.encode(&mut payload);
        let size = (payload.len() + 8) as u32;
        let mut frame = Vec::with_capacity(payload.len() + 16);
        frame.extend_from_slice(&FOOTER_FRAME_MAGIC.to_le_bytes());
        frame.extend_from_slice(&size.to_le_bytes());
        frame.extend_from_slice(&payload);
        frame.extend_from_slice(&size.to_le_bytes());
        frame.extend_from_slice(&FOOTER_END);
        frame
    }

    /// Reads the payload without the trailer.
    ///
    /// # Errors
    /// When the grammar or a limit is broken; see [`COUNT_MAX`], [`FRAME_SIZE_BYTES_MAX`].
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, FormatError> {
        decoder.version()?;
        let class = match decoder.u8()? {
            1 => PackClass::Data,
            2 => PackClass::Tree,
            other => return Err(decoder.damaged(format!("class {other} is not known"))),
        };
        let frame_count = decoder.varint_up_to("the number of frames", COUNT_MAX)?;
        let mut frames = Vec::with_capacity((frame_count as usize).min(decoder.rest().len() / 35 + 1));
        for _ in 0..frame_count {
            let stored = decoder.varint_up_to("the stored size of a frame", u32::MAX.into())? as u32;
            let raw = decoder.varint_up_to("the raw size of a frame", FRAME_SIZE_BYTES_MAX)? as u32;
            let chunk_count = decoder.varint_up_to("the number of chunks", COUNT_MAX)?;
            let mut chunks = Vec::with_capacity((chunk_count as usize).min(decoder.rest().len() / 33 + 1));
            let mut total = 0u64;
            for _ in 0..chunk_count {
                let id = ChunkId(decoder.array()?);
                let size = decoder.varint_up_to("the size of a chunk", FRAME_SIZE_BYTES_MAX)?;
                if size == 0 {
                    return Err(decoder.damaged("a chunk is empty"));
                }
                total += size;
                chunks.push((id, size as u32));
            }
            if total != u64::from(raw) {
                return Err(decoder.damaged("the chunks of a frame do not add up to its size"));
            }
            frames.push(FrameDescription {
                stored_size_bytes: stored,
                raw_size_bytes: raw,
                chunks,
            });
        }
        Ok(Self { class, frames })
    }

    /// Finds and reads the footer at the end of a pack's plaintext.
    ///
    /// # Errors
    /// When there is none, or it does not describe the plaintext.
    pub fn from_pack_plaintext(plaintext: &[u8]) -> Result<Self, FormatError> {
        let damaged = |detail: &str| FormatError::damaged("pack", detail);
        let end = plaintext.len();
        if end < 16 || plaintext[end - 4..] != FOOTER_END {
            return Err(damaged("it does not end in a footer"));
        }
        let read_u32 = |at: usize| {
            u32::from_le_bytes([
                plaintext[at],
                plaintext[at + 1],
                plaintext[at + 2],
                plaintext[at + 3],
            ])
        };
        let size = read_u32(end - 8) as usize;
        if size < 8 || size + 8 > end {
            return Err(damaged("the footer is longer than the pack"));
        }
        let start = end - size - 8;
        if read_u32(start) != FOOTER_FRAME_MAGIC || read_u32(start + 4) as usize != size {
            return Err(damaged("the footer does not begin where it should"));
        }
        let mut decoder = Decoder::new("pack footer", &plaintext[start + 8..end - 8]);
        let footer = Self::decode(&mut decoder)?;
        if !decoder.is_empty() {
            return Err(damaged("the footer has bytes too many"));
        }
        let stored: u64 = footer
            .frames
            .iter()
            .map(|frame| u64::from(frame.stored_size_bytes))
            .sum();
        if stored != start as u64 {
            return Err(damaged("the frames do not fill the pack"));
        }
        Ok(footer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn footer() -> PackFooter {
        let frame = FrameDescription {
            stored_size_bytes: 5,
            raw_size_bytes: 30,
            chunks: vec![(ChunkId([1; 32]), 10), (ChunkId([2; 32]), 20)],
        };
        PackFooter {
            class: PackClass::Data,
            frames: vec![frame],
        }
    }

    #[test]
    fn footer_is_found_from_the_end_of_the_pack() {
        let mut plaintext = vec![7u8; 5];
        plaintext.extend(footer().encode_frame());
        assert_eq!(PackFooter::from_pack_plaintext(&plaintext), Ok(footer()));
    }

    #[test]
    fn every_truncation_and_every_flipped_size_is_refused() {
        let mut plaintext = vec![7u8; 5];
        plaintext.extend(footer().encode_frame());
        for end in 0..plaintext.len() {
            assert!(PackFooter::from_pack_plaintext(&plaintext[..end]).is_err());
        }
        plaintext.insert(0, 7);
        assert!(PackFooter::from_pack_plaintext(&plaintext).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>) {
            let _ = PackFooter::decode(&mut Decoder::new("test", &bytes)).is_ok();
            let size = bytes.len() as u32;
            bytes.extend_from_slice(&size.to_le_bytes());
            bytes.extend_from_slice(&FOOTER_END);
            let _ = PackFooter::from_pack_plaintext(&bytes).is_ok();
        }
    }
}
