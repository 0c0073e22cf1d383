// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Somebody with a key who puts what is not true: a segment that describes somebody's pack falsely, and copies of manifests under other names. Nothing that a
//! snapshot needs may be deleted on such a word, and when the lies are settled everything must be clean again.
//!
//! Not played: a false claim that a *known* chunk is somewhere. It makes others skip storing the chunk, which nobody can see without reading the pack
//! (`docs/security.md`, W-2).

use std::sync::Arc;

use duplicati_actors::{
    control::RunControl,
    events::Monitor,
    give_up::{GiveUpOptions, run_give_up},
    repair::{RepairOptions, run_repair},
};
use duplicati_engine::{
    clock::Clock,
    compaction::encode_index_segment,
    format::{FormatError, index_segment::decode_segment},
    id::{ChunkId, SegmentId, SnapshotId},
    repository::Repository,
    storage::{ObjectKind, ObjectName},
};
use rand::{Rng, rngs::StdRng};

use crate::{
    ledger::Violation,
    machine::World,
    server::{Call, Reply},
};

/// Lies in one run: each stops collections until somebody repairs, and then there is little left to see.
const LIES_MAX: usize = 3;

/// What was put so far.
#[derive(Default)]
pub struct Liar {
    lies: usize,
    copies: Vec<SnapshotId>,
}

fn names(world: &World, kind: ObjectKind) -> Vec<ObjectName> {
    let listing = world.server.lock().listing(kind);
    listing.objects.into_iter().map(|info| info.name).collect()
}

fn choose<T: Copy>(random: &mut StdRng, from: &[T]) -> Option<T> {
    (!from.is_empty()).then(|| from[random.random_range(0..from.len())])
}

impl Liar {
    /// Puts one more lie, if there is something to lie about; says what.
    pub async fn lie(&mut self, world: &World, random: &mut StdRng) -> Result<Option<String>, Violation> {
        if self.lies >= LIES_MAX {
            return Ok(None);
        }
        let number = (self.lies + 1) as u8;
        let repository = Arc::clone(&world.ledger.lock().await.repository);
        let told = match random.random_range(0..4) {
            0..2 => self.false_segment(world, random, &repository, number).await?,
            2 => self.copy(world, random, SnapshotId([number; 16])),
            // In the way of a run that is at work.
            _ => {
                let taken = names(world, ObjectKind::Snapshot);
                let free: Vec<_> = names(world, ObjectKind::Session)
                    .iter()
                    .map(|name| SnapshotId(name.id()))
                    .filter(|id| !taken.contains(&ObjectName::from(*id)))
                    .collect();
                choose(random, &free).and_then(|session| self.copy(world, random, session))
            }
        };
        if told.is_some() {
            self.lies += 1;
            world.count(|counts| counts.lies += 1);
        }
        Ok(told)
    }

    async fn false_segment(
        &self,
        world: &World,
        random: &mut StdRng,
        repository: &Repository,
        number: u8,
    ) -> Result<Option<String>, Violation> {
        let Some(segment) = choose(random, &names(world, ObjectKind::IndexSegment)) else {
            return Ok(None);
        };
        let content = repository
            .get_object(&segment, &repository.index)
            .await
            .map_err(|error| error.to_string())?;
        let mut packs = Vec::new();
        decode_segment(&content, |pack| {
            packs.push(pack);
            Ok::<_, FormatError>(())
        })
        .map_err(|error| error.to_string())?;
        if packs.is_empty() {
            return Ok(None);
        }
        let mut pack = packs.swap_remove(random.random_range(0..packs.len()));
        let chunks = pack.footer.frames.iter_mut().flat_map(|frame| &mut frame.chunks);
        for (place, (id, _)) in chunks.enumerate() {
            *id = ChunkId([number; 32]);
            id.0[0] = place as u8;
        }
        let mut encoded = Vec::new();
        pack.encode(&mut encoded);
        let (object, _) = encode_index_segment(repository, &[encoded]).map_err(|error| error.to_string())?;
        let name = ObjectName::from(SegmentId([number; 16]));
        let _stored = world.server.lock().apply(None, &Call::Put(name, object));
        Ok(Some(format!("a segment lies about the pack {}", pack.id)))
    }

    fn copy(&mut self, world: &World, random: &mut StdRng, to: SnapshotId) -> Option<String> {
        let from = choose(random, &names(world, ObjectKind::Snapshot))?;
        let mut server = world.server.lock();
        let Ok(Reply::Content(content)) = server.apply(None, &Call::Get(from, None)) else {
            return None;
        };
        server.apply(None, &Call::Put(to.into(), content)).ok()?;
        self.copies.push(to);
        Some(format!("{from} is copied to {to}"))
    }

    /// What an administrator does about it: gives the copies up by name, and repairs.
    pub async fn settle(&self, world: &World) -> Result<(), Violation> {
        if self.lies == 0 {
            return Ok(());
        }
        let repository = Arc::clone(&world.ledger.lock().await.repository);
        let standing = names(world, ObjectKind::Snapshot);
        let mut snapshots = Vec::new();
        for id in &self.copies {
            // A run that had the name may have been deleted, and its own mark stands there now; or what was copied was a fence without a name.
            if standing.contains(&ObjectName::from(*id)) && repository.get_snapshot(*id).await.is_err() {
                snapshots.push(*id);
            }
        }
        let options = GiveUpOptions {
            snapshots,
            dry_run: false,
        };
        run_give_up(
            Arc::clone(&repository),
            options,
            Monitor::silent(),
            RunControl::new(),
        )
        .await
        .map_err(|error| format!("copies of manifests cannot be given up: {error}"))?;
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        run_repair(
            repository,
            None,
            RepairOptions::default(),
            clock,
            Monitor::silent(),
            RunControl::new(),
        )
        .await
        .map_err(|error| format!("the last repair failed: {error}"))?;
        world.ledger.lock().await.check().await
    }
}
