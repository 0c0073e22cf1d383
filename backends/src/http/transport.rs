// SPDX-License-Identifier: Apache-2.0 OR MIT
//! OpenDAL's way to the network, over our client.

use std::{future, sync::Arc};

use futures_util::TryStreamExt;
use http::{Request, Response};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, HttpTransporter, Operator};

use super::{body::PacedBody, retry_after};
use crate::{
    error::unreachable,
    transfer::{Limits, Progress},
};

/// Sends requests of one operator.
struct Transport {
    client: reqwest::Client,
    limits: Arc<Limits>,
}

/// The same operator over our client.
pub fn over(operator: Operator, client: reqwest::Client, limits: Arc<Limits>) -> Operator {
    let transport = HttpTransporter::new(Transport { client, limits });
    let context = operator.base_context().with_http_transport(transport);
    operator.with_context(context)
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let uri = request.uri().clone();
        let is_head = request.method() == http::Method::HEAD;
        if let Some(progress) = Progress::current() {
            progress.step();
        }
        let (parts, body) = request.into_parts();
        let url = reqwest::Url::parse(&uri.to_string()).map_err(|error| {
            Error::new(ErrorKind::ConfigInvalid, "the address of the target is invalid").set_source(error)
        })?;
        let mut builder = self.client.request(parts.method, url).headers(parts.headers);
        if !body.is_empty() {
            let body = PacedBody::new(body.to_bytes(), Arc::clone(&self.limits));
            builder = builder.body(reqwest::Body::wrap(body));
        }
        let response = builder.send().await.map_err(network_error)?;
        retry_after::note(response.headers());
        // The length of an encoded body or of one that is not sent says nothing about what will arrive.
        let is_encoded = response.headers().contains_key(http::header::CONTENT_ENCODING);
        let length = if is_head || is_encoded {
            None
        } else {
            response
                .headers()
                .get(http::header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse().ok())
        };
        let mut answer = Response::builder().status(response.status()).extension(uri);
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let progress = Progress::current();
        let limits = Arc::clone(&self.limits);
        let stream = response
            .bytes_stream()
            .try_filter(|piece| future::ready(!piece.is_empty()))
            .map_err(network_error)
            .and_then(move |piece| {
                if let Some(progress) = &progress {
                    progress.step();
                }
                let (limits, progress) = (Arc::clone(&limits), progress.clone());
                Box::pin(async move {
                    limits.download.pass_seen_by(piece.len() as u64, progress).await;
                    Ok(Buffer::from(piece))
                })
            });
        answer.body(HttpBody::new(stream, length)).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "the answer of the target is invalid").set_source(error)
        })
    }
}

/// The cause in full, because the outermost error of the client only says that something failed.
fn network_error(error: reqwest::Error) -> Error {
    let is_temporary = error.is_request() || error.is_body() || error.is_decode() || error.is_timeout();
    if error.is_connect() {
        let message = unreachable(&cause(&error));
        return Error::new(ErrorKind::Unexpected, message)
            .with_temporary(is_temporary)
            .set_source(NoConnection(error.without_url()));
    }
    let message = format!("the connection broke off: {}", cause(&error));
    Error::new(ErrorKind::Unexpected, message)
        .with_temporary(is_temporary)
        .set_source(error.without_url())
}

/// Marks the source of an error: no connection came about.
#[derive(Debug, thiserror::Error)]
#[error("no connection came about")]
pub struct NoConnection(#[source] reqwest::Error);

/// The innermost message, which names what happened: refused, unknown host, unknown issuer.
pub fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
