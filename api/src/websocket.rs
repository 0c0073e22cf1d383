// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `/notifications`: tells clients what changes, as soon as it does.
//!
//! Every message is a whole state, so a socket that reads too slowly may miss one without harm: it gets the next.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequestParts, Request, State as Extract,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    access,
    dto::{notification, server_status::server_status, task},
    hub::Change,
    json::{self, Query},
    routes::v1_states,
    state::App,
};

/// Longest message of a client, bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Sockets at once.
pub const SOCKETS_MAX: usize = 200;
/// How long a client may take to show its token.
const AUTH_WAIT: Duration = Duration::from_secs(60);
/// How long a client may take to read a message.
const SEND_WAIT: Duration = Duration::from_secs(30);
/// How often a token is looked at again: sessions end.
const RECHECK: Duration = Duration::from_secs(60);
/// Not allowed, or not any more.
const CLOSE_UNAUTHORIZED: u16 = 4401;
/// Everything that can be subscribed to.
const SERVICES: [&str; 9] = [
    "legacystatus",
    "serversettings",
    "backuplist",
    "progress",
    "taskqueue",
    "taskcompleted",
    "notifications",
    "remotecontrol",
    "scheduler",
];

/// What a socket showed, to be looked at again.
enum Credential {
    /// Good for the life of the socket, as those were that are good for one moment only.
    Lasting,
    Access(String),
}

pub async fn connect(Extract(app): Extract<App>, query: Query, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let given = query.text("token").map(str::to_owned);
    let by_header = access::is_allowed(&app, &parts.headers).await.unwrap_or(false);
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &app).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            let Ok(_place) = Arc::clone(&app.sockets).try_acquire_owned() else {
                return close(socket, 1013, "There are too many connections").await;
            };
            let credential = match given {
                Some(token) => check(&app, &token, false).await,
                None if by_header => Some(Credential::Lasting),
                None => return serve(app, socket, None).await,
            };
            match credential {
                Some(credential) => serve(app, socket, Some(credential)).await,
                None => close(socket, CLOSE_UNAUTHORIZED, "The token is not valid").await,
            }
        })
}

/// What a token allows. Tokens for one operation are for the first message only.
async fn check(app: &App, token: &str, is_first_message: bool) -> Option<Credential> {
    let now = app.now().as_second();
    if app.auth.is_pre_auth(token) || (is_first_message && app.auth.is_operation(token, "websocket", now)) {
        return Some(Credential::Lasting);
    }
    app.auth
        .is_access(&app.database, token, now)
        .await
        .unwrap_or(false)
        .then(|| Credential::Access(token.to_owned()))
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // The client may have gone already.
    let _told = tokio::time::timeout(SEND_WAIT, socket.send(Message::Close(Some(frame))))
        .await
        .is_ok();
}

/// A socket with what it wants to hear.
struct Client {
    app: App,
    socket: WebSocket,
    /// Services, with the order that the list of jobs is wanted in.
    subscriptions: BTreeMap<&'static str, String>,
}

/// The socket is over.
struct Gone;

async fn serve(app: App, mut socket: WebSocket, credential: Option<Credential>) {
    let mut changes = app.hub.changes();
    let is_known = credential.is_some();
    let mut credential = match credential {
        Some(credential) => credential,
        None => {
            let first = tokio::time::timeout(AUTH_WAIT, socket.recv()).await;
            let token = match first {
                Ok(Some(Ok(Message::Text(text)))) => serde_json::from_str::<Value>(&text)
                    .ok()
                    .and_then(|message| json::text(&message, "Token")),
                _ => None,
            };
            let checked = match token {
                Some(token) => check(&app, &token, true).await,
                None => None,
            };
            match checked {
                Some(credential) => credential,
                None => return close(socket, CLOSE_UNAUTHORIZED, "The token is not valid").await,
            }
        }
    };
    let mut client = Client {
        app,
        socket,
        subscriptions: BTreeMap::new(),
    };
    let greeted = if is_known {
        client.subscriptions.insert("legacystatus", String::new());
        client.tell("legacystatus").await
    } else {
        client.auth_reply("Authenticated successfully").await
    };
    if greeted.is_err() {
        return;
    }
    let mut recheck = tokio::time::interval(RECHECK);
    loop {
        let outcome = tokio::select! {
            message = client.socket.recv() => match message {
                Some(Ok(Message::Text(text))) => client.answer(&text).await,
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => Err(Gone),
                Some(Ok(_)) => Ok(()),
            },
            change = changes.recv() => match change {
                Ok(change) => client.changed(&change).await,
                Err(RecvError::Lagged(_)) => client.tell_everything().await,
                Err(RecvError::Closed) => Err(Gone),
            },
            _ = recheck.tick() => match &mut credential {
                Credential::Lasting => Ok(()),
                Credential::Access(token) => {
                    let now = client.app.now().as_second();
                    // A database that does not answer for a while ends no session.
                    if let Ok(false) = client.app.auth.is_access(&client.app.database, token, now).await {
                        return close(client.socket, CLOSE_UNAUTHORIZED, "The session has ended").await;
                    }
                    Ok(())
                }
            },
        };
        if outcome.is_err() {
            return;
        }
    }
}

impl Client {
    async fn send(&mut self, value: &Value) -> Result<(), Gone> {
        let message = Message::Text(value.to_string().into());
        match tokio::time::timeout(SEND_WAIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    async fn auth_reply(&mut self, text: &str) -> Result<(), Gone> {
        self.send(&json!({"Version": 1, "Message": text, "Success": true, "Type": "auth"}))
            .await
    }

    async fn answer(&mut self, text: &str) -> Result<(), Gone> {
        let message: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let id = json::field(&message, "Id").cloned().unwrap_or(Value::Null);
        let action = json::text(&message, "Action")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let asked = json::text(&message, "Service").unwrap_or_default();
        let service = SERVICES
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(&asked));
        let reply = |text: &str, success: bool, data: Value| {
            json!({
                "Version": 1, "Id": id, "Service": service.unwrap_or(asked.as_str()), "Message": text,
                "Success": success, "Data": data, "Type": "reply",
            })
        };
        if json::integer(&message, "Version") != Some(1) {
            return self.send(&reply("Unsupported version", false, Value::Null)).await;
        }
        match (action.as_str(), service) {
            ("auth", _) => self.auth_reply("Already authenticated").await,
            ("ping", _) => self.send(&reply("pong", true, Value::Null)).await,
            ("status", _) => {
                let status = server_status(&self.app);
                self.send(&reply("Status", true, status)).await
            }
            ("sub", Some(service)) => {
                let order = json::field(&message, "Data")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                self.subscriptions.insert(service, order.to_owned());
                self.send(&reply("Subscribed successfully", true, Value::Null))
                    .await?;
                match service {
                    "progress" | "taskcompleted" | "scheduler" => Ok(()),
                    service => self.tell(service).await,
                }
            }
            ("unsub", Some(service)) => {
                self.subscriptions.remove(service);
                self.send(&reply("Unsubscribed successfully", true, Value::Null))
                    .await
            }
            ("sub" | "unsub", None) => self.send(&reply("Unknown service", false, Value::Null)).await,
            _ => self.send(&reply("Unknown action", false, Value::Null)).await,
        }
    }

    async fn changed(&mut self, change: &Change) -> Result<(), Gone> {
        match change {
            Change::Status => self.tell("legacystatus").await,
            Change::Settings => self.tell("serversettings").await,
            Change::Backups => self.tell("backuplist").await,
            Change::Notifications => self.tell("notifications").await,
            Change::Queue => self.tell("taskqueue").await,
            Change::Progress => self.tell("progress").await,
            Change::Completed(job) => {
                if !self.subscriptions.contains_key("taskcompleted") {
                    return Ok(());
                }
                let event = json!({"Type": "taskcompleted", "ApiVersion": 1, "Data": task::task(job)});
                self.send(&event).await
            }
        }
    }

    async fn tell_everything(&mut self) -> Result<(), Gone> {
        let services: Vec<&'static str> = self.subscriptions.keys().copied().collect();
        for service in services {
            self.tell(service).await?;
        }
        Ok(())
    }

    /// Sends the state of a service, if it is subscribed to.
    async fn tell(&mut self, service: &'static str) -> Result<(), Gone> {
        let Some(order) = self.subscriptions.get(service).cloned() else {
            return Ok(());
        };
        let app = Arc::clone(&self.app);
        let data = match service {
            "legacystatus" => return self.send(&server_status(&app)).await,
            "serversettings" => json!(app.settings.shown()),
            "backuplist" => v1_states::backups(&app, &order).await.unwrap_or(Value::Null),
            "taskqueue" => task::queue(&app.queue.state()),
            "progress" => v1_states::progress(&app).unwrap_or(Value::Null),
            "notifications" => match app.database.notifications().await {
                Ok(all) => notification::list(&all),
                Err(_) => Value::Null,
            },
            "remotecontrol" => v1_states::remote_control(),
            _ => return Ok(()),
        };
        if data.is_null() {
            return Ok(());
        }
        self.send(&json!({"Type": service, "ApiVersion": 1, "Data": data}))
            .await
    }
}
