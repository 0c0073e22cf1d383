// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Settings, secrets, values of clients, token families.

use super::{
    Place,
    jobs::{is_secret, job},
};
use crate::database::{
    DatabaseError,
    families::Family,
    seal::SealError,
    settings::{ALL_JOBS, SERVER},
};

fn pair(name: &str, value: Option<&str>) -> (String, Option<String>) {
    (name.to_owned(), value.map(str::to_owned))
}

pub(super) async fn settings_are_set_replaced_and_deleted(place: Place) {
    let database = place.open().await;
    let set = async |owner, values: &[(String, Option<String>)]| {
        database.set_options_of(owner, values, &is_secret).await.unwrap();
    };
    set(
        SERVER,
        &[pair("a", Some("1")), pair("b", Some("")), pair("c", None)],
    )
    .await;
    set(ALL_JOBS, &[pair("a", Some("other"))]).await;
    set(SERVER, &[pair("a", Some("2")), pair("b", None)]).await;
    let server = database.options_of(SERVER).await.unwrap();
    assert_eq!(
        server.into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), "2".to_owned())]
    );
    assert_eq!(database.options_of(ALL_JOBS).await.unwrap()["a"], "other");
}

pub(super) async fn secrets_are_sealed_and_come_back_only_with_the_key(place: Place) {
    let mut database = place.open().await;
    let id = database.save_backup(&job("a"), None, &is_secret).await.unwrap();
    assert!(database.use_key(Some("key number one")).await.unwrap());
    database.rewrite_secrets(true, &is_secret).await.unwrap();
    let stored = async |sql| {
        let rows = place.open().await.rows(sql, &[]).await.unwrap();
        rows[0].text(0).unwrap()
    };
    let url = stored("SELECT target_url FROM backup").await;
    assert!(url.starts_with("sealed-v1:"), "{url}");
    let value = stored("SELECT value FROM backup_option WHERE name = 'passphrase'").await;
    assert!(value.starts_with("sealed-v1:"), "{value}");
    assert_eq!(
        stored("SELECT value FROM backup_option WHERE name = '--dblock-size'").await,
        "50mb"
    );
    for wrong in [Some("key number two"), None] {
        let refused = place.open().await.use_key(wrong).await;
        assert!(matches!(
            refused,
            Err(DatabaseError::Seal(SealError::WrongKey | SealError::NoKey))
        ));
    }
    let mut again = place.open().await;
    assert!(again.backup(&id).await.is_err());
    again.use_known_key(Some("key number one")).await.unwrap();
    assert_eq!(
        again.backup(&id).await.unwrap().unwrap().option("passphrase"),
        Some("correct horse")
    );
}

pub(super) async fn taking_the_key_away_leaves_everything_readable(place: Place) {
    let mut database = place.open().await;
    database.use_key(Some("key number one")).await.unwrap();
    let id = database.save_backup(&job("a"), None, &is_secret).await.unwrap();
    database
        .set_options_of(SERVER, &[pair("jwt-config", Some("{}"))], &is_secret)
        .await
        .unwrap();
    database.rewrite_secrets(false, &is_secret).await.unwrap();
    let mut again = place.open().await;
    again.use_key(None).await.unwrap();
    assert!(!again.has_key());
    assert_eq!(again.options_of(SERVER).await.unwrap()["jwt-config"], "{}");
    assert_eq!(
        again.backup(&id).await.unwrap().unwrap().target_url,
        job("a").target_url
    );
}

pub(super) async fn writers_of_the_same_rows_in_other_orders_do_not_stop_each_other(place: Place) {
    const ROUNDS: usize = 40;
    const ROWS: usize = 30;
    let database = place.open().await;
    let write = |is_backwards: bool| {
        let database = database.clone();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let value = round.to_string();
                let mut values: Vec<_> = (0..ROWS)
                    .map(|row| pair(&format!("n{row:02}"), Some(&value)))
                    .collect();
                if is_backwards {
                    values.reverse();
                }
                database
                    .set_options_of(SERVER, &values, &is_secret)
                    .await
                    .unwrap();
            }
        })
    };
    let (forwards, backwards) = (write(false), write(true));
    for _ in 0..ROUNDS {
        database.add_job_log("1", 0, "Backup", "{}").await.unwrap();
    }
    forwards.await.unwrap();
    backwards.await.unwrap();
    assert_eq!(database.options_of(SERVER).await.unwrap().len(), ROWS);
    assert_eq!(
        database.job_log("1", i64::MAX, 1_000).await.unwrap().len(),
        ROUNDS
    );
}

pub(super) async fn values_of_clients_are_kept_by_scheme(place: Place) {
    let database = place.open().await;
    for scheme in ["web", "App", "app"] {
        database
            .set_ui_values(scheme, &[pair("x", Some(scheme)), pair("y", Some(""))])
            .await
            .unwrap();
    }
    database
        .set_ui_values("web", &[pair("x", None), pair("y", Some("2"))])
        .await
        .unwrap();
    assert_eq!(database.ui_schemes().await.unwrap(), ["App", "app", "web"]);
    let values = database.ui_values("web").await.unwrap();
    assert_eq!(
        values.into_iter().collect::<Vec<_>>(),
        [("y".to_owned(), "2".to_owned())]
    );
    assert!(database.ui_values("none").await.unwrap().is_empty());
}

fn family(id: &str, last_updated: i64) -> Family {
    Family {
        id: id.to_owned(),
        user_id: "user".to_owned(),
        counter: 0,
        last_updated,
    }
}

pub(super) async fn of_two_who_count_a_family_on_one_wins(place: Place) {
    let database = place.open().await;
    database.add_family(&family("f", 1)).await.unwrap();
    let mut tries = Vec::new();
    for _ in 0..8 {
        let database = database.clone();
        tries.push(tokio::spawn(async move {
            database.advance_family("f", 0, 2).await.unwrap()
        }));
    }
    let mut wins = 0;
    for one in tries {
        wins += usize::from(one.await.unwrap());
    }
    assert_eq!(wins, 1);
    let found = database.family("f").await.unwrap().unwrap();
    assert_eq!((found.counter, found.last_updated), (1, 2));
    database.delete_family("f").await.unwrap();
    assert_eq!(database.family("f").await.unwrap(), None);
}

pub(super) async fn families_beyond_the_bound_go_oldest_first(place: Place) {
    let database = place.open().await;
    for number in 0..1_003 {
        database
            .add_family(&family(&format!("f{number}"), number))
            .await
            .unwrap();
    }
    assert_eq!(database.family("f2").await.unwrap(), None);
    assert!(database.family("f3").await.unwrap().is_some());
    database.delete_all_families().await.unwrap();
    assert_eq!(database.family("f1002").await.unwrap(), None);
}
