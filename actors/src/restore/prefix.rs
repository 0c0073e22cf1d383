// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The folder that everything selected shares, to be removed in front of every path.

use duplicati_engine::{
    format::{chunk_list::ChunkList, tree::EntryBody},
    restore::{
        Selection,
        selection::{CommonPrefix, Selector},
    },
    snapshot::{TreeReader, WalkStep},
};

use crate::{control::RunControl, error::RunError};

/// Walks as much of the tree as the answer needs. Damaged folders are passed over; the planner reports them.
pub async fn find(
    tree: &TreeReader,
    root: &ChunkList,
    selector: &Selector,
    control: &RunControl,
) -> Result<Vec<u8>, RunError> {
    let mut prefix = CommonPrefix::default();
    let mut walk = tree.walk(root);
    loop {
        control.check()?;
        let entry = match walk.next().await {
            Ok(Some(WalkStep::Entry(entry))) => entry,
            Ok(Some(WalkStep::Leave(_))) => continue,
            Ok(None) => return Ok(prefix.finish()),
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error.into()),
        };
        let is_folder = matches!(entry.body, EntryBody::Directory { .. });
        match selector.select(walk.path(), is_folder) {
            Selection::Take => prefix.add(walk.path(), is_folder),
            Selection::Below => {}
            Selection::Leave => walk.skip(),
        }
        if is_folder && prefix.covers(walk.path()) {
            walk.skip();
        }
    }
}
