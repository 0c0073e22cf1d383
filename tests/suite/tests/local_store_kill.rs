// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A writer that is killed at any moment leaves only whole objects in a local target.
//!
//! The child is this test program run once more: it puts objects in a loop and reports each finished one on its output.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use duplicati_backends::LocalStore;
use duplicati_engine::storage::{ObjectKind, ObjectName, Store};

/// Set in the child: the folder to write into.
const CHILD_VARIABLE: &str = "DUPLICATI_TEST_KILL_FOLDER";
/// Set in the child: a number that no other child has.
const ROUND_VARIABLE: &str = "DUPLICATI_TEST_KILL_ROUND";
/// Starts a line that reports a finished put.
const FINISHED: &str = "finished-put ";

const ROUNDS: u8 = 20;
const WRITERS: u8 = 4;

fn name(round: u8, writer: u8, number: u32) -> ObjectName {
    let mut id = [0; 16];
    id[0] = number as u8;
    id[1] = round;
    id[2] = writer;
    id[4..8].copy_from_slice(&number.to_le_bytes());
    ObjectName::of(ObjectKind::Pack, id)
}

/// The content follows from the name, so that the parent knows what must be there. It is large and cheap to make: a kill
/// must be likely to meet a write.
fn content(name: &ObjectName) -> Bytes {
    let id = name.id();
    Bytes::from(id.repeat(250_000 + usize::from(id[4]) * 100))
}

/// Not a test by itself: the body of the child.
#[test]
fn child_puts_objects_until_it_is_killed() {
    let (Ok(folder), Ok(round)) = (std::env::var(CHILD_VARIABLE), std::env::var(ROUND_VARIABLE)) else {
        return;
    };
    let round: u8 = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(LocalStore::new(folder));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            writers.spawn(async move {
                // Bounded, in case the parent dies before it kills.
                for number in 0..5_000 {
                    let name = name(round, writer, number);
                    store.put(&name, content(&name)).await.unwrap();
                    // Written past the test harness, which would hold it back; one call, so that lines stay whole.
                    let line = format!("\n{FINISHED}{name}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        while let Some(result) = writers.join_next().await {
            result.unwrap();
        }
    });
}

/// Runs a child and kills it after so many finished puts; returns the names it reported.
fn run_and_kill(folder: &Path, round: u8) -> Vec<ObjectName> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_puts_objects_until_it_is_killed", "--nocapture"])
        .env(CHILD_VARIABLE, folder)
        .env(ROUND_VARIABLE, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut finished = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(name) = line.unwrap().strip_prefix(FINISHED) {
            finished.push(name.parse().unwrap());
        }
        // `kill` sends SIGKILL; what the pipe still holds is read to its end.
        if finished.len() == 1 + usize::from(round) % 4 {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(
        !status.success(),
        "the child must have been killed, not have ended"
    );
    finished
}

/// A folder in memory where there is one: there a writer spends its time in writing and not in waiting for a disk, so that
/// kills meet halves. (What a disk loses with its power, no kill can show.)
fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

#[tokio::test]
async fn killed_writer_leaves_only_whole_objects_and_all_that_it_reported() {
    let guard = folder_in_memory();
    let folder = guard.path().join("target");
    let store = LocalStore::new(&folder);
    store.prepare(true).await.unwrap();
    let (mut objects, mut leftovers) = (0, 0);
    for round in 0..ROUNDS {
        let reported = run_and_kill(&folder, round);
        let listing = store.list(ObjectKind::Pack).await.unwrap();
        assert!(listing.foreign.is_empty(), "{:?}", listing.foreign);
        for name in &reported {
            let is_there = listing.objects.iter().any(|object| object.name == *name);
            assert!(is_there, "{name} was reported and is gone");
        }
        leftovers += store.remove_stale_temporaries(i64::MAX).await.unwrap();
        objects += listing.objects.len();
        for object in listing.objects {
            let name = object.name;
            assert_eq!(object.size_bytes, content(&name).len() as u64, "{name}");
            assert!(store.get(&name, None).await.unwrap() == content(&name), "{name}");
            store.delete(&name).await.unwrap();
        }
    }
    println!("{ROUNDS} kills, {objects} whole objects, {leftovers} temporary files left");
    assert!(leftovers > 0, "no kill met a write, so nothing was shown");
}
