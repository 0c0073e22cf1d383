// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `create-report`: what the local database says, without a path in it, for a bug report.

use std::{io::Write, os::unix::fs::OpenOptionsExt};

use duplicati_actors::events::ProgressSnapshot;
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::{Value, json};

use crate::{
    connection::Target,
    failure::{Outcome, failed},
    invocation::Invocation,
    results::CommandResult,
};

/// Runs that a report holds.
const RUNS_MAX: u32 = 200;
/// Keys of a result whose values may name files.
const KEYS_WITH_PATHS: [&str; 3] = ["Messages", "Warnings", "Errors"];

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    if connection.database.is_none() {
        return Err(failed(
            ids::NO_LOCAL_DATABASE,
            "there is no local database for this destination, so there is nothing to report; a backup or repair makes one",
        ));
    }
    let local = connection.local()?;
    let runs: Vec<Value> = local
        .runs(RUNS_MAX)?
        .into_iter()
        .map(|run| {
            let mut detail: Value = serde_json::from_str(&run.detail).unwrap_or(Value::Null);
            if let Value::Object(values) = &mut detail {
                values.retain(|key, _| !KEYS_WITH_PATHS.contains(&key.as_str()));
            }
            json!({"number": run.number, "operation": run.operation, "begin": run.begin, "result": run.result, "detail": detail})
        })
        .collect();
    let report = json!({
        "program": format!("duplicati-cli {}", env!("CARGO_PKG_VERSION")),
        "format_version": connection.repository.config.version,
        "encryption": connection.repository.config.encryption,
        "chunking": connection.repository.config.chunking,
        "segments": local.segment_ids()?.len(),
        "stored_packs_without_index": local.stored_packs()?.len(),
        "runs": runs,
    });
    let output = invocation.argument(1).unwrap_or("report".as_ref());
    let path = invocation.environment.current_folder.join(output);
    let text = serde_json::to_vec_pretty(&report).unwrap_or_default();
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(&text))
        .map_err(|error| {
            failed(
                ids::UNEXPECTED_FAILURE,
                match error.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        format!("{} exists; name another file for the report", path.display())
                    }
                    _ => format!("failed to write the report {}: {error}", path.display()),
                },
            )
        })?;
    invocation
        .console
        .line(format!("Wrote the report {}", path.display()))?;
    CommandResult::new(invocation)
        .with("TargetPath", path.display().to_string())
        .finish(
            invocation,
            Some(&connection),
            &ProgressSnapshot::default(),
            ExitCode::Success,
        )
}
