// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a machine does that collects: survey, move, plan, end sessions, mark again, prove, delete.

use crate::{
    mutation::Mutation,
    state::{CHUNKS, Chunks, Name, Plan, Set, State, members},
    writer::condemned,
};

/// What it does next; one request each, or several of which the order among themselves cannot matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Puts its session.
    #[default]
    PutSession,
    /// Lists the plans of others.
    ListPlans,
    /// Lists snapshots and marks.
    Mark,
    /// Lists packs and segments, and decides.
    Decide,
    /// Puts a pack with what is needed of packs that go.
    Move,
    /// Puts a segment for it and for what stays of the segments that go.
    Describe,
    /// Ends its own session.
    SealOff,
    /// Puts its plan.
    PutPlan,
    /// Lists plans again.
    ListPlansAgain,
    /// Takes its plan back.
    StandBack,
    /// Lists sessions.
    ListSessions,
    /// Lists the names that are taken.
    ListNames,
    /// Ends one session after the other.
    EndSessions,
    /// Lists snapshots again, and marks.
    MarkAgain,
    /// Lists packs and segments again, and proves.
    Prove,
    /// Describes what would lose its segment.
    Settle,
    /// Deletes segments.
    DeleteSegments,
    /// Deletes the last one.
    DeleteLastSegment,
    /// Deletes packs.
    DeletePacks,
    /// Deletes the last one.
    DeleteLastPack,
    /// Deletes earlier plans of which nothing is left.
    FinishOthers,
    /// Deletes its plan.
    FinishOwn,
    /// Lists plans before tidying.
    TidyPlans,
    /// Lists sessions before tidying.
    TidySessions,
    /// Lists names and removes sessions that are over.
    TidyNames,
    /// Removes its session.
    CloseSession,
    /// Removes its own fence.
    CloseFence,
    /// Over.
    Gone,
}

/// A collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Collector {
    /// What it does next.
    pub phase: Phase,
    /// Earlier plans: their places.
    pub known_plans: u8,
    /// Packs that those name.
    pub doomed: Set,
    /// Segments that those name.
    pub doomed_segments: Set,
    /// Chunks that snapshots need.
    pub marked: Chunks,
    /// Packs that go.
    pub packs: Set,
    /// Those of them that no segment described.
    pub unindexed: Set,
    /// Chunks to be moved.
    pub moving: Chunks,
    /// Segments that go.
    pub segments: Set,
    /// Packs to be described again.
    pub staying: Set,
    /// Sessions of others.
    pub sessions: Set,
    /// Those that have not ended.
    pub open: Set,
    /// Packs that it saw when it proved.
    pub seen: Set,
    /// Whether the fence under its name is its own.
    pub sealed: bool,
}

/// Whose names and places a collector uses.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Session.
    pub name: usize,
    /// Pack.
    pub pack: usize,
    /// Segment written while moving; the next place is for settling.
    pub segment: usize,
    /// Plan.
    pub plan: usize,
    /// Of two copies of a chunk, the one that counts: each collector loads the index in its own order.
    pub prefers_first: bool,
}

/// The collectors of a run, and two more that show that waste can go.
pub const IDENTITIES: [Identity; 4] = [
    identity(5, 6, 6, 0, true),
    identity(6, 7, 8, 1, false),
    identity(8, 8, 11, 2, true),
    identity(9, 9, 13, 3, true),
];

const fn identity(name: usize, pack: usize, segment: usize, plan: usize, prefers_first: bool) -> Identity {
    Identity {
        name,
        pack,
        segment,
        plan,
        prefers_first,
    }
}

/// What it decides where time decides (S-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Goes on; ends a session by a fence.
    Go,
    /// Leaves an open session alone, and the rest to a later collection.
    Wait,
    /// Takes an open session for dead without a fence: only where that mistake is planted.
    Ignore,
}

impl Collector {
    /// A collector that does nothing any more.
    pub fn gone() -> Self {
        Self {
            phase: Phase::Gone,
            ..Self::default()
        }
    }

    /// What it may do next.
    pub fn choices(&self, mutation: Option<Mutation>) -> &'static [Choice] {
        match self.phase {
            Phase::Gone => &[],
            Phase::EndSessions if self.open != 0 => match mutation {
                Some(Mutation::DropFence) => &[Choice::Ignore],
                Some(Mutation::TrustAge) => &[Choice::Wait, Choice::Ignore],
                _ => &[Choice::Go, Choice::Wait],
            },
            _ => &[Choice::Go],
        }
    }

    /// Takes the next step on the target and returns what it is then.
    pub fn step(
        mut self,
        state: &mut State,
        me: Identity,
        choice: Choice,
        mutation: Option<Mutation>,
    ) -> Self {
        let is = |wanted: Mutation| mutation == Some(wanted);
        let own = 1 << me.name;
        match self.phase {
            Phase::PutSession => {
                state.sessions |= own;
                self.phase = Phase::ListPlans;
            }
            Phase::ListPlans => {
                self.known_plans = plan_places(state);
                if !is(Mutation::IgnoreEarlierPlans) {
                    self.doomed = condemned(state);
                    self.doomed_segments = state
                        .plans
                        .iter()
                        .flatten()
                        .fold(0, |set, plan| set | plan.segments);
                }
                self.phase = Phase::Mark;
            }
            Phase::Mark => {
                self.marked = state.needed();
                // Without any version everything would be waste: it refuses.
                self.phase = if state.manifests() == 0 {
                    Phase::CloseSession
                } else {
                    Phase::Decide
                };
            }
            Phase::Decide => self.decide(state, me),
            Phase::Move => {
                state.packs[me.pack] = self.moving;
                self.phase = Phase::Describe;
            }
            Phase::Describe => {
                let moved = if self.moving == 0 { 0 } else { 1 << me.pack };
                state.segments[me.segment] = self.staying | moved;
                (self.moving, self.staying) = (0, 0);
                self.phase = Phase::SealOff;
            }
            Phase::SealOff => {
                self.phase = Phase::PutPlan;
                if state.names[me.name] == Name::Free {
                    state.names[me.name] = Name::Fence;
                    self.sealed = true;
                } else {
                    self.phase = Phase::CloseSession;
                }
                if is(Mutation::ListSessionsBeforePlan) {
                    self.sessions = state.sessions & !own;
                }
            }
            Phase::PutPlan => {
                state.plans[me.plan] = Some(Plan {
                    packs: self.packs,
                    segments: self.segments,
                });
                self.phase = Phase::ListPlansAgain;
            }
            Phase::ListPlansAgain => {
                let others = plan_places(state) & !(1 << me.plan) & !self.known_plans;
                self.phase = match others {
                    0 => Phase::ListSessions,
                    _ if is(Mutation::NeverStandBack) => Phase::ListSessions,
                    _ => Phase::StandBack,
                };
            }
            Phase::StandBack => {
                state.plans[me.plan] = None;
                self.phase = Phase::CloseSession;
            }
            Phase::ListSessions => {
                if !is(Mutation::ListSessionsBeforePlan) {
                    self.sessions = state.sessions & !own;
                }
                self.phase = Phase::ListNames;
            }
            Phase::ListNames => {
                self.open = self.sessions & !state.manifests() & !state.fences();
                self.phase = Phase::EndSessions;
            }
            Phase::EndSessions => self.end_sessions(state, choice),
            Phase::MarkAgain => self.mark_again(state, mutation),
            Phase::Prove => self.prove(state, me, mutation),
            Phase::Settle => {
                if !is(Mutation::SkipSettling) {
                    state.segments[me.segment + 1] = self.staying;
                }
                self.staying = 0;
                self.phase = Phase::DeleteSegments;
            }
            // Of several deletions the last and all before it are two steps: a crash may come in between.
            Phase::DeleteSegments => {
                for segment in members(all_but_last(self.segments)) {
                    state.segments[segment] = 0;
                }
                self.segments &= !all_but_last(self.segments);
                self.phase = Phase::DeleteLastSegment;
            }
            Phase::DeleteLastSegment => {
                for segment in members(self.segments) {
                    state.segments[segment] = 0;
                }
                self.segments = 0;
                self.phase = Phase::DeletePacks;
            }
            Phase::DeletePacks => {
                for pack in members(all_but_last(self.packs)) {
                    state.packs[pack] = 0;
                }
                self.phase = Phase::DeleteLastPack;
            }
            Phase::DeleteLastPack => {
                for pack in members(self.packs) {
                    state.packs[pack] = 0;
                }
                self.phase = Phase::FinishOthers;
            }
            Phase::FinishOthers => {
                let left = self.seen & !self.packs;
                for place in members(Set::from(self.known_plans)) {
                    if state.plans[place].is_some_and(|plan| plan.packs & left == 0) {
                        state.plans[place] = None;
                    }
                }
                self.phase = Phase::FinishOwn;
            }
            Phase::FinishOwn => {
                state.plans[me.plan] = None;
                self.phase = Phase::TidyPlans;
            }
            Phase::TidyPlans => {
                self = Self {
                    phase: Phase::TidySessions,
                    sealed: self.sealed,
                    ..Self::default()
                };
                if plan_places(state) != 0 {
                    self.phase = Phase::CloseSession;
                }
            }
            Phase::TidySessions => {
                self.sessions = state.sessions & !own;
                self.phase = Phase::TidyNames;
            }
            Phase::TidyNames => {
                let mut over = state.fences();
                if is(Mutation::TidyBehindManifest) {
                    over |= state.manifests();
                }
                state.sessions &= !(self.sessions & over);
                if is(Mutation::RemoveFences) {
                    for name in members(self.sessions & state.fences()) {
                        state.names[name] = Name::Free;
                    }
                }
                self.phase = Phase::CloseSession;
            }
            Phase::CloseSession => {
                state.sessions &= !own;
                self = match self.sealed {
                    true => Self {
                        phase: Phase::CloseFence,
                        ..Self::default()
                    },
                    false => Self::gone(),
                };
            }
            Phase::CloseFence => {
                state.names[me.name] = Name::Free;
                self = Self::gone();
            }
            Phase::Gone => {}
        }
        // A step that would change and learn nothing is left out.
        loop {
            self.phase = match self.phase {
                Phase::DeleteSegments if all_but_last(self.segments) == 0 => Phase::DeleteLastSegment,
                Phase::DeleteLastSegment if self.segments == 0 => Phase::DeletePacks,
                Phase::DeletePacks if all_but_last(self.packs) == 0 => Phase::DeleteLastPack,
                Phase::DeleteLastPack if self.packs == 0 => Phase::FinishOthers,
                Phase::FinishOthers if self.known_plans == 0 => Phase::FinishOwn,
                Phase::EndSessions if self.open == 0 => Phase::MarkAgain,
                Phase::ListNames if self.sessions == 0 => Phase::MarkAgain,
                _ => return self,
            };
        }
    }

    fn decide(&mut self, state: &State, me: Identity) {
        let (present, described) = (state.present(), state.described());
        let mut live = [0 as Chunks; 16];
        let mut missing = false;
        for chunk in (0..CHUNKS).filter(|chunk| self.marked & (1 << chunk) != 0) {
            match place(state, self.doomed, chunk, me.prefers_first) {
                Some(pack) => live[pack] |= 1 << chunk,
                None => missing = true,
            }
        }
        for pack in members(described) {
            let is_there = present & (1 << pack) != 0;
            let is_kept = live[pack] != 0
                && (!is_there || (live[pack] == state.packs[pack] && self.doomed & (1 << pack) == 0));
            if !is_kept {
                self.packs |= 1 << pack;
                self.moving |= live[pack];
            }
        }
        if !missing {
            self.unindexed = present & !described;
            self.packs |= self.unindexed;
        }
        self.segments = members(state.present_segments())
            .filter(|segment| {
                self.doomed_segments & (1 << segment) != 0 || state.segments[*segment] & self.packs != 0
            })
            .fold(0, |set, segment| set | 1 << segment);
        self.staying =
            members(self.segments).fold(0, |set, segment| set | state.segments[segment]) & !self.packs;
        self.doomed_segments = 0;
        self.phase = if self.packs == 0 && self.segments == 0 && self.known_plans == 0 {
            Phase::TidyPlans
        } else if self.moving != 0 {
            Phase::Move
        } else if self.staying != 0 {
            Phase::Describe
        } else {
            Phase::SealOff
        };
    }

    fn end_sessions(&mut self, state: &mut State, choice: Choice) {
        let Some(session) = members(self.open).next() else {
            self.phase = Phase::MarkAgain;
            return;
        };
        match choice {
            Choice::Go => {
                if state.names[session] == Name::Free {
                    state.names[session] = Name::Fence;
                }
            }
            Choice::Ignore => self.sessions &= !(1 << session),
            // The plan stays for a later collection.
            Choice::Wait => {
                self.phase = Phase::CloseSession;
                return;
            }
        }
        self.open &= !(1 << session);
        if self.open == 0 {
            self.phase = Phase::MarkAgain;
        }
    }

    fn mark_again(&mut self, state: &State, mutation: Option<Mutation>) {
        if mutation != Some(Mutation::SkipMarkingAgain) {
            self.marked |= state.needed();
        }
        // What ended a session was a manifest that is gone by now: its client may still try to commit.
        let unsettled = self.sessions & !state.manifests() & !state.fences();
        if unsettled != 0 && mutation != Some(Mutation::ForgetWhatEnded) {
            self.open = unsettled;
            self.phase = Phase::EndSessions;
            return;
        }
        self.sessions = 0;
        self.phase = if state.manifests() == 0 {
            Phase::CloseSession
        } else {
            Phase::Prove
        };
    }

    fn prove(&mut self, state: &State, me: Identity, mutation: Option<Mutation>) {
        let mut spared = self.unindexed & state.described();
        for chunk in (0..CHUNKS).filter(|chunk| self.marked & (1 << chunk) != 0) {
            // What an earlier plan names counts as gone even beside what this one condemns: whoever made that plan may be about to delete it.
            let earlier = match mutation {
                Some(Mutation::ProveByEarlierPlans) => 0,
                _ => self.doomed,
            };
            let found = place(state, self.packs | earlier, chunk, me.prefers_first);
            let found = match found {
                Some(pack) if earlier & (1 << pack) != 0 => place(state, earlier, chunk, me.prefers_first),
                found => found,
            };
            if let Some(pack) = found {
                // Without the second marking nothing is looked at again either.
                if mutation != Some(Mutation::SkipMarkingAgain) {
                    spared |= self.packs & (1 << pack);
                }
            }
        }
        self.packs &= !spared;
        (self.unindexed, self.marked) = (0, 0);
        self.seen = state.present();
        let going = members(state.present_segments())
            .filter(|segment| {
                let gone = match mutation {
                    Some(Mutation::ProveByEarlierPlans) => self.packs,
                    _ => self.packs | self.doomed,
                };
                self.segments & (1 << segment) != 0 || state.segments[*segment] & gone != 0
            })
            .fold(0, |set, segment| set | 1 << segment);
        let covered = members(state.present_segments() & !going)
            .fold(0, |set: Set, segment| set | state.segments[segment]);
        self.staying =
            members(going).fold(0, |set, segment| set | state.segments[segment]) & !self.packs & !covered;
        self.segments = going;
        self.doomed = 0;
        self.phase = if self.staying != 0 {
            Phase::Settle
        } else {
            Phase::DeleteSegments
        };
        if self.packs == 0 && self.segments == 0 {
            self.phase = Phase::FinishOthers;
        }
    }
}

/// A set without its greatest member.
fn all_but_last(set: Set) -> Set {
    members(set).last().map_or(0, |last| set & !(1 << last))
}

fn plan_places(state: &State) -> u8 {
    (0..state.plans.len())
        .filter(|place| state.plans[*place].is_some())
        .fold(0, |set, place| set | 1 << place)
}

/// Where a chunk counts: in a pack that stays before one that goes.
fn place(state: &State, going: Set, chunk: usize, prefers_first: bool) -> Option<usize> {
    let holders = members(state.present() & state.described())
        .filter(|pack| state.packs[*pack] & (1 << chunk) != 0)
        .fold(0, |set: Set, pack| set | 1 << pack);
    let choose = |set: Set| match prefers_first {
        true => members(set).next(),
        false => members(set).last(),
    };
    choose(holders & !going).or_else(|| choose(holders & going))
}
