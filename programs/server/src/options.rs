// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options of the server: on the command line, or as `DUPLICATI__NAME` in the environment. The command line wins.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use duplicati_programs_common::{
    Environment, UserError,
    error_id::ids,
    options::suggestion::closest,
    value::{Timespan, parse_boolean},
};

/// Longest parameters file, bytes.
const PARAMETERS_BYTES_MAX: u64 = 1 << 20;

/// What is done with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handling {
    Kept,
    /// Accepted, so that existing command lines work; the text says why it has no effect.
    WithoutEffect(&'static str),
    /// Going on without it would do harm; the text says why.
    Refused(&'static str),
}
use Handling::{Kept, Refused, WithoutEffect};

/// Every option with its help.
const OPTIONS: &[(&str, Handling, &str)] = &[
    ("help", Kept, "Lists all options."),
    (
        "parameters-file",
        Kept,
        "A file with one --option=value per line.",
    ),
    ("tempdir", Kept, "The folder for temporary files."),
    (
        "portable-mode",
        Kept,
        "Keeps all data in the folder data beside the program.",
    ),
    ("server-datafolder", Kept, "The data folder."),
    (
        "allow-insecure-datafolder",
        Kept,
        "Accepts a data folder that others can look into.",
    ),
    (
        "server-database-url",
        Kept,
        "A PostgreSQL database (postgres://…) in place of the file in the data folder.",
    ),
    ("log-file", Kept, "A file for log lines."),
    (
        "log-level",
        Kept,
        "From which level on lines go to the log file: Verbose, Information, Warning (default) or Error.",
    ),
    (
        "log-console",
        Kept,
        "Prints log lines of the level Information and above to standard output.",
    ),
    (
        "log-retention",
        Kept,
        "How long rows of the logs are kept; 30D unless given.",
    ),
    (
        "webservice-port",
        Kept,
        "The port, or several to try, separated by commas; 8200 unless given, 0 for any free one.",
    ),
    (
        "webservice-interface",
        Kept,
        "loopback (default), any, or an address.",
    ),
    ("webservice-password", Kept, "Sets the password at the start."),
    (
        "webservice-password-init",
        Kept,
        "Sets the password if nobody has, and ends: 102 if it was set, 103 if not.",
    ),
    (
        "webservice-allowed-hostnames",
        Kept,
        "Names under which this server may be reached, separated by semicolons; * for any.",
    ),
    (
        "webservice-webroot",
        WithoutEffect("this version brings no web pages of its own but the one to sign in"),
        "The folder of web pages.",
    ),
    (
        "webservice-spa-paths",
        WithoutEffect("this version brings no web pages of its own but the one to sign in"),
        "Paths of web applications.",
    ),
    ("webservice-api-only", Kept, "Answers the API only."),
    (
        "webservice-cors-origins",
        Kept,
        "Origins of other sites that may call, separated by semicolons.",
    ),
    (
        "webservice-timezone",
        Kept,
        "The time zone of schedules; it is stored.",
    ),
    (
        "webservice-token-duration",
        Kept,
        "How long somebody stays signed in; 30D unless given.",
    ),
    (
        "webservice-pre-auth-tokens",
        Kept,
        "Fixed tokens for reverse proxies, separated by semicolons.",
    ),
    (
        "webservice-reset-jwt-config",
        Kept,
        "Makes a new key for tokens, which signs everybody out.",
    ),
    (
        "webservice-enable-forever-token",
        Kept,
        "Lets one token for ten years be issued.",
    ),
    (
        "webservice-metrics-token",
        Kept,
        "A token that may read /metrics and nothing else.",
    ),
    (
        "webservice-disable-api-extensions",
        Kept,
        "Parts of the API to switch off; it is stored.",
    ),
    ("webservice-disable-signin-tokens", Kept, "No links to sign in."),
    (
        "webservice-enable-folder-status-service",
        WithoutEffect("this version has no folder status service"),
        "A service for file managers.",
    ),
    (
        "webservice-suppress-welcome-page",
        Kept,
        "No page that welcomes new users.",
    ),
    (
        "webservice-disable-https",
        Kept,
        "Plain HTTP although there is a certificate.",
    ),
    (
        "webservice-remove-sslcertificate",
        Kept,
        "Forgets the stored certificate.",
    ),
    (
        "webservice-sslcertificatefile",
        Kept,
        "A certificate with its key for HTTPS, as PKCS#12 (.pfx, .p12) or PEM; it is stored, and read again when the file changes.",
    ),
    (
        "webservice-sslcertificatepassword",
        Kept,
        "The password of that file.",
    ),
    (
        "configure-https",
        Kept,
        "Makes an own certificate authority and a certificate if there is none; both are stored.",
    ),
    (
        "configure-https-hostnames",
        Kept,
        "Names and addresses for that certificate, separated by commas; those of this machine unless given.",
    ),
    (
        "settings-encryption-key",
        Kept,
        "The key for secrets in the server database, at least 8 characters.",
    ),
    ("require-db-encryption-key", Kept, "Does not start without a key."),
    (
        "disable-db-encryption",
        Kept,
        "Stores secrets in the server database as they are, without a warning.",
    ),
    (
        "disable-default-secret-provider",
        WithoutEffect("keys are taken from the option or the environment only"),
        "Does not ask the key ring.",
    ),
    (
        "secret-provider",
        Refused("secrets of the server's own options are not looked up in this version"),
        "Where secrets are looked up.",
    ),
    (
        "secret-provider-cache",
        WithoutEffect("no secret provider is used for the server's own options"),
        "How secrets are kept.",
    ),
    (
        "secret-provider-pattern",
        WithoutEffect("no secret provider is used for the server's own options"),
        "How secrets are marked.",
    ),
    (
        "allowed-backend-modules",
        Kept,
        "Kinds of destinations that jobs may use.",
    ),
    (
        "allowed-encryption-modules",
        WithoutEffect("there is one kind of encryption"),
        "Kinds of encryption.",
    ),
    (
        "allowed-compression-modules",
        WithoutEffect("there is one kind of compression"),
        "Kinds of compression.",
    ),
    (
        "register-remote-control",
        WithoutEffect("this version cannot be controlled from a console"),
        "Registers with a console.",
    ),
    (
        "register-remote-control-force",
        WithoutEffect("this version cannot be controlled from a console"),
        "Registers with a console.",
    ),
    (
        "ping-pong-keepalive",
        Kept,
        "Answers each line on standard input with pong.",
    ),
    (
        "disable-update-check",
        WithoutEffect("packages bring updates"),
        "Does not look for updates.",
    ),
];

const ALIASES: &[(&str, &str)] = &[
    ("parameterfile", "parameters-file"),
    ("webservice-allowedhostnames", "webservice-allowed-hostnames"),
];

/// The options of one start. Has no `Debug`: some are secrets.
#[derive(Default)]
pub struct ServerOptions {
    values: BTreeMap<&'static str, String>,
    pub warnings: Vec<String>,
}

fn invalid(message: String) -> UserError {
    UserError::invalid_command_line(ids::INVALID_OPTION_VALUE, message)
}

impl ServerOptions {
    /// Reads the command line and the environment.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<Self, UserError> {
        let mut options = Self::default();
        for argument in arguments {
            let text = argument
                .into_string()
                .map_err(|_| invalid("an argument is not valid UTF-8".to_owned()))?;
            if matches!(
                text.as_str(),
                "help" | "/help" | "usage" | "/usage" | "--usage" | "-h" | "/h"
            ) {
                options.values.insert("help", String::new());
                continue;
            }
            options.add(&text)?;
        }
        if let Some(path) = options.values.get("parameters-file").cloned() {
            for line in read_parameters(&environment.current_folder.join(path))?.lines() {
                let line = line.trim();
                if !line.is_empty() && !line.starts_with('#') {
                    let mut of_file = Self::default();
                    of_file.add(line)?;
                    options.add_absent(of_file);
                }
            }
        }
        let mut of_environment = Self::default();
        for (name, _, _) in OPTIONS {
            let variable = format!("DUPLICATI__{}", name.replace('-', "_").to_ascii_uppercase());
            if let Some(value) = environment.variable(&variable).and_then(|value| value.to_str()) {
                of_environment.set(name, value.to_owned())?;
            }
        }
        if let Some(key) = environment
            .variable("SETTINGS_ENCRYPTION_KEY")
            .and_then(|key| key.to_str())
        {
            of_environment
                .values
                .entry("settings-encryption-key")
                .or_insert(key.to_owned());
        }
        options.add_absent(of_environment);
        Ok(options)
    }

    fn add_absent(&mut self, other: Self) {
        for (name, value) in other.values {
            self.values.entry(name).or_insert(value);
        }
        self.warnings.extend(other.warnings);
    }

    fn add(&mut self, text: &str) -> Result<(), UserError> {
        let wrong = || {
            let shown: String = text
                .split('=')
                .next()
                .unwrap_or_default()
                .chars()
                .take(60)
                .collect();
            UserError::invalid_command_line(
                ids::WRONG_ARGUMENTS,
                format!("{shown:?} is not an option; options are written as --name=value"),
            )
        };
        let option = text.strip_prefix("--").ok_or_else(wrong)?;
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let unquoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        self.set(name, unquoted.to_owned())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), UserError> {
        let lower = name.trim().to_ascii_lowercase();
        let canonical = ALIASES
            .iter()
            .find(|(alias, _)| *alias == lower)
            .map_or(lower.as_str(), |(_, name)| name);
        let Some((name, handling, _)) = OPTIONS.iter().find(|(known, _, _)| *known == canonical) else {
            let shown: String = lower.chars().take(60).collect();
            let advice = closest(&shown, OPTIONS.iter().map(|(name, _, _)| *name)).map_or_else(
                || "--help lists all options".to_owned(),
                |name| format!("did you mean --{name}?"),
            );
            return Err(UserError::invalid_command_line(
                ids::UNKNOWN_OPTION,
                format!("unknown option --{shown}; {advice}"),
            ));
        };
        match handling {
            Kept => {}
            WithoutEffect(reason) => self
                .warnings
                .push(format!("the option --{name} has no effect: {reason}")),
            Refused(reason) => {
                return Err(UserError::failed(
                    ids::OPTION_NOT_SUPPORTED,
                    format!("the option --{name} is not supported: {reason}"),
                ));
            }
        }
        self.values.insert(*name, value);
        Ok(())
    }

    /// A text that is not empty.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        debug_assert!(OPTIONS.iter().any(|(known, _, _)| *known == name), "{name}");
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether an option is on. An option without a value is.
    pub fn is_on(&self, name: &'static str) -> bool {
        self.values.get(name).is_some_and(|value| parse_boolean(value))
    }

    /// Whether an option was given at all.
    pub fn is_given(&self, name: &'static str) -> bool {
        self.values.contains_key(name)
    }

    /// A path.
    pub fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// Parts of a list.
    pub fn list(&self, name: &'static str, separator: char) -> Vec<String> {
        self.text(name)
            .into_iter()
            .flat_map(|text| text.split(separator))
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A span in seconds, above zero.
    pub fn seconds(&self, name: &'static str, otherwise: i64) -> Result<i64, UserError> {
        let Some(text) = self.text(name) else {
            return Ok(otherwise);
        };
        let span = Timespan::parse(text).map_err(|error| invalid(format!("--{name}: {error}")))?;
        i64::try_from(span.to_duration().as_secs())
            .ok()
            .filter(|seconds| *seconds > 0)
            .ok_or_else(|| invalid(format!("--{name}: {text:?} is not a time span above zero")))
    }

    /// The ports to try.
    pub fn ports(&self) -> Result<Vec<u16>, UserError> {
        self.list("webservice-port", ',')
            .iter()
            .map(|text| {
                text.parse()
                    .map_err(|_| invalid(format!("--webservice-port: {text:?} is not a port number")))
            })
            .collect()
    }

    /// Fixed tokens; a weak one is refused.
    pub fn pre_auth_tokens(&self) -> Result<Vec<String>, UserError> {
        const CHARACTERS_MIN: usize = 10;
        let tokens = self.list("webservice-pre-auth-tokens", ';');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if tokens
            .iter()
            .any(|token| token.len() < CHARACTERS_MIN || !token.chars().all(is_plain))
        {
            return Err(invalid(format!(
                "--webservice-pre-auth-tokens: each token has at least {CHARACTERS_MIN} letters, digits, - or _"
            )));
        }
        Ok(tokens)
    }
}

fn read_parameters(path: &Path) -> Result<String, UserError> {
    let unreadable = |reason: String| {
        UserError::failed(
            ids::PARAMETERS_FILE_UNREADABLE,
            format!("failed to read the parameters file {}: {reason}", path.display()),
        )
    };
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > PARAMETERS_BYTES_MAX {
        return Err(unreadable(format!(
            "it is larger than {PARAMETERS_BYTES_MAX} bytes"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

/// The list of options.
pub fn help() -> String {
    let mut text = format!("duplicati-server {}\n\n", env!("CARGO_PKG_VERSION"));
    for (name, handling, help) in OPTIONS {
        let remark = match handling {
            Kept => String::new(),
            WithoutEffect(reason) => format!(" (no effect: {reason})"),
            Refused(reason) => format!(" (not supported: {reason})"),
        };
        text.push_str(&format!("  --{name}: {help}{remark}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let mut environment = Environment::from_process();
        environment.variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        environment
    }

    fn read(arguments: &[&str], variables: &[(&str, &str)]) -> Result<ServerOptions, UserError> {
        ServerOptions::read(arguments.iter().map(OsString::from), &environment(variables))
    }

    fn good(arguments: &[&str], variables: &[(&str, &str)]) -> ServerOptions {
        read(arguments, variables).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let variables = [
            ("DUPLICATI__WEBSERVICE_PORT", "1"),
            ("DUPLICATI__WEBSERVICE_INTERFACE", "any"),
        ];
        let options = good(&["--webservice-port=2,3"], &variables);
        assert_eq!(options.ports().ok(), Some(vec![2, 3]));
        assert_eq!(options.text("webservice-interface"), Some("any"));
    }

    #[test]
    fn a_mistyped_option_is_refused_with_a_suggestion() {
        let error = read(&["--webservice-prot=1"], &[])
            .err()
            .map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("--webservice-port")));
    }

    #[test]
    fn weak_fixed_tokens_are_refused() {
        assert!(
            good(&["--webservice-pre-auth-tokens=short"], &[])
                .pre_auth_tokens()
                .is_err()
        );
        assert!(
            good(&["--webservice-pre-auth-tokens=abcdefghij;0123456789-_"], &[])
                .pre_auth_tokens()
                .is_ok()
        );
    }

    #[test]
    fn names_in_errors_show_no_value() {
        for wrong in [
            "--settings-encryption-kye=hunter2",
            "settings-encryption-key=hunter2",
        ] {
            let error = read(&[wrong], &[])
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(!error.is_empty() && !error.contains("hunter2"), "{error}");
        }
    }
}
