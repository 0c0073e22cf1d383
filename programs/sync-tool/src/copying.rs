// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Carries a plan out, one file at a time, each with its tries.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use duplicati_backends::{FileEntry, Files};
use duplicati_engine::{
    mirror::{Listed, Plan},
    storage::StoreError,
};

use crate::arguments::Arguments;

/// How times are written in the names of files that are kept.
pub const STAMP: &str = "%Y%m%dT%H%M%S";
/// Ends the name of a file that is kept instead of removed.
const KEPT: &str = ".kept";

/// Whether an earlier run gave this name to a file that it kept.
pub fn is_kept(path: &str) -> bool {
    path.strip_suffix(KEPT)
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(_, stamp)| {
            stamp.len() == 15
                && stamp.bytes().enumerate().all(|(place, byte)| match place {
                    8 => byte == b'T',
                    _ => byte.is_ascii_digit(),
                })
        })
}

/// The two targets.
pub struct Pair {
    pub source: Arc<dyn Files>,
    pub destination: Arc<dyn Files>,
}

/// What did not come about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Files that failed.
    pub failed: u32,
    /// The lowest rank among them: what comes after it must not be copied without it.
    rank: Option<u8>,
}

impl Troubles {
    fn note(&mut self, entry: &FileEntry) {
        self.failed += 1;
        self.rank = Some(self.rank.unwrap_or(u8::MAX).min(entry.rank()));
    }

    fn leave_out(&self, entry: &FileEntry) -> bool {
        self.rank.is_some_and(|rank| entry.rank() > rank)
    }
}

/// Compares the contents of files of the same size. What differs is to be replaced, so it must be known before anybody is asked.
pub async fn compare(pair: &Pair, plan: &mut Plan<FileEntry>, arguments: &Arguments) -> Troubles {
    let mut troubles = Troubles::default();
    for entry in std::mem::take(&mut plan.same) {
        match is_same(pair, &entry, arguments).await {
            Ok(true) => plan.same.push(entry),
            Ok(false) => {
                println!("{} differs although its size is the same", entry.path);
                plan.replace.push(entry);
            }
            Err(error) => {
                eprintln!("{error}");
                troubles.note(&entry);
            }
        }
    }
    troubles
}

/// Carries the plan out after what went wrong so far; returns how many files failed in all.
pub async fn carry_out(
    pair: &Pair,
    plan: &Plan<FileEntry>,
    mut troubles: Troubles,
    arguments: &Arguments,
    stamp: &str,
) -> u32 {
    let mut entries: Vec<&FileEntry> = plan.copy.iter().chain(&plan.replace).collect();
    entries.sort_by_key(|entry| entry.rank());
    let mut left_out = 0;
    for entry in entries {
        if troubles.leave_out(entry) {
            left_out += 1;
            continue;
        }
        if arguments.progress {
            println!("copying {} ({} bytes)", entry.path, entry.size_bytes);
        }
        if let Err(message) = copy(pair, entry, arguments).await {
            eprintln!("{message}");
            troubles.note(entry);
        }
    }
    if left_out > 0 {
        eprintln!(
            "{left_out} files that may need those that failed were not copied; run this again when the cause is gone"
        );
    }
    for entry in &plan.newer {
        eprintln!(
            "{} is left alone: its size differs and it is newer at the destination; --force replaces it",
            entry.path
        );
    }
    let failed = troubles
        .failed
        .saturating_add(u32::try_from(plan.newer.len()).unwrap_or(u32::MAX));
    if failed == 0 {
        return remove_all(pair, &plan.remove, arguments, stamp).await;
    }
    if !plan.remove.is_empty() {
        eprintln!("nothing is removed at the destination, because not everything could be copied");
    }
    failed
}

/// Removes in the given order, versions first. What a file needs that could not be removed stays.
async fn remove_all(pair: &Pair, entries: &[FileEntry], arguments: &Arguments, stamp: &str) -> u32 {
    let mut failed = 0;
    let mut rank_of_failed = 0;
    let mut kept = 0;
    for entry in entries {
        if entry.rank() < rank_of_failed {
            kept += 1;
            continue;
        }
        if arguments.progress {
            println!("removing {}", entry.path);
        }
        if let Err(error) = remove(pair, entry, arguments, stamp).await {
            eprintln!("{error}");
            failed += 1;
            rank_of_failed = entry.rank();
        }
    }
    if kept > 0 {
        eprintln!("{kept} files stay at the destination, because those that failed may need them");
    }
    failed
}

async fn copy(pair: &Pair, entry: &FileEntry, arguments: &Arguments) -> Result<(), String> {
    let path = entry.path.as_str();
    let content = read(&pair.source, path, arguments)
        .await
        .map_err(|error| error.to_string())?;
    if content.len() as u64 != entry.size_bytes {
        return Err(format!(
            "{path} at the source has {} bytes and is listed with {}; it is not copied",
            content.len(),
            entry.size_bytes
        ));
    }
    let hash = blake3::hash(&content);
    for number in 1..=arguments.tries {
        again(arguments, || pair.destination.write_file(path, content.clone()))
            .await
            .map_err(|error| error.to_string())?;
        if !arguments.verify_after_put {
            return Ok(());
        }
        let stored = read(&pair.destination, path, arguments)
            .await
            .map_err(|error| error.to_string())?;
        if blake3::hash(&stored) == hash {
            return Ok(());
        }
        eprintln!("{path} came back otherwise than it was sent (try {number})");
    }
    Err(format!(
        "{path} does not arrive whole at {}",
        pair.destination.location()
    ))
}

async fn is_same(pair: &Pair, entry: &FileEntry, arguments: &Arguments) -> Result<bool, StoreError> {
    let source = blake3::hash(&read(&pair.source, &entry.path, arguments).await?);
    let destination = blake3::hash(&read(&pair.destination, &entry.path, arguments).await?);
    Ok(source == destination)
}

async fn remove(
    pair: &Pair,
    entry: &FileEntry,
    arguments: &Arguments,
    stamp: &str,
) -> Result<(), StoreError> {
    if arguments.retention {
        let content = read(&pair.destination, &entry.path, arguments).await?;
        let kept = format!("{}.{stamp}{KEPT}", entry.path);
        again(arguments, || pair.destination.write_file(&kept, content.clone())).await?;
    }
    again(arguments, || pair.destination.delete_file(&entry.path)).await
}

async fn read(files: &Arc<dyn Files>, path: &str, arguments: &Arguments) -> Result<Bytes, StoreError> {
    again(arguments, || files.read_file(path)).await
}

/// Tries again what may pass.
pub async fn again<T, F: Future<Output = Result<T, StoreError>>>(
    arguments: &Arguments,
    mut request: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut delay = arguments.retry_delay;
    let mut tries = 1;
    loop {
        match request().await {
            Err(error) if error.is_retry_sensible() && tries < arguments.tries => {
                tokio::time::sleep(delay.max(error.retry_after.unwrap_or_default())).await;
                if arguments.doubles_delay {
                    delay = delay.saturating_mul(2);
                }
                tries += 1;
            }
            other => return other,
        }
    }
}
