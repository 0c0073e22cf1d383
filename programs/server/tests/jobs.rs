// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Jobs: making, changing, hiding their secrets, moving them in and out.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Client, World, job};

const PLACEHOLDER: &str = "***************";

fn setting<'a>(backup: &'a Value, name: &str) -> Option<&'a str> {
    let settings = backup["Settings"].as_array()?;
    settings.iter().find(|row| row["Name"] == name)?["Value"].as_str()
}

#[tokio::test]
async fn a_job_comes_back_as_it_was_made_with_its_secrets_masked() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let mut body = job(&world, "Documents");
    body["Backup"]["TargetURL"] = "ssh://me:hunter2@host/path?auth-password=hunter2&ssh-keyfile=/k".into();
    body["Schedule"] =
        json!({"Time": "2030-01-01T13:00:00Z", "Repeat": "1D", "AllowedDays": ["Monday", "Friday"]});
    let made = client.posted("/api/v1/backups", body).await;
    let id = made["ID"].as_str().unwrap();
    let got = client.got(&format!("/api/v1/backup/{id}")).await;
    let backup = &got["Backup"];
    assert_eq!(backup["ID"], id);
    assert_eq!(backup["Name"], "Documents");
    assert_eq!(backup["Sources"], json!([world.text("source/")]));
    assert_eq!(
        backup["Filters"],
        json!([{"Order": 0, "Include": false, "Expression": "*.tmp"}])
    );
    assert_eq!(setting(backup, "passphrase"), Some(PLACEHOLDER));
    assert_eq!(setting(backup, "encryption-module"), Some("aes"));
    assert_eq!(backup["DBPathExists"], false);
    assert_eq!(backup["IsTemporary"], false);
    assert_eq!(backup["AdditionalTargetURLs"], json!([]));
    assert_eq!(
        backup["TargetURL"],
        format!("ssh://me:{PLACEHOLDER}@host/path?auth-password={PLACEHOLDER}&ssh-keyfile=/k")
    );
    let schedule = &got["Schedule"];
    assert_eq!(schedule["Time"], "2030-01-01T13:00:00Z");
    assert_eq!(schedule["AllowedDays"], json!(["mon", "fri"]));
    assert_eq!(schedule["Rule"], "AllowedWeekDays=Monday,Friday");
    assert_eq!(schedule["LastRun"], "0001-01-01T00:00:00");
    assert_eq!(schedule["Tags"], json!([format!("ID={id}")]));
    let list = client.got("/api/v1/backups").await;
    assert_eq!(list[0]["Backup"]["Sources"], json!([]));
    assert!(list[0]["Backup"]["Settings"].is_null());
    let everything = [
        list.to_string(),
        got.to_string(),
        client.got("/api/v1/serversettings").await.to_string(),
    ];
    for text in everything {
        assert!(
            !text.contains("hunter2") && !text.contains("correct horse"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn placeholders_that_come_back_mean_the_stored_secret() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Documents").await;
    let path = format!("/api/v1/backup/{id}");
    let mut got = client.got(&path).await;
    got["Backup"]["Name"] = "Renamed".into();
    client.good(Method::PUT, &path, Some(got)).await;
    let export = client.got(&format!("{path}/export?export-passwords=true")).await;
    assert_eq!(export["Backup"]["Name"], "Renamed");
    assert_eq!(setting(&export["Backup"], "passphrase"), Some("correct horse"));
    let mut new = job(&world, "Other");
    new["Backup"]["Settings"][1]["Value"] = PLACEHOLDER.into();
    let refused = client.refused(Method::POST, "/api/v1/backups", Some(new)).await;
    assert_eq!(
        refused,
        (400, "Settings is password placeholder value".to_owned())
    );
}

#[tokio::test]
async fn jobs_that_make_no_sense_are_refused_with_a_reason() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    client.job(&world, "Documents").await;
    let refused = |change: fn(&mut Value)| {
        let (client, mut body) = (client.clone(), job(&world, "New"));
        change(&mut body);
        async move { client.refused(Method::POST, "/api/v1/backups", Some(body)).await }
    };
    assert_eq!(
        refused(|body| body["Backup"]["Name"] = "documents".into())
            .await
            .0,
        409
    );
    type Spoil = fn(&mut Value);
    let cases: [(Spoil, &str); 9] = [
        (|body| body["Backup"]["Name"] = " ".into(), "Missing a name"),
        (|body| body["Backup"]["TargetURL"] = "".into(), "Missing a target"),
        (
            |body| body["Backup"]["Sources"] = json!([]),
            "Invalid source list",
        ),
        (
            |body| body["Backup"]["Sources"] = json!(["/x", " "]),
            "Invalid source list",
        ),
        (
            |body| body["Backup"]["Settings"] = json!([]),
            "Missing passphrase",
        ),
        (
            |body| body["Schedule"] = json!({"Repeat": "4m"}),
            "more than 5 minutes",
        ),
        (
            |body| body["Backup"]["Settings"][2] = json!({"Name": "keep-versions", "Value": "0"}),
            "keep-versions",
        ),
        (
            |body| body["Backup"]["Settings"][2] = json!({"Name": "dblock-size", "Value": "much"}),
            "dblock-size",
        ),
        (
            |body| body["Backup"]["Settings"][2] = json!({"Name": "--no-such-option", "Value": "1"}),
            "no-such-option",
        ),
    ];
    for (change, reason) in cases {
        let (status, text) = refused(change).await;
        assert_eq!(status, 400, "{reason}");
        assert!(text.contains(reason), "{text:?} should hold {reason:?}");
    }
    for (method, path) in [
        (Method::GET, "/api/v1/backup/99"),
        (Method::POST, "/api/v1/backup/x/start"),
        (Method::DELETE, "/api/v1/backup/99"),
    ] {
        assert_eq!(
            client.refused(method, path, None).await,
            (404, "Backup not found".to_owned())
        );
    }
}

#[tokio::test]
async fn an_exported_job_is_imported_under_a_free_name() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Documents").await;
    let plain = client.got(&format!("/api/v1/backup/{id}/export")).await;
    assert_eq!(setting(&plain["Backup"], "passphrase"), None);
    assert_eq!(plain["DisplayNames"], json!({world.text("source/"): "source"}));
    let whole = client
        .got(&format!("/api/v1/backup/{id}/export?export-passwords=True"))
        .await;
    let import = |file: &Value, extra: Value| {
        let mut body =
            json!({"config": STANDARD.encode(file.to_string()), "cmdline": false, "import_metadata": false});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body
    };
    let draft = client
        .posted("/api/v1/backups/import", import(&whole, json!({"direct": false})))
        .await;
    assert!(draft["Id"].is_null());
    assert_eq!(draft["data"]["Backup"]["Name"], "Documents");
    let made = client
        .posted("/api/v1/backups/import", import(&whole, json!({"direct": true})))
        .await;
    let copy = client
        .got(&format!("/api/v1/backup/{}", made["Id"].as_str().unwrap()))
        .await;
    assert_eq!(copy["Backup"]["Name"], "Documents (1)");
    assert_ne!(copy["Backup"]["DBPath"], whole["Backup"]["DBPath"]);
    let replaced =
        json!({"direct": true, "replace_settings": {"settings.passphrase": "new one", "name": "Third"}});
    let made = client
        .posted("/api/v1/backups/import", import(&plain, replaced))
        .await;
    let third = client
        .got(&format!(
            "/api/v1/backup/{}/export?export-passwords=true",
            made["Id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(third["Backup"]["Name"], "Third");
    assert_eq!(setting(&third["Backup"], "passphrase"), Some("new one"));
    for wrong in [
        json!("not an object"),
        json!({}),
        json!({"Backup": {"Name": "x"}}),
    ] {
        let (status, text) = client
            .refused(
                Method::POST,
                "/api/v1/backups/import",
                Some(import(&wrong, json!({"direct": true}))),
            )
            .await;
        assert_eq!(status, 500);
        assert!(text.starts_with("Failed to import backup: "), "{text}");
    }
}

/// An export file of another program, sealed with the passphrase "export me".
const SEALED_EXPORT: &str = "QUVTAgAAAAABAgMEBQYHCAkKCwwNDg9/RBBRFjWHuXVMHEozRXXUrnGfa4GQi3zqE7bTYkZoMc5/PxvTJLqq7zMFgnin6Xt8HkkuEXghCJ0v2p\
     J8R/H05cFtTXVBR01r5+y13veXdZ2flipPmDBAOiaNeS9g72MnG+2PjsnbdZFJqE+y6dgVl8a1UQZ0qyTs2Knx2I9BPwzVqp/Hz97ztviBp5z6\
     zO7OSfC5yi0zE4KqKd8YTAwjOm2XT5NaMF2CR4YChjZEx0Sw90NyYclMJkLJIx9zdmN6SphgR14cZsE53/XB1750pPL7cP2zBSID8Oz6Ihv4S2\
     iSliB4QFxIvcH26urwvzb+fFCT9nlo75PeEkOEv/NkMmpq3079jg4yx4dfzVjq+zJHAFNFBRSTqFauAE6MEnCFNV6reEL9NakBYS8aVc88D+nu\
     rUo61fFUGBBX31O7qtczZ+o/z8xYY6Jn2MKMa4VR";

#[tokio::test]
async fn an_encrypted_export_opens_with_its_passphrase() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let import =
        |passphrase: &str| json!({"config": SEALED_EXPORT, "direct": false, "passphrase": passphrase});
    let draft = client.posted("/api/v1/backups/import", import("export me")).await;
    assert_eq!(draft["data"]["Backup"]["Name"], "From a file");
    let path = "/api/v1/backups/import";
    let (status, text) = client.refused(Method::POST, path, Some(import("wrong"))).await;
    assert_eq!(status, 500);
    assert!(text.contains("passphrase is wrong"), "{text}");
}

#[tokio::test]
async fn the_list_is_sorted_as_asked() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    for name in ["b", "C", "a"] {
        client.job(&world, name).await;
    }
    let names = |order: &'static str| {
        let client = client.clone();
        async move {
            let list = client.got(&format!("/api/v1/backups?orderBy={order}")).await;
            let rows = list.as_array().unwrap().clone();
            rows.iter()
                .map(|row| row["Backup"]["Name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(names("").await, ["b", "C", "a"]);
    assert_eq!(names("name").await, ["a", "b", "C"]);
    assert_eq!(names("-name").await, ["C", "b", "a"]);
    assert_eq!(names("unknown,-id").await, ["a", "C", "b"]);
}

#[tokio::test]
async fn settings_are_stored_told_and_guarded() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let shown = client.got("/api/v1/serversettings").await;
    for name in [
        "startup-delay",
        "allowed-hostnames",
        "update-channel",
        "usage-reporter-level",
        "disable-tray-icon-login",
        "server-listen-interface",
    ] {
        assert!(shown[name].is_string(), "{name}");
    }
    for name in ["jwt-config", "pbkdf-config", "server-passphrase"] {
        assert!(shown.get(name).is_none(), "{name}");
        assert_eq!(
            client
                .get(&format!("/api/v1/serversetting/{name}"))
                .await
                .status(),
            404
        );
    }
    let change = json!({
        "max-upload-speed": "10MB", "my-own-flag": "x", "jwt-config": "{}", "--zstd-level": "5", "--passphrase": "secret words",
    });
    client
        .good(Method::PATCH, "/api/v1/serversettings", Some(change))
        .await;
    let shown = client.got("/api/v1/serversettings").await;
    assert_eq!(shown["max-upload-speed"], "10MB");
    assert_eq!(shown["my-own-flag"], "x");
    assert_eq!(shown["--zstd-level"], "5");
    assert_eq!(shown["--passphrase"], PLACEHOLDER);
    client
        .good(
            Method::PATCH,
            "/api/v1/serversettings",
            Some(json!({"--zstd-level": null})),
        )
        .await;
    assert!(
        client
            .got("/api/v1/serversettings")
            .await
            .get("--zstd-level")
            .is_none()
    );
    for wrong in [
        json!({"update-check-interval": "often"}),
        json!({"server-timezone": "Moon"}),
        json!({"--zstd-level": "x"}),
    ] {
        assert_eq!(
            client
                .refused(Method::PATCH, "/api/v1/serversettings", Some(wrong))
                .await
                .0,
            400
        );
    }
    let path = "/api/v1/serversetting/jwt-config";
    assert_eq!(client.refused(Method::PUT, path, Some(json!("{}"))).await.0, 400);
    client
        .good(
            Method::PATCH,
            "/api/v1/uisettings/mine",
            Some(json!({"a": "1", "b": "2"})),
        )
        .await;
    client
        .good(Method::PATCH, "/api/v1/uisettings/mine", Some(json!({"a": null})))
        .await;
    assert_eq!(client.got("/api/v1/uisettings/mine").await, json!({"b": "2"}));
    assert_eq!(client.got("/api/v1/uisettings").await, json!(["mine"]));
}

#[tokio::test]
async fn the_pickers_see_folders_and_destinations() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    std::fs::write(world.path("source/.hidden"), "x").unwrap();
    std::os::unix::fs::symlink("a.txt", world.path("source/link")).unwrap();
    let list = client
        .posted(
            "/api/v1/filesystem?onlyFolders=false&showHidden=true",
            json!({"path": world.text("source")}),
        )
        .await;
    let rows = list.as_array().unwrap();
    let texts: Vec<_> = rows.iter().map(|row| row["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["sub", ".hidden", "a.txt", "link"]);
    assert_eq!(rows[0]["id"], format!("{}/", world.text("source/sub")));
    assert_eq!(
        (&rows[0]["cls"], &rows[0]["leaf"], &rows[0]["fileSize"]),
        (&json!("folder"), &json!(false), &json!(-1))
    );
    assert_eq!(
        (&rows[2]["cls"], &rows[2]["leaf"], &rows[2]["fileSize"]),
        (&json!("file"), &json!(true), &json!(6))
    );
    assert_eq!(
        (&rows[3]["symlink"], &rows[3]["resolvedpath"]),
        (&json!(true), &json!("a.txt"))
    );
    let root = client
        .posted(
            "/api/v1/filesystem?onlyFolders=true&showHidden=false",
            json!({"path": "/"}),
        )
        .await;
    assert!(root.to_string().contains("\"/usr/\""));
    for (path, status) in [("", 400), ("relative", 400), ("/no/such/folder", 500)] {
        let body = Some(json!({"path": path}));
        assert_eq!(
            client.refused(Method::POST, "/api/v1/filesystem", body).await.0,
            status,
            "{path:?}"
        );
    }
    client
        .posted(
            "/api/v1/filesystem/validate",
            json!({"path": world.text("source/a.txt")}),
        )
        .await;
    let missing = client
        .refused(
            Method::POST,
            "/api/v1/filesystem/validate",
            Some(json!({"path": "/no/such"})),
        )
        .await;
    assert_eq!(missing, (404, "The path does not exist".to_owned()));

    let url = format!("file://{}", world.text("new folder"));
    let test = |create: bool| json!({"DestinationUrl": url, "AutoCreate": create, "BackupId": null, "Options": null});
    let absent = client.posted("/api/v2/destination/test", test(false)).await;
    assert_eq!(
        (&absent["Success"], &absent["StatusCode"]),
        (&json!(false), &json!("missing-folder"))
    );
    assert!(!world.path("new folder").exists());
    let made = client.posted("/api/v2/destination/test", test(true)).await;
    assert_eq!(
        (&made["Success"], &made["Data"]["FolderIsEmpty"]),
        (&json!(true), &json!(true)),
        "{made}"
    );
    let filter = json!({
        "Paths": ["/s/", "/s/a.tmp", "/s/b.txt", "/other"], "Sources": ["/s/"], "Filters": ["-*.tmp"],
    });
    let decided = client.posted("/api/v2/filesystem/test-filter", filter).await;
    assert_eq!(
        decided["Data"],
        json!([
            {"Path": "/s/", "Included": true, "MatchedFilter": null},
            {"Path": "/s/a.tmp", "Included": false, "MatchedFilter": "-*.tmp"},
            {"Path": "/s/b.txt", "Included": true, "MatchedFilter": null},
        ])
    );
}

#[tokio::test]
async fn what_clients_need_to_draw_their_pages_is_there() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let info = client.got("/api/v1/systeminfo").await;
    assert_eq!(info["APIVersion"], 1);
    assert_eq!(info["PasswordPlaceholder"], PLACEHOLDER);
    assert_eq!(info["OSType"], "Linux");
    for name in [
        "Options",
        "BackendModules",
        "EncryptionModules",
        "CompressionModules",
        "APIExtensions",
        "LogLevels",
        "TimeZones",
    ] {
        assert!(!info[name].as_array().unwrap().is_empty(), "{name}");
    }
    assert!(
        info["BackendModules"]
            .as_array()
            .unwrap()
            .iter()
            .any(|module| module["Key"] == "file")
    );
    let groups = client.got("/api/v1/systeminfo/filtergroups").await;
    assert!(
        groups["FilterGroups"]["SystemFiles"]
            .to_string()
            .contains("/proc/")
    );
    assert_eq!(client.got("/api/v1/webmodules").await, json!([]));
    assert_eq!(
        client.got("/api/v1/backupdefaults").await["Schedule"]["Repeat"],
        "1D"
    );
    assert_eq!(client.got("/api/v2/connection-strings").await["Success"], true);
    for path in [
        "changelog",
        "licenses",
        "acknowledgements",
        "remotecontrol/status",
        "logdata/crashlog",
        "logdata/log",
        "tasks",
    ] {
        client.got(&format!("/api/v1/{path}")).await;
    }
    assert_eq!(
        client.refused(Method::GET, "/api/v1/progressstate", None).await,
        (404, "No active backup".to_owned())
    );
    assert_eq!(
        client.refused(Method::GET, "/api/v1/task/77", None).await,
        (404, "No such task found".to_owned())
    );
    assert_eq!(
        client
            .refused(Method::GET, "/api/v1/logdata/poll?level=Disabled", None)
            .await
            .0,
        400
    );
}
