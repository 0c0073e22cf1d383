// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Mistakes of the target, or of a machine as the target sees it. The simulation must find each; else it proves nothing.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The target replaces an object that exists, and says that all is well.
    PutReplaces,
    /// Collectors do not see sessions.
    BlindToSessions,
    /// Sessions of backups never reach the target, although it says so.
    LostSessions,
    /// Collectors that list snapshots again get the first answer once more.
    StaleSnapshots,
    /// The target says that a pack is stored when it is not.
    LostPack,
    /// The target removes fences as if they were waste.
    ForgottenFences,
}

impl Planted {
    /// All of them.
    pub const ALL: [Planted; 6] = [
        Planted::PutReplaces,
        Planted::BlindToSessions,
        Planted::LostSessions,
        Planted::StaleSnapshots,
        Planted::LostPack,
        Planted::ForgottenFences,
    ];
}
