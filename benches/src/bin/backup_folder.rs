// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Backs up one folder to a new local repository and prints what it cost: the pipeline without the command line around it.

use std::{path::PathBuf, sync::Arc};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    events::Monitor,
};
use duplicati_backends::StoreAddress;
use duplicati_engine::{
    clock::{Clock, SystemClock},
    crypto::key_file::{KeyHolder, Unlock},
    format::config::ChunkingParameters,
    index::local::LocalState,
    repository::{CreateOptions, Repository},
};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, target, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: backup_folder SOURCE TARGET [AVERAGE_CHUNK_KIB [LEVEL [PACK_MIB]]]");
    };
    let number = |place: usize, default: u64| {
        rest.get(place)
            .and_then(|text| text.to_str())
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let passphrase = || "bench".to_owned().into();
    let store = duplicati_backends::open(&StoreAddress::local(PathBuf::from(target)))?;
    let repository = if Repository::exists(store.as_ref()).await.unwrap_or(false) {
        Repository::open(store, Some(&Unlock::Passphrase(passphrase()))).await?
    } else {
        let options = CreateOptions {
            holder: Some(KeyHolder::Passphrase(passphrase())),
            chunking: ChunkingParameters::around(number(0, 128) << 10),
            label: String::new(),
            created: String::new(),
        };
        Repository::create(store, options).await?
    };
    let repository = Arc::new(repository);
    let mut database = PathBuf::from(target).into_os_string();
    database.push(".sqlite");
    let local = LocalState::open(database.as_ref(), repository.config.repository_id)?;
    let options = BackupOptions {
        sources: vec![source.as_encoded_bytes().to_vec()],
        zstd_level: number(1, 2) as i32,
        pack_size_bytes: number(2, 16) << 20,
        ..BackupOptions::default()
    };
    let begin = SystemClock.monotonic();
    let report = run_backup(
        repository,
        local,
        options,
        Arc::new(SystemClock),
        Monitor::silent(),
        RunControl::new(),
    )
    .await?;
    let seconds = (SystemClock.monotonic() - begin).as_secs_f64();
    println!(
        "{:.2} s, {:.1} MB/s",
        seconds,
        report.progress.examined_bytes as f64 / 1e6 / seconds
    );
    println!("{}", serde_json::to_string(&report.progress)?);
    Ok(())
}
