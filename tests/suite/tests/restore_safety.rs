// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Nothing is ever written outside of the target: not through links that lie there, not through links that appear meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod restore_support;

use std::{
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use duplicati_engine::restore::RestoreOptions;
use restore_support::{Bench, names, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_place_of_a_folder_leads_nowhere_unless_allowed() {
    let mut bench = Bench::new(false).await;
    bench.write("d/inner/a", b"a");
    bench.write("e/b", b"b");
    bench.back_up().await;
    let outside = bench.folder.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(bench.target()).unwrap();
    symlink(&outside, bench.target().join("d")).unwrap();
    for overwrite in [false, true] {
        let report = bench
            .restore(RestoreOptions {
                overwrite,
                ..bench.to_target()
            })
            .await;
        assert_eq!(names(&outside), Vec::<String>::new());
        assert!(report.failed_entries >= 1);
        assert!(
            bench
                .complaints()
                .iter()
                .any(|text| text.contains("symbolic link")),
            "{:?}",
            bench.complaints()
        );
        assert_eq!(
            std::fs::read(bench.target().join("e/b")).unwrap(),
            b"b",
            "the rest is restored"
        );
    }
    let allowed = RestoreOptions {
        allow_outside_target: true,
        ..bench.to_target()
    };
    let report = bench.restore(allowed).await;
    assert_eq!(report.failed_entries, 0);
    assert_eq!(std::fs::read(outside.join("inner/a")).unwrap(), b"a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_place_of_a_file_is_not_written_through() {
    let mut bench = Bench::new(false).await;
    bench.write("a.txt", b"from the backup");
    bench.write("big", &noise(1, 3 << 20));
    bench.back_up().await;
    let outside = bench.folder.path().join("outside");
    for overwrite in [false, true] {
        std::fs::write(&outside, b"untouched").unwrap();
        std::fs::create_dir_all(bench.target()).unwrap();
        symlink(&outside, bench.target().join("a.txt")).unwrap();
        symlink(&outside, bench.target().join("big")).unwrap();
        let report = bench
            .restore(RestoreOptions {
                overwrite,
                ..bench.to_target()
            })
            .await;
        assert_eq!((report.restored_files, report.failed_entries), (2, 0));
        assert_eq!(std::fs::read(&outside).unwrap(), b"untouched");
        assert_eq!(report.deleted_symlinks, if overwrite { 2 } else { 0 });
        let name = if overwrite {
            "a.txt".to_owned()
        } else {
            format!("a.{}.txt", bench.date())
        };
        assert_eq!(
            std::fs::read(bench.target().join(name)).unwrap(),
            b"from the backup"
        );
        std::fs::remove_dir_all(bench.target()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_appear_during_the_restore_lead_nowhere() {
    let mut bench = Bench::new(false).await;
    for number in 0..400u64 {
        bench.write(&format!("d/e/file{number}"), &noise(number, 3000));
    }
    bench.back_up().await;
    let outside = bench.folder.path().join("outside");
    std::fs::create_dir_all(outside.join("e")).unwrap();
    for round in 0..5 {
        let target = bench.folder.path().join(format!("target{round}"));
        std::fs::create_dir_all(&target).unwrap();
        symlink(&outside, target.join("link")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let swapping = std::thread::spawn({
            let (target, stop) = (target.clone(), Arc::clone(&stop));
            move || {
                let mut swaps = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let (cwd, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
                    let swapped =
                        rustix::fs::renameat_with(cwd, target.join("d"), cwd, target.join("link"), flags);
                    swaps += u64::from(swapped.is_ok());
                }
                swaps
            }
        });
        let report = bench
            .restore(RestoreOptions {
                target: Some(target),
                ..RestoreOptions::default()
            })
            .await;
        stop.store(true, Ordering::Relaxed);
        let swaps = swapping.join().unwrap();
        assert_eq!(names(&outside), ["e"], "after {swaps} swaps");
        assert_eq!(
            names(&outside.join("e")),
            Vec::<String>::new(),
            "after {swaps} swaps"
        );
        assert!(report.restored_files + report.failed_entries > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_files_are_never_more_open_than_they_were() {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::new(false).await;
    bench.write("private/secret", b"x");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(bench.source().join("private/secret"), mode(0o600)).unwrap();
    std::fs::set_permissions(bench.source().join("private"), mode(0o700)).unwrap();
    bench.back_up().await;
    bench.restore(bench.to_target()).await;
    for name in ["private", "private/secret"] {
        let found = std::fs::metadata(bench.target().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(found & 0o077, 0, "{name}");
    }
}
