// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Requests to a WebDAV server and what their answers mean.

use std::{future::Future, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use duplicati_engine::storage::{StoreError, StoreErrorKind};
use reqwest::{
    Method, Request, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE, WWW_AUTHENTICATE},
};

use super::{
    authentication::{Authentication, Credentials},
    multistatus::{self, Entry},
};
use crate::{
    error::{unreachable, untrusted},
    http::{body::PacedBody, retry_after, transport::cause},
    transfer::{Limits, Progress},
};

/// What is asked of each resource: only what a listing needs.
const PROPFIND_BODY: &str = r#"<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/></prop></propfind>"#;

/// Room that is taken before a body arrives, bytes; what a server claims beyond that is believed when it comes.
const BODY_CAPACITY_MAX: u64 = 64 << 20;

/// Longest part of a refusal's text that is repeated, characters.
const REFUSAL_CHARACTERS_MAX: usize = 200;

/// A finished answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A server and the collection on it that is the root of the target.
pub(super) struct Connection {
    client: reqwest::Client,
    /// Ends in a slash.
    root: Url,
    authentication: Authentication,
    limits: Arc<Limits>,
    location: String,
}

impl Connection {
    pub(super) fn new(
        client: reqwest::Client,
        root: Url,
        credentials: Credentials,
        limits: Arc<Limits>,
        location: String,
    ) -> Self {
        Self {
            client,
            root,
            authentication: Authentication::new(credentials),
            limits,
            location,
        }
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    pub(super) fn failure(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        kind: StoreErrorKind,
        message: impl Into<String>,
    ) -> StoreError {
        StoreError {
            kind,
            operation,
            object: object.to_string(),
            location: self.location.clone(),
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    /// The root and the collections above it, from the top, without the server's own root.
    pub(super) fn root_and_above(&self) -> Vec<Url> {
        let parts: Vec<&str> = self
            .root
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let url_of = |count: usize| {
            let mut url = self.root.clone();
            url.set_path(&format!("/{}/", parts[..count].join("/")));
            url
        };
        (1..=parts.len()).map(url_of).collect()
    }

    /// A request without a body.
    pub(super) async fn simple(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        method: Method,
        path: &str,
    ) -> Result<Answer, StoreError> {
        self.simple_at(operation, object, method, self.url(path)).await
    }

    pub(super) async fn simple_at(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        method: Method,
        url: Url,
    ) -> Result<Answer, StoreError> {
        self.send(operation, object, || Request::new(method.clone(), url.clone()))
            .await
    }

    pub(super) async fn put(
        &self,
        name: &(impl ToString + Sync),
        path: &str,
        content: Bytes,
    ) -> Result<Answer, StoreError> {
        let url = self.url(path);
        self.send("put", name, || {
            let mut request = Request::new(Method::PUT, url.clone());
            let body = PacedBody::new(content.clone(), Arc::clone(&self.limits));
            *request.body_mut() = Some(reqwest::Body::wrap(body));
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            request
        })
        .await
    }

    pub(super) async fn get(
        &self,
        name: &(impl ToString + Sync),
        path: &str,
        range: Option<&Range<u64>>,
    ) -> Result<Answer, StoreError> {
        let url = self.url(path);
        self.send("get", name, || {
            let mut request = Request::new(Method::GET, url.clone());
            let value = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                request.headers_mut().insert(RANGE, value);
            }
            request
        })
        .await
    }

    pub(super) async fn move_to(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        from: &str,
        to: &str,
    ) -> Result<Answer, StoreError> {
        let method = Method::from_bytes(b"MOVE").expect("MOVE is a valid method name");
        let (from, to) = (self.url(from), self.url(to));
        self.send(operation, object, || {
            let mut request = Request::new(method.clone(), from.clone());
            if let Ok(value) = HeaderValue::from_str(to.as_str()) {
                request.headers_mut().insert("destination", value);
            }
            request
                .headers_mut()
                .insert("overwrite", HeaderValue::from_static("F"));
            request
        })
        .await
    }

    pub(super) async fn propfind(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        path: &str,
        depth: &str,
    ) -> Result<Answer, StoreError> {
        let method = Method::from_bytes(b"PROPFIND").expect("PROPFIND is a valid method name");
        let url = if path.is_empty() {
            self.root.clone()
        } else {
            self.url(path)
        };
        self.send(operation, object, || {
            let mut request = Request::new(method.clone(), url.clone());
            *request.body_mut() = Some(PROPFIND_BODY.into());
            let headers = request.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/xml; charset=utf-8"),
            );
            if let Ok(depth) = HeaderValue::from_str(depth) {
                headers.insert("depth", depth);
            }
            request
        })
        .await
    }

    /// Sends a request, signed; once more when the server asks for another kind of signature.
    #[allow(
        clippy::manual_async_fn,
        reason = "stores are trait objects, so this must say that it may go to another thread"
    )]
    fn send<'a>(
        &'a self,
        operation: &'static str,
        object: &'a (impl ToString + Sync),
        request: impl Fn() -> Request + Send + Sync + 'a,
    ) -> impl Future<Output = Result<Answer, StoreError>> + Send + 'a {
        async move {
            let answer = self.exchange(operation, object, request()).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            let offers = answer.headers.get_all(WWW_AUTHENTICATE);
            if !self
                .authentication
                .learn(offers.iter().filter_map(|offer| offer.to_str().ok()))
            {
                return Ok(answer);
            }
            self.exchange(operation, object, request()).await
        }
    }

    async fn exchange(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        mut request: Request,
    ) -> Result<Answer, StoreError> {
        let progress = Progress::current();
        if let Some(progress) = &progress {
            progress.step();
        }
        let target = match request.url().query() {
            Some(query) => format!("{}?{query}", request.url().path()),
            None => request.url().path().to_owned(),
        };
        if let Some(value) = self.authentication.header(request.method().as_str(), &target) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let network = |error: reqwest::Error| self.network_failure(operation, object, error);
        let mut response = self.client.execute(request).await.map_err(network)?;
        let expected = response.content_length();
        let mut body = BytesMut::with_capacity(expected.unwrap_or(0).min(BODY_CAPACITY_MAX) as usize);
        while let Some(piece) = response.chunk().await.map_err(network)? {
            if let Some(progress) = &progress {
                progress.step();
            }
            self.limits.download.pass(piece.len() as u64).await;
            body.extend_from_slice(&piece);
        }
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: body.freeze(),
        })
    }

    fn network_failure(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        error: reqwest::Error,
    ) -> StoreError {
        let text = cause(&error);
        let (kind, message) = if text.contains("certificate") || text.contains("UnknownIssuer") {
            (StoreErrorKind::PermissionDenied, untrusted(&text))
        } else if error.is_connect() {
            (StoreErrorKind::Unreachable, unreachable(&text))
        } else {
            (
                StoreErrorKind::Unavailable,
                format!("the connection broke off: {text}"),
            )
        };
        self.failure(operation, object, kind, message)
            .with_source(error.without_url())
    }

    /// What a status that is no success means.
    pub(super) fn refusal(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        answer: &Answer,
    ) -> StoreError {
        let status = answer.status;
        let (kind, message) = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                (StoreErrorKind::NotFound, "no such object".to_owned())
            }
            StatusCode::UNAUTHORIZED if !self.authentication.has_user() => (
                StoreErrorKind::PermissionDenied,
                "the target asks for a user: give --auth-username and --auth-password".to_owned(),
            ),
            StatusCode::UNAUTHORIZED => (
                StoreErrorKind::PermissionDenied,
                "user name or password is wrong".to_owned(),
            ),
            StatusCode::FORBIDDEN => (
                StoreErrorKind::PermissionDenied,
                "the target forbids this; check the rights of the user".to_owned(),
            ),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => (
                StoreErrorKind::Other,
                format!(
                    "the target does not know this request ({status}); is the URL that of a WebDAV folder?"
                ),
            ),
            StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE => (
                StoreErrorKind::NoSpace,
                format!("the target takes no more ({status})"),
            ),
            StatusCode::LOCKED | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => (
                StoreErrorKind::Unavailable,
                format!("the target answers {status}"),
            ),
            status if status.is_server_error() => (
                StoreErrorKind::Unavailable,
                format!("the target answers {status}"),
            ),
            status => (
                StoreErrorKind::Other,
                format!("the target answers {status}{}", shown(&answer.body)),
            ),
        };
        let mut error = self.failure(operation, object, kind, message);
        error.retry_after = retry_after::read(&answer.headers);
        error
    }

    /// The resources of a listing, with decoded paths below the root.
    pub(super) fn entries(
        &self,
        operation: &'static str,
        object: &(impl ToString + Sync),
        answer: &Answer,
    ) -> Result<Vec<Entry>, StoreError> {
        if answer.status != StatusCode::MULTI_STATUS {
            return Err(if answer.status.is_success() {
                self.failure(
                    operation,
                    object,
                    StoreErrorKind::Other,
                    "this is not a WebDAV folder",
                )
            } else {
                self.refusal(operation, object, answer)
            });
        }
        let text = String::from_utf8_lossy(&answer.body);
        let entries = multistatus::parse(&text)
            .map_err(|message| self.failure(operation, object, StoreErrorKind::Other, message))?;
        let root = decode(self.root.path());
        let mut below_root = Vec::with_capacity(entries.len());
        for mut entry in entries {
            match entry.status.map(StatusCode::from_u16) {
                // Gone since the server began to list.
                Some(Ok(StatusCode::NOT_FOUND | StatusCode::GONE)) => continue,
                None => {}
                Some(Ok(status)) if status.is_success() => {}
                Some(status) => {
                    let kind = match status {
                        Ok(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
                            StoreErrorKind::PermissionDenied
                        }
                        Ok(status)
                            if status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE =>
                        {
                            StoreErrorKind::Unavailable
                        }
                        _ => StoreErrorKind::Other,
                    };
                    let message = format!(
                        "the server does not list all: for {:?} it answers {}",
                        entry.path,
                        entry.status.unwrap_or_default()
                    );
                    return Err(self.failure(operation, object, kind, message));
                }
            }
            // A URL or a path; either way what counts is the path.
            let path = self
                .root
                .join(&entry.path)
                .map(|url| decode(url.path()))
                .unwrap_or_default();
            let rest = path
                .strip_prefix(root.as_str())
                .or_else(|| (format!("{path}/") == root).then_some(""));
            let Some(rest) = rest else {
                let message = format!(
                    "the server lists {:?}, which is not below {root:?}; give the URL under which the server itself knows the \
                     folder, without a proxy that changes paths",
                    entry.path
                );
                return Err(self.failure(operation, object, StoreErrorKind::Other, message));
            };
            rest.trim_end_matches('/').clone_into(&mut entry.path);
            below_root.push(entry);
        }
        Ok(below_root)
    }
}

fn shown(body: &Bytes) -> String {
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .take(REFUSAL_CHARACTERS_MAX)
        .collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}

/// Replaces `%XX`; what is not UTF-8 afterwards cannot be a name of ours and is shown as far as possible.
fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let digit = |place: usize| bytes.get(place).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        match (bytes[place], digit(place + 1), digit(place + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                place += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                place += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
