// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a machine does that backs up.

use crate::{
    mutation::Mutation,
    state::{Chunks, Name, Set, State},
};

/// Sessions that a writer opens at most: the second after it was fenced.
pub const ATTEMPTS_MAX: u8 = 2;

/// What it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Puts its session.
    #[default]
    PutSession,
    /// Lists plans.
    ListPlans,
    /// Lists packs and loads the index.
    LoadIndex,
    /// Puts a pack.
    Upload,
    /// Puts a segment.
    Describe,
    /// Puts the manifest.
    Commit,
    /// Heard nothing about its manifest.
    InDoubt,
    /// Removes its session.
    CloseSession,
    /// Reported success.
    Done,
    /// Reported failure, or died.
    Gone,
}

/// A writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Writer {
    /// What it does next.
    pub phase: Phase,
    /// Times that it was fenced.
    pub attempt: u8,
    /// Packs that plans condemn.
    pub condemned: Set,
    /// Chunks that it need not store.
    pub known: Chunks,
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The target did it and said so.
    Heard,
    /// The target did it and the answer was lost.
    Lost,
    /// Nobody heard anything, and the target does it later.
    Delayed,
    /// The writer gives up.
    GaveUp,
}

impl Writer {
    /// The name of its present session, and the place of its packs and segments.
    pub fn name(&self, who: usize) -> usize {
        1 + 2 * who + usize::from(self.attempt)
    }

    fn place(&self, who: usize) -> usize {
        2 + 2 * who + usize::from(self.attempt)
    }

    /// Whether it does anything any more.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Gone)
    }

    /// How the next step may end.
    pub fn answers(&self, losses: u8) -> &'static [Answer] {
        match self.phase {
            Phase::Done | Phase::Gone => &[],
            Phase::Commit if losses > 0 => &[Answer::Heard, Answer::Lost, Answer::Delayed],
            Phase::InDoubt => &[Answer::Heard, Answer::GaveUp],
            _ => &[Answer::Heard],
        }
    }

    /// Takes the next step. `wanted` are the chunks of its source.
    pub fn step(
        mut self,
        state: &mut State,
        who: usize,
        wanted: Chunks,
        answer: Answer,
        mutation: Option<Mutation>,
    ) {
        let plans_first = mutation == Some(Mutation::ListPlansBeforeSession);
        let bit = 1 << self.name(who);
        match self.phase {
            // The first step of the mutation swaps the two.
            Phase::PutSession if plans_first => {
                self.condemned = condemned(state);
                self.phase = Phase::ListPlans;
            }
            Phase::ListPlans if plans_first => {
                state.sessions |= bit;
                self.phase = Phase::LoadIndex;
            }
            Phase::PutSession => {
                state.sessions |= bit;
                self.phase = Phase::ListPlans;
            }
            Phase::ListPlans => {
                self.condemned = match mutation {
                    Some(Mutation::UseCondemned) => 0,
                    _ => condemned(state),
                };
                self.phase = Phase::LoadIndex;
            }
            Phase::LoadIndex => {
                let usable = state.present() & state.described() & !self.condemned;
                self.known = state.chunks_of(usable) & wanted;
                self.condemned = 0;
                self.phase = if wanted & !self.known == 0 {
                    Phase::Commit
                } else {
                    Phase::Upload
                };
            }
            Phase::Upload => {
                state.packs[self.place(who)] = wanted & !self.known;
                self.phase = Phase::Describe;
            }
            Phase::Describe => {
                state.segments[self.place(who)] = 1 << self.place(who);
                self.known = 0;
                self.phase = Phase::Commit;
            }
            Phase::Commit | Phase::InDoubt => self.commit(state, who, wanted, answer, mutation),
            Phase::CloseSession => {
                state.sessions &= !bit;
                self = Self {
                    phase: Phase::Done,
                    ..Self::default()
                };
            }
            Phase::Done | Phase::Gone => {}
        }
        state.writers[who] = self;
    }

    fn commit(
        &mut self,
        state: &mut State,
        who: usize,
        wanted: Chunks,
        answer: Answer,
        mutation: Option<Mutation>,
    ) {
        self.known = 0;
        let name = self.name(who);
        let bit = 1 << name;
        let replaces = mutation == Some(Mutation::PutReplaces);
        match answer {
            Answer::Heard => {
                // A name that is taken is read: the manifest there is its own, put by a try that it did not hear of.
                let is_free = state.names[name] == Name::Free || replaces;
                if is_free {
                    state.names[name] = Name::Manifest(wanted);
                }
                // Once a client has heard about a name, no earlier request of its own for that name takes effect.
                state.flying &= !bit;
                if matches!(state.names[name], Name::Manifest(_)) {
                    state.reported |= bit;
                    self.phase = Phase::CloseSession;
                } else if self.attempt + 1 < ATTEMPTS_MAX {
                    self.attempt += 1;
                    self.phase = match mutation {
                        Some(Mutation::SkipRevalidation) => Phase::Commit,
                        _ => Phase::PutSession,
                    };
                } else {
                    *self = Self::gone();
                }
            }
            Answer::Lost => {
                if state.names[name] == Name::Free {
                    state.names[name] = Name::Manifest(wanted);
                }
                state.losses -= 1;
                self.phase = Phase::InDoubt;
            }
            Answer::Delayed => {
                state.flying |= bit;
                state.losses -= 1;
                self.phase = Phase::InDoubt;
            }
            Answer::GaveUp => {
                if mutation == Some(Mutation::CloseInDoubt) {
                    state.sessions &= !bit;
                }
                *self = Self::gone();
            }
        }
    }

    /// Fails before its commit, and removes its session.
    pub fn abort(self, state: &mut State, who: usize) {
        state.sessions &= !(1 << self.name(who));
        state.writers[who] = Self::gone();
    }

    /// Whether [`Writer::abort`] may happen.
    pub fn can_abort(&self) -> bool {
        matches!(self.phase, Phase::Upload | Phase::Describe | Phase::Commit)
    }

    /// A writer that does nothing any more.
    pub fn gone() -> Self {
        Self {
            phase: Phase::Gone,
            ..Self::default()
        }
    }
}

/// Packs that some plan names.
pub fn condemned(state: &State) -> Set {
    state.plans.iter().flatten().fold(0, |set, plan| set | plan.packs)
}
