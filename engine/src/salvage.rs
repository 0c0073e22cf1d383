// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can still be had of a damaged pack: every chunk whose bytes have its id.
//!
//! A pack says itself what it holds (its footer), and index segments say it as well. Both are tried: the footer may be what is damaged, and the object
//! under the name may be another pack. Only ids decide what is right, so neither has to be believed.

use crate::{
    compression::FrameDecompressor,
    crypto::{
        Envelope,
        age_file::{self, BLOCK_SIZE_BYTES, NONCE_SIZE_BYTES, TAG_SIZE_BYTES},
    },
    format::{
        index_segment::PackDescription,
        pack::{PackClass, PackFooter},
    },
    id::ChunkId,
    repository::Repository,
};

/// What comes out of a damaged pack.
pub enum Salvaged<'a> {
    /// A frame of which everything is wanted, in its stored form.
    Frame {
        /// The stored frame.
        stored: &'a [u8],
        /// Bytes of its content.
        raw_size_bytes: u32,
        /// Its chunks.
        chunks: &'a [(ChunkId, u32)],
    },
    /// One chunk of a frame that is not wanted whole, or not right in all its chunks.
    Chunk(ChunkId, &'a [u8]),
}

/// The opened bytes of a pack, as far as they open.
struct Opened {
    plaintext: Vec<u8>,
    /// Whether each block of [`BLOCK_SIZE_BYTES`] opened; the others are zeros.
    sound: Vec<bool>,
}

impl Opened {
    fn range(&self, start: usize, end: usize) -> Option<&[u8]> {
        let bytes = self.plaintext.get(start..end)?;
        if start < end {
            let blocks = start / BLOCK_SIZE_BYTES..=(end - 1) / BLOCK_SIZE_BYTES;
            if !self.sound.get(blocks)?.iter().all(|sound| *sound) {
                return None;
            }
        }
        Some(bytes)
    }
}

/// Hands on every wanted chunk that is right, and says whether the pack's own footer could be read. `is_wanted` is asked again for each chunk, so it may
/// say no to what it was given before.
///
/// # Errors
/// Only those of `each`; damage is what this is about.
pub fn salvage<E>(
    repository: &Repository,
    object: &[u8],
    described: &[PackDescription],
    is_wanted: impl Fn(&ChunkId) -> bool,
    mut each: impl FnMut(PackClass, Salvaged<'_>) -> Result<(), E>,
) -> Result<bool, E> {
    let mut tools = (FrameDecompressor::default(), Vec::new());
    let own_header: &[u8] = match &repository.data {
        Envelope::Open => &[],
        Envelope::Age { .. } => age_file::header_length(object)
            .ok()
            .and_then(|length| object.get(..length))
            .unwrap_or_default(),
    };
    let own = open(repository, object, own_header);
    let footer = own.as_ref().and_then(|opened| {
        // Damage inside the footer would make its ids wrong, and then nothing matches them.
        PackFooter::from_pack_plaintext(&opened.plaintext).ok()
    });
    if let (Some(opened), Some(footer)) = (&own, &footer) {
        frames(repository, opened, footer, &is_wanted, &mut tools, &mut each)?;
    }
    for pack in described {
        if pack.age_header == own_header {
            if let Some(opened) = &own {
                frames(
                    repository,
                    opened,
                    &pack.footer,
                    &is_wanted,
                    &mut tools,
                    &mut each,
                )?;
            }
        } else if let Some(opened) = open(repository, object, &pack.age_header) {
            frames(
                repository,
                &opened,
                &pack.footer,
                &is_wanted,
                &mut tools,
                &mut each,
            )?;
        }
    }
    Ok(footer.is_some())
}

fn frames<E>(
    repository: &Repository,
    opened: &Opened,
    footer: &PackFooter,
    is_wanted: &impl Fn(&ChunkId) -> bool,
    (decompressor, raw): &mut (FrameDecompressor, Vec<u8>),
    each: &mut impl FnMut(PackClass, Salvaged<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut offset = 0usize;
    for frame in &footer.frames {
        let start = offset;
        offset += frame.stored_size_bytes as usize;
        if !frame.chunks.iter().any(|(id, _)| is_wanted(id)) {
            continue;
        }
        let Some(stored) = opened.range(start, offset) else {
            continue;
        };
        if decompressor
            .decompress(stored, frame.raw_size_bytes as usize, raw)
            .is_err()
        {
            continue;
        }
        let mut right = Vec::new();
        let mut place = 0usize;
        for (id, size) in &frame.chunks {
            let end = place + *size as usize;
            if let Some(content) = raw.get(place..end)
                && is_wanted(id)
                && repository.hasher.id(footer.class, content) == *id
            {
                right.push((*id, place..end));
            }
            place = end;
        }
        if right.len() == frame.chunks.len() {
            each(
                footer.class,
                Salvaged::Frame {
                    stored,
                    raw_size_bytes: frame.raw_size_bytes,
                    chunks: &frame.chunks,
                },
            )?;
        } else {
            for (id, range) in right {
                each(footer.class, Salvaged::Chunk(id, &raw[range]))?;
            }
        }
    }
    Ok(())
}

/// Opens every block by itself; none when not even the key is to be had.
fn open(repository: &Repository, object: &[u8], header: &[u8]) -> Option<Opened> {
    if matches!(repository.data, Envelope::Open) {
        return Some(Opened {
            plaintext: object.to_vec(),
            sound: vec![true; object.len().div_ceil(BLOCK_SIZE_BYTES)],
        });
    }
    let payload_start = header.len() + NONCE_SIZE_BYTES;
    let nonce = object.get(header.len()..payload_start)?.try_into().ok()?;
    let key = age_file::open_header(header, nonce, &repository.data.identities()).ok()?;
    let sealed = &object[payload_start..];
    let mut opened = Opened {
        plaintext: Vec::with_capacity(sealed.len()),
        sound: Vec::new(),
    };
    let count = sealed.len().div_ceil(BLOCK_SIZE_BYTES + TAG_SIZE_BYTES);
    let mut block = Vec::new();
    for (number, piece) in sealed.chunks(BLOCK_SIZE_BYTES + TAG_SIZE_BYTES).enumerate() {
        // The last block there is may be one from the middle, when the end is cut off.
        let is_last = number + 1 == count;
        let is_sound = age_file::open_blocks(&key, number as u64, is_last, piece, &mut block).is_ok()
            || (is_last && age_file::open_blocks(&key, number as u64, false, piece, &mut block).is_ok());
        if !is_sound {
            block.clear();
            block.resize(piece.len().saturating_sub(TAG_SIZE_BYTES), 0);
        }
        opened.plaintext.extend_from_slice(&block);
        opened.sound.push(is_sound);
    }
    Some(opened)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::repository::test_packs::{Workshop, now};

    fn noise(seed: u8, size: usize) -> Vec<u8> {
        let mut out = vec![0; size];
        blake3::Hasher::new()
            .update(&[seed])
            .finalize_xof()
            .fill(&mut out);
        out
    }

    fn taken(workshop: &Workshop, object: &[u8], described: &[PackDescription]) -> BTreeSet<ChunkId> {
        let mut taken = BTreeSet::new();
        let outcome: Result<bool, ()> = salvage(
            &workshop.repository,
            object,
            described,
            |_| true,
            |_, piece| {
                match piece {
                    Salvaged::Frame { chunks, .. } => taken.extend(chunks.iter().map(|(id, _)| *id)),
                    Salvaged::Chunk(id, content) => {
                        assert_eq!(workshop.repository.hasher.id(PackClass::Data, content), id);
                        taken.insert(id);
                    }
                }
                Ok(())
            },
        );
        outcome.unwrap();
        taken
    }

    #[test]
    fn every_frame_that_no_damage_touches_comes_out() {
        for encrypted in [false, true] {
            let mut workshop = Workshop::new(encrypted);
            let chunks: Vec<Vec<Vec<u8>>> = (0..8)
                .map(|seed| vec![noise(seed, 40_000), noise(seed + 100, 60_000)])
                .collect();
            let (pack, ids) = workshop.pack(PackClass::Data, &chunks);
            let name = pack.into();
            let whole = now(crate::storage::Store::get(workshop.store.as_ref(), &name, None)).unwrap();
            assert_eq!(taken(&workshop, &whole, &[]).len(), ids.len());

            // One byte in the fourth frame: with encryption its block takes a neighbour along, without only one chunk is wrong.
            let mut flipped = whole.to_vec();
            flipped[350_000] ^= 1;
            let left = taken(&workshop, &flipped, &[]);
            let lost = ids.iter().filter(|id| !left.contains(id)).count();
            assert!((1..=4).contains(&lost), "{encrypted}: {lost}");
            assert!(encrypted || lost == 1);

            // Without its end the pack does not say what it holds; the index does.
            let description = workshop.describe(pack);
            let cut = &whole[..420_000];
            assert_eq!(taken(&workshop, cut, &[]).len(), 0);
            let left = taken(&workshop, cut, std::slice::from_ref(&description));
            assert!((6..=8).contains(&left.len()), "{encrypted}: {}", left.len());

            // Another pack under the name: what it holds is had all the same.
            let (other, others) = workshop.pack(PackClass::Data, &[vec![noise(50, 1_000)]]);
            let other = now(crate::storage::Store::get(
                workshop.store.as_ref(),
                &other.into(),
                None,
            ))
            .unwrap();
            assert_eq!(
                taken(&workshop, &other, &[description]),
                others.into_iter().collect()
            );
            assert_eq!(taken(&workshop, b"", &[]).len(), 0);
        }
    }
}
