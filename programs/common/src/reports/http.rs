// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reports to web addresses, as a form or as JSON.

use std::time::Duration;

use reqwest::{Client, Method, Url};
use secrecy::ExposeSecret;

use super::mail::rustls_provider;
use super::report::{Report, limited};
use super::settings::{Format, HttpSettings};
use super::{json, placeholders, text};

/// How long one request may take, seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The most tries of one address, whatever is asked for.
const RETRIES_MAX: u32 = 100;

/// Sends the report everywhere; gives a sentence for each place that did not get it.
pub async fn send(settings: &HttpSettings, report: &Report, lines: &[String]) -> Vec<String> {
    let client = match client(settings) {
        Ok(client) => client,
        Err(error) => return vec![format!("the report was not sent: {error}")],
    };
    let Ok(method) = Method::from_bytes(settings.verb.trim().to_ascii_uppercase().as_bytes()) else {
        return vec![format!(
            "the report was not sent: {:?} in --send-http-verb is not an HTTP method",
            settings.verb
        )];
    };
    let lines = limited(lines, settings.sender.log_lines_max);
    let extra = placeholders::extra(&[&settings.message], report, &settings.sender.added);
    let object = json::object(report, &extra, &lines);
    let mut failures = Vec::new();
    if !settings.form_urls.is_empty() {
        let message = match settings.sender.format {
            Format::Text => {
                placeholders::replace(&settings.message, report, &text::render(report, &extra, &lines))
            }
            Format::Json => object.to_string(),
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair(&settings.parameter, &message);
        for (name, value) in &settings.sender.added {
            form.append_pair(name, value);
        }
        let body = Body {
            content_type: "application/x-www-form-urlencoded",
            content: form.finish(),
        };
        for url in &settings.form_urls {
            failures.extend(
                post(&client, &method, url.expose_secret(), &body, settings)
                    .await
                    .err(),
            );
        }
    }
    let body = Body {
        content_type: "application/json",
        content: object.to_string(),
    };
    for url in &settings.json_urls {
        failures.extend(
            post(&client, &method, url.expose_secret(), &body, settings)
                .await
                .err(),
        );
    }
    failures
}

struct Body {
    content_type: &'static str,
    content: String,
}

fn client(settings: &HttpSettings) -> Result<Client, String> {
    rustls_provider();
    let builder = Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .user_agent(concat!("duplicati/", env!("CARGO_PKG_VERSION")));
    let builder = if settings.accept_any_certificate {
        builder.danger_accept_invalid_certs(true)
    } else if !settings.accepted_hashes.is_empty() {
        builder.tls_backend_preconfigured(duplicati_backends::trusting_hashes(&settings.accepted_hashes)?)
    } else {
        builder
    };
    builder.build().map_err(|error| error.without_url().to_string())
}

async fn post(
    client: &Client,
    method: &Method,
    url: &str,
    body: &Body,
    settings: &HttpSettings,
) -> Result<(), String> {
    let url: Url = url
        .parse()
        .ok()
        .filter(|url: &Url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| {
            "the report was not sent: an address is not a URL that begins with http:// or https://".to_owned()
        })?;
    let place = url.host_str().unwrap_or_default().to_owned();
    let mut failure = String::new();
    for attempt in 0..=settings.retries.min(RETRIES_MAX) {
        if attempt > 0 {
            tokio::time::sleep(settings.retry_delay).await;
        }
        let request = client
            .request(method.clone(), url.clone())
            .header("content-type", body.content_type)
            .body(body.content.clone());
        match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => {
                failure = format!("it answered {}", response.status());
                // Asking again does not make a wrong request right.
                if response.status().is_client_error() && response.status() != 408 && response.status() != 429
                {
                    break;
                }
            }
            Err(error) => failure = with_causes(error.without_url()),
        }
    }
    Err(format!("the report was not sent to {place}: {failure}"))
}

pub(super) fn with_causes(error: reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
