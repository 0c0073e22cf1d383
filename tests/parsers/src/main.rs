// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gives a target inputs for some seconds, on a stable compiler: `duplicati-parsers TARGET SECONDS [SEED]`.
//!
//! An input that fails is written to `failing-TARGET`, and `duplicati-parsers TARGET FILE` runs it again.

#![allow(clippy::unwrap_used, reason = "a tool for developers: a panic is the report")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use duplicati_engine::clock::{Clock, SystemClock};
use duplicati_parsers::{Target, all, find, memory::peak_bytes, mutate::input};
use rand::{SeedableRng, rngs::StdRng};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(target) = arguments.first().and_then(|name| find(name)) else {
        let names: Vec<_> = all().map(|target| target.name).collect();
        eprintln!(
            "duplicati-parsers TARGET SECONDS [SEED], or TARGET FILE; targets: {}",
            names.join(" ")
        );
        std::process::exit(2);
    };
    let second = arguments.get(1).map_or("10", String::as_str);
    match second.parse::<u64>() {
        Ok(seconds) => {
            let seed = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(0);
            search(target, Duration::from_secs(seconds), seed);
        }
        Err(_) => (target.run)(&std::fs::read(second).unwrap()),
    }
}

fn search(target: &Target, time: Duration, first_seed: u64) {
    let samples = (target.samples)();
    samples.iter().for_each(|sample| (target.run)(sample));
    let begin = SystemClock.monotonic();
    let (mut cases, mut peak_most) = (0u64, 0);
    while SystemClock.monotonic() - begin < time {
        let mut random = StdRng::seed_from_u64(first_seed.wrapping_add(cases) | 1 << 63);
        let bytes = input(&samples, &mut random);
        let mut failed = false;
        let peak = peak_bytes(|| failed = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))).is_err());
        let over = peak.saturating_sub(target.memory_factor * bytes.len());
        if failed || over > target.memory_bytes {
            let path = format!("failing-{}", target.name);
            std::fs::write(&path, &bytes).unwrap();
            eprintln!(
                "case {cases} fails (peak {peak} bytes for {} bytes); it is in {path}",
                bytes.len()
            );
            std::process::exit(1);
        }
        peak_most = peak_most.max(over);
        cases += 1;
    }
    println!(
        "{}: {cases} cases, none failed, at most {peak_most} bytes over the share of the input",
        target.name
    );
}
