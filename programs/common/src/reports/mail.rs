// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reports by mail, over SMTP.

use std::time::Duration;

use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;

use super::report::{Report, limited};
use super::settings::{Format, MailSettings};
use super::{json, placeholders, text};
use crate::destination::Destination;

/// How long one server may take, seconds.
const SERVER_TIMEOUT: Duration = Duration::from_secs(30);
/// The name shown for a sender that has no mailbox.
const NO_REPLY_NAME: &str = "No Reply - Backup report";
/// The largest file that is used as a body, bytes.
const BODY_BYTES_MAX: u64 = 1 << 20;
/// Ports by custom.
const SMTP_PORT: u16 = 25;
const SMTPS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;

/// Sends the report; the first server that takes it is enough.
///
/// # Errors
/// A sentence on why nobody got it.
pub async fn send(settings: &MailSettings, report: &Report, lines: &[String]) -> Result<(), String> {
    let message = compose(settings, report, lines)?;
    if settings.servers.is_empty() {
        return Err(
            "the report was not mailed: name a mail server with --send-mail-url=smtp://host, smtps://host or tls://host; \
             servers are not looked up by the recipient's domain"
                .to_owned(),
        );
    }
    let mut failures = Vec::new();
    for server in &settings.servers {
        match deliver(settings, server.expose_secret(), &message).await {
            Ok(()) => return Ok(()),
            Err(failure) => failures.push(failure),
        }
    }
    Err(format!("the report was not mailed: {}", failures.join("; ")))
}

fn compose(settings: &MailSettings, report: &Report, lines: &[String]) -> Result<Message, String> {
    let lines = limited(lines, settings.sender.log_lines_max);
    let body = body_template(&settings.body)?;
    let extra = placeholders::extra(&[&settings.subject, &body], report, &settings.sender.added);
    let body = match settings.sender.format {
        Format::Text => placeholders::replace(&body, report, &text::render(report, &extra, &lines)),
        Format::Json => serde_json::to_string_pretty(&json::object(report, &extra, &lines))
            .map_err(|error| error.to_string())?,
    };
    // A line break would end the header, and what follows it would become one of its own.
    let subject =
        placeholders::replace(&settings.subject, report, report.level.name()).replace(['\r', '\n'], " ");
    let mut recipients = Vec::new();
    for to in &settings.to {
        let mailbox: Mailbox = to.parse().map_err(|_| {
            format!("the report was not mailed: {to:?} in --send-mail-to is not a mail address")
        })?;
        recipients.push(mailbox);
    }
    let mut builder = Message::builder()
        .from(sender(settings, &recipients)?)
        .subject(subject);
    for recipient in recipients {
        builder = builder.to(recipient);
    }
    builder
        .singlepart(SinglePart::plain(body))
        .map_err(|error| format!("the report was not mailed: {error}"))
}

/// The body, or what the file holds that it names.
fn body_template(body: &str) -> Result<String, String> {
    use std::io::Read;
    if !body.starts_with('/') || body.contains('\n') {
        return Ok(body.to_owned());
    }
    let mut text = String::new();
    std::fs::File::open(body)
        .and_then(|file| file.take(BODY_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| {
            format!("the report was not mailed: failed to read the file {body} of --send-mail-body: {error}")
        })?;
    Ok(text)
}

fn sender(settings: &MailSettings, recipients: &[Mailbox]) -> Result<Mailbox, String> {
    let from = settings.from.trim();
    if from.contains('@') {
        return from.parse().map_err(|_| {
            format!("the report was not mailed: {from:?} in --send-mail-from is not a mail address")
        });
    }
    let domain = recipients
        .first()
        .map_or("localhost", |recipient| recipient.email.domain());
    let address = Address::new(from, domain).map_err(|_| {
        format!("the report was not mailed: {from:?} in --send-mail-from is not a mail address")
    })?;
    let name = from
        .eq_ignore_ascii_case("no-reply")
        .then(|| NO_REPLY_NAME.to_owned());
    Ok(Mailbox::new(name, address))
}

async fn deliver(settings: &MailSettings, server: &str, message: &Message) -> Result<(), String> {
    let (transport, host) = transport(settings, server)?;
    transport
        .send(message.clone())
        .await
        .map(|_| ())
        .map_err(|error| format!("{host}: {}", with_causes(&error)))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

fn transport(
    settings: &MailSettings,
    server: &str,
) -> Result<(AsyncSmtpTransport<Tokio1Executor>, String), String> {
    let with_scheme = if server.contains("://") {
        server.to_owned()
    } else {
        format!("smtp://{server}")
    };
    let url = Destination::parse(with_scheme.as_ref(), std::path::Path::new("/"))
        .map_err(|_| "a server in --send-mail-url is not a URL such as smtp://host:25".to_owned())?;
    if url.host.is_empty() {
        return Err("a server in --send-mail-url has no host".to_owned());
    }
    let parameters = || {
        rustls_provider();
        TlsParameters::new(url.host.clone()).map_err(|error| format!("{}: {error}", url.host))
    };
    let wants_starttls = url
        .query
        .iter()
        .find(|(name, _)| name == "starttls")
        .map(|(_, value)| value.expose_secret().to_ascii_lowercase());
    let (port, tls) = match url.scheme.as_str() {
        "smtps" => (SMTPS_PORT, Tls::Wrapper(parameters()?)),
        "tls" => (SUBMISSION_PORT, Tls::Required(parameters()?)),
        "smtp" => (
            SMTP_PORT,
            match wants_starttls.as_deref() {
                Some("when-available") => Tls::Opportunistic(parameters()?),
                Some("always" | "required" | "true") => Tls::Required(parameters()?),
                _ => Tls::None,
            },
        ),
        other => {
            return Err(format!(
                "{other}:// in --send-mail-url is not smtp://, smtps:// or tls://"
            ));
        }
    };
    let host = url.host.trim_matches(['[', ']']).to_owned();
    let mut builder: AsyncSmtpTransportBuilder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(url.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(SERVER_TIMEOUT));
    let username = settings.username.clone().or_else(|| url.user.clone());
    let password = settings.password.as_ref().or(url.password.as_ref());
    if let (Some(username), Some(password)) = (username, password) {
        builder = builder.credentials(Credentials::new(username, password.expose_secret().to_owned()));
    }
    Ok((builder.build(), host))
}

/// TLS needs one provider of ciphers for the process; whoever is first chooses it.
pub(super) fn rustls_provider() {
    let _first_or_not = rustls::crypto::ring::default_provider().install_default();
}
