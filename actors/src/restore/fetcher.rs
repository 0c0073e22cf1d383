// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gets the planned frames from the target, several requests at a time.

use std::sync::Arc;

use duplicati_engine::{repository::RepositoryError, restore::plan::ReadBatch};

use super::{
    batches::{FetchedRead, PlannedRead},
    context::Context,
};
use crate::{
    control::RunControl,
    error::RunError,
    events::Progress,
    inlet::{Inlet, Outlet},
};

pub async fn run(
    context: Arc<Context>,
    outlet: Outlet<PlannedRead>,
    inlet: Inlet<FetchedRead>,
) -> Result<(), RunError> {
    while let Some(read) = outlet.receive().await? {
        let control: RunControl = context.control.clone();
        tokio::select! {
            outcome = fetch(&context, read, &inlet) => outcome?,
            () = control.tripped() => return Err(RunError::Interrupted),
        }
    }
    Ok(())
}

async fn fetch(context: &Context, read: PlannedRead, inlet: &Inlet<FetchedRead>) -> Result<(), RunError> {
    let frames = context.tree.frames();
    let fetched = frames.fetch(&read.batch.frames).await;
    if read.batch.frames.len() == 1 || !fetched.as_ref().is_err_and(RepositoryError::is_damage) {
        return pass_on(context, FetchedRead { read, fetched }, inlet).await;
    }
    // What is damaged may be one frame of many: a pack that was cut off still has its beginning.
    let PlannedRead { batch, memory } = read;
    let mut uses = batch.uses.into_iter().peekable();
    for frame in batch.frames {
        let mut own = Vec::new();
        while let Some(item) = uses.next_if(|item| item.frame == frame) {
            own.push(item);
        }
        let batch = ReadBatch {
            frames: vec![frame],
            uses: own,
        };
        let fetched = frames.fetch(&batch.frames).await;
        let memory = Arc::clone(&memory);
        let read = PlannedRead { batch, memory };
        pass_on(context, FetchedRead { read, fetched }, inlet).await?;
    }
    Ok(())
}

async fn pass_on(
    context: &Context,
    message: FetchedRead,
    inlet: &Inlet<FetchedRead>,
) -> Result<(), RunError> {
    match &message.fetched {
        Ok(fetched) => {
            let progress = &context.monitor.progress;
            Progress::add(&progress.fetched_objects, 1);
            Progress::add(&progress.fetched_bytes, fetched.sealed_bytes() as u64);
        }
        Err(error) if error.is_damage() => {}
        Err(_) => {
            if let Err(error) = message.fetched {
                return Err(error.into());
            }
        }
    }
    inlet.send(message).await
}
