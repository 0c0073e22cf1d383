// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Folders: what is in them, whether something is there at all, and what cut-off uploads left behind.

use duplicati_engine::storage::{Listing, ObjectKind, StoreError, StoreErrorKind};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    CONCURRENT_REQUESTS_MAX, FtpStore,
    listing::{Entry, What},
    session::Session,
    trouble::Trouble,
};
use crate::schemes::names::{self, Meaning, Sorter};

/// Adds an entry of a folder.
pub(super) fn sort(sorter: &mut Sorter, folder: &str, entry: &Entry) {
    let path = names::relative(folder, &entry.name);
    match entry.what {
        What::Folder => sorter.folder(&path),
        What::File => sorter.file(&path, entry.size_bytes.unwrap_or(0)),
        What::Other => sorter.foreign(path),
    }
}

/// The entry at an absolute path; none when the folder above shows that there is none. What cannot be found out is an error.
pub(super) async fn find(session: &mut Session, absolute: &str) -> Result<Option<Entry>, Trouble> {
    let mut path = absolute;
    loop {
        let Some((parent, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else {
            return Err(no_look("/"));
        };
        let parent = if parent.is_empty() { "/" } else { parent };
        match session.list(parent).await? {
            Some(entries) => {
                let found = entries.into_iter().find(|entry| entry.name == name);
                return match found {
                    // A folder on the way is there, and we may not look into it.
                    Some(_) if path != absolute => Err(no_look(path)),
                    found => Ok(found),
                };
            }
            None => path = parent,
        }
    }
}

fn no_look(path: &str) -> Trouble {
    Trouble::Told(
        StoreErrorKind::PermissionDenied,
        format!("the server does not let us look into {path}; check the rights of the user"),
    )
}

/// Whether the root is there.
pub(super) async fn check_root(session: &mut Session, root: &str) -> Result<(), Trouble> {
    if session.enter(root).await? {
        return Ok(());
    }
    match find(session, root).await? {
        Some(_) => Err(no_look(root)),
        None => Err(Trouble::not_found("the folder does not exist at the target")),
    }
}

/// Makes the root and the folders above it, where they are missing.
pub(super) async fn make_root(session: &mut Session, root: &str) -> Result<(), Trouble> {
    if session.enter(root).await? {
        return Ok(());
    }
    let mut last = None;
    let places = root
        .match_indices('/')
        .map(|(place, _)| place)
        .skip(1)
        .chain([root.len()]);
    for place in places {
        // Those above may exist and be out of our reach; the last one decides.
        last = Some(session.make_folder(&root[..place]).await?);
    }
    match last {
        _ if session.enter(root).await? => Ok(()),
        Some(reply) if !reply.is_done() => Err(Trouble::Refused(reply)),
        _ => Err(no_look(root)),
    }
}

/// Removes temporary files that were last written before `older_than`, by the server's clock.
pub(super) async fn remove_stale_temporaries(
    session: &mut Session,
    root: &str,
    older_than: i64,
) -> Result<u64, Trouble> {
    check_root(session, root).await?;
    let mut removed = 0;
    for kind in ObjectKind::ALL {
        let mut folders = vec![kind.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            let absolute = names::relative(root.trim_end_matches('/'), &folder);
            let absolute = absolute.trim_end_matches('/');
            for entry in session.list(absolute).await?.unwrap_or_default() {
                if kind == ObjectKind::Pack && entry.what == What::Folder && names::is_shard(&entry.name) {
                    folders.push(names::relative(&folder, &entry.name));
                }
                if entry.what != What::File || names::meaning(&folder, &entry.name) != Meaning::Temporary {
                    continue;
                }
                let path = format!("{absolute}/{}", entry.name);
                let modified = match entry.modified {
                    Some(modified) => Some(modified),
                    None => session.modified(&path).await?,
                };
                // Without a time nobody knows whether it is being written now.
                if modified.is_some_and(|modified| modified < older_than) {
                    removed += u64::from(session.delete(&path).await?.is_done());
                }
            }
        }
    }
    Ok(removed)
}

impl FtpStore {
    /// The entries of a folder below the root; none when it is not there.
    pub(super) async fn list_folder(&self, folder: &str) -> Result<Option<Vec<Entry>>, StoreError> {
        let object = if folder.is_empty() { "(root)" } else { folder };
        let error = self.error("list", object);
        let mut held = self.pool.take().await.map_err(&error)?;
        let absolute = self.path(&held, folder);
        let result = entries(&mut held, &absolute).await;
        held.settle(result).map_err(error)
    }

    pub(super) async fn list_kind(&self, kind: ObjectKind) -> Result<Listing, StoreError> {
        let folder = kind.folder();
        let mut sorter = Sorter::new(kind);
        let Some(entries) = self.list_folder(folder).await? else {
            // A target that is gone must not look like an empty one.
            if folder.is_empty() || self.list_folder("").await?.is_none() {
                let gone = Trouble::not_found("the folder does not exist at the target");
                return Err(self.error("list", folder)(gone));
            }
            return Ok(sorter.finish());
        };
        let mut shards = Vec::new();
        for entry in &entries {
            sort(&mut sorter, folder, entry);
            if kind == ObjectKind::Pack && entry.what == What::Folder && names::is_shard(&entry.name) {
                shards.push(names::relative(folder, &entry.name));
            }
        }
        let mut listed = stream::iter(shards)
            .map(|shard| async move { self.list_folder(&shard).await.map(|entries| (shard, entries)) })
            .buffer_unordered(CONCURRENT_REQUESTS_MAX);
        while let Some((shard, entries)) = listed.try_next().await? {
            for entry in entries.unwrap_or_default() {
                sort(&mut sorter, &shard, &entry);
            }
        }
        Ok(sorter.finish())
    }
}

/// The entries of a folder; none when it is surely not there.
async fn entries(session: &mut Session, absolute: &str) -> Result<Option<Vec<Entry>>, Trouble> {
    match session.list(absolute).await? {
        Some(entries) => Ok(Some(entries)),
        None => match find(session, absolute).await? {
            Some(_) => Err(no_look(absolute)),
            None => Ok(None),
        },
    }
}
