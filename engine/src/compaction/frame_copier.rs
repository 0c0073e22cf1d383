// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Takes what is needed out of a pack: whole frames as they stand, chunks of other frames for new frames.
//!
//! Every frame is decompressed and every needed chunk's id checked before it is copied (F-9), so damage never spreads into a new pack.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    compression::FrameDecompressor,
    crypto::age_file::{self, NONCE_SIZE_BYTES, PayloadKey},
    format::{FormatError, index_segment::PackDescription},
    id::ChunkId,
    repository::{Repository, RepositoryError},
    storage::ObjectName,
};

/// Frames are fetched together up to this much, bytes.
const STRETCH_BYTES_MAX: u64 = 8 << 20;
/// Unneeded bytes that are fetched rather than asked around, bytes.
const GAP_BYTES_MAX: u64 = 256 << 10;

/// A run of frames of one pack that is fetched with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The frames wanted, by number in the pack, rising.
    pub frames: Vec<usize>,
    /// Where they lie in the pack's plaintext.
    pub range: Range<u64>,
}

/// Plaintext of a stretch.
pub struct FetchedStretch {
    /// The frames and their place in the pack's plaintext.
    pub stretch: Stretch,
    plaintext: Vec<u8>,
}

/// Groups the wanted frames of a pack into stretches.
pub fn stretches(pack: &PackDescription, is_wanted: impl Fn(usize) -> bool) -> Vec<Stretch> {
    let mut result: Vec<Stretch> = Vec::new();
    let mut offset = 0u64;
    for (number, frame) in pack.footer.frames.iter().enumerate() {
        let (start, end) = (offset, offset + u64::from(frame.stored_size_bytes));
        offset = end;
        if !is_wanted(number) {
            continue;
        }
        match result.last_mut() {
            Some(last)
                if start - last.range.end <= GAP_BYTES_MAX && end - last.range.start <= STRETCH_BYTES_MAX =>
            {
                last.frames.push(number);
                last.range.end = end;
            }
            _ => result.push(Stretch {
                frames: vec![number],
                range: start..end,
            }),
        }
    }
    result
}

/// What opens one pack.
pub struct PackKey(Option<PayloadKey>);

/// Gets what opens a pack.
///
/// # Errors
/// When the pack is missing or its header damaged, or the target does not answer.
pub async fn pack_key(repository: &Repository, pack: &PackDescription) -> Result<PackKey, RepositoryError> {
    if pack.age_header.is_empty() {
        return Ok(PackKey(None));
    }
    let name = ObjectName::from(pack.id);
    let start = pack.age_header.len() as u64;
    let end = start + NONCE_SIZE_BYTES as u64;
    let nonce: Bytes = repository.store.get(&name, Some(start..end)).await?;
    let key = nonce
        .as_ref()
        .try_into()
        .map_err(|_| crate::crypto::CryptoError::NotAge("the payload is missing"))
        .and_then(|nonce| age_file::open_header(&pack.age_header, nonce, &repository.data.identities()))
        .map_err(|error| RepositoryError::object(&name, repository.store.location(), error))?;
    Ok(PackKey(Some(key)))
}

/// Fetches and unseals a stretch.
///
/// # Errors
/// When the pack is missing, shorter, or its seal broken, or the target does not answer.
pub async fn fetch(
    repository: &Repository,
    pack: &PackDescription,
    key: &PackKey,
    stretch: Stretch,
) -> Result<FetchedStretch, RepositoryError> {
    let name = ObjectName::from(pack.id);
    let Range { start, end } = stretch.range;
    let Some(key) = &key.0 else {
        let plaintext = repository.store.get(&name, Some(start..end)).await?.to_vec();
        return Ok(FetchedStretch { stretch, plaintext });
    };
    let (first, range, skip) =
        age_file::block_range(pack.age_header.len(), pack.object_size_bytes, start, end);
    let to_end = range.end == pack.object_size_bytes;
    let sealed = repository.store.get(&name, Some(range)).await?;
    let mut plaintext = Vec::new();
    age_file::open_blocks(key, first, to_end, &sealed, &mut plaintext)
        .map_err(|error| RepositoryError::object(&name, repository.store.location(), error))?;
    plaintext.drain(..skip.min(plaintext.len()));
    Ok(FetchedStretch { stretch, plaintext })
}

/// What a frame gives.
pub enum Copied<'a> {
    /// Everything in the frame is needed: its stored form can be used again.
    Frame(&'a [u8]),
    /// Only this chunk of the frame is.
    Chunk(ChunkId, &'a [u8]),
}

/// Hands on what is needed of each frame of a stretch.
///
/// # Errors
/// When a frame or a needed chunk is damaged, or `each` fails.
pub fn copy<E: From<RepositoryError>>(
    repository: &Repository,
    pack: &PackDescription,
    fetched: &FetchedStretch,
    is_wanted: impl Fn(usize, &ChunkId) -> bool,
    (decompressor, raw): (&mut FrameDecompressor, &mut Vec<u8>),
    mut each: impl FnMut(usize, Copied<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let name = ObjectName::from(pack.id);
    let problem = |source: FormatError| RepositoryError::object(&name, repository.store.location(), source);
    let mut wanted = fetched.stretch.frames.iter().copied().peekable();
    let mut offset = 0u64;
    for (number, frame) in pack.footer.frames.iter().enumerate() {
        let start = offset;
        offset += u64::from(frame.stored_size_bytes);
        if wanted.next_if_eq(&number).is_none() {
            continue;
        }
        let from = (start - fetched.stretch.range.start) as usize;
        let stored = fetched
            .plaintext
            .get(from..from + frame.stored_size_bytes as usize)
            .ok_or_else(|| problem(FormatError::damaged("pack", "a frame reaches past its end")))?;
        decompressor
            .decompress(stored, frame.raw_size_bytes as usize, raw)
            .map_err(problem)?;
        let mut place = 0usize;
        let mut live = Vec::new();
        for (id, size) in &frame.chunks {
            let range = place..place + *size as usize;
            place = range.end;
            if !is_wanted(number, id) {
                continue;
            }
            if repository.hasher.id(pack.footer.class, &raw[range.clone()]) != *id {
                return Err(RepositoryError::object(
                    &name,
                    repository.store.location(),
                    crate::repository::ObjectProblem::WrongId {
                        expected: id.to_string(),
                    },
                )
                .into());
            }
            live.push((*id, range));
        }
        if live.len() == frame.chunks.len() {
            each(number, Copied::Frame(stored))?;
        } else {
            for (id, range) in live {
                each(number, Copied::Chunk(id, &raw[range]))?;
            }
        }
    }
    Ok(())
}
