// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading frames and chunks out of packs by range (section 6).
//!
//! Fetching (I/O) and opening (CPU) are two steps, so that a pipeline can put them on different threads:
//! [`FrameReader::fetch`] gets the sealed bytes of neighbouring frames in one request, [`FrameOpener`] unseals and decompresses.
//! [`FrameReader::chunk`] does both, with a cache, for those who read trees.

use std::{
    ops::{Deref, Range},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::try_join;

use super::{Repository, RepositoryError, error::ObjectProblem, lru::Lru};
use crate::{
    compression::FrameDecompressor,
    crypto::{
        CryptoError, Envelope,
        age_file::{self, BLOCK_SIZE_BYTES, NONCE_SIZE_BYTES, PayloadKey},
    },
    format::{
        FormatError,
        pack::{FRAME_SIZE_BYTES_MAX, PackClass},
    },
    id::{ChunkId, PackId},
    index::chunk_index::{ChunkIndex, FrameOrdinal, PackOrdinal},
    storage::ObjectName,
};

/// Packs whose keys are kept. A key is about 600 bytes; making one again costs a request and 0.1 ms.
const KEYS_MAX: u64 = 256;
/// When the nonce is not known and the wanted bytes begin within this distance of it, one request fetches both, bytes.
const NONCE_GAP_BYTES_MAX: u64 = 256 << 10;
/// Stored bytes of tree frames that are fetched in one request when they are read one after the other.
const AHEAD_BYTES_MAX: u64 = 256 << 10;
/// Sealed tree frames that were fetched ahead and are kept, bytes; what is fetched together may stay together, up to five times as much.
const AHEAD_CACHE_BYTES: u64 = 2 << 20;
/// Packs of which the frame read last is known.
const LAST_READ_MAX: u64 = 1024;
/// Frames that may be passed over by those who still read one after the other: directories come behind what is in them.
const PASSED_OVER_MAX: u32 = 4;
/// Most stored bytes a frame can have: raw blocks add three bytes in 128 KiB.
const STORED_SIZE_BYTES_MAX: u64 = FRAME_SIZE_BYTES_MAX + (1 << 20);

/// The checked bytes of one chunk; clones share them.
#[derive(Clone)]
pub struct ChunkBytes {
    frame: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for ChunkBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.frame[self.range.clone()]
    }
}

impl AsRef<[u8]> for ChunkBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// One frame of a fetched stretch.
#[derive(Debug, Clone, Copy)]
struct Piece {
    frame: FrameOrdinal,
    /// In the pack's plaintext.
    offset: u64,
    stored_size: u32,
    raw_size: u32,
}

/// Sealed bytes of some frames of one pack, as they came from the target.
pub struct FetchedFrames {
    pack: PackId,
    location: String,
    key: Option<Arc<PayloadKey>>,
    sealed: Bytes,
    first_block: u64,
    to_end: bool,
    /// Where the first byte of `sealed`, once opened, lies in the pack's plaintext.
    plain_start: u64,
    pieces: Vec<Piece>,
}

impl FetchedFrames {
    /// Bytes that came over the wire.
    pub fn sealed_bytes(&self) -> usize {
        self.sealed.len()
    }

    /// The pack.
    pub fn pack(&self) -> PackId {
        self.pack
    }

    /// The frames asked for, rising.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = FrameOrdinal> + '_ {
        self.pieces.iter().map(|piece| piece.frame)
    }

    fn problem(&self, source: impl Into<ObjectProblem>) -> RepositoryError {
        RepositoryError::object(&self.pack.into(), self.location.clone(), source)
    }
}

/// Unseals and decompresses fetched frames; keeps its buffers between calls. One for each worker.
#[derive(Default)]
pub struct FrameOpener {
    decompressor: FrameDecompressor,
    plaintext: Vec<u8>,
    raw: Vec<u8>,
}

impl FrameOpener {
    /// Opens the frames in order and hands each one's content on, or why it cannot be had.
    ///
    /// Damage is narrowed down: one broken block costs the frames that touch it and no other.
    pub fn open(
        &mut self,
        fetched: &FetchedFrames,
        mut each: impl FnMut(FrameOrdinal, Result<&[u8], RepositoryError>),
    ) {
        let whole = unseal(fetched, 0..fetched.sealed.len(), &mut self.plaintext);
        for piece in &fetched.pieces {
            let start = (piece.offset - fetched.plain_start) as usize;
            let result = match &whole {
                Ok(()) => self.decompress(fetched, piece, start),
                Err(_) => self.open_one(fetched, piece),
            };
            each(piece.frame, result.map(|()| self.raw.as_slice()));
        }
    }

    /// Opens one of the frames and leaves the others.
    fn open_single(
        &mut self,
        fetched: &FetchedFrames,
        frame: FrameOrdinal,
    ) -> Result<&[u8], RepositoryError> {
        let piece = fetched.pieces.iter().find(|piece| piece.frame == frame);
        let piece = piece.expect("it was fetched with this frame");
        if fetched.key.is_some() {
            self.open_one(fetched, piece)?;
        } else {
            self.decompress(fetched, piece, (piece.offset - fetched.plain_start) as usize)?;
        }
        Ok(&self.raw)
    }

    /// Opens one frame alone, block by block as far as it reaches.
    fn open_one(&mut self, fetched: &FetchedFrames, piece: &Piece) -> Result<(), RepositoryError> {
        let sealed_block = BLOCK_SIZE_BYTES + age_file::TAG_SIZE_BYTES;
        let from = piece.offset - fetched.plain_start;
        let first = from as usize / BLOCK_SIZE_BYTES;
        let last = (from as usize + piece.stored_size as usize).saturating_sub(1) / BLOCK_SIZE_BYTES;
        let end = ((last + 1) * sealed_block).min(fetched.sealed.len());
        unseal(fetched, (first * sealed_block).min(end)..end, &mut self.plaintext)
            .map_err(|error| fetched.problem(error))?;
        self.decompress(fetched, piece, from as usize - first * BLOCK_SIZE_BYTES)
    }

    fn decompress(
        &mut self,
        fetched: &FetchedFrames,
        piece: &Piece,
        start: usize,
    ) -> Result<(), RepositoryError> {
        let plaintext: &[u8] = if fetched.key.is_some() {
            &self.plaintext
        } else {
            &fetched.sealed
        };
        let frame = plaintext
            .get(start..start + piece.stored_size as usize)
            .ok_or_else(|| fetched.problem(FormatError::damaged("pack", "a frame reaches past its end")))?;
        self.decompressor
            .decompress(frame, piece.raw_size as usize, &mut self.raw)
            .map_err(|error| fetched.problem(error))
    }
}

/// Opens whole sealed blocks of a stretch; a bare pack needs nothing.
fn unseal(fetched: &FetchedFrames, range: Range<usize>, plaintext: &mut Vec<u8>) -> Result<(), CryptoError> {
    let Some(key) = &fetched.key else { return Ok(()) };
    let first = range.start / (BLOCK_SIZE_BYTES + age_file::TAG_SIZE_BYTES);
    let to_end = fetched.to_end && range.end == fetched.sealed.len();
    age_file::open_blocks(
        key,
        fetched.first_block + first as u64,
        to_end,
        &fetched.sealed[range],
        plaintext,
    )
}

/// Reads frames of the packs in an index.
pub struct FrameReader {
    repository: Arc<Repository>,
    index: Arc<ChunkIndex>,
    keys: Mutex<Lru<PackId, Arc<PayloadKey>>>,
    frames: Mutex<Lru<FrameOrdinal, Arc<Vec<u8>>>>,
    ahead: Mutex<Lru<FrameOrdinal, Arc<FetchedFrames>>>,
    last_read: Mutex<Lru<PackOrdinal, FrameOrdinal>>,
    openers: Mutex<Vec<FrameOpener>>,
}

impl FrameReader {
    /// A reader that keeps up to `cache_bytes` of opened frames.
    pub fn new(repository: Arc<Repository>, index: Arc<ChunkIndex>, cache_bytes: u64) -> Self {
        Self {
            repository,
            index,
            keys: Mutex::new(Lru::new(KEYS_MAX)),
            frames: Mutex::new(Lru::new(cache_bytes)),
            ahead: Mutex::new(Lru::new(AHEAD_CACHE_BYTES)),
            last_read: Mutex::new(Lru::new(LAST_READ_MAX)),
            openers: Mutex::new(Vec::new()),
        }
    }

    /// The repository.
    pub fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    /// The index.
    pub fn index(&self) -> &Arc<ChunkIndex> {
        &self.index
    }

    /// Fetches frames of one pack in one request, with everything that lies between them. `frames` rise and are not empty.
    ///
    /// # Errors
    /// When the target does not answer, the pack is missing or too short, or the key at hand cannot read content.
    ///
    /// # Panics
    /// When `frames` is empty, does not rise or spans packs: the caller groups them by pack.
    pub async fn fetch(&self, frames: &[FrameOrdinal]) -> Result<FetchedFrames, RepositoryError> {
        let first = self
            .index
            .frame(*frames.first().expect("the caller names frames"));
        let name = ObjectName::from(first.pack);
        let problem =
            |source: ObjectProblem| RepositoryError::object(&name, self.repository.store.location(), source);
        let mut pieces: Vec<Piece> = Vec::with_capacity(frames.len());
        for ordinal in frames {
            let place = self.index.frame(*ordinal);
            assert!(
                place.pack_ordinal == first.pack_ordinal
                    && pieces.last().is_none_or(|piece| piece.frame < *ordinal),
                "the caller groups frames by pack, rising"
            );
            if u64::from(place.stored_size) > STORED_SIZE_BYTES_MAX {
                let source = FormatError::damaged("frame", "it is larger than any frame may be");
                return Err(problem(source.into()));
            }
            pieces.push(Piece {
                frame: *ordinal,
                offset: place.offset,
                stored_size: place.stored_size,
                raw_size: place.raw_size,
            });
        }
        let start = first.offset;
        let end = pieces
            .last()
            .map_or(start, |piece| piece.offset + u64::from(piece.stored_size));
        let bare = match &self.repository.data {
            Envelope::Open if first.age_header.is_empty() => true,
            Envelope::Open => return Err(problem(CryptoError::WrongLayer("encrypted").into())),
            Envelope::Age { .. } if first.age_header.is_empty() => {
                return Err(problem(CryptoError::WrongLayer("not encrypted").into()));
            }
            Envelope::Age { identities, .. } if identities.is_empty() => {
                return Err(RepositoryError::WriteOnlyKey {
                    operation: "reading content",
                });
            }
            Envelope::Age { .. } => false,
        };
        let (first_block, range, skip) = if bare {
            (0, start..end, 0)
        } else {
            age_file::block_range(first.age_header.len(), first.object_size, start, end)
        };
        if range.start >= range.end || range.end > first.object_size {
            let source = FormatError::damaged("pack", "a frame lies outside of it");
            return Err(problem(source.into()));
        }
        let (key, sealed) = if bare {
            (None, self.repository.store.get(&name, Some(range.clone())).await?)
        } else {
            let (key, sealed) = self
                .get_with_key(first.pack, first.age_header, range.clone())
                .await?;
            (Some(key), sealed)
        };
        if sealed.len() as u64 != range.end - range.start {
            let source = FormatError::damaged("pack", "the target returned another number of bytes");
            return Err(problem(source.into()));
        }
        Ok(FetchedFrames {
            pack: first.pack,
            location: self.repository.store.location(),
            key,
            sealed,
            first_block,
            to_end: range.end == first.object_size,
            plain_start: start - skip as u64,
            pieces,
        })
    }

    /// Reads a range of an encrypted pack, and what opens it: from the cache, in the same request, or in one beside it.
    async fn get_with_key(
        &self,
        pack: PackId,
        header: &[u8],
        range: Range<u64>,
    ) -> Result<(Arc<PayloadKey>, Bytes), RepositoryError> {
        let name = ObjectName::from(pack);
        let store = &self.repository.store;
        let known = lock(&self.keys).get(&pack).map(|key| Arc::clone(key));
        if let Some(key) = known {
            return Ok((key, store.get(&name, Some(range)).await?));
        }
        let nonce_start = header.len() as u64;
        let nonce_end = nonce_start + NONCE_SIZE_BYTES as u64;
        let (nonce, sealed) = if range.start - nonce_end <= NONCE_GAP_BYTES_MAX {
            let skip = (range.start - nonce_start) as usize;
            let all = store.get(&name, Some(nonce_start..range.end)).await?;
            let sealed = all.get(skip..).map(|_| all.slice(skip..)).unwrap_or_default();
            (all, sealed)
        } else {
            try_join(
                store.get(&name, Some(nonce_start..nonce_end)),
                store.get(&name, Some(range)),
            )
            .await?
        };
        let nonce = nonce
            .get(..NONCE_SIZE_BYTES)
            .and_then(|bytes| bytes.try_into().ok());
        let key = nonce
            .ok_or(CryptoError::NotAge("the payload is missing"))
            .and_then(|nonce| age_file::open_header(header, nonce, &self.repository.data.identities()))
            .map_err(|error| RepositoryError::object(&name, store.location(), error))?;
        let key = Arc::new(key);
        lock(&self.keys).insert(pack, Arc::clone(&key), 1);
        Ok((key, sealed))
    }

    /// Reads one frame, from the cache if it is there.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), and when the frame is damaged.
    pub async fn read_frame(&self, frame: FrameOrdinal) -> Result<Arc<Vec<u8>>, RepositoryError> {
        if let Some(content) = self.cached(frame) {
            return Ok(content);
        }
        let mut read = self.read_frames(&[frame]).await?;
        Ok(read.pop().expect("one frame was asked for"))
    }

    fn cached(&self, frame: FrameOrdinal) -> Option<Arc<Vec<u8>>> {
        lock(&self.frames).get(&frame).map(|content| Arc::clone(content))
    }

    /// The same for one who reads trees in order: what comes next is fetched in the same request. Several who read at once would fetch it several times.
    async fn read_frame_in_turn(&self, frame: FrameOrdinal) -> Result<Arc<Vec<u8>>, RepositoryError> {
        if let Some(content) = self.cached(frame) {
            return Ok(content);
        }
        if self.index.frame(frame).class == PackClass::Tree {
            let fetched = lock(&self.ahead).remove(&frame);
            if let Some(fetched) = fetched {
                self.passes(frame);
                return self.open_fetched(&fetched, frame);
            }
            let together = self.with_following(frame);
            if together.len() > 1 {
                match self.fetch(&together).await {
                    Ok(fetched) => {
                        let fetched = Arc::new(fetched);
                        let each = (fetched.sealed_bytes() / together.len()) as u64;
                        let mut ahead = lock(&self.ahead);
                        for other in &together[1..] {
                            ahead.insert(*other, Arc::clone(&fetched), each);
                        }
                        drop(ahead);
                        return self.open_fetched(&fetched, frame);
                    }
                    // What is damaged may be what nobody asked for.
                    Err(error) if error.is_damage() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.read_frame(frame).await
    }

    /// Notes that a frame is read; says whether those of its pack are read one after the other.
    fn passes(&self, frame: FrameOrdinal) -> bool {
        let pack = self.index.frame(frame).pack_ordinal;
        let mut last_read = lock(&self.last_read);
        let last = last_read.get(&pack).map(|last| std::mem::replace(last, frame));
        if last.is_none() {
            last_read.insert(pack, frame, 1);
        }
        last.is_some_and(|last| last < frame && frame.0 - last.0 <= PASSED_OVER_MAX)
    }

    /// The frame, and those behind it that are likely to be read next.
    fn with_following(&self, frame: FrameOrdinal) -> Vec<FrameOrdinal> {
        let mut together = vec![frame];
        if !self.passes(frame) {
            return together;
        }
        let first = self.index.frame(frame);
        let mut end = first.offset + u64::from(first.stored_size);
        for ordinal in (frame.0 + 1..self.index.frame_count() as u32).map(FrameOrdinal) {
            let place = self.index.frame(ordinal);
            let next_end = place.offset + u64::from(place.stored_size);
            let joins = place.pack_ordinal == first.pack_ordinal
                && place.offset == end
                && next_end - first.offset <= AHEAD_BYTES_MAX;
            if !joins {
                break;
            }
            end = next_end;
            if !lock(&self.frames).contains(&ordinal) {
                together.push(ordinal);
            }
        }
        together
    }

    fn open_fetched(
        &self,
        fetched: &FetchedFrames,
        frame: FrameOrdinal,
    ) -> Result<Arc<Vec<u8>>, RepositoryError> {
        let mut opener = lock(&self.openers).pop().unwrap_or_default();
        let opened = opener
            .open_single(fetched, frame)
            .map(|content| Arc::new(content.to_vec()));
        lock(&self.openers).push(opener);
        let content = opened?;
        lock(&self.frames).insert(frame, Arc::clone(&content), content.len() as u64);
        Ok(content)
    }

    /// Reads frames of one pack in one request; `frames` as in [`fetch`](Self::fetch).
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), and when one of the frames is damaged.
    pub async fn read_frames(&self, frames: &[FrameOrdinal]) -> Result<Vec<Arc<Vec<u8>>>, RepositoryError> {
        let fetched = self.fetch(frames).await?;
        let mut opener = lock(&self.openers).pop().unwrap_or_default();
        let mut contents = Vec::with_capacity(frames.len());
        opener.open(&fetched, |frame, content| {
            contents.push(content.map(|content| {
                let content = Arc::new(content.to_vec());
                lock(&self.frames).insert(frame, Arc::clone(&content), content.len() as u64);
                content
            }));
        });
        lock(&self.openers).push(opener);
        contents.into_iter().collect()
    }

    /// Reads one chunk and checks its id (F-9).
    ///
    /// # Errors
    /// When the index does not know it, or as [`read_frame`](Self::read_frame), or when the bytes are others.
    pub async fn chunk(&self, class: PackClass, id: &ChunkId) -> Result<ChunkBytes, RepositoryError> {
        let place = self
            .index
            .find(id)
            .ok_or_else(|| RepositoryError::MissingChunk { id: id.to_string() })?;
        let frame = self.read_frame_in_turn(place.frame).await?;
        let start = place.offset as usize;
        let range = start..start + place.length as usize;
        self.check(class, id, place.frame, frame.get(range.clone()))?;
        Ok(ChunkBytes { frame, range })
    }

    /// Checks that `content` has the id (F-9). `None` is a place outside its frame.
    ///
    /// # Errors
    /// Names the pack and the id.
    pub fn check(
        &self,
        class: PackClass,
        id: &ChunkId,
        frame: FrameOrdinal,
        content: Option<&[u8]>,
    ) -> Result<(), RepositoryError> {
        if content.is_some_and(|content| self.repository.hasher.id(class, content) == *id) {
            return Ok(());
        }
        let name = ObjectName::from(self.index.frame(frame).pack);
        let expected = id.to_string();
        Err(RepositoryError::object(
            &name,
            self.repository.store.location(),
            ObjectProblem::WrongId { expected },
        ))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The caches stay whole whatever panics: each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
