// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every capacity of the backup pipeline, from the last stage to the first; `actors/README.md` draws them.

/// Descriptions of stored packs waiting for the indexer, messages. They are small; the indexer only pauses for a segment.
pub const INDEXER_CAPACITY_ITEMS: usize = 16;
/// Finished packs waiting for an uploader, messages. One, so that memory holds packs under way and hardly any that wait.
pub const UPLOADER_CAPACITY_ITEMS: usize = 1;
/// Sealed frames waiting for the packer, messages of up to a few MiB. The packer is faster than the sealers.
pub const PACKER_CAPACITY_ITEMS: usize = 4;
/// Raw frames waiting for a sealer, messages of up to a few MiB. Enough that no sealer starves between two frames.
pub const SEALER_CAPACITY_ITEMS: usize = 4;
/// Batches read and hashed waiting for the tree builder, messages. It is fast; this only smooths.
pub const TREE_BUILDER_CAPACITY_ITEMS: usize = 64;
/// Batches waiting for a chunker, messages. Each may hold open folders, so this also bounds descriptors.
pub const CHUNKER_CAPACITY_ITEMS: usize = 8;

/// Batches between walker and tree builder, messages. A huge file holds up the order; this many batches may overtake it.
pub const WINDOW_BATCHES: u64 = 512;
/// Entries in a batch.
pub const BATCH_ENTRIES_MAX: usize = 128;
/// Bytes of files in a batch; a larger file stands alone in its batch.
pub const BATCH_BYTES_MAX: u64 = 2 << 20;
/// Folders that one batch may hold open.
pub const BATCH_FOLDERS_MAX: usize = 32;
/// Folders above the present one that the walker keeps open; those further up are opened again on the way back.
pub const WALKER_OPEN_FOLDERS_MAX: usize = 128;

/// Raw size at which a frame is sent on, bytes (F-4).
pub use duplicati_engine::format::pack::FRAME_SIZE_BYTES;
/// Budget besides packs, bytes: frames being filled, sealed and opened again. More where many workers fill frames.
pub const BUDGET_FRAMES_BYTES: u64 = 12 << 20;
/// Packs that the budget has room for: one of each class being filled, and at least one under way.
pub const BUDGET_PACKS: u64 = 3;
/// Largest chunks that the budget has room for besides: open packs may pass their size by one frame each, and one more chunk must
/// still get in, or nothing would ever fill them.
pub const BUDGET_CHUNKS: u64 = 4;

/// Frames that a worker may keep part-filled while it waits for a batch or for room in front of the tree builder: one of each kind.
const WORKER_FRAMES: u64 = 3;

/// Bytes in flight of one run. What all chunkers and the tree builder may keep must fit beside the open packs: a chunker that waits for the tree builder sends
/// nothing on, and the tree builder would wait for bytes for ever.
pub fn budget_bytes(pack_size_bytes: u64, chunk_size_bytes_max: usize, workers: usize) -> u64 {
    let kept = (workers as u64 + 1) * WORKER_FRAMES * FRAME_SIZE_BYTES as u64;
    pack_size_bytes * BUDGET_PACKS
        + BUDGET_FRAMES_BYTES.max(kept)
        + chunk_size_bytes_max as u64 * BUDGET_CHUNKS
}

/// Packs described in one index segment before it is written; what a lost local database can cost after a crash.
pub const SEGMENT_PACKS_MAX: usize = 64;
/// Chunks described in one index segment before it is written: about 2.5 MiB of segment, which stands in memory four times while it is sealed.
pub const SEGMENT_CHUNKS_MAX: usize = 1 << 16;
/// Opened frames of the parent snapshot's tree that the walker keeps, bytes.
pub const PARENT_CACHE_BYTES: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_workers_keep_fits_beside_the_open_packs() {
        for workers in [1, 2, 8, 32, 256] {
            let kept = (workers as u64 + 1) * WORKER_FRAMES * FRAME_SIZE_BYTES as u64;
            let (pack, chunk) = (1 << 20, 512 << 10);
            let open_packs = 2 * (pack + FRAME_SIZE_BYTES as u64);
            assert!(
                budget_bytes(pack, chunk, workers) >= open_packs + kept + chunk as u64,
                "{workers} workers"
            );
        }
    }
}
