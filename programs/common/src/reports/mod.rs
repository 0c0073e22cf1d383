// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reports on what an operation did, for people and for programs that collect them.
//!
//! Reading order: [`report`] (what is told), [`facts`] (about this machine and job), [`settings`] (who is told, and when), [`text`], [`json`] and
//! [`placeholders`] (how it looks), then one sender a file: [`mail`], [`http`], [`telegram`]. [`send_all`] joins them.
//!
//! A report that cannot be delivered never changes what the operation did: it is returned as a sentence for a warning. No sentence holds a
//! password, a key, or an address beyond its host.

pub mod facts;
pub mod http;
pub mod json;
pub mod mail;
pub mod placeholders;
pub mod redaction;
pub mod report;
pub mod settings;
pub mod telegram;
pub mod text;

#[cfg(test)]
mod tests;

pub use facts::Facts;
pub use report::{Level, Report};
pub use settings::{Channel, ReportSettings, SenderSettings};

/// Delivers a report to everyone who wants it; gives a sentence for each place that did not get it.
pub async fn send_all(
    settings: &ReportSettings,
    report: &Report,
    lines: impl Fn(Channel) -> Vec<String>,
) -> Vec<String> {
    let mut failures = Vec::new();
    if let Some(mail) = &settings.mail
        && mail.sender.wants(report)
        && let Err(failure) = mail::send(mail, report, &lines(Channel::Mail)).await
    {
        failures.push(failure);
    }
    if let Some(http) = &settings.http
        && http.sender.wants(report)
    {
        failures.extend(http::send(http, report, &lines(Channel::Http)).await);
    }
    if let Some(telegram) = &settings.telegram
        && telegram.sender.wants(report)
        && let Err(failure) = telegram::send(telegram, report, &lines(Channel::Telegram)).await
    {
        failures.push(failure);
    }
    failures
}
