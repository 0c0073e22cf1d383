// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opening, opening again, and the number of the schema.

use super::{
    Place,
    jobs::{is_secret, job},
};
use crate::database::DatabaseError;

pub(super) async fn what_is_stored_is_there_after_opening_again(place: Place) {
    let database = place.open().await;
    let id = database
        .save_backup(&job("kept"), None, &is_secret)
        .await
        .unwrap();
    database.close().await;
    let again = place.open().await;
    assert_eq!(again.backup(&id).await.unwrap().unwrap().name, "kept");
}

pub(super) async fn opening_at_the_same_time_makes_one_schema(place: Place) {
    let mut openings = Vec::new();
    for _ in 0..6 {
        let place = place.clone();
        openings.push(tokio::spawn(async move { place.open().await }));
    }
    for opening in openings {
        opening.await.unwrap().close().await;
    }
    let rows = place
        .open()
        .await
        .rows("SELECT version FROM schema_version", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}

pub(super) async fn a_database_of_a_later_version_is_refused(place: Place) {
    let database = place.open().await;
    database
        .execute("INSERT INTO schema_version (version) VALUES (999)", &[])
        .await
        .unwrap();
    database.close().await;
    let refused = place.try_open().await.err().unwrap();
    assert!(
        matches!(refused, DatabaseError::Newer { found: 999, .. }),
        "{refused}"
    );
}
