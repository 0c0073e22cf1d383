// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The long pass: `duplicati-simulation [first seed] [number of seeds] [threads]`; with one argument, that seed alone with every step.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use duplicati_simulation::{Settings, machine::Counts, simulate};

fn main() {
    let arguments: Vec<u64> = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"))
        .collect();
    let first = arguments.first().copied().unwrap_or(0);
    let Some(count) = arguments.get(1).copied() else {
        let outcome = simulate(first, Settings::of(first));
        println!("{}", outcome.log.join("\n"));
        println!("{:?}\n{:?}", outcome.counts, outcome.violation);
        std::process::exit(i32::from(outcome.violation.is_some()));
    };
    let threads = arguments.get(2).copied().unwrap_or(2);
    let next = AtomicU64::new(first);
    let total = Mutex::new(Counts::default());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = simulate(seed, Settings::of(seed));
                    *total.lock().unwrap() += outcome.counts;
                    if let Some(violation) = outcome.violation {
                        println!("seed {seed}: {violation}");
                        failed.lock().unwrap().push(seed);
                    }
                    if (seed - first) % 500 == 499 {
                        println!("{} seeds: {:?}", seed - first + 1, total.lock().unwrap());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{count} seeds from {first}: {:?}", total.into_inner().unwrap());
    println!("failed: {failed:?}");
    std::process::exit(i32::from(!failed.is_empty()));
}
