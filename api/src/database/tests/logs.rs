// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Logs and messages.

use super::Place;
use crate::database::logs::Notification;

pub(super) async fn logs_are_paged_from_the_newest_and_pruned_by_age(place: Place) {
    let database = place.open().await;
    let mut ids = Vec::new();
    for time in 1..=5 {
        ids.push(database.add_job_log("7", time, "Backup", "{}").await.unwrap());
        database.add_error_log(None, time, "failed", "").await.unwrap();
    }
    database
        .add_error_log(Some("7"), 6, "of a job", "trace")
        .await
        .unwrap();
    assert!(ids.is_sorted() && ids[0] > 0, "{ids:?}");
    let page = database.job_log("7", i64::MAX, 2).await.unwrap();
    assert_eq!(
        page.iter().map(|row| row.id).collect::<Vec<_>>(),
        [ids[4], ids[3]]
    );
    let next = database.job_log("7", ids[3], 10).await.unwrap();
    assert_eq!(next.iter().map(|row| row.time).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(database.job_log("8", i64::MAX, 10).await.unwrap().is_empty());
    let errors = database.error_log(i64::MAX, 2).await.unwrap();
    assert_eq!(errors[0].backup_id.as_deref(), Some("7"));
    assert_eq!((errors[1].backup_id.as_deref(), errors[1].time), (None, 5));
    database.prune_logs(4).await.unwrap();
    assert_eq!(database.job_log("7", i64::MAX, 10).await.unwrap().len(), 2);
    assert_eq!(database.error_log(i64::MAX, 10).await.unwrap().len(), 3);
}

pub(super) async fn messages_for_the_user_come_and_go(place: Place) {
    let database = place.open().await;
    let new = |backup_id: Option<&str>| Notification {
        kind: "Warning".to_owned(),
        title: "Title".to_owned(),
        backup_id: backup_id.map(str::to_owned),
        time: "2026-01-01T00:00:00Z".to_owned(),
        ..Notification::default()
    };
    let first = database.add_notification(&new(Some("1"))).await.unwrap();
    let second = database.add_notification(&new(None)).await.unwrap();
    let all = database.notifications().await.unwrap();
    assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(
        (all[1].backup_id.as_deref(), all[1].message_id.as_deref()),
        (None, None)
    );
    assert!(database.delete_notifications_of("1").await.unwrap());
    assert!(!database.delete_notifications_of("1").await.unwrap());
    assert!(database.delete_notification(second).await.unwrap());
    assert!(!database.delete_notification(second).await.unwrap());
    assert!(database.notifications().await.unwrap().is_empty());
}

pub(super) async fn texts_with_any_character_are_kept(place: Place) {
    let database = place.open().await;
    // A file name may hold any character, and a message about it holds the name. Only zero cannot be stored everywhere.
    let text = "'; DROP TABLE job_log; -- \\ $1 ? \u{1}\u{7f}\u{feff}\u{10ffff} end";
    let long = "ü".repeat(1 << 20);
    database
        .add_error_log(Some("a\0b"), 1, text, &long)
        .await
        .unwrap();
    database.add_job_log("1", 1, "x", "before\0after").await.unwrap();
    let found = database.error_log(i64::MAX, 1).await.unwrap();
    assert_eq!(found[0].backup_id.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(
        (found[0].message.as_str(), found[0].exception == long),
        (text, true)
    );
    assert_eq!(
        database.job_log("1", i64::MAX, 1).await.unwrap()[0].message,
        "before\u{fffd}after"
    );
}
