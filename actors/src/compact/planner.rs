// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Goes through the segments that are replaced, one at a time.
//!
//! In: the plan. Out: packs to be written again to the fetchers, descriptions of packs that stay to the swapper. Waits for room in both.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    format::index_segment::{PackDescription, decode_segment},
    id::{PackId, SegmentId},
    repository::{Repository, RepositoryError},
    storage::ObjectName,
};

use super::survey::Survey;
use crate::{
    error::RunError,
    inlet::{Inlet, Weighed},
};

/// Name of the stage.
pub const NAME: &str = "planner";

/// A pack to be written again.
pub struct PackToMove(pub Arc<PackDescription>);

impl Weighed for PackToMove {
    fn weight_bytes(&self) -> u64 {
        self.0.object_size_bytes
    }
}

/// A pack for the new segments, in its stored form.
pub struct Description(pub Vec<u8>);

impl Weighed for Description {
    fn weight_bytes(&self) -> u64 {
        self.0.len() as u64
    }
}

/// What the planner works with.
pub struct Planner {
    /// Where segments are.
    pub repository: Arc<Repository>,
    /// What was decided.
    pub survey: Arc<Survey>,
    /// Packs to be moved.
    pub fetcher: Inlet<PackToMove>,
    /// Packs that stay.
    pub swapper: Inlet<Description>,
}

impl Planner {
    /// Works through all segments.
    pub async fn run(self) -> Result<(), RunError> {
        let mut seen: HashSet<PackId> = HashSet::new();
        for segment in &self.survey.plan.segments {
            for pack in read_segment(&self.repository, *segment).await? {
                if !seen.insert(pack.id) {
                    continue;
                }
                if self.survey.rewritten.contains(&pack.id) {
                    self.fetcher.send(PackToMove(Arc::new(pack))).await?;
                } else if !self.survey.removed.contains(&pack.id) {
                    let mut encoded = Vec::new();
                    pack.encode(&mut encoded);
                    self.swapper.send(Description(encoded)).await?;
                }
            }
        }
        Ok(())
    }
}

/// The packs that a segment describes; none when it is gone, as after another collection.
pub async fn read_segment(
    repository: &Repository,
    segment: SegmentId,
) -> Result<Vec<PackDescription>, RunError> {
    let name = ObjectName::from(segment);
    let content = match repository.get_object(&name, &repository.index).await {
        Ok(content) => content,
        Err(error) if crate::inventory::is_not_found(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut packs = Vec::new();
    decode_segment(&content, |pack| {
        packs.push(pack);
        Ok(())
    })
    .map_err(|error: duplicati_engine::format::FormatError| {
        RepositoryError::object(&name, repository.store.location(), error)
    })?;
    Ok(packs)
}
