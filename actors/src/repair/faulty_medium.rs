// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads what can be read of an object on a medium with bad places.

use bytes::{Bytes, BytesMut};
use duplicati_engine::storage::{ObjectName, Store, StoreError, StoreErrorKind};

/// Piece that is read at a time, bytes: the unit that packs are sealed in, so that a bad place costs no more than the seal does anyway.
const PIECE_BYTES: u64 = 64 << 10;

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
    while (content.len() as u64) < size_bytes {
        let start = content.len() as u64;
        let end = size_bytes.min(start + PIECE_BYTES);
        match store.get(name, Some(start..end)).await {
            Ok(piece) => content.extend_from_slice(&piece),
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind == StoreErrorKind::Truncated => break,
            Err(error) if error.kind == StoreErrorKind::Unreadable => {
                content.resize(content.len() + (end - start) as usize, 0);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(content.freeze()))
}
