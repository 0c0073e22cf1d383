// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The loop that chooses who goes on and what becomes of each request, all from one seed.

use std::{collections::HashSet, sync::Arc, time::Duration};

use duplicati_actors::{
    compact::{CompactOptions, run_compact},
    control::RunControl,
    events::Monitor,
    verify::{CheckOptions, run_check},
};
use duplicati_engine::{
    clock::Clock,
    compaction::Thresholds,
    crypto::key_file::{self, KeyContent, KeyHolder},
    format::config::ChunkingParameters,
    id::{KeyId, RepositoryId, SnapshotId},
    repository::{CreateOptions, Repository},
    storage::{Listing, ObjectKind, ObjectName, Store},
};
use duplicati_testkit::ManualClock;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    ledger::{Ledger, Violation},
    liar::Liar,
    machine::{Counts, Machine, World},
    planted::Planted,
    server::{Answer, Call, Direct, Reply, Request, Server, Verdict},
};

/// Steps after which a run counts as stuck.
const STEPS_MAX: u64 = 100_000;
/// Time without any request after which a run counts as stuck.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub machines: usize,
    /// Operations of each machine.
    pub operations: usize,
    pub planted: Option<Planted>,
    /// The last machine has a write-only key and does nothing but backups.
    pub write_only: bool,
    /// Somebody puts false segments and copies of manifests.
    pub lies: bool,
}

impl Settings {
    /// What a seed is played with when nothing else is said: every other one with a write-only machine, half of both with lies.
    pub fn of(seed: u64) -> Self {
        Self {
            write_only: seed % 2 == 1,
            lies: seed % 4 >= 2,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            machines: 3,
            operations: 4,
            planted: None,
            write_only: false,
            lies: false,
        }
    }
}

/// What a run showed.
pub struct Outcome {
    pub counts: Counts,
    pub violation: Option<Violation>,
    /// Every step.
    pub log: Vec<String>,
    /// Every step without what is random in each run.
    pub shape: Vec<String>,
}

/// A request whose effect comes later.
struct Late {
    peer: usize,
    call: Call,
}

struct Loop {
    world: Arc<World>,
    random: StdRng,
    /// Steps until a machine wakes up.
    asleep: Vec<u64>,
    late: Vec<Late>,
    liar: Option<Liar>,
    log: Vec<String>,
    shape: Vec<String>,
}

/// Runs one seed.
pub fn simulate(seed: u64, settings: Settings) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    // The local database stays on one thread.
    tokio::task::LocalSet::new().block_on(&runtime, run(seed, settings))
}

/// An identity with its recipient; nothing else of it is used.
fn identity() -> KeyContent {
    KeyContent::generate(RepositoryId([0; 16]), String::new(), String::new()).unwrap()
}

async fn run(seed: u64, settings: Settings) -> Outcome {
    // Memory where there is some: a run makes small files only.
    let shared = std::path::Path::new("/dev/shm");
    let folder = match shared.is_dir() {
        true => tempfile::tempdir_in(shared),
        false => tempfile::tempdir(),
    }
    .unwrap();
    let server = Arc::new(Server::new(settings.machines, settings.planted));
    let direct = Arc::new(Direct(Arc::clone(&server))) as Arc<dyn Store>;
    let (full, write_only) = (identity(), identity());
    let options = CreateOptions {
        holder: Some(KeyHolder::Recipients(vec![full.data_recipient.clone()])),
        chunking: ChunkingParameters::around(16 << 10),
        label: String::new(),
        created: String::new(),
    };
    let repository = Arc::new(Repository::create(Arc::clone(&direct), options).await.unwrap());
    if settings.write_only {
        let key = repository.key.as_ref().unwrap();
        let key = key.write_only(String::new(), String::new());
        let holder = KeyHolder::Recipients(vec![write_only.data_recipient.clone()]);
        let object = key_file::seal(&key, &holder).unwrap();
        let name = ObjectName::from(KeyId([1; 16]));
        direct.put(&name, object.into()).await.unwrap();
    }
    let world = Arc::new(World {
        ledger: tokio::sync::Mutex::new(Ledger::new(Arc::clone(&server), repository, settings.machines)),
        counts: std::sync::Mutex::default(),
        clock: Arc::new(ManualClock::default()),
        folder: folder.path().to_owned(),
        server,
    });
    let begin = world.clock.now().seconds;
    let mut machines = Vec::new();
    for peer in 0..settings.machines {
        let machine = Machine {
            world: Arc::clone(&world),
            peer,
            is_write_only: settings.write_only && peer + 1 == settings.machines,
            identity: match settings.write_only && peer + 1 == settings.machines {
                true => write_only.data_identities[0].clone(),
                false => full.data_identities[0].clone(),
            },
            random: StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(peer as u64)),
        };
        machines.push(tokio::task::spawn_local(async move {
            let world = Arc::clone(&machine.world);
            let outcome = machine.run(settings.operations).await;
            world.server.lock().peers[peer].done = true;
            world.server.changed.notify_one();
            outcome
        }));
    }
    let mut turn = Loop {
        world: Arc::clone(&world),
        random: StdRng::seed_from_u64(seed),
        asleep: vec![0; settings.machines],
        late: Vec::new(),
        liar: settings.lies.then(Liar::default),
        log: Vec::new(),
        shape: Vec::new(),
    };
    let mut violation = turn.play().await.err();
    for machine in &machines {
        if violation.is_some() {
            machine.abort();
        }
    }
    if violation.is_some() {
        // Whoever still waits hears that it is dead, so that its threads end.
        for peer in &mut world.server.lock().peers {
            peer.pending.clear();
        }
    } else {
        for machine in machines {
            if let Err(what) = machine.await.unwrap_or_else(|error| Err(error.to_string())) {
                violation.get_or_insert(what);
            }
        }
    }
    if violation.is_none() {
        violation = settle(&mut turn).await.err();
    }
    world.count(|counts| counts.simulated_seconds = (world.clock.now().seconds - begin).unsigned_abs());
    let counts = *world.counts.lock().unwrap();
    Outcome {
        counts,
        violation,
        log: turn.log,
        shape: turn.shape,
    }
}

impl Loop {
    async fn play(&mut self) -> Result<(), Violation> {
        for step in 0..STEPS_MAX {
            let Some(peer) = self.choose().await? else {
                return Ok(());
            };
            self.world.count(|counts| counts.steps += 1);
            self.world.clock.advance(Duration::from_secs(1));
            for steps in &mut self.asleep {
                *steps = steps.saturating_sub(1);
            }
            if self.random.random_range(0..100) == 0 {
                self.log.push(format!("{step}: a day passes"));
                self.world.clock.advance(Duration::from_secs(25 * 3600));
            }
            if !self.late.is_empty() && self.random.random_range(0..12) == 0 {
                let late = self.late.remove(self.random.random_range(0..self.late.len()));
                self.note(step, late.peer, &late.call, "arrives late");
                let answer = self.world.server.lock().apply(Some(late.peer), &late.call);
                self.after(&late.call, &answer).await?;
            }
            if let Some(liar) = &mut self.liar
                && self.random.random_range(0..40) == 0
                && let Some(what) = liar.lie(&self.world, &mut self.random).await?
            {
                self.log.push(format!("{step}: {what}"));
                self.world.ledger.lock().await.check().await?;
            }
            self.turn(step, peer).await?;
        }
        Err("the run does not end".to_owned())
    }

    /// Waits until every machine that is awake waits or is done, and chooses one that waits.
    async fn choose(&mut self) -> Result<Option<usize>, Violation> {
        loop {
            let changed = self.world.server.changed.notified();
            let (mut waiting, mut everybody, mut all_done) = (Vec::new(), true, true);
            {
                let state = self.world.server.lock();
                for (number, peer) in state.peers.iter().enumerate() {
                    if !peer.pending.is_empty() {
                        waiting.push(number);
                    } else if !peer.done {
                        everybody = false;
                    }
                    all_done &= peer.done && peer.pending.is_empty();
                }
            }
            if all_done {
                return Ok(None);
            }
            if everybody {
                let awake: Vec<_> = waiting
                    .iter()
                    .copied()
                    .filter(|peer| self.asleep[*peer] == 0)
                    .collect();
                let from = if awake.is_empty() { &waiting } else { &awake };
                if from.is_empty() {
                    return Ok(None);
                }
                return Ok(Some(from[self.random.random_range(0..from.len())]));
            }
            if tokio::time::timeout(SILENCE_MAX, changed).await.is_err() {
                return Err("a machine neither waits nor ends".to_owned());
            }
        }
    }

    /// Lets one machine's request happen, or not.
    async fn turn(&mut self, step: u64, peer: usize) -> Result<(), Violation> {
        let request = self.world.server.lock().peers[peer].pending.pop_front();
        let Some(Request { call, reply, began }) = request else {
            return Ok(());
        };
        if let Call::Put(name, _) = &call
            && name.kind() == ObjectKind::Session
        {
            self.world.ledger.lock().await.begins(SnapshotId(name.id()), peer);
        }
        let chance = self.random.random_range(0..1000);
        // A listing of many objects takes many requests: what comes or goes meanwhile may be in it or not.
        if let (Call::List(kind), None) = (&call, &began)
            && chance < 300
        {
            let mut state = self.world.server.lock();
            let began = Some(state.listing(*kind));
            state.peers[peer]
                .pending
                .push_front(Request { call, reply, began });
            return Ok(());
        }
        match chance {
            300..312 => {
                self.note(step, peer, &call, "sleeps before it");
                self.asleep[peer] = self.random.random_range(5..120);
                self.world.server.lock().peers[peer]
                    .pending
                    .push_front(Request { call, reply, began });
                return Ok(());
            }
            312..318 => {
                self.note(step, peer, &call, "dies before it");
                self.die(peer, reply);
                return Ok(());
            }
            318..324 => {
                self.note(step, peer, &call, "dies after it");
                let answer = self.world.server.lock().apply(Some(peer), &call);
                self.after(&call, &answer).await?;
                self.die(peer, reply);
                return Ok(());
            }
            324..334 => {
                self.note(step, peer, &call, "fails");
                let retry = self.random.random_bool(0.6);
                let _gone = reply.send(Verdict::Unheard { retry });
                return Ok(());
            }
            334..348 => {
                self.note(step, peer, &call, "answer lost");
                let answer = self.world.server.lock().apply(Some(peer), &call);
                self.after(&call, &answer).await?;
                let retry = self.random.random_bool(0.6);
                let _gone = reply.send(Verdict::Unheard { retry });
                return Ok(());
            }
            348..358 if matches!(call, Call::Put(..) | Call::Delete(_)) => {
                self.note(step, peer, &call, "is under way");
                self.late.push(Late { peer, call });
                let retry = self.random.random_bool(0.4);
                let _gone = reply.send(Verdict::Unheard { retry });
                return Ok(());
            }
            _ => {}
        }
        self.note(step, peer, &call, "");
        let mut answer = self.world.server.lock().apply(Some(peer), &call);
        if let (Ok(Reply::Listing(listing)), Some(began)) = (&mut answer, began) {
            self.blur(listing, &began);
        }
        self.after(&call, &answer).await?;
        // What a machine has heard of a name ends its own earlier requests for it.
        if let Call::Put(name, _) = &call {
            self.late.retain(|late| {
                late.peer != peer || !matches!(&late.call, Call::Put(other, _) if other == name)
            });
        }
        let _gone = reply.send(Verdict::Answered(answer));
        Ok(())
    }

    /// Adds objects that went while the listing ran, and leaves out some that came.
    fn blur(&mut self, listing: &mut Listing, began: &Listing) {
        let before: HashSet<ObjectName> = began.objects.iter().map(|info| info.name).collect();
        let after: HashSet<ObjectName> = listing.objects.iter().map(|info| info.name).collect();
        listing
            .objects
            .retain(|info| before.contains(&info.name) || self.random.random_bool(0.5));
        for info in &began.objects {
            if !after.contains(&info.name) && self.random.random_bool(0.5) {
                listing.objects.push(info.clone());
            }
        }
    }

    fn die(&mut self, peer: usize, reply: tokio::sync::oneshot::Sender<Verdict>) {
        self.world.count(|counts| counts.crashes += 1);
        let _gone = reply.send(Verdict::Dead);
        let pending = std::mem::take(&mut self.world.server.lock().peers[peer].pending);
        for request in pending {
            let _gone = request.reply.send(Verdict::Dead);
        }
    }

    /// Checks what must hold after something changed.
    async fn after(&mut self, call: &Call, answer: &Answer) -> Result<(), Violation> {
        if answer.is_err() {
            return Ok(());
        }
        let mut ledger = self.world.ledger.lock().await;
        match call {
            Call::Put(name, _) if name.kind() == ObjectKind::Snapshot => {
                ledger.appeared(SnapshotId(name.id())).await?;
                ledger.check().await
            }
            Call::Delete(name) if name.kind() == ObjectKind::Snapshot => {
                ledger.vanished(SnapshotId(name.id()));
                ledger.check().await
            }
            Call::Put(name, _) | Call::Delete(name)
                if matches!(name.kind(), ObjectKind::Pack | ObjectKind::IndexSegment) =>
            {
                ledger.check().await
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, step: u64, peer: usize, call: &Call, what: &str) {
        self.log
            .push(format!("{step}: machine {peer}: {} {what}", call.brief()));
        self.shape.push(format!("{peer} {} {what}", call.shape()));
    }
}

/// At the end everybody is done: what is under way arrives, a collection cleans up, and everything restores to the byte.
async fn settle(turn: &mut Loop) -> Result<(), Violation> {
    let world = Arc::clone(&turn.world);
    world.ledger.lock().await.check_bytes().await?;
    world.clock.advance(Duration::from_secs(48 * 3600));
    if let Some(liar) = &turn.liar {
        liar.settle(&world).await?;
    }
    let repository = Arc::clone(&world.ledger.lock().await.repository);
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    if !world.ledger.lock().await.standing().is_empty() {
        for round in 0..3 {
            let options = CompactOptions {
                thresholds: Thresholds {
                    waste_percent: 0,
                    small_size_bytes: 0,
                    small_count_max: 3,
                },
                // Whoever is still open after two days is dead.
                session_age_seconds_max: 24 * 3600,
                ..CompactOptions::new(6 << 10)
            };
            let report = run_compact(
                Arc::clone(&repository),
                None,
                options,
                Arc::clone(&clock),
                Monitor::silent(),
                RunControl::new(),
            )
            .await
            .map_err(|error| format!("the last collection failed: {error}"))?;
            if !report.is_finished() {
                return Err(format!(
                    "collection {round} at the end does not finish: {report:?}"
                ));
            }
            if round == 2 && !report.plan.is_empty() {
                return Err(format!("waste stays: {:?}", report.plan));
            }
            world.ledger.lock().await.check().await?;
            // Late requests arrive between the collections.
            for late in std::mem::take(&mut turn.late) {
                let answer = world.server.lock().apply(Some(late.peer), &late.call);
                turn.after(&late.call, &answer).await?;
            }
        }
        let options = CheckOptions { full: true };
        let report = run_check(
            Arc::clone(&repository),
            None,
            options,
            clock,
            Monitor::silent(),
            RunControl::new(),
        )
        .await
        .map_err(|error| format!("the last check failed: {error}"))?;
        if !report.is_clean() {
            return Err(format!("the last check found: {:?}", report.findings));
        }
    }
    world.ledger.lock().await.check_bytes().await
}
