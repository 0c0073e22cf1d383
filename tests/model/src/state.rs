// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the target holds, and what each client has in its head. Sets are bit masks: the checker keeps millions of these.

use crate::{collector::Collector, repairer::Repairer, writer::Writer};

/// A set of chunks.
pub type Chunks = u8;
/// A set of packs, segments, or names.
pub type Set = u16;

/// Places for packs: 2 that are there from the beginning, 2 for each writer, 1 for each collector, 2 for the collectors that show that waste can go.
pub const PACKS: usize = 10;
/// Places for segments: 2 from the beginning, 2 for each writer, 2 for each collector, 1 of the repairer, 4 as above.
pub const SEGMENTS: usize = 15;
/// Names of sessions and snapshots: 1 from the beginning, 2 for each writer, 1 for each other client.
pub const NAMES: usize = 10;
/// Places for plans: 1 for each collector.
pub const PLANS: usize = 4;
/// Chunks that there are.
pub const CHUNKS: usize = 2;

/// What stands under a snapshot's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Name {
    /// Nothing.
    #[default]
    Free,
    /// A snapshot that needs these chunks.
    Manifest(Chunks),
    /// The session of this name cannot commit.
    Fence,
}

/// A stored plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Condemned packs.
    pub packs: Set,
    /// Segments that describe them.
    pub segments: Set,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Chunks of each pack; empty: not there.
    pub packs: [Chunks; PACKS],
    /// Packs that each segment describes; empty: not there.
    pub segments: [Set; SEGMENTS],
    /// The folder of snapshots.
    pub names: [Name; NAMES],
    /// Session objects.
    pub sessions: Set,
    /// Plan objects.
    pub plans: [Option<Plan>; PLANS],
    /// Names whose manifest is under way although its client heard nothing.
    pub flying: Set,
    /// Writers.
    pub writers: [Writer; 2],
    /// Collectors.
    pub collectors: [Collector; 2],
    /// The repairer.
    pub repairer: Repairer,
    /// Crashes that may still happen.
    pub crashes: u8,
    /// Snapshots that retention may still delete.
    pub deletions: u8,
    /// Answers that may still be lost.
    pub losses: u8,
    /// Snapshots that retention has deleted.
    pub deleted: Set,
    /// Snapshots that were reported as done.
    pub reported: Set,
}

/// The members of a set.
pub fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..16).filter(move |bit| set & (1 << bit) != 0)
}

impl State {
    /// Packs that are there.
    pub fn present(&self) -> Set {
        (0..PACKS)
            .filter(|pack| self.packs[*pack] != 0)
            .fold(0, |set, pack| set | 1 << pack)
    }

    /// Segments that are there.
    pub fn present_segments(&self) -> Set {
        (0..SEGMENTS)
            .filter(|segment| self.segments[*segment] != 0)
            .fold(0, |set, segment| set | 1 << segment)
    }

    /// Packs that some segment describes.
    pub fn described(&self) -> Set {
        self.segments.iter().fold(0, |set, segment| set | segment)
    }

    /// Chunks of these packs, as far as they are there.
    pub fn chunks_of(&self, packs: Set) -> Chunks {
        members(packs).fold(0, |chunks, pack| chunks | self.packs[pack])
    }

    /// Names under which a manifest stands.
    pub fn manifests(&self) -> Set {
        self.names_with(|name| matches!(name, Name::Manifest(_)))
    }

    /// Names under which a fence stands.
    pub fn fences(&self) -> Set {
        self.names_with(|name| *name == Name::Fence)
    }

    fn names_with(&self, wanted: impl Fn(&Name) -> bool) -> Set {
        (0..NAMES)
            .filter(|name| wanted(&self.names[*name]))
            .fold(0, |set, name| set | 1 << name)
    }

    /// Chunks that the stored snapshots need.
    pub fn needed(&self) -> Chunks {
        self.names.iter().fold(0, |chunks, name| match name {
            Name::Manifest(needed) => chunks | needed,
            Name::Free | Name::Fence => chunks,
        })
    }

    /// What the target holds and where each client is, on one line.
    pub fn brief(&self) -> String {
        let writers = self.writers.map(|writer| (writer.phase, writer.attempt));
        let collectors = self.collectors.map(|collector| {
            let Collector {
                phase,
                packs,
                segments,
                ..
            } = collector;
            format!("{phase:?} packs {packs:b} segments {segments:b}")
        });
        format!(
            "packs {:?} segments {:?} names {:?} sessions {:b} plans {:?} flying {:b}; {writers:?} {collectors:?} {:?}",
            self.packs,
            self.segments,
            self.names,
            self.sessions,
            self.plans,
            self.flying,
            self.repairer.phase
        )
    }

    /// Whether every stored snapshot finds all its chunks through the index.
    pub fn is_restorable(&self) -> bool {
        self.needed() & !self.chunks_of(self.present() & self.described()) == 0
    }

    /// Whether every snapshot that was reported as done is there, unless retention took it.
    pub fn keeps_reports(&self) -> bool {
        self.reported & !self.deleted & !self.manifests() == 0
    }
}
