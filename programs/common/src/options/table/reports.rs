// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The senders of reports.

use super::super::spec::{ANY_INTEGER, COUNT, Group, Kind, LOG_LEVEL, OptionSpec, one_of};

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Reports, name, kind, default, help)
}

use Kind::{Boolean, List, Secret, Text, Timespan};

const OUTCOMES: Kind = Kind::Flags(&["Success", "Warning", "Error", "Fatal", "All"]);
const FORMAT: Kind = one_of(&["Duplicati", "Json", "Template"]);

const NO_TEMPLATES: &[(&str, &str)] = &[(
    "Template",
    "templates are not part of this version; the report has the format Duplicati",
)];
const NO_XMPP: &str = "reports by XMPP are not part of this version; mail, web addresses and Telegram are";
const NO_LIVE_REPORTS: &str = "reports while an operation runs are not part of this version";

/// The options that every sender has under its own prefix.
macro_rules! shared_options {
    ($option:ident: $($prefix:literal),*) => {
        &[$(
            $option(concat!($prefix, "-level"), OUTCOMES, "All", "The outcomes that are reported."),
            $option(concat!($prefix, "-any-operation"), Boolean, "", "Reports every operation, not only backups."),
            $option(concat!($prefix, "-log-level"), LOG_LEVEL, "Warning", "The level from which log lines are part of the report."),
            $option(concat!($prefix, "-log-filter"), Text, "", "Chooses the log lines in the report by tag and id."),
            $option(concat!($prefix, "-max-log-lines"), ANY_INTEGER, "100", "The most log lines in a report; 0 or less means all."),
            $option(concat!($prefix, "-result-output-format"), FORMAT, "Duplicati", "The format of the result in the report.")
                .value_warnings(NO_TEMPLATES),
            $option(concat!($prefix, "-extra-parameters"), Text, "", "Further data for the report: a JSON object or a query string."),
        )*]
    };
}

pub(super) const SHARED: &[OptionSpec] = shared_options!(option: "send-mail", "send-http", "send-telegram");

const fn xmpp(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    option(name, kind, default, help).ignored(NO_XMPP)
}

pub(super) const SHARED_XMPP: &[OptionSpec] = shared_options!(xmpp: "send-xmpp");

pub(super) const MAIL: &[OptionSpec] = &[
    option(
        "send-mail-to",
        List(','),
        "",
        "The addresses that get the report.",
    ),
    option(
        "send-mail-from",
        Text,
        "no-reply",
        "The address that sends the report; without a domain, the recipient's is added.",
    ),
    option(
        "send-mail-subject",
        Text,
        "Duplicati %OPERATIONNAME% report for %backup-name%",
        "The subject, with placeholders.",
    ),
    option(
        "send-mail-body",
        Text,
        "%RESULT%",
        "The text with placeholders, or the absolute path of a file that holds it.",
    ),
    option(
        "send-mail-url",
        Secret,
        "",
        "The mail servers to try, separated by ';': smtp://, smtps:// or tls:// \
         for STARTTLS. One must be named: the recipient's server is not looked up.",
    ),
    option(
        "send-mail-username",
        Text,
        "",
        "The user name at the mail server.",
    ),
    option(
        "send-mail-password",
        Secret,
        "",
        "The password at the mail server.",
    ),
];

pub(super) const HTTP: &[OptionSpec] = &[
    option(
        "send-http-url",
        Secret,
        "",
        "The URLs that get the report as a form; send-http-form-urls and \
         send-http-json-urls say more.",
    ),
    option(
        "send-http-form-urls",
        Secret,
        "",
        "The URLs that get the report as a form, separated by ';'.",
    ),
    option(
        "send-http-json-urls",
        Secret,
        "",
        "The URLs that get the report as JSON, separated by ';'.",
    ),
    option("send-http-message", Text, "", "The message with placeholders."),
    option(
        "send-http-message-parameter-name",
        Text,
        "message",
        "The name of the form field that holds the message.",
    ),
    option("send-http-verb", Text, "POST", "The HTTP method."),
    option(
        "send-http-accept-any-ssl-certificate",
        Boolean,
        "",
        "Trusts whatever certificate the server shows. Anyone on the way can then read the report.",
    ),
    option(
        "send-http-accept-specified-ssl-hash",
        List(','),
        "",
        "Trusts certificates with these SHA-1 hashes.",
    ),
    option(
        "send-http-ignore-revocation-failure",
        Boolean,
        "",
        "Goes on when it cannot be found out whether the certificate is revoked.",
    )
    .mapped("revocation is checked where the system does so, and never stops a report"),
    option(
        "send-http-retries",
        COUNT,
        "3",
        "How often sending is tried again.",
    ),
    option(
        "send-http-retry-delay",
        Timespan,
        "1s",
        "How long to wait before trying again.",
    ),
];

pub(super) const CHAT: &[OptionSpec] = &[
    option("send-xmpp-to", List(','), "", "The accounts that get the report.").ignored(NO_XMPP),
    option(
        "send-xmpp-username",
        Text,
        "",
        "The account that sends, with a resource if wanted.",
    )
    .ignored(NO_XMPP),
    option(
        "send-xmpp-password",
        Secret,
        "",
        "The password of the account that sends.",
    )
    .ignored(NO_XMPP),
    option("send-xmpp-message", Text, "", "The message with placeholders.").ignored(NO_XMPP),
    option(
        "send-telegram-channel-id",
        Text,
        "",
        "The channel that gets the report.",
    ),
    option("send-telegram-bot-id", Text, "", "The bot that sends."),
    option("send-telegram-api-key", Secret, "", "The key of the bot."),
    option(
        "send-telegram-message",
        Text,
        "",
        "The message with placeholders.",
    ),
    option(
        "send-telegram-topid-id",
        Text,
        "",
        "The topic within the channel.",
    )
    .aliases(&["send-telegram-topic-id"]),
];

pub(super) const LIVE: &[OptionSpec] = &[
    option(
        "http-report-status-url",
        Secret,
        "",
        "The URL that is told about progress while an operation runs.",
    )
    .ignored(NO_LIVE_REPORTS),
    option(
        "http-report-status-interval",
        Timespan,
        "30s",
        "The time between two such messages.",
    )
    .ignored(NO_LIVE_REPORTS),
    option(
        "http-report-status-max-log-lines",
        COUNT,
        "20",
        "The most log lines in such a message.",
    )
    .ignored(NO_LIVE_REPORTS),
    option(
        "http-report-status-accept-any-ssl-certificate",
        Boolean,
        "",
        "Trusts whatever certificate the server shows. Anyone on the way can \
         then read the messages.",
    )
    .ignored(NO_LIVE_REPORTS),
    option(
        "http-report-status-accept-specified-ssl-hash",
        List(','),
        "",
        "Trusts certificates with these SHA-1 hashes.",
    )
    .ignored(NO_LIVE_REPORTS),
    option(
        "http-report-status-ignore-revocation-failure",
        Boolean,
        "",
        "Goes on when it cannot be found out whether the certificate is revoked.",
    )
    .ignored(NO_LIVE_REPORTS),
    option(
        "http-report-status-allow-paths-in-log-messages",
        Boolean,
        "",
        "Leaves paths readable in these messages.",
    )
    .ignored(NO_LIVE_REPORTS),
];
