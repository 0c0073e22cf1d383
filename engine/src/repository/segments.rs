// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loading the index: segments from the local copy where it has them, the rest from the target.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};

use super::{Repository, RepositoryError};
use crate::{
    compression,
    format::{
        FormatError,
        index_segment::{PackDescription, decode_segment},
    },
    id::SegmentId,
    index::local::{LocalError, LocalState},
    storage::{ObjectKind, ObjectName},
};

/// Largest content of one segment, bytes.
const SEGMENT_SIZE_BYTES_MAX: u64 = 1 << 30;

/// Where packs are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexSource {
    /// A segment at the target.
    Segment(SegmentId),
    /// Remembered here: stored by a run that was cut off before it wrote a segment.
    Remembered,
}

/// What loading the index found besides the packs.
#[derive(Debug, Default)]
pub struct LoadedIndex {
    /// Segments read, with the number of packs and the stored size in bytes of each.
    pub segments: Vec<(SegmentId, u64, u64)>,
    /// Segments that cannot be read, with the reason: their packs are found by `repair`.
    pub unreadable: Vec<(SegmentId, RepositoryError)>,
    /// Foreign names in the folder.
    pub foreign: Vec<String>,
    /// Segments that came from the target, bytes.
    pub downloaded_bytes: u64,
}

impl Repository {
    /// Reads every index segment that the target lists and hands on each pack. The local copy is brought up to date.
    ///
    /// Segments that the target no longer lists are forgotten: only the target says what exists (S-5).
    ///
    /// # Errors
    /// When the target does not answer. Unreadable segments are part of the answer.
    pub async fn load_index(
        &self,
        mut local: Option<&mut LocalState>,
        mut each: impl FnMut(IndexSource, PackDescription),
    ) -> Result<LoadedIndex, RepositoryError> {
        let listing = self.store.list(ObjectKind::IndexSegment).await?;
        let mut result = LoadedIndex {
            foreign: listing.foreign,
            ..LoadedIndex::default()
        };
        let listed: HashSet<SegmentId> = listing
            .objects
            .iter()
            .map(|info| SegmentId(info.name.id()))
            .collect();
        let mut at_hand = HashSet::new();
        if let Some(local) = local.as_deref_mut() {
            for id in local.segment_ids().unwrap_or_else(|error| {
                tell_unusable(&error);
                Vec::new()
            }) {
                if listed.contains(&id) {
                    at_hand.insert(id);
                } else if let Err(error) = local.remove_segment(id) {
                    tell_unusable(&error);
                    break;
                }
            }
        }
        let mut wanted = Vec::new();
        for info in &listing.objects {
            let id = SegmentId(info.name.id());
            if at_hand.contains(&id)
                && let Some(local) = local.as_deref_mut()
            {
                // A damaged copy is fetched again.
                if let Ok(Some(stored)) = local.segment(id)
                    && let Ok(packs) = read_segment(&stored, |pack| each(IndexSource::Segment(id), pack))
                {
                    result.segments.push((id, packs, info.size_bytes));
                    continue;
                }
                if let Err(error) = local.remove_segment(id) {
                    tell_unusable(&error);
                }
            }
            wanted.push((id, info.size_bytes));
        }
        let concurrency = self.store.capability().concurrent_requests_max.clamp(1, 8);
        let mut fetched = stream::iter(wanted.into_iter().map(|(id, size)| async move {
            (
                id,
                size,
                self.get_opened(&ObjectName::from(id), &self.index).await,
            )
        }))
        .buffer_unordered(concurrency);
        while let Some((id, size, stored)) = fetched.next().await {
            let stored = match stored {
                Ok(stored) => stored,
                Err(error) if error.is_damage() => {
                    result.unreadable.push((id, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            result.downloaded_bytes += size;
            match read_segment(&stored, |pack| each(IndexSource::Segment(id), pack)) {
                Ok(packs) => {
                    result.segments.push((id, packs, size));
                    if let Some(copy) = local.as_deref_mut()
                        && let Err(error) = copy.put_segment(id, &stored)
                    {
                        tell_unusable(&error);
                        local = None;
                    }
                }
                Err(error) => {
                    let name = ObjectName::from(id);
                    result
                        .unreadable
                        .push((id, RepositoryError::object(&name, self.store.location(), error)));
                }
            }
        }
        Ok(result)
    }
}

/// The local copy is one to do without (S-5): a full or read-only disk must not keep anybody from a restore.
fn tell_unusable(error: &LocalError) {
    tracing::warn!(%error, "the local database cannot be used for the index; it is read from the target");
}

/// Decodes a whole segment before the first pack is handed on, so that a damaged one leaves no trace.
fn read_segment(stored: &[u8], mut each: impl FnMut(PackDescription)) -> Result<u64, FormatError> {
    let content = compression::decompress_object(stored, SEGMENT_SIZE_BYTES_MAX)?;
    decode_segment(&content, |_| Ok::<_, FormatError>(()))?;
    let mut packs = 0;
    decode_segment(&content, |pack| {
        packs += 1;
        each(pack);
        Ok::<_, FormatError>(())
    })?;
    Ok(packs)
}
