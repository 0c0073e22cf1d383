// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Jobs and schedules.

use std::collections::BTreeMap;

use serde_json::json;

use super::Place;
use crate::model::{Backup, FilterRow, Schedule, Setting};

pub(super) fn is_secret(name: &str) -> bool {
    name.contains("passphrase")
}

pub(super) fn job(name: &str) -> Backup {
    let setting = |name: &str, value: &str| Setting {
        filter: String::new(),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Backup {
        id: String::new(),
        external_id: None,
        name: name.to_owned(),
        description: "two\nlines, 'quotes' and \"more\"".to_owned(),
        tags: vec!["a".to_owned(), "ü".to_owned()],
        target_url: "file:///mnt/backup?x=$1".to_owned(),
        connection_string_id: -1,
        operation_type: "Backup".to_owned(),
        database_path: "abc.sqlite".to_owned(),
        sources: vec!["/home/z/".to_owned(), "/home/a/".to_owned(), "/😀".to_owned()],
        settings: vec![
            setting("--dblock-size", "50mb"),
            setting("passphrase", "correct horse"),
        ],
        filters: vec![
            FilterRow {
                order: 0,
                include: false,
                expression: "*.tmp".to_owned(),
            },
            FilterRow {
                order: 1,
                include: true,
                expression: "[.*\\.doc]".to_owned(),
            },
        ],
        metadata: BTreeMap::from([("SourceFilesCount".to_owned(), "7".to_owned())]),
        additional_targets: json!([{"TargetUrl": "s3://b"}]),
    }
}

/// Everything about a job in a form that can be compared.
fn shown(backup: &Backup) -> serde_json::Value {
    let settings: Vec<_> = backup
        .settings
        .iter()
        .map(|row| (&row.name, &row.value))
        .collect();
    let filters: Vec<_> = backup
        .filters
        .iter()
        .map(|row| (row.order, row.include, &row.expression))
        .collect();
    json!([
        backup.external_id,
        backup.name,
        backup.description,
        backup.tags,
        backup.target_url,
        backup.connection_string_id,
        backup.operation_type,
        backup.database_path,
        backup.sources,
        settings,
        filters,
        backup.metadata,
        backup.additional_targets,
    ])
}

fn schedule(time: &str) -> Schedule {
    Schedule {
        id: 0,
        tags: Vec::new(),
        time: time.parse().unwrap(),
        repeat: "1D".to_owned(),
        last_run: None,
        rule: "AllowedWeekDays=Monday".to_owned(),
    }
}

pub(super) async fn a_job_comes_back_as_it_was_stored(place: Place) {
    let database = place.open().await;
    let mut backup = job("Größe 1");
    backup.id = database.save_backup(&backup, None, &is_secret).await.unwrap();
    let found = database.backup(&backup.id).await.unwrap().unwrap();
    assert_eq!(shown(&found), shown(&backup));
    backup.external_id = Some("outside".to_owned());
    backup.sources = vec!["/only".to_owned()];
    backup.filters.clear();
    database.save_backup(&backup, None, &is_secret).await.unwrap();
    database
        .save_backup(&job("another"), None, &is_secret)
        .await
        .unwrap();
    let all = database.backups().await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(shown(&all[0]), shown(&backup));
    assert!(database.backup("not a number").await.unwrap().is_none());
    assert!(database.backup("99").await.unwrap().is_none());
}

pub(super) async fn a_number_is_never_given_twice(place: Place) {
    let database = place.open().await;
    let first = database.save_backup(&job("a"), None, &is_secret).await.unwrap();
    let second = database.save_backup(&job("b"), None, &is_secret).await.unwrap();
    assert_ne!(first, second);
    database.delete_backup(&second).await.unwrap();
    let third = database.save_backup(&job("c"), None, &is_secret).await.unwrap();
    assert!(third != second && third != first, "{third}");
}

pub(super) async fn names_differ_by_more_than_case_and_a_refused_job_leaves_nothing(place: Place) {
    let database = place.open().await;
    database
        .save_backup(&job("Documents"), None, &is_secret)
        .await
        .unwrap();
    let refused = database.save_backup(&job("DOCUMENTS"), None, &is_secret).await;
    assert!(refused.is_err());
    let kept = database.backups().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].sources.len(), 3, "no row of the refused one");
    // Only the letters of ASCII have a case here; the routes know the others.
    for name in ["Ä", "ä", "I", "ı"] {
        database.save_backup(&job(name), None, &is_secret).await.unwrap();
    }
}

pub(super) async fn options_are_listed_in_the_order_of_their_bytes(place: Place) {
    let database = place.open().await;
    let mut backup = job("sorted");
    backup.settings = ["--b", "a", "B", "--Z", "_", "ä", "zz"]
        .iter()
        .map(|name| Setting {
            filter: String::new(),
            name: (*name).to_owned(),
            value: String::new(),
        })
        .collect();
    let id = database.save_backup(&backup, None, &is_secret).await.unwrap();
    let found = database.backup(&id).await.unwrap().unwrap();
    let names: Vec<_> = found.settings.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["--Z", "--b", "B", "_", "a", "zz", "ä"]);
}

pub(super) async fn schedules_move_on_and_go_with_their_job(place: Place) {
    let database = place.open().await;
    let rules = schedule("2026-01-01T10:00:00Z");
    let id = database
        .save_backup(&job("a"), Some(&rules), &is_secret)
        .await
        .unwrap();
    let found = database.schedules().await.unwrap()[&id].clone();
    assert_eq!((found.time, found.last_run), (rules.time, None));
    let (next, began) = (
        "2026-01-02T10:00:00.5Z".parse().unwrap(),
        "2026-01-01T10:00:01Z".parse().unwrap(),
    );
    database.scheduled_run_ended(&id, next, began).await.unwrap();
    let found = database.schedules().await.unwrap()[&id].clone();
    assert_eq!(
        (found.time, found.last_run, found.rule),
        (next, Some(began), rules.rule)
    );
    let mut backup = database.backup(&id).await.unwrap().unwrap();
    database.save_backup(&backup, None, &is_secret).await.unwrap();
    assert!(database.schedules().await.unwrap().is_empty());
    backup.name = "b".to_owned();
    database
        .save_backup(&backup, Some(&schedule("2026-02-01T00:00:00Z")), &is_secret)
        .await
        .unwrap();
    database.delete_backup(&id).await.unwrap();
    assert!(database.schedules().await.unwrap().is_empty());
    assert!(database.backups().await.unwrap().is_empty());
}

pub(super) async fn metadata_of_a_job_that_is_gone_is_not_kept(place: Place) {
    let database = place.open().await;
    let id = database.save_backup(&job("a"), None, &is_secret).await.unwrap();
    let value = |text: &str| [("LastError".to_owned(), text.to_owned())];
    database.set_metadata(&id, &value("one")).await.unwrap();
    database.set_metadata(&id, &value("two")).await.unwrap();
    let found = database.backup(&id).await.unwrap().unwrap();
    assert_eq!(found.metadata["LastError"], "two");
    database.set_database_path(&id, "/elsewhere").await.unwrap();
    assert_eq!(
        database.backup(&id).await.unwrap().unwrap().database_path,
        "/elsewhere"
    );
    database.delete_backup(&id).await.unwrap();
    database.set_metadata(&id, &value("three")).await.unwrap();
    let rows = database.rows("SELECT name FROM metadata", &[]).await.unwrap();
    assert!(rows.is_empty());
}
