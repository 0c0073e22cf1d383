// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the actor layer costs: a first backup through the pipeline and as a plain loop, in turns, in CPU seconds.
//!
//! `actor_layer SOURCE FOLDER [ROUNDS [WORKERS]]`; FOLDER (best on tmpfs) takes the repositories.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    events::Monitor,
};
use duplicati_backends::StoreAddress;
use duplicati_benches::{
    plain_loop::PlainLoop,
    usage::{Usage, measured, median},
};
use duplicati_engine::{
    clock::SystemClock,
    compression::LEVEL_DEFAULT,
    crypto::key_file::KeyHolder,
    format::config::ChunkingParameters,
    index::local::LocalState,
    repository::{CreateOptions, Repository},
};
use tokio::runtime::Runtime;

const PACK_SIZE_BYTES: u64 = 16 << 20;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, folder, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: actor_layer SOURCE FOLDER [ROUNDS [WORKERS]]");
    };
    let (source, folder) = (PathBuf::from(source), PathBuf::from(folder));
    let number = |place: usize, default: usize| {
        let text = rest.get(place).and_then(|text| text.to_str());
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (rounds, workers) = (number(0, 5), number(1, 0));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (mut pipeline, mut plain) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        // Who goes first changes, and the first round only warms the caches.
        let mut order = [false, true];
        order.rotate_left(round % 2);
        for is_plain in order {
            let usage = one(&runtime, &source, &folder, is_plain, workers)?;
            if round > 0 {
                println!(
                    "{} {:.2} s CPU, {:.2} s wall",
                    if is_plain { "plain loop" } else { "pipeline  " },
                    usage.cpu.as_secs_f64(),
                    usage.wall.as_secs_f64()
                );
                if is_plain { &mut plain } else { &mut pipeline }.push(usage.cpu.as_secs_f64());
            }
        }
    }
    let (pipeline, plain) = (median(pipeline), median(plain));
    println!(
        "median: pipeline {pipeline:.2} s, plain loop {plain:.2} s CPU: the actor layer costs {:+.1} %",
        (pipeline / plain - 1.0) * 100.0
    );
    Ok(())
}

fn one(runtime: &Runtime, source: &Path, folder: &Path, is_plain: bool, workers: usize) -> Result<Usage> {
    let target = folder.join("actor-layer");
    let database = folder.join("actor-layer.sqlite");
    let clean = || -> Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = database.clone().into_os_string();
            path.push(suffix);
            if Path::new(&path).exists() {
                std::fs::remove_file(path)?;
            }
        }
        if target.exists() {
            std::fs::remove_dir_all(&target)?;
        }
        Ok(())
    };
    clean()?;
    let store = duplicati_backends::open(&StoreAddress::local(target.clone()))?;
    let options = CreateOptions {
        holder: Some(KeyHolder::Passphrase("bench".to_owned().into())),
        chunking: ChunkingParameters::around(128 << 10),
        label: String::new(),
        created: String::new(),
    };
    let repository = Arc::new(runtime.block_on(Repository::create(store, options))?);
    let local = LocalState::open(&database, repository.config.repository_id)?;
    let usage = if is_plain {
        let _inside = runtime.enter();
        let (totals, usage) =
            measured(|| PlainLoop::new(&repository, local, LEVEL_DEFAULT, PACK_SIZE_BYTES).run(source));
        totals?;
        usage
    } else {
        let options = BackupOptions {
            sources: vec![source.as_os_str().as_encoded_bytes().to_vec()],
            pack_size_bytes: PACK_SIZE_BYTES,
            workers,
            ..BackupOptions::default()
        };
        let clock = Arc::new(SystemClock);
        let (report, usage) = measured(|| {
            let (monitor, control) = (Monitor::silent(), RunControl::new());
            runtime.block_on(run_backup(
                Arc::clone(&repository),
                local,
                options,
                clock,
                monitor,
                control,
            ))
        });
        report?;
        usage
    };
    clean()?;
    Ok(usage)
}
