// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Each mistake that is planted in the protocol is found: otherwise the checker would prove nothing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use duplicati_model::{
    Mutation, Protocol,
    protocol::{REPORTS_KEPT, RESTORABLE},
};
use stateright::{Checker, HasDiscoveries, Model};

/// A size in which each can be seen.
fn size(mutation: Mutation) -> Protocol {
    let base = Protocol {
        wanted: [0b11, 0],
        collectors: 1,
        repairs: false,
        crashes: 0,
        deletions: 0,
        losses: 0,
        start: None,
        mutation: Some(mutation),
    };
    match mutation {
        Mutation::CloseInDoubt => Protocol { losses: 1, ..base },
        Mutation::ForgetWhatEnded => Protocol {
            losses: 1,
            deletions: 1,
            ..base
        },
        // One collection removes the session behind the manifest, the next collects what was deleted.
        Mutation::TidyBehindManifest => Protocol {
            wanted: [0b10, 0],
            collectors: 2,
            losses: 1,
            deletions: 1,
            start: Some(0),
            ..base
        },
        Mutation::NeverStandBack | Mutation::IgnoreEarlierPlans | Mutation::ProveByEarlierPlans => Protocol {
            collectors: 2,
            ..base
        },
        _ => base,
    }
}

fn is_found(mutation: Mutation) -> bool {
    let checker = size(mutation)
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = [RESTORABLE, REPORTS_KEPT]
        .into_iter()
        .find_map(|property| checker.discovery(property).map(|path| (property, path)));
    println!("{mutation:?}: {} states", checker.unique_state_count());
    if let Some((property, path)) = &found {
        println!("  not so: {property}");
        for action in path.clone().into_actions() {
            println!("  {action:?}");
        }
    }
    found.is_some()
}

macro_rules! found {
    ($($test:ident => $mutation:ident),* $(,)?) => {
        $(#[test]
        fn $test() {
            assert!(is_found(Mutation::$mutation));
        })*

        #[test]
        fn every_mutation_has_its_test() {
            assert_eq!([$(Mutation::$mutation),*], Mutation::ALL);
        }
    };
}

found! {
    a_dropped_fence_is_found => DropFence,
    listing_sessions_before_the_plan_is_found => ListSessionsBeforePlan,
    trusting_the_age_of_a_session_is_found => TrustAge,
    listing_plans_before_the_session_is_found => ListPlansBeforeSession,
    not_marking_again_is_found => SkipMarkingAgain,
    using_condemned_packs_is_found => UseCondemned,
    a_target_that_replaces_objects_is_found => PutReplaces,
    closing_a_session_in_doubt_is_found => CloseInDoubt,
    tidying_sessions_behind_a_manifest_is_found => TidyBehindManifest,
    forgetting_what_ended_a_session_is_found => ForgetWhatEnded,
    collectors_that_never_stand_back_are_found => NeverStandBack,
    counting_on_what_earlier_plans_condemn_is_found => IgnoreEarlierPlans,
    committing_again_without_looking_is_found => SkipRevalidation,
    not_settling_segments_is_found => SkipSettling,
    proving_by_what_an_earlier_plan_names_is_found => ProveByEarlierPlans,
    removing_fences_is_found => RemoveFences,
}
