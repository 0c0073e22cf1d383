// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a repair does while others work: it describes packs that no segment describes.

use crate::{
    state::{Name, Set, State},
    writer::condemned,
};

/// The name of its session.
pub const NAME: usize = 7;
const SEGMENT: usize = 10;

/// What it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Puts its session.
    #[default]
    PutSession,
    /// Lists plans.
    ListPlans,
    /// Lists packs and segments.
    Look,
    /// Puts a segment.
    Describe,
    /// Ends its own session by a fence; behind a fence of another it removes nothing.
    SealOff,
    /// Removes its session and its own fence.
    End,
    /// Over.
    Gone,
}

/// A repairer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Repairer {
    /// What it does next.
    pub phase: Phase,
    /// Packs that it leaves alone or describes.
    pub packs: Set,
    /// Whether the fence under its name is its own.
    pub sealed: bool,
}

impl Repairer {
    /// A repairer that does nothing.
    pub fn gone() -> Self {
        Self {
            phase: Phase::Gone,
            ..Self::default()
        }
    }

    /// Takes the next step.
    pub fn step(mut self, state: &mut State) {
        match self.phase {
            Phase::PutSession => {
                state.sessions |= 1 << NAME;
                self.phase = Phase::ListPlans;
            }
            Phase::ListPlans => {
                self.packs = condemned(state);
                self.phase = Phase::Look;
            }
            Phase::Look => {
                self.packs = state.present() & !state.described() & !self.packs;
                self.phase = if self.packs == 0 {
                    Phase::End
                } else {
                    Phase::Describe
                };
            }
            Phase::Describe => {
                state.segments[SEGMENT] = self.packs;
                self.packs = 0;
                self.phase = Phase::SealOff;
            }
            Phase::SealOff => {
                if state.names[NAME] == Name::Free {
                    state.names[NAME] = Name::Fence;
                    self.sealed = true;
                }
                self.phase = Phase::End;
            }
            Phase::End => {
                state.sessions &= !(1 << NAME);
                if self.sealed {
                    state.names[NAME] = Name::Free;
                }
                self = Self::gone();
            }
            Phase::Gone => {}
        }
        state.repairer = self;
    }
}
