// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Listing a collection: everything at once where the server does that, folder by folder where not.

use std::sync::atomic::Ordering;

use duplicati_engine::storage::{Listing, ObjectKind, StoreError, StoreErrorKind};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;

use super::{WebdavStore, multistatus::Entry};
use crate::schemes::names::{self, Meaning, Sorter, is_shard};

/// Folders of packs that are listed at once.
const FOLDERS_LISTED_AT_ONCE: usize = 8;

impl WebdavStore {
    /// Adds what was listed, without the folder that was asked for.
    pub(super) fn sort(
        &self,
        entries: &[Entry],
        folder: &str,
        sorter: &mut Sorter,
    ) -> Result<(), StoreError> {
        for entry in entries {
            if entry.path == folder || entry.path.is_empty() {
                continue;
            }
            if entry.is_folder {
                sorter.folder(&entry.path);
                continue;
            }
            let (parent, file_name) = names::split(&entry.path);
            match entry.size_bytes {
                Some(size_bytes) => sorter.file(&entry.path, size_bytes),
                None if matches!(names::meaning(parent, file_name), Meaning::Object(_)) => {
                    let message = "the server does not tell the size of this object";
                    return Err(self
                        .connection
                        .failure("list", &entry.path, StoreErrorKind::Other, message));
                }
                None => sorter.file(&entry.path, 0),
            }
        }
        Ok(())
    }

    /// Removes temporary files that the server says were last written before `older_than`.
    pub(super) async fn remove_stale(&self, older_than: i64) -> Result<u64, StoreError> {
        let mut removed = 0;
        for kind in ObjectKind::ALL {
            let mut folders = vec![kind.folder().to_owned()];
            while let Some(folder) = folders.pop() {
                for entry in self.list_folder(&folder, "1").await?.unwrap_or_default() {
                    let (parent, file_name) = names::split(&entry.path);
                    if entry.is_folder {
                        if kind == ObjectKind::Pack
                            && parent == kind.folder()
                            && is_shard(file_name)
                            && folder == parent
                        {
                            folders.push(entry.path.clone());
                        }
                        continue;
                    }
                    // Without a time nobody knows whether it is being written now.
                    let is_old = entry.modified.is_some_and(|modified| modified < older_than);
                    if is_old && names::meaning(parent, file_name) == Meaning::Temporary {
                        self.remove("remove_stale_temporaries", &entry.path, &entry.path)
                            .await?;
                        removed += 1;
                    }
                }
            }
        }
        Ok(removed)
    }

    /// The entries of a folder below the root, with paths below the root; none when there is no such folder.
    pub(super) async fn list_folder(
        &self,
        folder: &str,
        depth: &str,
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        let object: &str = if folder.is_empty() { "(root)" } else { folder };
        let path = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let answer = self.connection.propfind("list", &object, &path, depth).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        self.connection.entries("list", &object, &answer).map(Some)
    }

    pub(super) async fn list_kind(&self, kind: ObjectKind) -> Result<Listing, StoreError> {
        let folder = kind.folder();
        let mut sorter = Sorter::new(kind);
        if kind == ObjectKind::Pack {
            self.list_packs(&mut sorter).await?;
            return Ok(sorter.finish());
        }
        match self.list_folder(folder, "1").await? {
            Some(entries) => self.sort(&entries, folder, &mut sorter)?,
            None => self.check_root(folder).await?,
        }
        Ok(sorter.finish())
    }

    /// A folder that is missing is empty only if the root is there: a target that is gone must not look like an empty one.
    async fn check_root(&self, folder: &str) -> Result<(), StoreError> {
        if !folder.is_empty() && self.list_folder("", "0").await?.is_some() {
            return Ok(());
        }
        let message = "the folder of the backup does not exist at the target";
        let object = if folder.is_empty() { "(root)" } else { folder };
        Err(self
            .connection
            .failure("list", &object, StoreErrorKind::NotFound, message))
    }

    async fn list_packs(&self, sorter: &mut Sorter) -> Result<(), StoreError> {
        let folder = ObjectKind::Pack.folder();
        let mut listed = None;
        if self.lists_deep.load(Ordering::Relaxed) {
            match self.list_folder(folder, "infinity").await {
                Ok(entries) => listed = Some(entries),
                // What cannot be reached cannot be reached at depth 1 either.
                Err(error) if error.is_retry_sensible() => return Err(error),
                Err(_) => self.lists_deep.store(false, Ordering::Relaxed),
            }
        }
        let listed = match listed {
            Some(listed) => listed,
            None => self.list_folder(folder, "1").await?,
        };
        let Some(entries) = listed else {
            return self.check_root(folder).await;
        };
        self.sort(&entries, folder, sorter)?;
        // Servers may answer a deep question with one level and say nothing: a folder in which nothing was seen is asked for.
        let shards = entries
            .iter()
            .filter(|entry| entry.is_folder)
            .filter_map(|entry| {
                let shard = entry
                    .path
                    .strip_prefix("packs/")
                    .filter(|shard| is_shard(shard))?;
                let below = format!("packs/{shard}/");
                let is_seen = entries.iter().any(|other| other.path.starts_with(&below));
                (!is_seen).then(|| entry.path.clone())
            });
        let unseen: Vec<String> = shards.collect();
        let found: Vec<_> = stream::iter(unseen)
            .map(|shard| async move {
                self.list_folder(&shard, "1")
                    .await
                    .map(|entries| (shard, entries))
            })
            .buffer_unordered(FOLDERS_LISTED_AT_ONCE)
            .try_collect()
            .await?;
        for (shard, entries) in found {
            self.sort(&entries.unwrap_or_default(), &shard, sorter)?;
        }
        Ok(())
    }
}
