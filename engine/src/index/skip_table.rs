// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which files need no reading on a machine whose key opens no tree: sealed rows in the local database.
//!
//! A row is found and opened only by whoever has the file's whole state at hand: path, size, times, inode and device, beside the repository's secret. For a
//! file that is still there that is what the source shows anyway. Of one that changed or went nobody has it any more, and the row goes with the next complete
//! run. So the table tells a thief how many files there were, and how long their chunk lists are. Like everything in the database it is only a hint (S-5): a
//! row counts when every chunk that it names may be used again.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rusqlite::{Connection, OptionalExtension, params};

use super::ChunkSet;
use crate::{
    clock::Timestamp,
    crypto::secret::{Secret, fill_random},
    format::{
        codec::{Decoder, put_svarint, put_varint},
        tree::{EntryBody, TreeChunkReader, TreeChunkWriter, TreeEntry},
    },
};

/// The table in the local database.
pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS skip (number INTEGER PRIMARY KEY, tag BLOB NOT NULL UNIQUE, sealed BLOB NOT NULL);";

/// Bytes of a nonce in front of a sealed row.
const NONCE_SIZE_BYTES: usize = 12;
/// Bytes of a chunk id that a row keeps, as many as a [`ChunkSet`] compares.
const PREFIX_SIZE_BYTES: usize = 16;
/// Ids in one row of a long list: 256 KiB, so that a file of any size is noted and looked up in small memory.
const PART_IDS_MAX: usize = 16 << 10;
/// Rows that wait to be written together; a transaction for each would cost more than reading a small file.
const PENDING_ROWS_MAX: usize = 512;
/// Bytes of rows that wait.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// Rows that are removed in one transaction.
const PRUNED_ROWS_MAX: usize = 1024;
/// Largest number of a row: a bit for each is 64 MiB. Beyond it the table begins anew, with small numbers.
const NUMBER_MAX: i64 = 1 << 29;
/// Pages that SQLite keeps in memory, KiB: rows of one folder lie together, their tags do not.
const CACHE_KIB: i64 = 4096;

/// What a file looks like from outside; two states that are equal have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState<'a> {
    /// Absolute path.
    pub path: &'a [u8],
    /// Bytes.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of content or metadata.
    pub ctime: Timestamp,
    /// Inode.
    pub inode: u64,
    /// Device.
    pub device: u64,
    /// Whether its version holds no metadata.
    pub no_metadata: bool,
    /// Only path and mtime count.
    pub by_mtime_alone: bool,
}

impl FileState<'_> {
    /// Numbers first and the path last, so that no two states have the same bytes.
    fn encode(&self, part: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.path.len() + 64);
        put_varint(&mut out, part);
        put_varint(
            &mut out,
            u64::from(self.no_metadata) | u64::from(self.by_mtime_alone) << 1,
        );
        put_svarint(&mut out, self.mtime.seconds);
        put_varint(&mut out, self.mtime.nanoseconds.into());
        if !self.by_mtime_alone {
            put_svarint(&mut out, self.ctime.seconds);
            put_varint(&mut out, self.ctime.nanoseconds.into());
            for number in [self.size, self.inode, self.device] {
                put_varint(&mut out, number);
            }
        }
        out.extend_from_slice(self.path);
        out
    }
}

/// Name and key of one row.
struct RowKey {
    tag: [u8; 16],
    cipher: LessSafeKey,
}

/// The table, open for one run.
pub struct SkipTable {
    key: [u8; 32],
    inner: Mutex<Inner>,
}

struct Inner {
    database: Connection,
    pending: Vec<([u8; 16], Vec<u8>)>,
    pending_bytes: usize,
    /// Numbers of the rows that this run has seen or written, a bit for each.
    seen: Vec<u64>,
    /// A write failed: from here on nothing is written or removed.
    is_broken: bool,
}

impl SkipTable {
    /// Opens the table in the local database at `path`, which exists.
    ///
    /// # Errors
    /// When SQLite cannot open it.
    pub(super) fn open(path: &Path, secret: &Secret) -> rusqlite::Result<Self> {
        let database = Connection::open(path)?;
        database.busy_timeout(std::time::Duration::from_secs(20))?;
        database.pragma_update(None, "synchronous", "NORMAL")?;
        database.pragma_update(None, "secure_delete", "ON")?;
        database.pragma_update(None, "cache_size", -CACHE_KIB)?;
        database.execute(
            "DELETE FROM skip WHERE (SELECT max(number) FROM skip) > ?1",
            [NUMBER_MAX],
        )?;
        Ok(Self {
            key: secret.skip_table_key(),
            inner: Mutex::new(Inner {
                database,
                pending: Vec::new(),
                pending_bytes: 0,
                seen: Vec::new(),
                is_broken: false,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row_key(&self, state: &FileState<'_>, part: u64) -> RowKey {
        let mut reader = blake3::Hasher::new_keyed(&self.key)
            .update(&state.encode(part))
            .finalize_xof();
        let (mut tag, mut key) = ([0; 16], [0; 32]);
        reader.fill(&mut tag);
        reader.fill(&mut key);
        let key = UnboundKey::new(&aead::CHACHA20_POLY1305, &key).expect("the key has the cipher's 32 bytes");
        RowKey {
            tag,
            cipher: LessSafeKey::new(key),
        }
    }

    /// The entry that a file in this state had, if all its chunks are in `known`.
    pub fn find(&self, state: &FileState<'_>, known: &ChunkSet) -> Option<TreeEntry> {
        let mut inner = self.lock();
        let mut numbers = Vec::with_capacity(1);
        let content = inner.get(&self.row_key(state, 0), &mut numbers)?;
        let mut decoder = Decoder::new("skip table", &content);
        let parts = decoder.varint().ok()?;
        let entry = TreeChunkReader::new(decoder.rest()).ok()?.next()?.ok()?;
        let EntryBody::File { content, .. } = &entry.body else {
            return None;
        };
        let mut is_whole = content.ids.iter().all(|id| known.contains(id));
        for part in 1..=parts {
            if !is_whole {
                break;
            }
            let content = inner.get(&self.row_key(state, part), &mut numbers)?;
            let prefixes = content.as_chunks::<PREFIX_SIZE_BYTES>().0;
            is_whole = prefixes.iter().all(|prefix| known.contains_prefix(prefix));
        }
        if !is_whole {
            // It will be read, and its row written anew.
            return None;
        }
        for number in numbers {
            inner.mark(number);
        }
        Some(entry)
    }

    /// Notes the entry of a file that was read in this state. `below` are the chunks that its list names through list chunks.
    pub fn note(&self, state: &FileState<'_>, entry: &TreeEntry, below: &[[u8; PREFIX_SIZE_BYTES]]) {
        let parts = below.chunks(PART_IDS_MAX);
        let mut first = Vec::new();
        put_varint(&mut first, parts.len() as u64);
        let mut writer = TreeChunkWriter::new();
        writer.push(entry);
        first.extend_from_slice(&writer.take());
        self.add(self.row_key(state, 0), first);
        for (place, ids) in parts.enumerate() {
            self.add(self.row_key(state, place as u64 + 1), ids.concat());
        }
    }

    fn add(&self, key: RowKey, mut content: Vec<u8>) {
        let mut nonce = [0; NONCE_SIZE_BYTES];
        if fill_random(&mut nonce).is_err() {
            return;
        }
        let sealed = key.cipher.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            &mut content,
        );
        if sealed.is_err() {
            return;
        }
        content.splice(0..0, nonce);
        let mut inner = self.lock();
        inner.pending_bytes += content.len();
        inner.pending.push((key.tag, content));
        if inner.pending.len() >= PENDING_ROWS_MAX || inner.pending_bytes >= PENDING_BYTES_MAX {
            inner.flush();
        }
    }

    /// Writes what waits. After a complete look at all sources, rows of files that were not seen are overwritten and removed.
    pub fn finish(&self, is_complete: bool) {
        let mut inner = self.lock();
        inner.flush();
        if is_complete && !inner.is_broken {
            let pruned = inner.prune();
            inner.note_failure(pruned);
        }
    }
}

impl Inner {
    fn get(&self, key: &RowKey, numbers: &mut Vec<i64>) -> Option<Vec<u8>> {
        let row = self
            .database
            .prepare_cached("SELECT number, sealed FROM skip WHERE tag = ?1")
            .and_then(|mut query| {
                query
                    .query_row([key.tag], |row| {
                        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
                    })
                    .optional()
            });
        let (number, mut sealed) = row.ok().flatten()?;
        let nonce = Nonce::assume_unique_for_key(*sealed.first_chunk::<NONCE_SIZE_BYTES>()?);
        let length = key
            .cipher
            .open_within(nonce, Aad::empty(), &mut sealed, NONCE_SIZE_BYTES..)
            .ok()?
            .len();
        sealed.truncate(length);
        numbers.push(number);
        Some(sealed)
    }

    fn mark(&mut self, number: i64) {
        let number = number.unsigned_abs();
        let word = (number / 64) as usize;
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= 1 << (number % 64);
    }

    fn is_seen(&self, number: i64) -> bool {
        let number = number.unsigned_abs();
        self.seen
            .get((number / 64) as usize)
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        if !self.is_broken {
            let written = self.write(pending);
            self.note_failure(written);
        }
    }

    fn write(&mut self, pending: Vec<([u8; 16], Vec<u8>)>) -> rusqlite::Result<()> {
        let mut numbers = Vec::with_capacity(pending.len());
        let transaction = self.database.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO skip (tag, sealed) VALUES (?1, ?2)
                 ON CONFLICT (tag) DO UPDATE SET sealed = excluded.sealed RETURNING number",
            )?;
            for (tag, sealed) in pending {
                numbers.push(insert.query_row(params![tag, sealed], |row| row.get::<_, i64>(0))?);
            }
        }
        transaction.commit()?;
        for number in numbers {
            self.mark(number);
        }
        Ok(())
    }

    fn prune(&mut self) -> rusqlite::Result<()> {
        let mut after = 0i64;
        loop {
            let mut numbers = Vec::with_capacity(PRUNED_ROWS_MAX);
            {
                let mut query = self
                    .database
                    .prepare_cached("SELECT number FROM skip WHERE number > ?1 ORDER BY number")?;
                let mut rows = query.query([after])?;
                while let Some(row) = rows.next()? {
                    after = row.get(0)?;
                    if !self.is_seen(after) {
                        numbers.push(after);
                        if numbers.len() >= PRUNED_ROWS_MAX {
                            break;
                        }
                    }
                }
            }
            let is_last = numbers.len() < PRUNED_ROWS_MAX;
            let transaction = self.database.transaction()?;
            for number in numbers {
                transaction.execute("DELETE FROM skip WHERE number = ?1", [number])?;
            }
            transaction.commit()?;
            if is_last {
                break;
            }
        }
        // The journal still holds pages as they were.
        self.database
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// A table that cannot be written costs reading at the next run, and nothing else.
    fn note_failure(&mut self, outcome: rusqlite::Result<()>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "the table of unchanged files cannot be written; the next backup reads more files than it has to");
            self.is_broken = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        format::{chunk_list::ChunkList, tree::Owner},
        id::{ChunkId, RepositoryId},
        index::local::LocalState,
    };

    const SECRET: [u8; 32] = [5; 32];

    fn at(seconds: i64) -> Timestamp {
        Timestamp {
            seconds,
            nanoseconds: 123_456_789,
        }
    }

    fn state(path: &[u8]) -> FileState<'_> {
        FileState {
            path,
            size: 10,
            mtime: at(1),
            ctime: at(2),
            inode: 3,
            device: 4,
            no_metadata: false,
            by_mtime_alone: false,
        }
    }

    fn entry(name: &str, depth: u8, ids: Vec<ChunkId>) -> TreeEntry {
        TreeEntry {
            name: name.as_bytes().to_vec(),
            mode: 0o640,
            owner: Arc::new(Owner::default()),
            mtime: at(1),
            ctime: at(2),
            inode: 3,
            device: 4,
            hard_linked: false,
            no_metadata: false,
            xattrs: vec![(b"user.note".to_vec(), b"remember".to_vec())],
            body: EntryBody::File {
                size: 10,
                content: ChunkList { depth, ids },
                holes: Vec::new(),
            },
        }
    }

    fn id(number: u32) -> ChunkId {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        ChunkId(bytes)
    }

    fn known(ids: impl IntoIterator<Item = u32>) -> ChunkSet {
        let set = ChunkSet::default();
        for number in ids {
            set.insert(&id(number));
        }
        set
    }

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn local(&self) -> LocalState {
            LocalState::open(&self.folder.path().join("x.sqlite"), RepositoryId([1; 16])).unwrap()
        }

        fn table(&self, local: &LocalState) -> SkipTable {
            local.skip_table(&Secret::from_bytes(SECRET)).unwrap().unwrap()
        }

        fn bytes(&self) -> Vec<u8> {
            let mut bytes = Vec::new();
            for file in std::fs::read_dir(self.folder.path()).unwrap() {
                bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
            }
            bytes
        }
    }

    fn holds(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn an_entry_comes_back_for_the_same_state_and_for_no_other() {
        let place = Place::new();
        let local = place.local();
        let table = place.table(&local);
        let noted = entry("letter", 0, vec![id(1), id(2)]);
        table.note(&state(b"/home/letter"), &noted, &[]);
        table.finish(false);
        let table = place.table(&local);
        let set = known([1, 2]);
        assert_eq!(table.find(&state(b"/home/letter"), &set), Some(noted));
        let other = |change: fn(&mut FileState<'_>)| {
            let mut other = state(b"/home/letter");
            change(&mut other);
            table.find(&other, &set)
        };
        assert_eq!(other(|state| state.path = b"/home/lettes"), None);
        assert_eq!(other(|state| state.size += 1), None);
        assert_eq!(other(|state| state.mtime.nanoseconds += 1), None);
        assert_eq!(other(|state| state.ctime.nanoseconds += 1), None);
        assert_eq!(other(|state| state.inode += 1), None);
        assert_eq!(other(|state| state.device += 1), None);
        assert_eq!(other(|state| state.no_metadata = true), None);
        assert_eq!(other(|state| state.by_mtime_alone = true), None);
    }

    #[test]
    fn an_entry_counts_only_while_all_its_chunks_may_be_used() {
        let place = Place::new();
        let local = place.local();
        let table = place.table(&local);
        table.note(&state(b"/a"), &entry("a", 0, vec![id(1), id(2)]), &[]);
        let below: Vec<_> = (10..10 + PART_IDS_MAX as u32 + 5)
            .map(|number| id(number).prefix())
            .collect();
        let long = entry("b", 1, vec![id(3)]);
        table.note(&state(b"/b"), &long, &below);
        table.finish(true);
        let table = place.table(&local);
        assert_eq!(table.find(&state(b"/a"), &known([1])), None);
        let last = 10 + below.len() as u32 - 1;
        assert_eq!(table.find(&state(b"/b"), &known(10..=last)), None);
        assert_eq!(
            table.find(&state(b"/b"), &known([3].into_iter().chain(10..last))),
            None
        );
        assert_eq!(
            table.find(&state(b"/b"), &known([3].into_iter().chain(10..=last))),
            Some(long)
        );
    }

    #[test]
    fn rows_of_files_that_are_gone_are_removed_by_a_complete_run_only() {
        let place = Place::new();
        let local = place.local();
        let table = place.table(&local);
        for path in [&b"/stays"[..], b"/goes"] {
            let name = String::from_utf8_lossy(&path[1..]).into_owned();
            table.note(&state(path), &entry(&name, 0, vec![id(1)]), &[]);
        }
        table.finish(false);
        let set = known([1]);
        let rows = |local: &LocalState| local.skip_rows().unwrap();
        let before = rows(&local);
        assert_eq!(before.len(), 2);
        let table = place.table(&local);
        assert!(table.find(&state(b"/stays"), &set).is_some());
        table.finish(false);
        assert_eq!(rows(&local), before);
        let table = place.table(&local);
        assert!(table.find(&state(b"/stays"), &set).is_some());
        table.finish(true);
        let after = rows(&local);
        assert_eq!(after.len(), 1);
        let gone = before.iter().find(|row| !after.contains(row)).unwrap();
        let bytes = place.bytes();
        assert!(holds(&bytes, &after[0]), "what stays is found by this search");
        assert!(!holds(&bytes, gone), "the removed row is nowhere in the files");
    }

    #[test]
    fn neither_names_nor_attributes_stand_in_the_files() {
        let place = Place::new();
        let local = place.local();
        let table = place.table(&local);
        table.note(
            &state(b"/home/secretname"),
            &entry("secretname", 0, vec![id(1)]),
            &[],
        );
        table.finish(true);
        let bytes = place.bytes();
        for part in [&b"secretname"[..], b"remember", b"user.note", &id(1).0[..16]] {
            assert!(!holds(&bytes, part));
        }
    }

    #[test]
    fn numbers_that_have_grown_large_begin_anew() {
        let place = Place::new();
        let local = place.local();
        let table = place.table(&local);
        table.note(&state(b"/a"), &entry("a", 0, vec![id(1)]), &[]);
        table.finish(false);
        let raw = Connection::open(local.path()).unwrap();
        let move_to = |number: i64| raw.execute("UPDATE skip SET number = ?1", [number]).unwrap();
        assert_eq!(move_to(NUMBER_MAX), 1);
        assert!(place.table(&local).find(&state(b"/a"), &known([1])).is_some());
        move_to(i64::MAX);
        assert!(place.table(&local).find(&state(b"/a"), &known([1])).is_none());
        assert!(local.skip_rows().unwrap().is_empty());
    }

    #[test]
    fn a_database_without_a_file_has_no_table() {
        let local = LocalState::open(Path::new(":memory:"), RepositoryId([1; 16])).unwrap();
        assert!(local.skip_table(&Secret::from_bytes(SECRET)).unwrap().is_none());
    }
}
