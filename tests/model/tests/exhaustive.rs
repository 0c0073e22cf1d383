// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every order of every step, for small numbers of clients. `DUPLICATI_MODEL_SIZE=2` (or 3) tries larger numbers; see `docs/testing.md`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use duplicati_model::Protocol;
use stateright::{Checker, Model};

/// Which sizes are tried.
fn size() -> u32 {
    std::env::var("DUPLICATI_MODEL_SIZE").map_or(1, |size| size.parse().unwrap())
}

fn base() -> Protocol {
    Protocol {
        wanted: [0b11, 0],
        collectors: 1,
        repairs: false,
        crashes: 1,
        deletions: 1,
        losses: 1,
        start: None,
        mutation: None,
    }
}

fn check(what: &str, protocol: Protocol) {
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!(
        "{what}: {} states, depth {}",
        checker.unique_state_count(),
        checker.max_depth()
    );
    for (property, path) in checker.discoveries() {
        if checker.model().property(property).expectation != stateright::Expectation::Always {
            continue;
        }
        println!("not so: {property}");
        for (state, action) in path.into_vec() {
            println!("{}\n  {action:?}", state.brief());
        }
    }
    checker.assert_properties();
}

#[test]
fn one_writer_and_one_collector_with_crashes_lost_answers_and_retention() {
    check(
        "1 writer, 1 collector",
        Protocol {
            crashes: 2,
            deletions: 2,
            losses: 2,
            ..base()
        },
    );
}

#[test]
fn two_writers_that_share_chunks_and_one_collector() {
    check(
        "2 writers, 1 collector",
        Protocol {
            wanted: [0b10, 0b11],
            crashes: u8::from(size() > 1),
            deletions: u8::from(size() > 1),
            losses: u8::from(size() > 1),
            ..base()
        },
    );
}

#[test]
fn one_writer_and_two_collectors() {
    check(
        "1 writer, 2 collectors",
        Protocol {
            collectors: 2,
            crashes: u8::from(size() > 1),
            deletions: u8::from(size() > 1),
            losses: u8::from(size() > 1),
            ..base()
        },
    );
}

#[test]
fn a_writer_a_repair_and_a_collector() {
    check(
        "1 writer, 1 repair, 1 collector",
        Protocol {
            repairs: true,
            losses: 0,
            deletions: u8::from(size() > 1),
            ..base()
        },
    );
}

#[test]
fn everybody_at_once() {
    if size() < 3 {
        return;
    }
    check(
        "2 writers, 2 collectors",
        Protocol {
            wanted: [0b10, 0b11],
            collectors: 2,
            crashes: 0,
            deletions: 0,
            losses: 0,
            ..base()
        },
    );
}
