// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Manifests (section 9): what makes a snapshot exist.

use serde::{Deserialize, Serialize};

use super::{FormatError, chunk_list::ChunkList, path_text::PathText, session::Fence};
use crate::id::{ChunkId, RepositoryId, SnapshotId};

/// Sums over a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Everything else.
    pub others: u64,
    /// Bytes of all files as their sizes say.
    pub bytes: u64,
    /// All entries.
    pub entries: u64,
}

/// A chunk list in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkListText {
    /// Depth as in [`ChunkList`].
    pub depth: u8,
    /// Ids as hexadecimal digits.
    pub ids: Vec<ChunkId>,
}

impl From<ChunkList> for ChunkListText {
    fn from(list: ChunkList) -> Self {
        Self {
            depth: list.depth,
            ids: list.ids,
        }
    }
}

impl From<ChunkListText> for ChunkList {
    fn from(text: ChunkListText) -> Self {
        Self {
            depth: text.depth,
            ids: text.ids,
        }
    }
}

/// A file kept beside the tree (`--control-files`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlFile {
    /// Its name, without folders.
    pub name: PathText,
    /// Depth of its chunk list.
    pub depth: u8,
    /// Ids of its chunk list.
    pub ids: Vec<ChunkId>,
    /// Bytes.
    pub size: u64,
}

/// The stored description of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub version: u32,
    /// `"manifest"`.
    pub kind: String,
    /// The name that it was stored under, so that it says nothing under another one. Absent in manifests of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SnapshotId>,
    /// The repository.
    pub repository_id: RepositoryId,
    /// Begin of the backup, ISO 8601 UTC: the version's date.
    pub time: String,
    /// End of the backup.
    pub finished: String,
    /// Host name.
    pub host: String,
    /// User name.
    pub user: String,
    /// Program and version.
    pub program: String,
    /// Name of the job.
    #[serde(default)]
    pub name: String,
    /// Free texts.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What was backed up.
    pub sources: Vec<PathText>,
    /// False for a run that was stopped early.
    pub complete: bool,
    /// The root directory's stream.
    pub root: ChunkListText,
    /// The snapshot that this one was compared with.
    pub parent: Option<SnapshotId>,
    /// Sums.
    pub totals: Totals,
    /// Figures of the run, free form.
    #[serde(default)]
    pub statistics: serde_json::Value,
    /// Files beside the tree.
    #[serde(default)]
    pub control_files: Vec<ControlFile>,
}

/// What stands under a snapshot's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotObject {
    /// A snapshot.
    Manifest(Box<Manifest>),
    /// The session was fenced off and must not commit under this name.
    Fence(Fence),
}

/// Largest manifest, bytes of JSON. Opened, JSON takes several times its size, and whoever may add versions must not be able to exhaust a reader.
pub const MANIFEST_SIZE_BYTES_MAX: u64 = 16 << 20;

impl SnapshotObject {
    /// The name that it was stored under, if it says so.
    pub fn id(&self) -> Option<SnapshotId> {
        match self {
            Self::Manifest(manifest) => manifest.id,
            Self::Fence(fence) => fence.id,
        }
    }
}

/// Encodes a JSON object.
pub fn encode_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("values of plain texts and numbers are always JSON")
}

/// Reads a manifest or fence.
///
/// # Errors
/// When it is neither, or newer than this program.
pub fn decode_snapshot(content: &[u8]) -> Result<SnapshotObject, FormatError> {
    #[derive(Deserialize)]
    struct Head {
        version: u64,
        kind: String,
    }
    let damaged = |error: serde_json::Error| FormatError::damaged("manifest", error.to_string());
    let head: Head = serde_json::from_slice(content).map_err(damaged)?;
    if head.version != 1 {
        return Err(FormatError::UnknownVersion {
            object: "manifest",
            found: head.version,
        });
    }
    match head.kind.as_str() {
        "manifest" => {
            let manifest: Manifest = serde_json::from_slice(content).map_err(damaged)?;
            if manifest.root.depth > super::chunk_list::DEPTH_MAX {
                return Err(FormatError::damaged(
                    "manifest",
                    "the root's chunk list is too deep",
                ));
            }
            Ok(SnapshotObject::Manifest(Box::new(manifest)))
        }
        "fence" => Ok(SnapshotObject::Fence(
            serde_json::from_slice(content).map_err(damaged)?,
        )),
        other => Err(FormatError::damaged(
            "manifest",
            format!("kind {other:?} is not known"),
        )),
    }
}
