// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Time and memory of a restore, on request: `cargo test --release --test restore_speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod restore_support;

use std::{path::Path, sync::Arc};

use duplicati_actors::{control::RunControl, events::Monitor};
use duplicati_engine::{
    clock::{Clock, SystemClock},
    restore::RestoreReport,
    storage::Store,
};
use duplicati_testkit::TreeBuilder;
use restore_support::Bench;

/// Peak memory that a restore may take, KiB. The repository lies in files, so nothing of it counts.
const PEAK_KIB_MAX: u64 = 128 << 10;

fn status_kib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn measure(label: &str, build: impl FnOnce(&Path)) -> RestoreReport {
    let folder = duplicati_testkit::TestFolder::new_in(Path::new("/dev/shm")).unwrap();
    let store = duplicati_backends::LocalStore::new(folder.path().join("repository"));
    let mut bench = Bench::with_store(folder, Arc::new(store) as Arc<dyn Store>, true).await;
    build(&bench.source());
    bench.back_up().await;
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status_kib("VmRSS");
    let begin = SystemClock.monotonic();
    let report = bench
        .run(bench.to_target(), Monitor::silent(), RunControl::new())
        .await
        .unwrap();
    let taken = SystemClock.monotonic() - begin;
    let peak = status_kib("VmHWM");
    println!(
        "{label}: {} files, {} MiB in {taken:?}; memory {} MiB before, {} MiB at its peak",
        report.restored_files,
        report.restored_files_bytes >> 20,
        before >> 10,
        peak >> 10
    );
    assert_eq!(report.failed_entries, 0);
    assert!(
        peak.saturating_sub(before) < PEAK_KIB_MAX,
        "{} KiB",
        peak - before
    );
    report
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute and gigabytes of /dev/shm"]
async fn many_small_files_and_one_large_one_are_restored_in_bounded_memory() {
    measure("small files", |source| {
        let builder = TreeBuilder::new(1)
            .random_files(50_000, 1..=16 << 10)
            .depth_max(3);
        builder.build(source).unwrap();
    })
    .await;
    measure("one large file", |source| {
        let file = ("large", 1 << 30, duplicati_testkit::Content::Random);
        TreeBuilder::new(2)
            .file(file.0, file.1, file.2)
            .build(source)
            .unwrap();
    })
    .await;
}
