// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Jobs that run: by request and by schedule, watched over the web socket, restored byte for byte.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Client, PATIENCE, Server, World, assert_same, job};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// A web socket that is let in.
struct Socket(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Socket {
    async fn open(server: &Server, client: &Client) -> Self {
        let token = client
            .good(Method::POST, "/api/v1/auth/issuetoken/websocket", None)
            .await;
        let url = format!("ws://127.0.0.1:{}/notifications", server.port);
        let (socket, _) = connect_async(url).await.unwrap();
        let mut socket = Self(socket);
        socket
            .send(json!({"Version": 1, "Token": token["Token"], "Action": "auth"}))
            .await;
        let answer = socket.next(|_| true).await;
        assert_eq!(
            (&answer["Success"], &answer["Type"]),
            (&json!(true), &json!("auth"))
        );
        socket
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, service: &str) {
        let id = format!("req-{service}");
        self.send(json!({"Version": 1, "Id": id, "Action": "sub", "Service": service, "Data": null}))
            .await;
        let reply = self.next(|message| message["Id"] == id.as_str()).await;
        assert_eq!(
            (&reply["Success"], &reply["Type"]),
            (&json!(true), &json!("reply"))
        );
    }

    /// The next message that fits.
    async fn next(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let message = self
                    .0
                    .next()
                    .await
                    .expect("the socket is open")
                    .expect("a message");
                if let Message::Text(text) = message {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if fits(&value) {
                        return value;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the message came")
    }
}

#[tokio::test]
async fn a_backup_runs_is_watched_listed_searched_and_restored_byte_for_byte() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Documents").await;
    let mut socket = Socket::open(&server, &client).await;
    for service in [
        "legacystatus",
        "taskcompleted",
        "backuplist",
        "progress",
        "taskqueue",
        "notifications",
        "serversettings",
        "remotecontrol",
    ] {
        socket.subscribe(service).await;
    }
    let task = client
        .good(Method::POST, &format!("/api/v1/backup/{id}/start"), None)
        .await;
    assert_eq!((&task["Status"], &task["ID"]), (&json!("OK"), &json!(2)));
    socket
        .next(|message| message["Type"] == "taskqueue" && message["Data"][0]["ID"] == 2)
        .await;
    let progress = socket.next(|message| message["Type"] == "progress").await;
    assert_eq!(
        (&progress["ApiVersion"], &progress["Data"]["TaskID"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(progress["Data"]["BackupID"], id.as_str());
    let list = socket
        .next(|message| {
            message["Type"] == "backuplist"
                && message["Data"][0]["Backup"]["Metadata"]["BackupListCount"] == "1"
        })
        .await;
    let metadata = &list["Data"][0]["Backup"]["Metadata"];
    assert_eq!(
        (&metadata["SourceFilesCount"], &metadata["SourceFilesSize"]),
        (&json!("2"), &json!("300006"))
    );
    assert!(
        metadata["TargetFilesSize"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    let finished = metadata["LastBackupFinished"].as_str().unwrap();
    assert!(finished.len() == 16 && finished.ends_with('Z'), "{finished}");
    let completed = socket.next(|message| message["Type"] == "taskcompleted").await;
    assert_eq!(
        (&completed["Data"]["ID"], &completed["Data"]["Status"]),
        (&json!(2), &json!("Completed"))
    );
    socket
        .next(|message| message["Type"] == "legacystatus" && message["ActiveTask"].is_null())
        .await;
    socket
        .next(|message| message["Type"] == "taskqueue" && message["Data"] == json!([]))
        .await;
    client.completed(&task).await;
    let state = client.got("/api/v1/progressstate").await;
    assert_eq!(state["Phase"], "Backup_Complete");

    let log = client.got(&format!("/api/v1/backup/{id}/log?pagesize=100")).await;
    let result: Value = serde_json::from_str(log[0]["Message"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&result["MainOperation"], &result["ParsedResult"]),
        (&json!("Backup"), &json!("Success"))
    );
    assert_eq!(result["AddedFiles"], 2);
    let filesets = client
        .posted("/api/v2/backup/list-filesets", json!({"BackupId": id}))
        .await;
    let version = &filesets["Data"][0];
    assert_eq!(
        (
            &version["Version"],
            &version["FileCount"],
            &version["IsFullBackup"]
        ),
        (&json!(0), &json!(2), &json!(true))
    );
    let time = version["Time"].as_str().unwrap().to_owned();
    let folder = |paths: Value| json!({"BackupId": id, "Time": time, "Paths": paths, "PageSize": 0, "Page": 0, "ReturnExtended": true});
    let roots = client
        .posted("/api/v2/backup/list-folder", folder(Value::Null))
        .await;
    assert_eq!(roots["Data"][0]["Path"], world.text("source/"), "{roots}");
    let content = client
        .posted(
            "/api/v2/backup/list-folder",
            folder(json!([world.text("source/")])),
        )
        .await;
    let paths: Vec<_> = content["Data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["Path"].clone())
        .collect();
    assert_eq!(
        paths,
        [
            json!(world.text("source/a.txt")),
            json!(world.text("source/sub/"))
        ]
    );
    assert_eq!(content["PageInfo"]["Total"], 2);
    let search = json!({"BackupId": id, "Filters": ["B.BIN"], "Version": [0], "PageSize": 1000, "Page": 0});
    let found = client.posted("/api/v2/backup/search", search).await;
    assert_eq!(
        found["Data"][0]["Path"],
        world.text("source/sub/b.bin"),
        "{found}"
    );
    assert_eq!(found["Data"].as_array().unwrap().len(), 1);
    let v1 = client.got(&format!("/api/v1/backup/{id}/filesets")).await;
    assert_eq!(v1[0]["IsFullBackup"], 1);

    let restore = json!({
        "paths": [format!("{}*", world.text("source/"))], "passphrase": null, "time": time,
        "restore_path": world.text("restored"), "overwrite": false, "permissions": false, "skip_metadata": false,
    });
    let task = client
        .posted(&format!("/api/v1/backup/{id}/restore"), restore)
        .await;
    client.completed(&task).await;
    assert_same(&world.path("source"), &world.path("restored"));
    std::fs::remove_dir_all(world.path("source")).unwrap();
    let restore = json!({"paths": [world.text("source/a.txt")], "time": time, "restore_path": ""});
    let task = client
        .posted(&format!("/api/v1/backup/{id}/restore"), restore)
        .await;
    client.completed(&task).await;
    assert_eq!(std::fs::read(world.path("source/a.txt")).unwrap(), b"hello\n");
    assert!(!world.path("source/sub").exists());
}

#[tokio::test]
async fn versions_are_verified_compacted_repaired_and_deleted_over_the_interface() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Documents").await;
    for content in ["one", "two"] {
        std::fs::write(world.path("source/a.txt"), content).unwrap();
        let task = client
            .good(Method::POST, &format!("/api/v1/backup/{id}/run"), None)
            .await;
        client.completed(&task).await;
    }
    for operation in [
        "verify",
        "compact",
        "repair",
        "vacuum",
        "createreport",
        "report-remote-size",
    ] {
        let task = client
            .good(Method::POST, &format!("/api/v1/backup/{id}/{operation}"), None)
            .await;
        client.completed(&task).await;
    }
    let broken = client
        .posted("/api/v2/backup/list-broken-files", json!({"BackupId": id}))
        .await;
    assert_eq!(broken["Data"], json!([]));
    let versions = json!({"BackupId": id, "Paths": [world.text("source/a.txt")], "PageSize": 0, "Page": 0});
    let versions = client.posted("/api/v2/backup/list-versions", versions).await;
    assert_eq!(versions["Data"].as_array().unwrap().len(), 2, "{versions}");
    let none = client
        .posted(
            "/api/v2/backup/delete-versions",
            json!({"BackupId": id, "Versions": []}),
        )
        .await;
    assert_eq!(none["Success"], false);
    let task = client
        .posted(
            "/api/v2/backup/delete-versions",
            json!({"BackupId": id, "Versions": [1]}),
        )
        .await;
    client.completed(&task).await;
    let filesets = client
        .posted("/api/v2/backup/list-filesets", json!({"BackupId": id}))
        .await;
    assert_eq!(filesets["Data"].as_array().unwrap().len(), 1);
    let metrics = client.get("/metrics").await.text().await.unwrap();
    for line in [
        "duplicati_job_runs_total{backup_id=\"1\",operation=\"Backup\",result=\"Success\"} 2",
        "duplicati_backup_versions{backup_id=\"1\",backup_name=\"Documents\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let log = client.got(&format!("/api/v1/backup/{id}/log")).await;
    assert!(
        log.as_array()
            .unwrap()
            .iter()
            .all(|row| serde_json::from_str::<Value>(row["Message"].as_str().unwrap()).is_ok())
    );

    client
        .good(Method::POST, &format!("/api/v1/backup/{id}/deletedb"), None)
        .await;
    assert_eq!(
        client.got(&format!("/api/v1/backup/{id}")).await["Backup"]["DBPathExists"],
        false
    );
    let task = client
        .good(
            Method::POST,
            &format!("/api/v1/backup/{id}/repair"),
            Some(json!({})),
        )
        .await;
    client.completed(&task).await;
    let path = format!("/api/v1/backup/{id}?delete-remote-files=true&delete-local-db=true");
    let task = client.good(Method::DELETE, &path, None).await;
    client.completed(&task).await;
    assert_eq!(client.got("/api/v1/backups").await, json!([]));
    let left: Vec<_> = std::process::Command::new("find")
        .arg(world.path("destination"))
        .args(["-type", "f"])
        .output()
        .unwrap()
        .stdout;
    assert!(left.is_empty(), "{}", String::from_utf8_lossy(&left));
}

#[tokio::test]
async fn a_temporary_job_restores_from_the_files_alone() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Documents").await;
    let task = client
        .good(Method::POST, &format!("/api/v1/backup/{id}/start"), None)
        .await;
    client.completed(&task).await;
    let direct = |passphrase: &str| {
        json!({"Backup": {
            "TargetURL": format!("file://{}", world.text("destination")),
            "Settings": [{"Name": "--passphrase", "Value": passphrase}],
        }})
    };
    let made = client
        .posted("/api/v1/backups?temporary=true", direct("correct horse"))
        .await;
    let temporary = made["ID"].as_str().unwrap().to_owned();
    assert!(temporary.contains('-') && made["Temporary"] == true);
    let filesets = client
        .posted("/api/v2/backup/list-filesets", json!({"BackupId": temporary}))
        .await;
    let time = filesets["Data"][0]["Time"].clone();
    let body = Some(json!({"only_paths": true, "time": time}));
    let task = client
        .good(
            Method::POST,
            &format!("/api/v1/backup/{temporary}/repairupdate"),
            body,
        )
        .await;
    client.completed(&task).await;
    let copy = client
        .good(
            Method::POST,
            &format!("/api/v1/backup/{temporary}/copytotemp"),
            None,
        )
        .await;
    let restore = json!({"paths": null, "time": time, "restore_path": world.text("restored")});
    let task = client
        .posted(
            &format!("/api/v1/backup/{}/restore", copy["ID"].as_str().unwrap()),
            restore,
        )
        .await;
    client.completed(&task).await;
    assert_same(&world.path("source"), &world.path("restored"));
    assert_eq!(client.got("/api/v1/backups").await.as_array().unwrap().len(), 1);

    let wrong = client
        .posted("/api/v1/backups?temporary=true", direct("wrong"))
        .await;
    let refused = client
        .posted("/api/v2/backup/list-filesets", json!({"BackupId": wrong["ID"]}))
        .await;
    assert_eq!(
        (&refused["Success"], &refused["StatusCode"]),
        (&json!(false), &json!("WrongPassphrase"))
    );
    let unknown = client
        .posted("/api/v2/backup/list-filesets", json!({"BackupId": "99"}))
        .await;
    assert_eq!(unknown["StatusCode"], "HTTP-404");
}

#[tokio::test]
async fn a_failed_run_is_told_until_a_good_one() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    std::fs::write(world.path("destination"), "a file in the way").unwrap();
    let id = client.job(&world, "Documents").await;
    let start = format!("/api/v1/backup/{id}/start");
    let task = client.good(Method::POST, &start, None).await;
    let state = client.ended(&task).await;
    assert_eq!(state["Status"], "Failed");
    assert!(state["ErrorMessage"].is_string());
    let told = client.got("/api/v1/notifications").await;
    assert_eq!(
        (&told[0]["Type"], &told[0]["Action"]),
        (&json!("Error"), &json!("backup:show-log"))
    );
    assert_eq!(
        (&told[0]["Title"], &told[0]["BackupID"]),
        (&json!("Error while running Documents"), &json!(id))
    );
    let status = client.got("/api/v1/serverstate").await;
    assert_eq!(
        (&status["HasError"], &status["SuggestedStatusIcon"]),
        (&json!(true), &json!("ReadyError"))
    );
    let log = client.got(&format!("/api/v1/backup/{id}/log")).await;
    assert!(log[0]["Message"].as_str().unwrap().contains("\"Fatal\""));
    assert!(
        !client
            .got("/api/v1/logdata/log")
            .await
            .as_array()
            .unwrap()
            .is_empty()
    );
    std::fs::remove_file(world.path("destination")).unwrap();
    let task = client.good(Method::POST, &start, None).await;
    client.completed(&task).await;
    assert_eq!(client.got("/api/v1/notifications").await, json!([]));
    assert_eq!(client.got("/api/v1/serverstate").await["HasError"], false);
}

#[tokio::test]
async fn a_due_schedule_runs_by_itself_and_once_for_all_missed_times() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let mut socket = Socket::open(&server, &client).await;
    socket.subscribe("taskcompleted").await;
    let mut body = job(&world, "Documents");
    body["Schedule"] = json!({"Time": "2026-01-01T13:00:00Z", "Repeat": "1D", "AllowedDays": null});
    let made = client.posted("/api/v1/backups", body).await;
    let id = made["ID"].as_str().unwrap().to_owned();
    let completed = socket.next(|message| message["Type"] == "taskcompleted").await;
    assert_eq!(completed["Data"]["Status"], "Completed");
    let got = client.got(&format!("/api/v1/backup/{id}")).await;
    assert!(
        got["Schedule"]["LastRun"].as_str().unwrap() > "2026-01-02",
        "{got}"
    );
    let next = got["Schedule"]["Time"].as_str().unwrap().to_owned();
    assert!(next.ends_with("T13:00:00Z"), "{next}");
    let state = client.got("/api/v1/serverstate").await;
    assert_eq!(state["ProposedSchedule"], json!([{"Item1": id, "Item2": next}]));
    let log = client.got(&format!("/api/v1/backup/{id}/log")).await;
    assert_eq!(log.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_paused_server_waits_and_a_restart_does_not_end_the_pause() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Documents").await;
    client
        .good(Method::POST, "/api/v1/serverstate/pause?duration=1h", None)
        .await;
    let state = client.got("/api/v1/serverstate").await;
    assert_eq!(state["ProgramState"], "Paused");
    assert_ne!(state["EstimatedPauseEnd"], "0001-01-01T00:00:00Z");
    let task = client
        .good(Method::POST, &format!("/api/v1/backup/{id}/start"), None)
        .await;
    let again = client
        .good(
            Method::POST,
            &format!("/api/v1/backup/{id}/start?skipQueue=true"),
            None,
        )
        .await;
    assert_eq!(task["ID"], again["ID"]);
    let state = client.got("/api/v1/serverstate").await;
    assert_eq!(
        state["SchedulerQueueIds"],
        json!([{"Item1": task["ID"], "Item2": id}])
    );
    assert_eq!(
        client
            .refused(Method::POST, "/api/v1/serverstate/pause?duration=soon", None)
            .await
            .0,
        400
    );
    server.terminate();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    assert_eq!(client.got("/api/v1/serverstate").await["ProgramState"], "Paused");
    let task = client
        .good(Method::POST, &format!("/api/v1/backup/{id}/start"), None)
        .await;
    client
        .good(Method::POST, "/api/v1/serverstate/resume", None)
        .await;
    client.completed(&task).await;
    assert_eq!(client.got("/api/v1/serverstate").await["ProgramState"], "Running");
}

#[tokio::test]
async fn a_long_poll_answers_when_something_happens() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let state = client.got("/api/v1/serverstate").await;
    let poll = format!(
        "/api/v1/serverstate?longpoll=true&duration=1m&lastEventId={}",
        state["LastEventID"]
    );
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.got(&poll).await }
    });
    client
        .good(
            Method::PATCH,
            "/api/v1/serversettings",
            Some(json!({"flag": "1"})),
        )
        .await;
    let changed = tokio::time::timeout(PATIENCE / 4, waiting)
        .await
        .expect("no full minute")
        .unwrap();
    assert_ne!(changed["LastEventID"], state["LastEventID"]);
    for wrong in [
        "longpoll=true",
        "longpoll=true&lastEventId=1&duration=5s",
        "longpoll=true&lastEventId=1&duration=x",
    ] {
        assert_eq!(
            client
                .refused(Method::GET, &format!("/api/v1/serverstate?{wrong}"), None)
                .await
                .0,
            400
        );
    }
}

#[tokio::test]
async fn a_socket_without_a_good_token_is_closed_with_4401() {
    let world = World::new();
    let server = world.start();
    let url = format!("ws://127.0.0.1:{}/notifications", server.port);
    for query in ["?token=nonsense", ""] {
        let (mut socket, _) = connect_async(format!("{url}{query}")).await.unwrap();
        if query.is_empty() {
            socket
                .send(Message::text(
                    r#"{"Version":1,"Token":"nonsense","Action":"auth"}"#,
                ))
                .await
                .unwrap();
        }
        let closed = tokio::time::timeout(PATIENCE, async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(closed.await.unwrap(), 4401);
    }
    let plain = Client::new(&server).get("/notifications").await;
    assert_eq!(plain.status(), 400);
}

#[tokio::test]
async fn a_server_that_was_killed_during_a_run_goes_on_after_the_next_start() {
    let world = World::new();
    for number in 0..200 {
        std::fs::write(
            world.path(&format!("source/{number}.bin")),
            vec![number as u8; 200_000],
        )
        .unwrap();
    }
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let mut socket = Socket::open(&server, &client).await;
    socket.subscribe("progress").await;
    let mut body = job(&world, "Documents");
    body["Schedule"] = json!({"Time": "2026-01-01T13:00:00Z", "Repeat": "1D", "AllowedDays": null});
    client.posted("/api/v1/backups", body).await;
    socket.next(|message| message["Type"] == "progress").await;
    server.kill();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let done = async {
        loop {
            let list = client.got("/api/v1/backups").await;
            if list[0]["Backup"]["Metadata"]["BackupListCount"].is_string() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
    let restore = json!({"paths": [], "time": "", "restore_path": world.text("restored")});
    let task = client.posted("/api/v1/backup/1/restore", restore).await;
    client.completed(&task).await;
    assert_same(&world.path("source"), &world.path("restored"));
}
