// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A short pass over every target, the same on every run.
//!
//! `DUPLICATI_PARSER_CASES=1000000` makes it a long one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::{SeedableRng, rngs::StdRng};

use super::{Target, all, find, memory::peak_bytes, mutate::input};

/// Inputs for each target in a normal run.
const CASES: u64 = 1_500;

fn cases() -> u64 {
    let asked = std::env::var("DUPLICATI_PARSER_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// Runs one input and says what is wrong with it.
fn complaint(target: &Target, bytes: &[u8]) -> Option<String> {
    let mut outcome = Ok(());
    let peak = peak_bytes(|| outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))));
    let allowed = target.memory_bytes + target.memory_factor * bytes.len();
    if outcome.is_err() {
        return Some("it panics".to_owned());
    }
    (peak > allowed).then(|| format!("it takes {peak} bytes of memory, {allowed} are allowed"))
}

#[track_caller]
fn short_pass(name: &str) {
    let target = find(name).unwrap_or_else(|| panic!("there is no target {name}"));
    let samples = (target.samples)();
    // What is made once in a process is no part of a parse.
    samples.iter().for_each(|sample| (target.run)(sample));
    for seed in 0..cases() {
        let bytes = match samples.get(seed as usize) {
            Some(sample) => sample.clone(),
            None => input(&samples, &mut StdRng::seed_from_u64(seed)),
        };
        if let Some(complaint) = complaint(target, &bytes) {
            panic!(
                "{name}, seed {seed}: {complaint}: {:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }
}

macro_rules! passes {
    ($($function:ident $name:literal)*) => {
        $(#[test]
        fn $function() {
            short_pass($name);
        })*

        #[test]
        fn every_target_has_a_pass() {
            let passes = [$($name),*];
            for target in all() {
                assert!(passes.contains(&target.name), "{} has none", target.name);
            }
        }
    };
}

passes! {
    any_config_is_read_or_refused "config"
    any_key_file_is_read_or_refused "key-file"
    any_content_of_a_key_file_is_read_or_refused "key-file-content"
    any_identity_file_is_read_or_refused "identity"
    any_age_file_is_read_or_refused "age-file"
    any_object_is_read_or_refused "object"
    any_frame_is_read_or_refused "frame"
    any_pack_footer_is_read_or_refused "pack-footer"
    any_index_segment_is_read_or_refused "index-segment"
    any_tree_is_read_or_refused "tree"
    any_chunk_list_is_read_or_refused "chunk-list"
    any_snapshot_is_read_or_refused "snapshot"
    any_session_is_read_or_refused "session"
    any_plan_is_read_or_refused "plan"
    any_object_name_is_read_or_refused "object-name"
    any_destination_is_read_or_refused "destination"
    any_filter_is_read_or_refused "filter"
    any_serialized_filter_is_read_or_refused "serialized-filter"
    any_retention_is_read_or_refused "retention"
    any_size_is_read_or_refused "size"
    any_time_span_is_read_or_refused "time-span"
    any_time_point_is_read_or_refused "time-point"
    any_version_list_is_read_or_refused "versions"
    any_path_list_is_read_or_refused "lists"
    any_command_line_is_read_or_refused "command-line"
    any_parameters_file_is_read_or_refused "parameters-file"
    any_database_list_is_read_or_refused "database-list"
}

#[test]
fn a_panic_and_too_much_memory_are_found() {
    fn greedy(bytes: &[u8]) {
        assert!(bytes != b"panic");
        std::hint::black_box(vec![0u8; 100 * bytes.len()]);
    }
    let target = Target {
        name: "greedy",
        run: greedy,
        samples: Vec::new,
        memory_bytes: 1000,
        memory_factor: 1,
    };
    assert!(complaint(&target, b"panic").is_some());
    assert!(complaint(&target, &[0; 100]).is_some());
    assert!(complaint(&target, &[0; 5]).is_none());
}
