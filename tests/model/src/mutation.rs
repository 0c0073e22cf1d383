// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Mistakes that somebody could make in the protocol, one at a time. The checker must find each; else it proves nothing.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A collector goes on although sessions are open (P-6).
    DropFence,
    /// A collector lists sessions before its plan is stored (P-5).
    ListSessionsBeforePlan,
    /// A collector takes an old session for dead without a fence (P-6).
    TrustAge,
    /// A writer lists plans before its session is stored (P-3).
    ListPlansBeforeSession,
    /// A collector deletes by what it counted before its plan (P-8).
    SkipMarkingAgain,
    /// A writer uses chunks of packs that a plan condemns (P-4).
    UseCondemned,
    /// The target replaces an object that exists (P-1).
    PutReplaces,
    /// A writer that does not know whether its commit happened removes its session (P-10).
    CloseInDoubt,
    /// Session objects are removed because a manifest stands, which may be deleted later (P-11).
    TidyBehindManifest,
    /// A collector does not ask whether what ended the sessions is still there when it marks again (P-7).
    ForgetWhatEnded,
    /// Two collectors do not stand back before each other (P-9).
    NeverStandBack,
    /// A collector counts on what an earlier plan condemns (P-9).
    IgnoreEarlierPlans,
    /// A writer whose session was fenced commits again without looking (P-12).
    SkipRevalidation,
    /// A collector deletes a segment before what else it describes is described elsewhere (P-13).
    SkipSettling,
    /// A collector that proves takes a pack that an earlier plan names for as good as one of its own (P-9).
    ProveByEarlierPlans,
    /// A fence is removed when the session's object is (P-11).
    RemoveFences,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Mutation; 16] = [
        Mutation::DropFence,
        Mutation::ListSessionsBeforePlan,
        Mutation::TrustAge,
        Mutation::ListPlansBeforeSession,
        Mutation::SkipMarkingAgain,
        Mutation::UseCondemned,
        Mutation::PutReplaces,
        Mutation::CloseInDoubt,
        Mutation::TidyBehindManifest,
        Mutation::ForgetWhatEnded,
        Mutation::NeverStandBack,
        Mutation::IgnoreEarlierPlans,
        Mutation::SkipRevalidation,
        Mutation::SkipSettling,
        Mutation::ProveByEarlierPlans,
        Mutation::RemoveFences,
    ];
}
