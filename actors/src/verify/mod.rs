// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finding damage: [`run_check`] looks at the structure, [`run_verify`] also reads samples or everything. Neither writes anything.

mod check;
mod lost_files;
mod samples;
mod spot_check;

use duplicati_engine::{format::path_text::PathText, id::SnapshotId, index::id_table::IdTable};
use serde::Serialize;

pub use check::{CheckOptions, run_check};
pub(crate) use check::{examine, is_out_of_reach};
pub(crate) use lost_files::{find_lost_files, loses};
pub use samples::{VerifyOptions, run_verify};
pub(crate) use samples::{open_pack, read_packs};
pub use spot_check::{Samples, SpotCheckReport, run_spot_check};

/// Lines kept unless everything is asked for.
pub const LISTED_MAX: usize = 1000;

/// What is wrong with an object, in the words of `test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FindingKind {
    /// It is not ours, or nobody needs it.
    Extra,
    /// It should be there.
    Missing,
    /// It says something else than it should.
    Modified,
    /// It cannot be read.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object's name.
    pub object: String,
    /// In a word.
    pub kind: FindingKind,
    /// In words.
    pub text: String,
}

/// A file or folder that cannot be restored in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostFile {
    /// The version.
    pub snapshot: SnapshotId,
    /// Its date.
    pub time: String,
    /// The path in the snapshot; of a folder, everything below is lost from some name on.
    pub path: PathText,
    /// Whether it is a folder that cannot be read.
    pub is_folder: bool,
}

/// What a check found.
#[derive(Default, Serialize)]
pub struct VerifyReport {
    /// Damage.
    pub findings: Vec<Finding>,
    /// What costs room and nothing else: remains of interrupted runs.
    pub waste: Vec<Finding>,
    /// Files that damage costs, up to a limit unless all were asked for.
    pub lost_files: Vec<LostFile>,
    /// How many there are.
    pub lost_file_count: u64,
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Segments looked at.
    pub segments: u64,
    /// Packs looked at.
    pub packs: u64,
    /// Bytes read for it.
    pub read_bytes: u64,
    /// Chunks that are needed and cannot be had.
    #[serde(skip)]
    pub(crate) lost: IdTable<()>,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.lost_file_count == 0
    }

    pub(crate) fn find(&mut self, object: impl ToString, kind: FindingKind, text: impl ToString) {
        self.findings.push(Finding {
            object: object.to_string(),
            kind,
            text: text.to_string(),
        });
    }
}
