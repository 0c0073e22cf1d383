// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Listing the target: objects, what is foreign, and what crashes left behind. Many folders are read at once.

use bytes::Bytes;
use duplicati_engine::storage::{Listing, ObjectInfo, ObjectKind, StoreErrorKind};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    errors::{About, Trouble},
    packet::Request,
    paths::Paths,
    reply::Entry,
    session::Session,
};
use crate::schemes::names::{self, Meaning};

/// Folders that are read at once; each is an open file at the server.
const FOLDERS_AT_ONCE: usize = 64;
/// Requests about single files at once.
const REQUESTS_AT_ONCE: usize = 64;
/// Entries of one folder, at most: more cannot be ours, and a server that never ends must not fill the memory.
const FOLDER_ENTRIES_MAX: usize = 4_000_000;
/// The folder that ext file systems keep in their root; a disk used as a target has it, and it is nobody's data.
const LOST_AND_FOUND: &str = "lost+found";

/// The folders that hold objects of a kind, and what else lies beside the folders of packs.
struct Folders {
    folders: Vec<String>,
    foreign: Vec<String>,
}

/// Lists all objects of a kind.
pub(super) async fn list(session: &Session, paths: &Paths, kind: ObjectKind) -> Result<Listing, Trouble> {
    // A target that is not there must not look like an empty one.
    let ((), found) = tokio::try_join!(check_root(session, paths), folders_of(session, paths, kind))?;
    let mut listing = Listing {
        objects: Vec::new(),
        foreign: found.foreign,
    };
    let mut parts = stream::iter(found.folders)
        .map(|folder| async move {
            let entries = entries(session, paths, &folder).await?;
            Ok::<_, Trouble>(sort_out(&folder, entries))
        })
        .buffer_unordered(FOLDERS_AT_ONCE);
    while let Some(part) = parts.try_next().await? {
        listing.objects.extend(part.objects);
        listing.foreign.extend(part.foreign);
    }
    // A folder that changes while it is read may show an entry twice.
    listing.objects.sort_unstable_by_key(|object| object.name);
    listing.objects.dedup_by_key(|object| object.name);
    Ok(listing)
}

/// Names in the root that are not this repository's.
pub(super) async fn list_foreign_root(session: &Session, paths: &Paths) -> Result<Vec<String>, Trouble> {
    // A root that is not there yet holds nothing foreign.
    let entries = entries(session, paths, "").await?;
    Ok(sort_out("", entries).foreign)
}

/// Whether the root is there.
pub(super) async fn check_root(session: &Session, paths: &Paths) -> Result<(), Trouble> {
    let path = paths.root();
    let request = Request::InspectTarget { path: path.clone() };
    let attributes = session.ask(request).await?.into_attributes().about(path)?;
    if attributes.is_folder() {
        Ok(())
    } else {
        let message = format!(
            "{}: a file lies where the target's folder is needed; move it away or choose another path",
            String::from_utf8_lossy(path)
        );
        Err(Trouble::told(StoreErrorKind::Other, message))
    }
}

/// Removes temporary files that were last written before `older_than`, by the server's clock.
pub(super) async fn remove_stale_temporaries(
    session: &Session,
    paths: &Paths,
    older_than: i64,
) -> Result<u64, Trouble> {
    check_root(session, paths).await?;
    let mut stale = Vec::new();
    for kind in ObjectKind::ALL {
        let mut parts = stream::iter(folders_of(session, paths, kind).await?.folders)
            .map(|folder| async move { Ok::<_, Trouble>((entries(session, paths, &folder).await?, folder)) })
            .buffer_unordered(FOLDERS_AT_ONCE);
        while let Some((entries, folder)) = parts.try_next().await? {
            let is_stale = |entry: &&Entry| {
                let name = String::from_utf8_lossy(&entry.name);
                names::meaning(&folder, &name) == Meaning::Temporary
                    && entry.attributes.is_file()
                    && entry
                        .attributes
                        .modified
                        .is_some_and(|modified| i64::from(modified) < older_than)
            };
            let relative = |entry: &Entry| names::relative(&folder, &String::from_utf8_lossy(&entry.name));
            stale.extend(entries.iter().filter(is_stale).map(relative));
        }
    }
    let removed = stream::iter(stale)
        .map(|relative| async move {
            let path = paths.of(&relative);
            let request = Request::Remove { path: path.clone() };
            match session.ask(request).await?.into_done().about(&path) {
                Ok(()) => Ok(1),
                Err(trouble) if trouble.is_no_such_file() => Ok(0),
                Err(trouble) => Err(trouble),
            }
        })
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_fold(0, |sum, count| async move { Ok(sum + count) });
    removed.await
}

async fn folders_of(session: &Session, paths: &Paths, kind: ObjectKind) -> Result<Folders, Trouble> {
    let mut found = Folders {
        folders: Vec::new(),
        foreign: Vec::new(),
    };
    if kind != ObjectKind::Pack {
        found.folders.push(kind.folder().to_owned());
        return Ok(found);
    }
    for entry in entries(session, paths, kind.folder()).await? {
        let name = String::from_utf8_lossy(&entry.name);
        let relative = names::relative(kind.folder(), &name);
        if names::is_shard(&name) && entry.attributes.is_folder() {
            found.folders.push(relative);
        } else {
            found.foreign.push(relative);
        }
    }
    Ok(found)
}

fn sort_out(folder: &str, entries: Vec<Entry>) -> Listing {
    let mut listing = Listing::default();
    for entry in entries {
        // Bytes that are not UTF-8 are replaced, which no object name survives.
        let name = String::from_utf8_lossy(&entry.name);
        match names::meaning(folder, &name) {
            Meaning::Object(object) if entry.attributes.is_file() => listing.objects.push(ObjectInfo {
                name: object,
                size_bytes: entry.attributes.size_bytes.unwrap_or(0),
            }),
            Meaning::Temporary => {}
            Meaning::Foreign if folder.is_empty() && is_expected_in_root(&name, &entry) => {}
            Meaning::Object(_) | Meaning::Foreign => listing.foreign.push(names::relative(folder, &name)),
        }
    }
    listing
}

fn is_expected_in_root(name: &str, entry: &Entry) -> bool {
    entry.attributes.is_folder() && (names::is_kind_folder(name) || name == LOST_AND_FOUND)
}

/// All entries of a folder below the root; a missing folder has none.
pub(super) async fn entries(session: &Session, paths: &Paths, folder: &str) -> Result<Vec<Entry>, Trouble> {
    let path = paths.of(folder);
    let handle = match session
        .ask(Request::OpenFolder { path: path.clone() })
        .await?
        .into_handle()
        .about(&path)
    {
        Ok(handle) => handle,
        Err(trouble) if trouble.is_no_such_file() => return Ok(Vec::new()),
        Err(trouble) => return Err(trouble),
    };
    let entries = read_entries(session, &handle, &path).await;
    session.post(Request::Close { handle });
    complete(session, &path, entries?).await
}

async fn read_entries(session: &Session, handle: &Bytes, path: &Bytes) -> Result<Vec<Entry>, Trouble> {
    let request = || Request::ReadFolder {
        handle: handle.clone(),
    };
    let mut found = Vec::new();
    // The end is an answer of its own; where answers come in order it is asked for ahead.
    let mut ahead = None;
    loop {
        let pending = match ahead.take() {
            Some(pending) => pending,
            None => session.send(request()).await?,
        };
        if session.server.is_sequential {
            ahead = Some(session.send(request()).await?);
        }
        let Some(entries) = pending.reply().await?.into_entries().about(path)? else {
            return Ok(found);
        };
        found.extend(
            entries
                .into_iter()
                .filter(|entry| !matches!(&entry.name[..], b"." | b"..")),
        );
        if found.len() > FOLDER_ENTRIES_MAX {
            let message = format!(
                "{}: too many entries; is this the target's folder?",
                String::from_utf8_lossy(path)
            );
            return Err(Trouble::told(StoreErrorKind::Other, message));
        }
    }
}

/// Asks for what the server left out of the listing.
async fn complete(session: &Session, path: &Bytes, entries: Vec<Entry>) -> Result<Vec<Entry>, Trouble> {
    let is_complete =
        |entry: &Entry| entry.attributes.size_bytes.is_some() && entry.attributes.mode.is_some();
    if entries.iter().all(is_complete) {
        return Ok(entries);
    }
    let folder = Paths::new(path.clone());
    let folder = &folder;
    let completed = stream::iter(entries)
        .map(|mut entry| async move {
            if is_complete(&entry) {
                return Ok(Some(entry));
            }
            let path = folder.of_bytes(&entry.name);
            let request = Request::Inspect { path: path.clone() };
            match session.ask(request).await?.into_attributes().about(&path) {
                Ok(attributes) => {
                    entry.attributes = attributes;
                    Ok(Some(entry))
                }
                // Deleted, or published and renamed, since the folder was read.
                Err(trouble) if trouble.is_no_such_file() => Ok(None),
                Err(trouble) => Err(trouble),
            }
        })
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_filter_map(|entry| async move { Ok(entry) })
        .try_collect();
    completed.await
}
