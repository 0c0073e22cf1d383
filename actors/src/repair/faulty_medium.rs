// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads what can be read of an object on a medium with bad places.

use bytes::{Bytes, BytesMut};
use duplicati_engine::storage::{ObjectName, Store, StoreError, StoreErrorKind};

/// Piece that is read at a time, bytes.
const PIECE_BYTES: u64 = 64 << 10;
/// Steps in which a piece with a bad place is read again, bytes: what a disk gives up at a time. A frame beside the bad place may be whole.
const STEP_BYTES: u64 = 4 << 10;

/// The object with zeros in place of what the medium does not give, or none when it is gone.
///
/// # Errors
/// When the target does not answer.
pub(super) async fn read_around(
    store: &dyn Store,
    name: &ObjectName,
    size_bytes: u64,
) -> Result<Option<Bytes>, StoreError> {
    let mut content = BytesMut::new();
    // Up to here small steps are taken.
    let mut careful_until = 0;
    while (content.len() as u64) < size_bytes {
        let start = content.len() as u64;
        let is_careful = start < careful_until;
        let length = if is_careful { STEP_BYTES } else { PIECE_BYTES };
        let end = size_bytes.min(start + length);
        match store.get(name, Some(start..end)).await {
            Ok(piece) => content.extend_from_slice(&piece),
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind == StoreErrorKind::Truncated => break,
            Err(error) if error.kind == StoreErrorKind::Unreadable => {
                if is_careful {
                    content.resize(content.len() + (end - start) as usize, 0);
                } else {
                    careful_until = end;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(content.freeze()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use duplicati_engine::{id::PackId, storage::memory::MemoryStore};
    use duplicati_testkit::{Fault, FaultyStore, When};

    use super::*;

    #[tokio::test]
    async fn a_bad_place_costs_the_steps_around_it_only() {
        let memory = Arc::new(MemoryStore::new());
        let name = ObjectName::from(PackId([1; 16]));
        let whole: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8 + 1).collect();
        memory.put(&name, whole.clone().into()).await.unwrap();
        let bad = 100_000u64;
        let when =
            When::every(move |operation| operation.range.as_ref().is_some_and(|range| range.contains(&bad)));
        let store = FaultyStore::new(memory).with(when, Fault::FailBefore(StoreErrorKind::Unreadable));
        let read = read_around(&store, &name, whole.len() as u64)
            .await
            .unwrap()
            .unwrap();
        let lost: Vec<usize> = (0..whole.len())
            .filter(|place| read[*place] != whole[*place])
            .collect();
        assert_eq!(read.len(), whole.len());
        assert_eq!((lost[0], lost.len()), (98_304, STEP_BYTES as usize));
    }
}
