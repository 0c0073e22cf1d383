// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One list of checks, run on SQLite and on a real PostgreSQL: both must give the same answers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod jobs;
mod logs;
mod schema;
mod settings;

use std::{future::Future, path::PathBuf, pin::Pin};

use duplicati_testkit::servers::{
    or_skip_unless_demanded,
    postgres::{Postgres, postgres},
};

use super::Database;

/// Where the database of one check lies, to open it as often as the check likes.
#[derive(Clone)]
enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Place {
    async fn open(&self) -> Database {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<Database, super::DatabaseError> {
        match self {
            Self::Sqlite(path) => Database::open_sqlite(path).await,
            Self::Postgres(url) => Database::open_postgres(url).await,
        }
    }
}

type Check = fn(Place) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! checks {
    ($($module:ident :: $name:ident),* $(,)?) => {
        const CHECKS: &[(&str, Check)] = &[
            $((stringify!($name), |place| Box::pin($module::$name(place)))),*
        ];
    };
}

checks![
    jobs::a_job_comes_back_as_it_was_stored,
    jobs::a_number_is_never_given_twice,
    jobs::names_differ_by_more_than_case_and_a_refused_job_leaves_nothing,
    jobs::options_are_listed_in_the_order_of_their_bytes,
    jobs::schedules_move_on_and_go_with_their_job,
    jobs::metadata_of_a_job_that_is_gone_is_not_kept,
    settings::settings_are_set_replaced_and_deleted,
    settings::secrets_are_sealed_and_come_back_only_with_the_key,
    settings::taking_the_key_away_leaves_everything_readable,
    settings::writers_of_the_same_rows_in_other_orders_do_not_stop_each_other,
    settings::values_of_clients_are_kept_by_scheme,
    settings::of_two_who_count_a_family_on_one_wins,
    settings::families_beyond_the_bound_go_oldest_first,
    logs::logs_are_paged_from_the_newest_and_pruned_by_age,
    logs::messages_for_the_user_come_and_go,
    logs::texts_with_any_character_are_kept,
    schema::what_is_stored_is_there_after_opening_again,
    schema::opening_at_the_same_time_makes_one_schema,
    schema::a_database_of_a_later_version_is_refused,
];

/// Runs all checks, each in a database of its own; one that fails is told by name.
async fn run(place: impl Fn(&str) -> Place) {
    for (name, check) in CHECKS {
        println!("{name}");
        check(place(name)).await;
    }
}

#[tokio::test]
async fn all_checks_hold_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    run(|name| Place::Sqlite(folder.path().join(name))).await;
}

#[tokio::test]
async fn all_checks_hold_on_postgresql() {
    let Some(cluster) = cluster() else { return };
    // Names of databases have at most 63 bytes.
    let short = |name: &str| name.chars().take(60).collect::<String>();
    run(|name| Place::Postgres(cluster.database(&short(name)))).await;
}

#[tokio::test]
async fn postgresql_may_be_started_again_under_an_open_database() {
    let Some(mut cluster) = cluster() else { return };
    let database = Place::Postgres(cluster.database("again")).open().await;
    database.add_job_log("1", 1, "Backup", "{}").await.unwrap();
    cluster.stop();
    assert!(database.job_log("1", i64::MAX, 10).await.is_err());
    cluster.start().unwrap();
    assert_eq!(database.job_log("1", i64::MAX, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_server_on_one_postgresql_database_is_refused_while_the_first_lives() {
    let Some(cluster) = cluster() else { return };
    let place = Place::Postgres(cluster.database("shared"));
    let (first, second) = (place.open().await, place.open().await);
    let alone = first.alone().await.unwrap();
    assert!(matches!(second.alone().await, Err(super::DatabaseError::InUse)));
    drop(alone);
    second.alone().await.unwrap();
}

#[tokio::test]
async fn postgresql_that_refuses_or_is_not_there_is_told_without_the_password() {
    let Some(mut cluster) = cluster() else { return };
    let url = cluster.database("right");
    let password = cluster.password();
    let wrong = url.replace(password, "another-secret");
    let mut reasons = Vec::new();
    for url in [
        wrong.as_str(),
        &cluster.url("missing"),
        &format!("postgres://u:{password}@127.0.0.1:port/x"),
        &format!("postgres://u:{password}@[::1/x"),
    ] {
        reasons.push(Database::open_postgres(url).await.err().unwrap().to_string());
    }
    cluster.stop();
    reasons.push(Database::open_postgres(&url).await.err().unwrap().to_string());
    for reason in &reasons {
        assert!(
            !reason.contains(password) && !reason.contains("another-secret"),
            "{reason}"
        );
    }
    assert!(reasons[1].contains("missing"), "{reasons:?}");
}

#[tokio::test]
async fn a_postgresql_database_that_cannot_hold_every_name_is_refused() {
    let Some(cluster) = cluster() else { return };
    assert!(cluster.sql(
        "postgres",
        "CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    ));
    let error = Database::open_postgres(&cluster.url("narrow"))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, super::DatabaseError::Encoding(_)), "{error}");
}

fn cluster() -> Option<Postgres> {
    or_skip_unless_demanded("postgresql", "the database layer on PostgreSQL", postgres())
}
