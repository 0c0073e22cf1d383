// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The stages of a restore and the bounds between them. Together they stay below 128 MiB whatever is restored.

use std::sync::Arc;

use duplicati_engine::restore::plan::BATCH_BYTES_MAX;

use super::{context::Context, fetcher, finisher, planner, writer};
use crate::{inlet::inlet, stage::Worker, supervisor::StagePlan};

/// Opened tree frames that are kept, bytes: the path of a walk goes through few at a time.
pub const TREE_CACHE_BYTES: u64 = 8 << 20;
/// Pieces of files gathered before they are read; each is about 80 bytes. A large window reads each frame once however the files lie.
pub const WINDOW_PIECES_MAX: usize = 65_536;
/// Pieces in the first window; each further one is twice as large. Small, so that reading and writing begin soon; large enough that what a history of small
/// changes has scattered over many packs is read once.
pub const WINDOW_PIECES_FIRST: usize = 16_384;
/// Memory of the files gathered, bytes.
pub const WINDOW_FILES_BYTES_MAX: u64 = 16 << 20;
/// Memory of all files from the plan to their last piece, bytes: one frame may hold the content of thousands.
pub const FILES_BYTES_MAX: u64 = 24 << 20;
/// Memory of the lists of pieces on their way, bytes: one frame may be wanted at very many places.
pub const USES_BYTES_MAX: u64 = 6 << 20;
/// Planned reads that wait: small, they only hide the planner's thinking.
pub const FETCHER_QUEUE_ITEMS: usize = 8;
/// Requests at a time; each holds up to 2 MiB.
pub const FETCHERS_MAX: usize = 6;
/// Fetched batches that wait for a writer, each up to 2 MiB.
pub const WRITER_QUEUE_ITEMS: usize = 2;
/// Ends of the stages before; each worker only drops its sender.
pub const FINISHER_QUEUE_ITEMS: usize = 1;
/// Writers at most; each holds a batch, its plaintext and one open frame, about 6 MiB.
pub const WRITERS_MAX: usize = 8;
/// Folder descriptors that each worker keeps.
pub const FOLDERS_OPEN_MAX: u64 = 64;
/// Files that are open between two of their pieces.
pub const FILES_OPEN_MAX: u64 = 192;
/// First names of hard links that are remembered, bytes. Beyond it, further names become files of their own.
pub const HARD_LINKS_BYTES_MAX: usize = 24 << 20;
/// Paths of failed entries that the report lists.
pub const REPORTED_PATHS_MAX: usize = 1000;
/// Warnings about metadata that are told; the rest are of lesser severity.
pub const METADATA_WARNINGS_MAX: u64 = 20;

const _: () = assert!(
    (FETCHERS_MAX + WRITER_QUEUE_ITEMS) as u64 * BATCH_BYTES_MAX <= 16 << 20,
    "fetched bytes in flight"
);

/// All stages of one run.
pub(super) fn stages(context: &Arc<Context>, writers: usize) -> Vec<StagePlan> {
    let control = &context.control;
    let (to_fetcher, fetcher_outlet) = inlet("fetcher", FETCHER_QUEUE_ITEMS, control);
    let (to_writer, writer_outlet) = inlet("writer", WRITER_QUEUE_ITEMS, control);
    let (to_finisher, finisher_outlet) = inlet("finisher", FINISHER_QUEUE_ITEMS, control);
    let runtime = tokio::runtime::Handle::current();
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let writers = if writers == 0 { cores } else { writers }.clamp(1, WRITERS_MAX);
    let store = &context.tree.frames().repository().store;
    let fetchers = store.capability().concurrent_requests_max.clamp(1, FETCHERS_MAX);

    let planner = Worker::thread({
        let (context, runtime, done) = (Arc::clone(context), runtime.clone(), to_finisher.clone());
        move || planner::run(&context, &runtime, &to_fetcher, done)
    });
    let fetcher = (0..fetchers)
        .map(|_| {
            Worker::task(fetcher::run(
                Arc::clone(context),
                fetcher_outlet.clone(),
                to_writer.clone(),
            ))
        })
        .collect();
    drop(to_writer);
    let writer = (0..writers)
        .map(|_| {
            let (context, outlet, done) = (Arc::clone(context), writer_outlet.clone(), to_finisher.clone());
            Worker::thread(move || writer::run(&context, &outlet, done))
        })
        .collect();
    drop(to_finisher);
    let finisher = Worker::thread({
        let context = Arc::clone(context);
        move || finisher::run(&context, &runtime, &finisher_outlet)
    });
    vec![
        StagePlan {
            name: "planner",
            workers: vec![planner],
        },
        StagePlan {
            name: "fetcher",
            workers: fetcher,
        },
        StagePlan {
            name: "writer",
            workers: writer,
        },
        StagePlan {
            name: "finisher",
            workers: vec![finisher],
        },
    ]
}
