// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which versions go, by the options; and letting them go.

use std::collections::HashMap;

use duplicati_actors::control::RunControl;
use duplicati_engine::{
    format::{manifest::Manifest, path_text::PathText},
    repository::Repository,
    retention::{
        RetentionOptions, RetentionPolicy, SnapshotForRetention, parse_age, parse_retention_policy, plan,
    },
    storage::ObjectName,
};
use duplicati_programs_common::{Options, UserError, error_id::ids};
use serde_json::json;

use crate::{
    failure::{Failure, Outcome},
    invocation::Invocation,
    output::text,
    versions::Version,
};

const OPTIONS: [&str; 3] = ["keep-time", "keep-versions", "retention-policy"];

/// The policy that the options state; none keeps everything.
pub fn policy(options: &Options) -> Outcome<Option<RetentionPolicy>> {
    let given: Vec<_> = OPTIONS.iter().filter(|name| options.is_given(name)).collect();
    let refused = |id, message: String| Failure::User(UserError::failed(id, message));
    match given[..] {
        [] => Ok(None),
        [&"keep-time"] => {
            let span = options.timespan("keep-time").unwrap_or_default();
            let age = parse_age(&span.to_string())
                .map_err(|error| refused(ids::INVALID_OPTION_VALUE, error.to_string()))?;
            Ok((!span.is_zero()).then_some(RetentionPolicy::KeepTime(age)))
        }
        [&"keep-versions"] => {
            let count = options
                .integer("keep-versions")
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(0);
            Ok((count > 0).then_some(RetentionPolicy::KeepVersions(count)))
        }
        [&"retention-policy"] => {
            let text = options.string("retention-policy").unwrap_or_default();
            match parse_retention_policy(text) {
                Ok(frames) => Ok(Some(RetentionPolicy::Frames(frames))),
                Err(error) => Err(refused(ids::RETENTION_POLICY_PARSE_ERROR, error.to_string())),
            }
        }
        _ => Err(refused(
            ids::MULTIPLE_RETENTION_OPTIONS_NOT_SUPPORTED,
            "only one of --keep-time, --keep-versions and --retention-policy can be used; choose one"
                .to_owned(),
        )),
    }
}

/// Versions dated later than this from now are left out of the count, seconds.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 3600;

/// What versions are versions of: a job of a machine; without a name of the job, the same sources of a machine.
pub fn history_of(manifest: &Manifest) -> (&str, &str, &[PathText]) {
    let sources: &[PathText] = if manifest.name.is_empty() {
        &manifest.sources
    } else {
        &[]
    };
    (&manifest.host, &manifest.name, sources)
}

/// The versions that a policy does not keep, newest first. Each history is looked at by itself: otherwise a machine that backs up often would push out the
/// only versions of one that seldom does.
pub fn removed(invocation: &Invocation, versions: &[Version], policy: &RetentionPolicy) -> Vec<Version> {
    let options = RetentionOptions {
        allow_full_removal: invocation.options.bool("allow-full-removal"),
        time_tolerance: !invocation.options.bool("disable-time-tolerance"),
    };
    let now = invocation.now().timestamp().as_second();
    let mut histories: HashMap<_, Vec<SnapshotForRetention>> = HashMap::new();
    for (index, version) in versions.iter().enumerate() {
        if version.time.as_second() > now + CLOCK_SKEW_SECONDS_MAX {
            // From a clock that was wrong, or from somebody who means to push others out.
            invocation.log.warning(
                "VersionFromTheFuture",
                &format!(
                    "version {} is dated {}, which is to come; it is neither counted nor removed, delete --version={} does that",
                    version.number,
                    text::local_time(version.time),
                    version.number
                ),
            );
            continue;
        }
        histories
            .entry(history_of(&version.manifest))
            .or_default()
            .push(SnapshotForRetention {
                index,
                time_unix_seconds: version.time.as_second(),
                complete: version.manifest.complete,
            });
    }
    let mut removed: Vec<Version> = Vec::new();
    for snapshots in histories.values() {
        let plan = plan(snapshots, now, policy, options);
        removed.extend(
            plan.removed()
                .filter_map(|planned| versions.get(planned.snapshot.index).cloned()),
        );
    }
    removed.sort_by_key(|version| version.number);
    removed
}

/// Keeps the newest of all versions unless the user permits to lose it.
pub fn spare_last(invocation: &Invocation, mut removed: Vec<Version>, all: &[Version]) -> Vec<Version> {
    if removed.len() == all.len() && !invocation.options.bool("allow-full-removal") {
        removed.retain(|version| version.number != 0);
        invocation.log.warning(
            "LastVersionKept",
            "The newest version is kept, because no version would be left; --allow-full-removal removes it as well",
        );
    }
    removed
}

/// Removes versions, oldest first, and returns those that are gone (or would be).
pub async fn remove(
    invocation: &Invocation,
    repository: &Repository,
    removed: Vec<Version>,
    control: &RunControl,
) -> Outcome<Vec<Version>> {
    for version in removed.iter().rev() {
        control.check()?;
        let row = format!("version {}: {}", version.number, text::local_time(version.time));
        if invocation.is_dry_run() {
            invocation
                .log
                .dry_run("WouldDeleteVersion", &format!("Would delete {row}"));
        } else {
            repository.store.delete(&ObjectName::from(version.id)).await?;
            invocation
                .log
                .information("VersionDeleted", &format!("Deleted {row}"));
            invocation.console.row(format!("Deleted {row}"))?;
        }
        invocation.console.json(&json!({
            "type": "version-deleted", "version": version.number, "id": version.id.to_string(),
            "time": version.manifest.time, "dry_run": invocation.is_dry_run(),
        }))?;
    }
    invocation.console.flush()?;
    Ok(removed)
}
