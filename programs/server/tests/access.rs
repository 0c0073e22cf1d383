// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who is let in, for how long, and what is refused.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use reqwest::{Method, header};
use serde_json::{Value, json};
use support::{Client, PASSWORD, World};

/// A sign-in with its cookie.
struct Session {
    cookie: String,
    nonce: String,
    access: String,
    set_cookie: String,
}

async fn session_of(response: reqwest::Response) -> Session {
    let set_cookie = response.headers()[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = response.json().await.unwrap();
    Session {
        cookie: set_cookie.split(';').next().unwrap().to_owned(),
        nonce: body["RefreshNonce"].as_str().unwrap().to_owned(),
        access: body["AccessToken"].as_str().unwrap().to_owned(),
        set_cookie,
    }
}

async fn login(client: &Client, stay: bool) -> Session {
    let answer = client
        .post(
            "/api/v1/auth/login",
            json!({"Password": PASSWORD, "RememberMe": stay}),
        )
        .await;
    assert_eq!(answer.status(), 200);
    session_of(answer).await
}

async fn refresh(client: &Client, session: &Session, nonce: Option<&str>) -> reqwest::Response {
    let url = format!("{}/api/v1/auth/refresh", client.base);
    let request = client.http.post(url).header(header::COOKIE, &session.cookie);
    let request = match nonce {
        Some(nonce) => request.json(&json!({"Nonce": nonce})),
        None => request,
    };
    request.send().await.unwrap()
}

async fn is_let_in(client: &Client, access: &str) -> bool {
    let with_token = Client {
        token: Some(access.to_owned()),
        ..client.clone()
    };
    with_token.get("/api/v1/serverstate").await.status() == 200
}

#[tokio::test]
async fn a_session_is_refreshed_by_cookie_and_nonce_and_ends_with_logout() {
    let world = World::new();
    let server = world.start();
    let client = Client::new(&server);
    let first = login(&client, true).await;
    let lower = first.set_cookie.to_lowercase();
    assert!(
        first
            .cookie
            .starts_with(&format!("RefreshToken_{}=", server.port))
    );
    for part in [
        "path=/api/v1/auth/refresh",
        "httponly",
        "samesite=strict",
        "domain=127.0.0.1",
        "expires=",
    ] {
        assert!(lower.contains(part), "{lower}");
    }
    assert!(!lower.contains("secure"), "plain HTTP: {lower}");
    assert!(is_let_in(&client, &first.access).await);
    assert_eq!(refresh(&client, &first, Some("wrong")).await.status(), 401);
    assert_eq!(refresh(&client, &first, None).await.status(), 401);
    let second = session_of(refresh(&client, &first, Some(&first.nonce)).await).await;
    assert!(is_let_in(&client, &second.access).await);
    let url = format!("{}/api/v1/auth/refresh/logout", client.base);
    let answer = client
        .http
        .post(url)
        .header(header::COOKIE, &second.cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"success": true}));
    assert!(!is_let_in(&client, &second.access).await);
    assert!(!is_let_in(&client, &first.access).await);
    assert_eq!(refresh(&client, &second, Some(&second.nonce)).await.status(), 401);
}

#[tokio::test]
async fn a_refresh_token_that_comes_back_ends_the_whole_session() {
    let world = World::new();
    let server = world.start();
    let client = Client::new(&server);
    let stolen = login(&client, true).await;
    let second = session_of(refresh(&client, &stolen, Some(&stolen.nonce)).await).await;
    let third = session_of(refresh(&client, &second, Some(&second.nonce)).await).await;
    // Two steps behind is no second tab any more.
    assert_eq!(refresh(&client, &stolen, Some(&stolen.nonce)).await.status(), 401);
    assert_eq!(refresh(&client, &third, Some(&third.nonce)).await.status(), 401);
    assert!(!is_let_in(&client, &third.access).await);
}

#[tokio::test]
async fn wrong_credentials_get_401_with_the_texts_that_clients_know() {
    let world = World::new();
    let server = world.start();
    let client = Client::new(&server);
    let refused = |path: &'static str, body: Value| {
        let client = client.clone();
        async move { client.refused(Method::POST, path, Some(body)).await }
    };
    let login = refused("/api/v1/auth/login", json!({"Password": "wrong"})).await;
    assert_eq!(login, (401, "Failed to log in".to_owned()));
    let signin = refused("/api/v1/auth/signin", json!({"SigninToken": "x"})).await;
    assert_eq!(signin, (401, "Failed to sign in".to_owned()));
    let without_cookie = refused("/api/v1/auth/refresh", json!({})).await;
    assert_eq!(
        without_cookie,
        (401, "Authorization failed due to missing cookie.".to_owned())
    );
    let status = client.send(Method::POST, "/api/v1/auth/status", None).await;
    assert_eq!(
        status.json::<Value>().await.unwrap(),
        json!({"authorized": false, "message": "Not authorized"})
    );
}

#[tokio::test]
async fn every_route_but_the_open_ones_needs_a_token() {
    let world = World::new();
    let server = world.start();
    let client = Client::new(&server);
    let closed = [
        (Method::GET, "/api/v1/systeminfo"),
        (Method::GET, "/api/v1/serverstate"),
        (Method::GET, "/api/v1/serversettings"),
        (Method::PATCH, "/api/v1/serversettings"),
        (Method::PUT, "/api/v1/serversetting/server-passphrase"),
        (Method::GET, "/api/v1/backups"),
        (Method::POST, "/api/v1/backups"),
        (Method::POST, "/api/v1/backups/import"),
        (Method::GET, "/api/v1/backup/1"),
        (Method::PUT, "/api/v1/backup/1"),
        (Method::DELETE, "/api/v1/backup/1"),
        (Method::POST, "/api/v1/backup/1/start"),
        (Method::POST, "/api/v1/backup/1/restore"),
        (Method::GET, "/api/v1/backup/1/log"),
        (Method::GET, "/api/v1/backup/1/export"),
        (Method::GET, "/api/v1/backup/1/export-cmdline"),
        (Method::POST, "/api/v1/filesystem"),
        (Method::POST, "/api/v1/remoteoperation/test"),
        (Method::GET, "/api/v1/tasks"),
        (Method::GET, "/api/v1/notifications"),
        (Method::GET, "/api/v1/logdata/poll"),
        (Method::GET, "/api/v1/uisettings"),
        (Method::POST, "/api/v1/auth/issuetoken/export"),
        (Method::POST, "/api/v1/auth/issue-forever-token"),
        (Method::POST, "/api/v2/backup/list-filesets"),
        (Method::POST, "/api/v2/destination/test"),
        (Method::GET, "/metrics"),
    ];
    for (method, path) in closed {
        let answer = client.send(method.clone(), path, Some(json!({}))).await;
        assert_eq!(answer.status(), 401, "{method} {path}");
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    assert_eq!(client.get("/api/v1/commandline").await.status(), 200);
    let signed_in = Client::signed_in(&server).await;
    assert_eq!(signed_in.get("/api/v1/no-such-route").await.status(), 404);
}

#[tokio::test]
async fn names_that_are_not_this_machine_are_refused() {
    let world = World::new();
    let server = world.start_with(&[
        "--webservice-password=easy1234",
        "--webservice-allowed-hostnames=backup.example",
    ]);
    let client = Client::new(&server);
    let status = |host: &'static str| {
        let client = client.clone();
        async move {
            let request = client.http.post(format!("{}/api/v1/auth/status", client.base));
            let answer = request.header(header::HOST, host).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(status("backup.example:8200").await.0, 200);
    assert_eq!(status("localhost").await.0, 200);
    let (code, text) = status("evil.example").await;
    assert_eq!(code, 403);
    assert!(text.contains("Invalid hostname: evil.example"), "{text}");
}

#[tokio::test]
async fn tokens_for_single_purposes_open_nothing_else() {
    let world = World::new();
    let server = world.start_with(&[
        "--webservice-password=easy1234",
        "--webservice-enable-forever-token",
    ]);
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "x").await;
    let token = client
        .good(Method::POST, "/api/v1/auth/issuetoken/export", None)
        .await;
    let token = token["Token"].as_str().unwrap().to_owned();
    let anonymous = Client {
        token: None,
        ..client.clone()
    };
    let export = anonymous
        .get(&format!("/api/v1/backup/{id}/export?token={token}"))
        .await;
    assert_eq!(export.status(), 200);
    assert!(
        export.headers()[header::CONTENT_DISPOSITION]
            .to_str()
            .unwrap()
            .contains("x-duplicati-config.json")
    );
    assert!(!is_let_in(&client, &token).await);
    let other = client
        .good(Method::POST, "/api/v1/auth/issuetoken/websocket", None)
        .await;
    let other = other["Token"].as_str().unwrap();
    assert_eq!(
        anonymous
            .get(&format!("/api/v1/backup/{id}/export?token={other}"))
            .await
            .status(),
        401
    );
    let wrong = client
        .refused(Method::POST, "/api/v1/auth/issuetoken/everything", None)
        .await;
    assert_eq!(wrong, (400, "Invalid operation".to_owned()));
    let forever = client
        .good(Method::POST, "/api/v1/auth/issue-forever-token", None)
        .await;
    assert!(is_let_in(&client, forever["AccessToken"].as_str().unwrap()).await);
    assert_eq!(
        client
            .refused(Method::POST, "/api/v1/auth/issue-forever-token", None)
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn fixed_tokens_and_the_token_for_figures_work_as_far_as_they_should() {
    let world = World::new();
    let server = world.start_with(&[
        "--webservice-password=easy1234",
        "--webservice-pre-auth-tokens=abcdefghij;0123456789",
        "--webservice-metrics-token=figures-only",
    ]);
    let client = Client::new(&server);
    let status = |path: &'static str, value: &'static str| {
        let client = client.clone();
        async move {
            let request = client.http.get(format!("{}{path}", client.base));
            request
                .header(header::AUTHORIZATION, value)
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        }
    };
    assert_eq!(status("/api/v1/serverstate", "PreAuth 0123456789").await, 200);
    assert_eq!(status("/api/v1/serverstate", "PreAuth 0123456780").await, 401);
    assert_eq!(status("/api/v1/serverstate", "Bearer 0123456789").await, 401);
    assert_eq!(status("/metrics", "Bearer figures-only").await, 200);
    assert_eq!(status("/api/v1/serverstate", "Bearer figures-only").await, 401);
}

#[tokio::test]
async fn resetting_the_key_of_tokens_signs_everybody_out() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let access = client.token.clone().unwrap();
    server.terminate();
    let server = world.start();
    assert!(is_let_in(&Client::new(&server), &access).await);
    server.terminate();
    let server = world.start_with(&["--webservice-reset-jwt-config"]);
    assert!(!is_let_in(&Client::new(&server), &access).await);
}

#[tokio::test]
async fn bodies_that_are_not_json_or_too_long_are_refused() {
    let world = World::new();
    let server = world.start();
    let client = Client::new(&server);
    let url = format!("{}/api/v1/auth/login", client.base);
    let send = |kind: &'static str, body: Vec<u8>| {
        client
            .http
            .post(&url)
            .header(header::CONTENT_TYPE, kind)
            .body(body)
            .send()
    };
    assert_eq!(send("text/plain", b"{}".to_vec()).await.unwrap().status(), 415);
    assert_eq!(
        send("application/json", b"{".to_vec()).await.unwrap().status(),
        400
    );
    let long = send("application/json", vec![b' '; 17 << 20]).await;
    // The server answers and hangs up; whether the answer or the end is seen first is a race.
    assert!(long.is_err() || long.is_ok_and(|answer| answer.status() == 413));
    // A connection of its own: the one before may be ending while it is still kept for use.
    assert_eq!(Client::new(&server).get("/health").await.status(), 200);
}
