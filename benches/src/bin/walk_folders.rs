// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Walking extremes: one folder with very many entries, and a very deep chain. Prints time and peak memory of a first and
//! of an unchanged backup.
//!
//! `walk_folders FOLDER [ENTRIES [DEPTH]]`; FOLDER (best on tmpfs) takes sources and repository.

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
use duplicati_benches::usage::{measured, peak_memory_bytes};
use duplicati_engine::{
    clock::SystemClock,
    format::config::ChunkingParameters,
    index::local::LocalState,
    repository::{CreateOptions, Repository},
};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use tokio::runtime::Runtime;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        anyhow::bail!("usage: walk_folders FOLDER [ENTRIES [DEPTH]]");
    };
    let number = |place: usize, default: u32| {
        let text = arguments.get(place);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (entries, depth) = (number(1, 1_000_000), number(2, 1_000));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let wide = folder.join("wide");
    std::fs::create_dir_all(&wide)?;
    for number in 0..entries {
        std::fs::write(wide.join(format!("{number:07}")), [])?;
    }
    measure(
        &runtime,
        &folder,
        &wide,
        &format!("{entries} entries in one folder"),
    )?;
    let deep = folder.join("deep");
    make_chain(&deep, depth)?;
    measure(&runtime, &folder, &deep, &format!("depth {depth}"))?;
    println!("peak memory {:.0} MiB", peak_memory_bytes() as f64 / 1048576.0);
    println!("the sources stay in {}", folder.display());
    Ok(())
}

/// Each folder is made from the one above: the path is longer than the kernel takes at once.
fn make_chain(top: &Path, depth: u32) -> Result<()> {
    std::fs::create_dir_all(top)?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = openat(CWD, top, flags, Mode::empty())?;
    for level in 0..depth {
        let name = format!("level-{level}");
        mkdirat(&folder, name.as_str(), Mode::RWXU)?;
        folder = openat(&folder, name.as_str(), flags, Mode::empty())?;
    }
    Ok(())
}

fn measure(runtime: &Runtime, folder: &Path, source: &Path, what: &str) -> Result<()> {
    let target = folder.join("repository");
    let store = duplicati_backends::open(&StoreAddress::local(target.clone()))?;
    let options = CreateOptions {
        holder: None,
        chunking: ChunkingParameters::around(128 << 10),
        label: String::new(),
        created: String::new(),
    };
    let repository = Arc::new(runtime.block_on(Repository::create(store, options))?);
    let database = folder.join("local.sqlite");
    for run in ["first", "unchanged"] {
        let local = LocalState::open(&database, repository.config.repository_id)?;
        let options = BackupOptions {
            sources: vec![source.as_os_str().as_encoded_bytes().to_vec()],
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
        let progress = report?.progress;
        println!(
            "{what}, {run}: {:.2} s wall, {:.2} s CPU, {} files examined",
            usage.wall.as_secs_f64(),
            usage.cpu.as_secs_f64(),
            progress.examined_files
        );
    }
    std::fs::remove_dir_all(target)?;
    std::fs::remove_file(database)?;
    Ok(())
}
