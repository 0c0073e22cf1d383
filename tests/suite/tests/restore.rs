// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Restore end to end: everything comes back, nothing that is right is touched, damage costs only what it hits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod restore_support;

use std::{
    os::unix::fs::MetadataExt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use duplicati_actors::{control::RunControl, events::Monitor};
use duplicati_engine::{
    restore::{RestoreOptions, Selection},
    storage::{ObjectKind, Store},
};
use duplicati_testkit::{CompareOptions, FidelityOptions, assert_same_trees, fidelity_tree};
use restore_support::{Bench, names, noise};

#[tokio::test(flavor = "multi_thread")]
async fn everything_linux_can_keep_comes_back_and_a_second_run_touches_nothing() {
    let mut bench = Bench::new(true).await;
    let source = bench.source();
    fidelity_tree(&source, &FidelityOptions::default()).unwrap();
    bench.back_up().await;
    let options = RestoreOptions {
        restore_permissions: true,
        restore_symlink_metadata: true,
        ..bench.to_target()
    };
    let report = bench.restore(options.clone()).await;
    assert_eq!(report.failed_entries, 0, "{:#?}", bench.complaints());
    assert_eq!(report.unmodified_files, 0);
    let compare = CompareOptions {
        ignore_root: true,
        ignore_owner: !rustix::process::geteuid().is_root(),
        ..CompareOptions::default()
    };
    assert_same_trees(&source, &bench.target(), &compare);

    let again = bench.restore(options).await;
    assert_eq!(
        (again.failed_entries, again.restored_files),
        (0, 0),
        "{:#?}",
        bench.complaints()
    );
    assert_eq!((again.restored_folders, again.restored_symlinks), (0, 0));
    assert_eq!(again.unmodified_files, report.restored_files);
    assert_same_trees(&source, &bench.target(), &compare);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_differs_stays_and_the_restored_one_gets_a_dated_name() {
    let mut bench = Bench::new(false).await;
    bench.write("sub/a.txt", b"backed up");
    bench.back_up().await;
    let folder = bench.target().join("sub");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.txt"), b"mine, newer").unwrap();
    let dated = format!("a.{}.txt", bench.date());
    for round in 0..2u64 {
        let report = bench.restore(bench.to_target()).await;
        assert_eq!(
            (report.restored_files, report.unmodified_files),
            (1 - round, round)
        );
        assert_eq!(names(&folder), [dated.as_str(), "a.txt"]);
    }
    std::fs::write(folder.join(&dated), b"also mine").unwrap();
    bench.restore(bench.to_target()).await;
    let numbered = format!("a.{} (0).txt", bench.date());
    assert_eq!(std::fs::read(folder.join(numbered)).unwrap(), b"backed up");
    assert_eq!(std::fs::read(folder.join("a.txt")).unwrap(), b"mine, newer");
    assert_eq!(std::fs::read(folder.join(&dated)).unwrap(), b"also mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn overwriting_writes_only_what_differs_and_spares_other_names_of_the_file() {
    let mut bench = Bench::new(true).await;
    let content = noise(1, 4 << 20);
    bench.write("big", &content);
    bench.write("linked", &content[..300_000]);
    bench.back_up().await;
    let target = bench.target();
    std::fs::create_dir_all(&target).unwrap();
    let mut changed = content.clone();
    changed[2_000_000..2_000_100].fill(0);
    changed.extend_from_slice(b"and more at the end");
    std::fs::write(target.join("big"), &changed).unwrap();
    std::fs::write(target.join("other"), b"another name of the same file").unwrap();
    std::fs::hard_link(target.join("other"), target.join("linked")).unwrap();
    let options = RestoreOptions {
        overwrite: true,
        ..bench.to_target()
    };
    let report = bench.restore(options).await;
    assert_eq!(std::fs::read(target.join("big")).unwrap(), content);
    assert_eq!(std::fs::read(target.join("linked")).unwrap(), &content[..300_000]);
    assert_eq!(
        std::fs::read(target.join("other")).unwrap(),
        b"another name of the same file"
    );
    assert_eq!(
        (report.restored_files, report.patched_files, report.deleted_files),
        (2, 1, 1)
    );
    assert!(
        report.restored_data_bytes < 1_000_000,
        "{}",
        report.restored_data_bytes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_common_prefix_is_removed_unless_full_paths_are_kept() {
    let mut bench = Bench::new(false).await;
    bench.write("one/two/a", b"a");
    bench.write("one/two/b", b"b");
    bench.write("one/c", b"c");
    bench.back_up().await;
    let source = bench.source();
    let prefix = format!("{}/", source.display()).into_bytes();
    let wanted = |tails: &'static [&'static str]| RestoreOptions {
        filter: Some(Arc::new({
            let prefix = prefix.clone();
            move |path: &[u8]| match path.strip_prefix(&prefix[..]) {
                Some(tail) if tails.iter().any(|wanted| wanted.as_bytes() == tail) => Selection::Take,
                _ if path.ends_with(b"/") => Selection::Below,
                _ => Selection::Leave,
            }
        })),
        ..bench.to_target()
    };
    bench.restore(wanted(&["one/two/a", "one/two/b"])).await;
    assert_eq!(names(&bench.target()), ["a", "b"]);
    std::fs::remove_dir_all(bench.target()).unwrap();
    bench.restore(wanted(&["one/two/a", "one/c"])).await;
    assert_eq!(names(&bench.target()), ["c", "two"]);
    assert_eq!(names(&bench.target().join("two")), ["a"]);
    std::fs::remove_dir_all(bench.target()).unwrap();
    let full = RestoreOptions {
        keep_full_paths: true,
        ..wanted(&["one/c"])
    };
    bench.restore(full).await;
    let below = bench.target().join(source.strip_prefix("/").unwrap()).join("one");
    assert_eq!(names(&below), ["c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn original_places_are_filled_again() {
    let mut bench = Bench::new(true).await;
    bench.write("kept", b"kept");
    bench.write("sub/lost", b"lost");
    bench.back_up().await;
    std::fs::remove_dir_all(bench.source().join("sub")).unwrap();
    let report = bench.restore(RestoreOptions::default()).await;
    assert_eq!(
        (report.restored_files, report.unmodified_files),
        (1, 1),
        "{:?}",
        bench.complaints()
    );
    assert_eq!(std::fs::read(bench.source().join("sub/lost")).unwrap(), b"lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pack_costs_the_files_in_it_and_names_them() {
    for cut in [false, true] {
        let mut bench = Bench::new(true).await;
        for number in 0..12u64 {
            bench.write(&format!("file{number:02}"), &noise(number, 400_000));
        }
        bench.back_up().await;
        let index = bench.request(bench.to_target()).await.index;
        let data = duplicati_engine::format::pack::PackClass::Data;
        let pack = index.packs().find(|pack| pack.class == data).unwrap();
        bench.store.damage(&pack.id.into(), |object| {
            let object = object.unwrap();
            cut.then(|| object.slice(..object.len() / 2))
        });
        let report = bench.restore(bench.to_target()).await;
        assert!(
            report.failed_entries > 0 && report.failed_entries < 12,
            "{}",
            report.failed_entries
        );
        assert_eq!(report.restored_files + report.failed_entries, 12);
        assert_eq!(report.broken_local_files.len() as u64, report.failed_entries);
        assert_eq!(
            report.broken_remote_files,
            [format!("packs/{:02x}/{}", pack.id.0[0], pack.id)]
        );
        // What is there is right; of the rest nothing is left.
        assert_eq!(names(&bench.target()).len() as u64, report.restored_files);
        for name in names(&bench.target()) {
            let path = bench.source().join(&name);
            assert_eq!(
                std::fs::read(bench.target().join(&name)).unwrap(),
                std::fs::read(path).unwrap()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_leaves_only_whole_files_and_the_next_one_completes_them() {
    let mut bench = Bench::new(false).await;
    for number in 0..200u64 {
        bench.write(&format!("d{}/file{number}", number % 7), &noise(number, 200_000));
    }
    bench.back_up().await;
    let (monitor, control) = (Monitor::silent(), RunControl::new());
    let watching = tokio::spawn({
        let (monitor, control) = (monitor.clone(), control.clone());
        async move {
            while monitor.progress.restored_files.load(Ordering::Relaxed) < 20 {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            control.cancel();
        }
    });
    let cut_off = bench.run(bench.to_target(), monitor, control).await;
    watching.await.unwrap();
    // A fast machine may be done before the cancel arrives; then there is nothing to complete, and the rest holds as well.
    let complete = cut_off.is_ok();
    let mut whole = 0;
    for number in 0..200u64 {
        let path = bench.target().join(format!("d{}/file{number}", number % 7));
        if let Ok(found) = std::fs::read(path) {
            assert_eq!(found, noise(number, 200_000), "file{number}");
            whole += 1;
        }
    }
    let report = bench.restore(bench.to_target()).await;
    assert_eq!(
        (report.unmodified_files, report.restored_files),
        (whole, 200 - whole)
    );
    assert!(!complete || whole == 200);
    for folder in names(&bench.target()) {
        let strays: Vec<_> = names(&bench.target().join(folder))
            .into_iter()
            .filter(|name| !name.starts_with("file"))
            .collect();
        assert_eq!(strays, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_links_are_one_file_again_and_identical_chunks_are_fetched_once() {
    let mut bench = Bench::new(true).await;
    let content = noise(5, 1 << 20);
    for number in 0..8 {
        bench.write(&format!("copy{number}"), &content);
    }
    bench.write("x/first", b"linked");
    std::fs::create_dir_all(bench.source().join("y")).unwrap();
    std::fs::hard_link(bench.source().join("x/first"), bench.source().join("y/second")).unwrap();
    bench.back_up().await;
    let monitor = Monitor::silent();
    let report = bench
        .run(bench.to_target(), monitor.clone(), RunControl::new())
        .await
        .unwrap();
    let inode = |name: &str| std::fs::metadata(bench.target().join(name)).unwrap().ino();
    assert_eq!(inode("x/first"), inode("y/second"));
    assert_eq!((report.restored_files, report.failed_entries), (10, 0));
    let fetched = monitor.progress.fetched_bytes.load(Ordering::Relaxed);
    assert!(
        fetched < (1 << 20) * 11 / 10 + 70_000,
        "{fetched} bytes fetched for 8 copies of 1 MiB"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_can_be_left_out_and_a_dry_run_writes_nothing() {
    let mut bench = Bench::new(false).await;
    bench.write("small", b"small");
    bench.write("large", &noise(2, 100_000));
    bench.back_up().await;
    let options = RestoreOptions {
        size_limit: Some(1000),
        ..bench.to_target()
    };
    let dry = bench
        .restore(RestoreOptions {
            dry_run: true,
            ..options.clone()
        })
        .await;
    assert!(!bench.target().exists());
    let report = bench.restore(options).await;
    assert_eq!(names(&bench.target()), ["small"]);
    for report in [dry, report] {
        assert_eq!((report.restored_files, report.too_large_files), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_answer_ends_the_run() {
    let mut bench = Bench::new(false).await;
    bench.write("a", &noise(1, 100_000));
    bench.back_up().await;
    let mut request = bench.request(bench.to_target()).await;
    let faulty = duplicati_testkit::FaultyStore::new(Arc::clone(&bench.store) as Arc<dyn Store>);
    faulty.crash();
    let opened =
        duplicati_engine::repository::Repository::open(Arc::clone(&bench.store) as Arc<dyn Store>, None);
    let mut repository = opened.await.unwrap();
    repository.store = Arc::new(faulty);
    request.repository = Arc::new(repository);
    let outcome = duplicati_actors::restore::restore(request, Monitor::silent(), RunControl::new()).await;
    assert!(outcome.is_err());
    assert!(
        bench
            .store
            .inventory()
            .iter()
            .any(|info| info.name.kind() == ObjectKind::Pack)
    );
}
