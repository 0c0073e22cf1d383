// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reports to a Telegram channel, through the bot interface.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::http::with_causes;
use super::mail::rustls_provider;
use super::report::{Report, limited};
use super::settings::{Format, TelegramSettings};
use super::{json, placeholders, text};

/// Where bots talk to.
const SERVICE: &str = "https://api.telegram.org";
/// Longest message that the service takes, characters.
const MESSAGE_CHARACTERS_MAX: usize = 4096;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends the report.
///
/// # Errors
/// A sentence on why it was not taken. The key is part of the address, so the address is never shown.
pub async fn send(settings: &TelegramSettings, report: &Report, lines: &[String]) -> Result<(), String> {
    send_to(SERVICE, settings, report, lines).await
}

pub(super) async fn send_to(
    service: &str,
    settings: &TelegramSettings,
    report: &Report,
    lines: &[String],
) -> Result<(), String> {
    let failed = |reason: String| format!("the report was not sent by Telegram: {reason}");
    let lines = limited(lines, settings.sender.log_lines_max);
    let extra = placeholders::extra(&[&settings.message], report, &settings.sender.added);
    let message = match settings.sender.format {
        Format::Text => {
            placeholders::replace(&settings.message, report, &text::render(report, &extra, &lines))
        }
        Format::Json => json::object(report, &extra, &lines).to_string(),
    };
    let message: String = message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
    let mut content = serde_json::json!({"chat_id": settings.channel, "text": message});
    if let Some(topic) = &settings.topic {
        content["message_thread_id"] = serde_json::json!(topic);
    }
    rustls_provider();
    let client = reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .build()
        .map_err(|error| failed(error.without_url().to_string()))?;
    let address = format!(
        "{service}/bot{}:{}/sendMessage",
        settings.bot,
        settings.key.expose_secret()
    );
    let response = client
        .post(address)
        .json(&content)
        .send()
        .await
        .map_err(|error| failed(with_causes(error.without_url())))?;
    if response.status().is_success() {
        Ok(())
    } else {
        Err(failed(format!("the service answered {}", response.status())))
    }
}
