// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which files lost chunks cost, by name. Only walked when something is lost.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    format::{
        chunk_list::ChunkList,
        manifest::Manifest,
        path_text::PathText,
        tree::{EntryBody, TreeEntry},
    },
    id::{ChunkId, SnapshotId},
    repository::FrameReader,
    snapshot::{TreeReader, WalkStep},
};

use super::LostFile;
use crate::{control::RunControl, error::RunError};

/// Walks every snapshot and hands on each file or folder that needs a chunk for which `is_lost` is true.
///
/// Folders without loss that snapshots share are walked once.
pub async fn find_lost_files(
    frames: Arc<FrameReader>,
    snapshots: &[(SnapshotId, Manifest)],
    is_lost: &(dyn Fn(&ChunkId) -> bool + Sync),
    control: &RunControl,
    mut each: impl FnMut(LostFile),
) -> Result<(), RunError> {
    let reader = TreeReader::over(frames);
    let mut sound: HashSet<[u8; 32]> = HashSet::new();
    for (id, manifest) in snapshots {
        let root = ChunkList::from(manifest.root.clone());
        let mut lose = |path: &[u8], is_folder| {
            each(LostFile {
                snapshot: *id,
                time: manifest.time.clone(),
                path: PathText(path.to_vec()),
                is_folder,
            });
        };
        if root.ids.iter().any(is_lost) {
            lose(b"", true);
        }
        let mut walk = reader.walk(&root);
        // For each open folder, whether anything in it is lost.
        let mut open = vec![false];
        loop {
            control.check()?;
            let step = match walk.next().await {
                Ok(Some(step)) => step,
                Ok(None) => break,
                Err(error) if error.is_damage() => {
                    lose(walk.path(), true);
                    open.iter_mut().for_each(|lost| *lost = true);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match step {
                WalkStep::Entry(entry) => match &entry.body {
                    EntryBody::File { content, .. } if loses(&reader, content, is_lost).await? => {
                        lose(walk.path(), false);
                        open.iter_mut().for_each(|lost| *lost = true);
                    }
                    EntryBody::Directory { content, .. } => {
                        if sound.contains(&key(content)) {
                            walk.skip();
                        } else {
                            let lost = content.ids.iter().any(is_lost);
                            if lost {
                                lose(walk.path(), true);
                                open.iter_mut().for_each(|lost| *lost = true);
                            }
                            open.push(lost);
                        }
                    }
                    _ => {}
                },
                WalkStep::Leave(TreeEntry {
                    body: EntryBody::Directory { content, .. },
                    ..
                }) => {
                    if open.pop() == Some(false) {
                        sound.insert(key(&content));
                    }
                }
                WalkStep::Leave(_) => {}
            }
        }
    }
    Ok(())
}

fn key(list: &ChunkList) -> [u8; 32] {
    let mut encoded = Vec::new();
    list.encode(&mut encoded);
    *blake3::hash(&encoded).as_bytes()
}

/// Whether a file needs a chunk for which `is_lost` is true, or a list of its chunks cannot be read.
pub async fn loses(
    reader: &TreeReader,
    list: &ChunkList,
    is_lost: &(dyn Fn(&ChunkId) -> bool + Sync),
) -> Result<bool, RunError> {
    if list.ids.iter().any(is_lost) {
        return Ok(true);
    }
    if list.depth == 0 {
        return Ok(false);
    }
    let mut leaves = reader.leaves(list);
    loop {
        match leaves.next().await {
            Ok(Some(id)) if is_lost(&id) => return Ok(true),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            Err(error) if error.is_damage() => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}
