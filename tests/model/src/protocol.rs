// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Everything that may happen next, and what must hold always.

use stateright::{Model, Property};

use crate::{
    collector::{self, Choice, Collector, IDENTITIES},
    mutation::Mutation,
    repairer::{self, Repairer},
    state::{Chunks, NAMES, Name, State, members},
    writer::{Answer, Writer},
};

/// What must hold: every stored snapshot finds its chunks.
pub const RESTORABLE: &str = "every stored snapshot finds all its chunks";
/// What must hold: success means that the snapshot is there.
pub const REPORTS_KEPT: &str = "what was reported as done is there until retention takes it";
/// What must hold: from every state, a collection that nobody disturbs gets rid of all waste.
pub const WASTE_CAN_GO: &str = "a later collection removes all waste and loses nothing";
/// What must be possible, or the model checks nothing.
pub const COMMITS_AFTER_FENCE: &str = "a writer that was fenced commits";
/// What must be possible as well.
pub const PACK_DELETED: &str = "a pack is deleted while a writer works";

/// A model and its size.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// Chunks that each writer's source has; none: no such writer.
    pub wanted: [Chunks; 2],
    /// Number of collectors.
    pub collectors: usize,
    /// Whether a repair runs as well.
    pub repairs: bool,
    /// Crashes.
    pub crashes: u8,
    /// Snapshots that retention deletes.
    pub deletions: u8,
    /// Commits of which the answer is lost or late.
    pub losses: u8,
    /// The one place to start from; all when none is named.
    pub start: Option<usize>,
    /// A planted mistake.
    pub mutation: Option<Mutation>,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A writer's next step.
    Write(usize, Answer),
    /// A writer fails before its commit.
    Abort(usize),
    /// A collector's next step.
    Collect(usize, Choice),
    /// The repairer's next step.
    Repair,
    /// A writer dies.
    CrashWriter(usize),
    /// A collector dies.
    CrashCollector(usize),
    /// Retention deletes a snapshot.
    DeleteSnapshot(usize),
    /// A manifest that was under way arrives.
    Land(usize),
}

impl Protocol {
    /// The places from which a repository may start: one chunk needed; needed together with waste; stored twice; and a pack that no segment describes.
    fn first_states(&self) -> Vec<State> {
        let first = |packs: [Chunks; 2], segments: [u16; 2]| {
            let mut state = State {
                packs: Default::default(),
                segments: Default::default(),
                names: [Name::Free; NAMES],
                sessions: 0,
                plans: [None; 4],
                flying: 0,
                writers: self.wanted.map(|wanted| match wanted {
                    0 => Writer::gone(),
                    _ => Writer::default(),
                }),
                collectors: [0, 1].map(|who| match who < self.collectors {
                    true => Collector::default(),
                    false => Collector::gone(),
                }),
                repairer: match self.repairs {
                    true => Repairer::default(),
                    false => Repairer::gone(),
                },
                crashes: self.crashes,
                deletions: self.deletions,
                losses: self.losses,
                deleted: 0,
                reported: 1,
            };
            state.packs[..2].copy_from_slice(&packs);
            state.segments[..2].copy_from_slice(&segments);
            state.names[0] = Name::Manifest(0b01);
            state
        };
        vec![
            first([0b01, 0b10], [0b11, 0]),
            first([0b11, 0], [0b01, 0]),
            first([0b01, 0b01], [0b01, 0b10]),
            first([0b01, 0b10], [0b01, 0]),
        ]
    }

    fn client_may_crash(state: &State) -> bool {
        state.crashes > 0
    }

    fn waste_can_go(&self, state: &State) -> bool {
        let mut state = state.clone();
        state.writers = [Writer::gone(); 2];
        state.collectors = [Collector::gone(); 2];
        state.repairer = Repairer::gone();
        if state.manifests() == 0 {
            return true;
        }
        for me in &IDENTITIES[2..] {
            let mut lone = Collector::default();
            while lone.phase != collector::Phase::Gone {
                lone = lone.step(&mut state, *me, Choice::Go, None);
                if !state.is_restorable() {
                    return false;
                }
            }
        }
        let present = state.present();
        let is_clean = present & !state.described() == 0
            && state.needed() == state.chunks_of(present)
            && members(present)
                .map(|pack| state.packs[pack].count_ones())
                .sum::<u32>()
                == state.needed().count_ones()
            && state.plans.iter().all(Option::is_none);
        // Whatever was under way arrives at last, and finds its name taken.
        for name in members(state.flying) {
            self.land(&mut state, name);
        }
        is_clean && state.is_restorable()
    }

    fn land(&self, state: &mut State, name: usize) {
        state.flying &= !(1 << name);
        if state.names[name] == Name::Free {
            state.names[name] = Name::Manifest(self.wanted[(name - 1) / 2]);
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut states = self.first_states();
        match self.start {
            Some(start) => vec![states.swap_remove(start)],
            None => states,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_crash = Self::client_may_crash(state);
        for (who, writer) in state.writers.iter().enumerate() {
            actions.extend(
                writer
                    .answers(state.losses)
                    .iter()
                    .map(|answer| Action::Write(who, *answer)),
            );
            if may_crash && !writer.is_over() {
                actions.push(Action::CrashWriter(who));
                if writer.can_abort() {
                    actions.push(Action::Abort(who));
                }
            }
        }
        for (who, collector) in state.collectors.iter().enumerate() {
            actions.extend(
                collector
                    .choices(self.mutation)
                    .iter()
                    .map(|choice| Action::Collect(who, *choice)),
            );
            if may_crash && collector.phase != collector::Phase::Gone {
                actions.push(Action::CrashCollector(who));
            }
        }
        if state.repairer.phase != repairer::Phase::Gone {
            actions.push(Action::Repair);
        }
        if state.deletions > 0 {
            actions.extend(members(state.manifests()).map(Action::DeleteSnapshot));
        }
        actions.extend(members(state.flying).map(Action::Land));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Write(who, answer) => {
                state.writers[who].step(&mut state, who, self.wanted[who], answer, self.mutation);
            }
            Action::Abort(who) => {
                state.crashes -= 1;
                state.writers[who].abort(&mut state, who);
            }
            Action::Collect(who, choice) => {
                state.collectors[who] =
                    last.collectors[who].step(&mut state, IDENTITIES[who], choice, self.mutation);
            }
            Action::Repair => state.repairer.step(&mut state),
            Action::CrashWriter(who) => {
                state.crashes -= 1;
                state.writers[who] = Writer::gone();
            }
            Action::CrashCollector(who) => {
                state.crashes -= 1;
                state.collectors[who] = Collector::gone();
            }
            Action::DeleteSnapshot(name) => {
                state.deletions -= 1;
                state.names[name] = Name::Free;
                state.deleted |= 1 << name;
            }
            Action::Land(name) => self.land(&mut state, name),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(RESTORABLE, |_, state: &State| state.is_restorable()),
            Property::always(REPORTS_KEPT, |_, state: &State| state.keeps_reports()),
        ];
        if self.mutation.is_none() {
            properties.push(Property::always(WASTE_CAN_GO, |model: &Self, state: &State| {
                model.waste_can_go(state)
            }));
            properties.push(Property::sometimes(PACK_DELETED, |_, state: &State| {
                state.present() & 0b11 == 0
            }));
            if self.wanted[0] != 0 {
                properties.push(Property::sometimes(COMMITS_AFTER_FENCE, |_, state: &State| {
                    state.names[1] == Name::Fence && state.reported & 0b100 != 0
                }));
            }
        }
        properties
    }
}
