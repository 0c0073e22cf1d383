// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When needed chunks are nowhere, packs are opened before they go: what they say of themselves counts, not what the index says of them.
//!
//! A wrong description, by a fault or by somebody who may write, would otherwise make the only copy of a chunk look like waste (S-7).

use std::{collections::BTreeMap, sync::Arc};

use duplicati_engine::{
    id::PackId,
    repository::Repository,
    storage::{ObjectName, StoreErrorKind},
};

use super::survey::Survey;
use crate::{control::RunControl, error::RunError, verify::open_pack};

/// Opens every pack that is to go and gives those that must stay, with the reason. Nothing is opened when nothing is lacking.
///
/// # Errors
/// When the target does not answer.
pub async fn spare(
    repository: &Arc<Repository>,
    survey: &Survey,
    control: &RunControl,
) -> Result<BTreeMap<PackId, String>, RunError> {
    let mut spared = BTreeMap::new();
    if !survey.is_lacking {
        return Ok(spared);
    }
    for pack in &survey.plan.removed {
        control.check()?;
        let name = ObjectName::from(pack.id);
        let object = match repository.store.get(&name, None).await {
            Ok(object) => object,
            Err(error) if error.kind == StoreErrorKind::NotFound => continue,
            Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::Truncated) => {
                spared.insert(pack.id, format!("{error}; run `repair`"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (reader, id) = (Arc::clone(repository), pack.id);
        let opened = tokio::task::spawn_blocking(move || open_pack(&reader, id, &object));
        let opened = opened.await.map_err(|error| RunError::Panicked {
            stage: "compact",
            message: error.to_string(),
        })?;
        let why = match opened {
            Ok(found) => {
                let mut chunks = found.footer.frames.iter().flat_map(|frame| &frame.chunks);
                chunks
                    .any(|(chunk, _)| survey.is_lost(chunk))
                    .then(|| "it holds what a version lacks; run `repair`".to_owned())
            }
            Err(error) => Some(format!("{error}; run `repair`")),
        };
        if let Some(why) = why {
            spared.insert(pack.id, format!("{name}: {why}"));
        }
    }
    Ok(spared)
}
