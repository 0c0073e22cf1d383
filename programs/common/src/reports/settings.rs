// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who is sent a report, of which outcomes, in which form.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::report::{Level, Report};
use crate::error_id::{UserError, ids};
use crate::options::Options;

/// The message of senders other than mail, unless chosen.
const MESSAGE_DEFAULT: &str = "Duplicati %OPERATIONNAME% report for %backup-name% (%machine-id%, %backup-id%, %machine-name%)\n\n%RESULT%";
/// The most addresses and URLs of one sender.
const PLACES_MAX: usize = 100;

/// A kind of sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Mail,
    Http,
    Telegram,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Mail, Self::Http, Self::Telegram];

    /// The beginning of its options.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Mail => "send-mail",
            Self::Http => "send-http",
            Self::Telegram => "send-telegram",
        }
    }

    /// The name of its module for `--disable-module`.
    const fn module(self) -> &'static str {
        match self {
            Self::Mail => "sendmail",
            Self::Http => "sendhttp",
            Self::Telegram => "sendtelegram",
        }
    }
}

/// How the result stands in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// What every sender has.
#[derive(Debug, Clone)]
pub struct SenderSettings {
    levels: Vec<Level>,
    any_operation: bool,
    /// None shows all.
    pub log_lines_max: Option<usize>,
    pub format: Format,
    pub added: Vec<(String, String)>,
}

impl SenderSettings {
    fn from_options(options: &Options, prefix: &str) -> Result<Self, UserError> {
        let name = |suffix: &str| format!("{prefix}-{suffix}");
        let levels = options.list(&name("level"));
        let takes_all = levels.is_empty() || levels.iter().any(|level| level.eq_ignore_ascii_case("all"));
        let lines = options.integer(&name("max-log-lines")).unwrap_or(100);
        let format = match options.string(&name("result-output-format")) {
            Some("Json") => Format::Json,
            _ => Format::Text,
        };
        Ok(Self {
            levels: if takes_all {
                vec![Level::Success, Level::Warning, Level::Error, Level::Fatal]
            } else {
                levels
                    .iter()
                    .filter_map(|level| Level::from_name(level))
                    .collect()
            },
            any_operation: options.bool(&name("any-operation")),
            log_lines_max: usize::try_from(lines).ok().filter(|lines| *lines > 0),
            format,
            added: added(options, &name("extra-parameters"))?,
        })
    }

    /// Whether this outcome of this operation is worth a report.
    pub fn wants(&self, report: &Report) -> bool {
        let is_asked_for = self.any_operation || matches!(report.operation.as_str(), "Backup" | "SendMail");
        is_asked_for && self.levels.contains(&report.level)
    }
}

/// Reads a JSON object or a query string.
fn added(options: &Options, name: &str) -> Result<Vec<(String, String)>, UserError> {
    let text = options.string(name).unwrap_or_default().trim();
    if !text.starts_with('{') {
        return Ok(form_urlencoded::parse(text.trim_start_matches('?').as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect());
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|error| {
        UserError::invalid_command_line(
            ids::INVALID_OPTION_VALUE,
            format!("the value of --{name} is neither a query string nor a JSON object: {error}"),
        )
    })?;
    Ok(object
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect())
}

/// Reports by mail.
#[derive(Debug, Clone)]
pub struct MailSettings {
    pub sender: SenderSettings,
    pub to: Vec<String>,
    pub from: String,
    pub subject: String,
    pub body: String,
    /// Servers in the order of trying.
    pub servers: Vec<SecretString>,
    pub username: Option<String>,
    pub password: Option<SecretString>,
}

/// Reports to web addresses.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub sender: SenderSettings,
    pub form_urls: Vec<SecretString>,
    pub json_urls: Vec<SecretString>,
    pub message: String,
    pub parameter: String,
    pub verb: String,
    pub accept_any_certificate: bool,
    /// SHA-1 hashes, hexadecimal.
    pub accepted_hashes: Vec<String>,
    pub retries: u32,
    pub retry_delay: Duration,
}

/// Reports to a Telegram channel.
#[derive(Debug, Clone)]
pub struct TelegramSettings {
    pub sender: SenderSettings,
    pub channel: String,
    pub topic: Option<String>,
    pub bot: String,
    pub key: SecretString,
    pub message: String,
}

/// All senders that are switched on.
#[derive(Debug, Clone, Default)]
pub struct ReportSettings {
    pub mail: Option<MailSettings>,
    pub http: Option<HttpSettings>,
    pub telegram: Option<TelegramSettings>,
}

impl ReportSettings {
    /// Reads the options of all senders.
    pub fn from_options(options: &Options) -> Result<Self, UserError> {
        let is_on = |channel: Channel| {
            !options
                .list("disable-module")
                .iter()
                .any(|name| name.eq_ignore_ascii_case(channel.module()))
        };
        Ok(Self {
            mail: if is_on(Channel::Mail) {
                mail(options)?
            } else {
                None
            },
            http: if is_on(Channel::Http) {
                http(options)?
            } else {
                None
            },
            telegram: if is_on(Channel::Telegram) {
                telegram(options)?
            } else {
                None
            },
        })
    }

    /// Whether nobody is told anything.
    pub fn is_empty(&self) -> bool {
        self.mail.is_none() && self.http.is_none() && self.telegram.is_none()
    }

    /// Whether a kind of sender is switched on.
    pub fn has(&self, channel: Channel) -> bool {
        match channel {
            Channel::Mail => self.mail.is_some(),
            Channel::Http => self.http.is_some(),
            Channel::Telegram => self.telegram.is_some(),
        }
    }
}

fn text(options: &Options, name: &str) -> Option<String> {
    options
        .string(name)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn urls(options: &Options, name: &str) -> Vec<SecretString> {
    let Some(list) = options.secret(name) else {
        return Vec::new();
    };
    list.expose_secret()
        .split(';')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .take(PLACES_MAX)
        .map(SecretString::from)
        .collect()
}

/// The settings for mail; none without an address to send to.
fn mail(options: &Options) -> Result<Option<MailSettings>, UserError> {
    let to: Vec<String> = options
        .list("send-mail-to")
        .iter()
        .take(PLACES_MAX)
        .cloned()
        .collect();
    if to.is_empty() {
        return Ok(None);
    }
    Ok(Some(MailSettings {
        sender: SenderSettings::from_options(options, Channel::Mail.prefix())?,
        to,
        from: text(options, "send-mail-from").unwrap_or_default(),
        subject: text(options, "send-mail-subject").unwrap_or_default(),
        body: text(options, "send-mail-body").unwrap_or_default(),
        servers: urls(options, "send-mail-url"),
        username: text(options, "send-mail-username"),
        password: options.secret("send-mail-password").cloned(),
    }))
}

fn http(options: &Options) -> Result<Option<HttpSettings>, UserError> {
    let mut form_urls = urls(options, "send-http-form-urls");
    form_urls.extend(urls(options, "send-http-url"));
    let json_urls = urls(options, "send-http-json-urls");
    if form_urls.is_empty() && json_urls.is_empty() {
        return Ok(None);
    }
    let retries = options.integer("send-http-retries").unwrap_or_default();
    Ok(Some(HttpSettings {
        sender: SenderSettings::from_options(options, Channel::Http.prefix())?,
        form_urls,
        json_urls,
        message: text(options, "send-http-message").unwrap_or_else(|| MESSAGE_DEFAULT.to_owned()),
        parameter: text(options, "send-http-message-parameter-name").unwrap_or_default(),
        verb: text(options, "send-http-verb").unwrap_or_default(),
        accept_any_certificate: options.bool("send-http-accept-any-ssl-certificate"),
        accepted_hashes: options.list("send-http-accept-specified-ssl-hash").to_vec(),
        retries: u32::try_from(retries).unwrap_or(u32::MAX),
        retry_delay: options
            .timespan("send-http-retry-delay")
            .unwrap_or_default()
            .to_duration(),
    }))
}

fn telegram(options: &Options) -> Result<Option<TelegramSettings>, UserError> {
    let (Some(bot), Some(key), Some(channel)) = (
        text(options, "send-telegram-bot-id"),
        options.secret("send-telegram-api-key").cloned(),
        text(options, "send-telegram-channel-id"),
    ) else {
        let is_half = [
            "send-telegram-bot-id",
            "send-telegram-api-key",
            "send-telegram-channel-id",
        ]
        .iter()
        .any(|name| options.is_given(name));
        if is_half {
            return Err(UserError::invalid_command_line(
                ids::WRONG_ARGUMENTS,
                "reports by Telegram need --send-telegram-bot-id, --send-telegram-api-key and --send-telegram-channel-id",
            ));
        }
        return Ok(None);
    };
    Ok(Some(TelegramSettings {
        sender: SenderSettings::from_options(options, Channel::Telegram.prefix())?,
        channel,
        topic: text(options, "send-telegram-topid-id"),
        bot,
        key,
        message: text(options, "send-telegram-message").unwrap_or_else(|| MESSAGE_DEFAULT.to_owned()),
    }))
}
