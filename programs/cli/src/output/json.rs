// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The objects that `--json` prints beside results; `docs/user/json.md` describes them.

use duplicati_actors::events::{Phase, ProgressSnapshot};
use duplicati_engine::format::{path_text::PathText, tree::EntryBody};
use serde::Serialize;

/// `{"type": "progress", …}`.
#[derive(Serialize)]
pub struct ProgressLine {
    #[serde(rename = "type")]
    kind: &'static str,
    phase: &'static str,
    current: PathText,
    #[serde(flatten)]
    counters: ProgressSnapshot,
}

impl ProgressLine {
    /// The state of a run.
    pub fn new(phase: Phase, current: Vec<u8>, counters: ProgressSnapshot) -> Self {
        Self {
            kind: "progress",
            phase: match phase {
                Phase::Opening => "opening",
                Phase::Working => "working",
                Phase::Committing => "committing",
                Phase::Done => "done",
            },
            current: PathText(current),
            counters,
        }
    }
}

/// `{"type": "event", …}`.
#[derive(Serialize)]
pub struct EventLine<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub time: String,
    pub level: &'a str,
    pub id: &'a str,
    pub subject: Option<PathText>,
    pub message: &'a str,
}

/// `{"type": "entry", …}`: one path in one version.
#[derive(Serialize)]
pub struct EntryLine {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub version: u32,
    pub path: PathText,
    pub entry: &'static str,
    pub size: Option<u64>,
    pub modified: Option<String>,
}

/// The word for a type of entry.
pub fn entry_word(body: &EntryBody) -> &'static str {
    match body {
        EntryBody::File { .. } => "file",
        EntryBody::Directory { .. } => "folder",
        EntryBody::Symlink { .. } => "symlink",
        EntryBody::Fifo => "fifo",
        EntryBody::Socket => "socket",
        EntryBody::CharDevice { .. } => "char-device",
        EntryBody::BlockDevice { .. } => "block-device",
    }
}
