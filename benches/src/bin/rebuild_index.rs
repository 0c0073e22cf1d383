// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How long the local database of a large repository takes to make again, with the index that a backup needs.
//!
//! `rebuild_index FOLDER [MILLIONS_OF_CHUNKS [open]]`. The segments are made up as a backup writes them; packs are not needed.

use std::{path::PathBuf, sync::Arc};

use anyhow::Result;
use duplicati_actors::{control::RunControl, events::Monitor, rebuild::run_rebuild};
use duplicati_backends::StoreAddress;
use duplicati_benches::usage::{measured, peak_memory_bytes};
use duplicati_engine::{
    compaction::pack_writer::encode_index_segment,
    crypto::{key_file::KeyHolder, secret::random_id},
    format::{
        config::ChunkingParameters,
        index_segment::PackDescription,
        pack::{FrameDescription, PackClass, PackFooter},
    },
    id::{ChunkId, PackId, SegmentId},
    index::{ChunkIndex, local::LocalState},
    repository::{CreateOptions, Repository},
    storage::ObjectName,
};
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// As a source tree has it: 16 MiB packs of 1 MiB frames with small chunks.
const CHUNKS_PER_FRAME: usize = 20;
const FRAMES_PER_PACK: usize = 40;
const PACKS_PER_SEGMENT: usize = 64;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        anyhow::bail!("usage: rebuild_index FOLDER [MILLIONS_OF_CHUNKS [open]]");
    };
    let millions: f64 = arguments.get(1).map_or(Ok(1.0), |text| text.parse())?;
    let encrypted = arguments.get(2).is_none_or(|word| word != "open");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let target = folder.join("rebuild-index");
    let store = duplicati_backends::open(&StoreAddress::local(target.clone()))?;
    let options = CreateOptions {
        holder: encrypted.then(|| KeyHolder::Passphrase("bench".to_owned().into())),
        chunking: ChunkingParameters::around(128 << 10),
        label: String::new(),
        created: String::new(),
    };
    let repository = Arc::new(runtime.block_on(Repository::create(store, options))?);
    let packs = (millions * 1e6) as usize / (CHUNKS_PER_FRAME * FRAMES_PER_PACK);
    let bytes = runtime.block_on(write_segments(&repository, packs))?;
    println!("{packs} packs, {:.1} MiB of segments", bytes as f64 / 1048576.0);

    let database = folder.join("rebuild-index.sqlite");
    let mut local = LocalState::open(&database, repository.config.repository_id)?;
    let (report, usage) = measured(|| {
        runtime.block_on(run_rebuild(
            Arc::clone(&repository),
            &mut local,
            Monitor::silent(),
            RunControl::new(),
        ))
    });
    let report = report?;
    println!(
        "rebuild of the database: {:.2} s wall, {:.2} s CPU for {} chunks in {} segments",
        usage.wall.as_secs_f64(),
        usage.cpu.as_secs_f64(),
        report.chunks,
        report.segments
    );
    for (what, database) in [("from the database", Some(&mut local)), ("from the target", None)] {
        let mut index = ChunkIndex::new();
        let (loaded, usage) =
            measured(|| runtime.block_on(repository.load_index(database, |_, pack| index.add(&pack))));
        loaded?;
        println!(
            "index {what}: {:.2} s wall, {:.2} s CPU",
            usage.wall.as_secs_f64(),
            usage.cpu.as_secs_f64()
        );
    }
    println!("peak memory {:.0} MiB", peak_memory_bytes() as f64 / 1048576.0);
    drop(local);
    std::fs::remove_dir_all(target)?;
    std::fs::remove_file(database)?;
    Ok(())
}

async fn write_segments(repository: &Repository, packs: usize) -> Result<u64> {
    let mut random = StdRng::seed_from_u64(1);
    let mut descriptions = Vec::new();
    let mut bytes = 0;
    for number in 0..packs {
        let mut id = [0; 16];
        random.fill_bytes(&mut id);
        let frame = |random: &mut StdRng| {
            let chunk = |_| {
                let mut id = ChunkId([0; 32]);
                random.fill_bytes(&mut id.0);
                (id, 2_000 + random.next_u32() % 100_000)
            };
            let chunks: Vec<_> = (0..CHUNKS_PER_FRAME).map(chunk).collect();
            FrameDescription {
                stored_size_bytes: 300_000 + random.next_u32() % 200_000,
                raw_size_bytes: chunks.iter().map(|(_, size)| size).sum(),
                chunks,
            }
        };
        let frames = (0..FRAMES_PER_PACK).map(|_| frame(&mut random)).collect();
        let age_header = if repository.key.is_some() {
            vec![b'x'; 200]
        } else {
            Vec::new()
        };
        let mut description = Vec::new();
        PackDescription {
            id: PackId(id),
            object_size_bytes: 16 << 20,
            age_header,
            footer: PackFooter {
                class: PackClass::Data,
                frames,
            },
        }
        .encode(&mut description);
        descriptions.push(description);
        if descriptions.len() == PACKS_PER_SEGMENT || number + 1 == packs {
            let (object, _) = encode_index_segment(repository, &descriptions)?;
            bytes += object.len() as u64;
            let name = ObjectName::from(SegmentId(random_id()?));
            repository.store.put(&name, object).await?;
            descriptions.clear();
        }
    }
    Ok(bytes)
}
