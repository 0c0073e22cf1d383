// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Requests to the server, and the ways to be let in: a remembered session, the server database of the same machine, a password.

use std::io::IsTerminal;

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    arguments::Arguments,
    machine,
    session::{self, Remembered},
    trust,
};

/// Characters of an answer in plain text that are shown.
const SHOWN_CHARS: usize = 200;

/// Why a command did not succeed.
pub struct Failure {
    pub message: String,
    /// Whether something else must be asked for.
    pub is_of_user: bool,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_of_user: false,
        }
    }

    pub fn of_user(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_of_user: true,
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::of_user(message)
    }
}

/// A client that has been let in, or not yet.
pub struct Client<'a> {
    arguments: &'a Arguments,
    http: reqwest::Client,
    access_token: Option<String>,
}

impl<'a> Client<'a> {
    pub async fn new(arguments: &'a Arguments) -> Result<Self, Failure> {
        Ok(Self {
            arguments,
            http: trust::client(arguments).await?,
            access_token: None,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        cookie: Option<&str>,
    ) -> Result<reqwest::Response, Failure> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.arguments.url()));
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(token) = &self.access_token {
            request = request.bearer_auth(token);
        }
        let answered = request.send().await.map_err(|error| {
            Failure::new(format!(
                "failed to reach the server at {}: {}{}",
                self.arguments.url(),
                trust::reason(&error),
                trust::advice(&error)
            ))
        });
        let response = answered?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
        if response.status() == StatusCode::BAD_REQUEST && is_text {
            // No answer of the API: the port speaks HTTPS only, and says so.
            let said = response.text().await.unwrap_or_default();
            return Err(Failure::of_user(format!(
                "{}: {}",
                self.arguments.url(),
                shown(&said)
            )));
        }
        Ok(response)
    }

    /// The body of a request that must succeed.
    pub async fn bytes(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>, Failure> {
        let response = self.send(method, path, body, None).await?;
        let status = response.status();
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Failure::new(format!("the answer broke off: {}", error.without_url())))?;
        if !status.is_success() {
            return Err(Failure::new(reason(status, &bytes)));
        }
        Ok(bytes.to_vec())
    }

    /// The answer to a request that must succeed, as JSON; null when it is empty.
    pub async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let bytes = self.bytes(method, path, body).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|_| Failure::new("the server answered something that is not JSON"))
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.json(Method::POST, path, body).await
    }

    /// Whether the server answers at all.
    pub async fn is_healthy(&self) -> bool {
        matches!(self.send(Method::GET, "/health", None, None).await, Ok(response) if response.status().is_success())
    }

    /// The name of the cookie depends on the port of the URL, as the server sees it.
    fn cookie(&self, token: &str) -> String {
        let authority = self.arguments.url().split("://").nth(1).unwrap_or_default();
        let authority = authority.split('/').next().unwrap_or_default();
        let port = authority
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok())
            .unwrap_or(0);
        format!("RefreshToken_{port}={token}")
    }

    /// Takes a session out of an answer and remembers it.
    async fn enter(&mut self, response: reqwest::Response) -> Result<bool, Failure> {
        if !response.status().is_success() {
            return Ok(false);
        }
        let refresh_token = response
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter(|value| value.starts_with("RefreshToken_"))
            .find_map(|value| value.split(';').next()?.split_once('='))
            .map(|(_, token)| token.to_owned());
        let body: Value = response
            .json()
            .await
            .map_err(|_| Failure::new("the server answered something that is not JSON"))?;
        self.access_token = body["AccessToken"].as_str().map(str::to_owned);
        if let Some(refresh_token) = refresh_token {
            let session = Remembered {
                refresh_token,
                nonce: body["RefreshNonce"].as_str().unwrap_or_default().to_owned(),
            };
            self.remember(Some(&session))?;
        }
        Ok(self.access_token.is_some())
    }

    fn remember(&self, session: Option<&Remembered>) -> Result<(), Failure> {
        let path = self.arguments.settings_file();
        session::store(&path, self.arguments.url(), &self.arguments.data_folder, session)
            .map_err(|error| Failure::new(format!("failed to write {}: {error}", path.display())))
    }

    /// Gets in, by the first way that works.
    pub async fn sign_in(&mut self) -> Result<(), Failure> {
        let remembered = session::find(&self.arguments.settings_file(), self.arguments.url());
        if let Some(session) = remembered {
            let body = json!({"Nonce": session.nonce});
            let cookie = self.cookie(&session.refresh_token);
            let response = self
                .send(Method::POST, "/api/v1/auth/refresh", Some(&body), Some(&cookie))
                .await?;
            if self.enter(response).await? {
                return Ok(());
            }
        }
        if let Some(token) = machine::token(self.arguments).await {
            let body = json!({"SigninToken": token, "RememberMe": true});
            let response = self
                .send(Method::POST, "/api/v1/auth/signin", Some(&body), None)
                .await?;
            if self.enter(response).await? {
                return Ok(());
            }
        }
        let password = match self.arguments.text("password") {
            Some(password) => password.to_owned(),
            None if std::io::stdin().is_terminal() => rpassword::prompt_password("Password: ")
                .map_err(|error| Failure::new(format!("failed to read the password: {error}")))?,
            None => {
                return Err(Failure::of_user(
                    "no way in: there is no session, the server database cannot be read, and no --password was given",
                ));
            }
        };
        let body = json!({"Password": password, "RememberMe": true});
        let response = self
            .send(Method::POST, "/api/v1/auth/login", Some(&body), None)
            .await?;
        let status = response.status();
        if self.enter(response).await? {
            return Ok(());
        }
        Err(Failure::of_user(match status {
            StatusCode::UNAUTHORIZED => "the server refused the password".to_owned(),
            status => format!("the server refused the sign-in with status {}", status.as_u16()),
        }))
    }

    /// Ends the remembered session.
    pub async fn sign_out(&mut self) -> Result<(), Failure> {
        if let Some(session) = session::find(&self.arguments.settings_file(), self.arguments.url()) {
            let cookie = self.cookie(&session.refresh_token);
            let body = json!({"Nonce": session.nonce});
            self.send(
                Method::POST,
                "/api/v1/auth/refresh/logout",
                Some(&body),
                Some(&cookie),
            )
            .await?;
        }
        self.remember(None)
    }
}

fn reason(status: StatusCode, bytes: &[u8]) -> String {
    serde_json::from_slice::<Value>(bytes)
        .ok()
        .and_then(|body| body["Error"].as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("the server answered with status {}", status.as_u16()))
}

fn shown(text: &str) -> String {
    text.trim().chars().take(SHOWN_CHARS).collect()
}
