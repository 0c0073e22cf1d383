// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The short pass, and the planted mistakes. The long pass is a program; see `docs/testing.md`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use duplicati_simulation::{Planted, Settings, machine::Counts, simulate};

/// Seeds of the short pass.
const SEEDS: u64 = 60;
/// Seeds in which a planted mistake has to show.
const PLANTED_SEEDS_MAX: u64 = 1500;

#[test]
fn nothing_that_stands_is_lost_whatever_happens() {
    let mut total = Counts::default();
    for seed in 0..SEEDS {
        let outcome = simulate(seed, Settings::of(seed));
        total += outcome.counts;
        if let Some(violation) = outcome.violation {
            println!("{}", outcome.log.join("\n"));
            panic!("seed {seed}: {violation}; again with `cargo run -p duplicati-simulation -- {seed}`");
        }
    }
    // Else it shows nothing of them.
    assert!(
        total.lies > 0 && total.write_only_done > 0 && total.skipped_files > 0,
        "{total:?}"
    );
}

#[test]
fn a_seed_replays() {
    let (mut same, count) = (0, 10);
    for seed in 0..count {
        let shapes = [(); 2].map(|()| simulate(seed, Settings::of(seed)).shape);
        same += u64::from(shapes[0] == shapes[1]);
        let equal = shapes[0]
            .iter()
            .zip(&shapes[1])
            .take_while(|(one, two)| one == two);
        println!(
            "seed {seed}: {} steps, equal up to {}",
            shapes[0].len(),
            equal.count()
        );
    }
    assert!(same * 2 > count, "{same} of {count} seeds played the same twice");
}

fn is_found(planted: Planted) -> bool {
    (0..PLANTED_SEEDS_MAX).any(|seed| {
        let settings = Settings {
            planted: Some(planted),
            ..Settings::of(seed)
        };
        let found = simulate(seed, settings).violation;
        if let Some(violation) = &found {
            println!("{planted:?}: seed {seed}: {violation}");
        }
        found.is_some()
    })
}

macro_rules! found {
    ($($test:ident => $planted:ident),* $(,)?) => {
        $(#[test]
        fn $test() {
            assert!(is_found(Planted::$planted));
        })*

        #[test]
        fn every_planted_mistake_has_its_test() {
            assert_eq!([$(Planted::$planted),*], Planted::ALL);
        }
    };
}

found! {
    a_target_that_replaces_is_found => PutReplaces,
    collectors_blind_to_sessions_are_found => BlindToSessions,
    lost_sessions_are_found => LostSessions,
    stale_lists_of_snapshots_are_found => StaleSnapshots,
    a_lost_pack_is_found => LostPack,
    forgotten_fences_are_found => ForgottenFences,
}
