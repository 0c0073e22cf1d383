// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The whole server on a real PostgreSQL. All other tests of the server run on it as well when `tests/postgres` starts them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use duplicati_testkit::servers::{
    or_skip_unless_demanded,
    postgres::{Postgres, postgres},
};
use reqwest::Method;
use serde_json::json;
use support::{Client, World, assert_same};

fn cluster() -> Option<Postgres> {
    or_skip_unless_demanded("postgresql", "the server on PostgreSQL", postgres())
}

#[tokio::test]
async fn a_backup_runs_is_restored_and_outlives_a_killed_server_on_postgresql() {
    let Some(cluster) = cluster() else { return };
    let world = World::with_database(Some(cluster.database("whole")));
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Größe").await;
    let task = client
        .posted(&format!("/api/v1/backup/{id}/start"), json!({}))
        .await;
    client.completed(&task).await;
    let filesets = client.got(&format!("/api/v1/backup/{id}/filesets")).await;
    let restore = json!({
        "paths": [format!("{}*", world.text("source/"))], "passphrase": null, "time": filesets[0]["Time"],
        "restore_path": world.text("restored"), "overwrite": false, "permissions": false, "skip_metadata": false,
    });
    let task = client
        .posted(&format!("/api/v1/backup/{id}/restore"), restore)
        .await;
    client.completed(&task).await;
    assert_same(&world.path("source"), &world.path("restored"));
    assert!(
        !world
            .path("home/.config/Duplicati/Duplicati-server.sqlite")
            .exists()
    );
    server.kill();

    let server = world.start();
    let client = Client::signed_in(&server).await;
    let kept = client.got(&format!("/api/v1/backup/{id}")).await;
    assert_eq!(
        kept["data"]["Backup"]["Name"]
            .as_str()
            .or(kept["Backup"]["Name"].as_str()),
        Some("Größe")
    );
    let log = client.got(&format!("/api/v1/backup/{id}/log?pagesize=10")).await;
    assert!(log.to_string().contains("Backup"), "{log}");
    assert!(server.terminate().success());
}

#[tokio::test]
async fn a_server_answers_again_after_postgresql_was_started_again() {
    let Some(mut cluster) = cluster() else { return };
    let world = World::with_database(Some(cluster.database("again")));
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "kept").await;
    cluster.stop();
    assert_eq!(client.get("/api/v1/backups").await.status(), 500);
    assert_eq!(client.get("/health").await.status(), 200);
    cluster.start().unwrap();
    let list = client.good(Method::GET, "/api/v1/backups", None).await;
    assert_eq!(list[0]["Backup"]["ID"], id.as_str());
}

#[tokio::test]
async fn two_servers_on_two_machines_do_not_share_one_database() {
    let Some(cluster) = cluster() else { return };
    let url = cluster.database("shared");
    let (here, there) = (
        World::with_database(Some(url.clone())),
        World::with_database(Some(url)),
    );
    let first = here.start();
    let output = there.command(&["--webservice-port=0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(200));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("another server uses this database"), "{errors}");
    // A killed one leaves no lock.
    first.kill();
    there.start();
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_ends_the_start_without_showing_the_password() {
    let Some(mut cluster) = cluster() else { return };
    let world = World::with_database(Some(cluster.database("gone")));
    cluster.stop();
    let output = world.command(&["--webservice-port=0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(100));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("the server database"), "{errors}");
    assert!(!errors.contains(cluster.password()), "{errors}");
}
