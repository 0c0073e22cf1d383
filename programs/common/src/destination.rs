// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Destinations as users write them: `scheme://user:password@host:port/path?option=value`, or a path.
//!
//! Only takes the text apart; which schemes exist is the business of the stores. Everything that may hold a
//! secret is kept as one, so that neither `Debug` nor `Display` can show it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::error_id::{UserError, ids};
use crate::options::spec::Kind;
use crate::options::table;

/// A parsed destination.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Lower case.
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// The host with its case preserved; bucket or container for most cloud schemes. Empty for `file`.
    pub host: String,
    pub port: Option<u16>,
    /// For `file` the path of the folder; for all others the decoded part after the host without its
    /// leading `/`.
    pub path: OsString,
    /// Options in the URL, which win over those of the command line. Names are in lower case.
    pub query: Vec<(String, SecretString)>,
}

impl Destination {
    /// Takes a destination apart; relative paths start at `current_folder`.
    pub fn parse(text: &OsStr, current_folder: &Path) -> Result<Self, UserError> {
        if text.is_empty() {
            return Err(invalid(
                "the destination is empty; give a URL such as file:///folder",
            ));
        }
        let Some((scheme, rest)) = text.to_str().and_then(split_scheme) else {
            // Bytes that are not UTF-8 can only be a path, and a path is taken literally.
            if looks_like_url(text.as_bytes()) {
                return Err(invalid(
                    "the destination URL is not valid UTF-8; encode other bytes as %XX",
                ));
            }
            return Ok(Self::file(current_folder.join(text), Vec::new()));
        };
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query = parse_query(query);
        match scheme.as_str() {
            "http" | "https" => Err(UserError::invalid_command_line(
                ids::BACKEND_NOT_SUPPORTED_HTTP,
                format!(
                    "{scheme}:// is not a kind of destination; for WebDAV use webdav://, with --use-ssl for TLS"
                ),
            )),
            "file" if location.is_empty() => Err(invalid("the destination file:// names no folder")),
            "file" => Ok(Self::file(current_folder.join(decode_bytes(location)), query)),
            _ => Self::remote(scheme, location, query),
        }
    }

    fn file(path: PathBuf, query: Vec<(String, SecretString)>) -> Self {
        Self {
            scheme: "file".to_owned(),
            user: None,
            password: None,
            host: String::new(),
            port: None,
            path: path.into_os_string(),
            query,
        }
    }

    fn remote(scheme: String, location: &str, query: Vec<(String, SecretString)>) -> Result<Self, UserError> {
        let (authority, path) = location.split_once('/').unwrap_or((location, ""));
        // The last '@' ends the user information: passwords hold '@' more often than hosts do.
        let (user_information, host_and_port) = match authority.rsplit_once('@') {
            Some((user_information, rest)) => (Some(user_information), rest),
            None => (None, authority),
        };
        let (user, password) = match user_information.map(|text| text.split_once(':').unwrap_or((text, ""))) {
            Some((user, password)) => (
                (!user.is_empty()).then(|| decode(user, false)),
                (!password.is_empty()).then(|| SecretString::from(decode(password, false))),
            ),
            None => (None, None),
        };
        let (host, port) = split_port(host_and_port)?;
        Ok(Self {
            scheme,
            user,
            password,
            host: decode(host, false),
            port,
            path: decode_bytes(path.trim_start_matches('/')),
            query,
        })
    }

    /// The value of an option in the URL, by any of the option's names.
    pub fn query_value(&self, name: &str) -> Option<&SecretString> {
        let wanted = table::find(name).map_or(
            name,
            |spec| if spec.prefix().is_some() { name } else { spec.name },
        );
        self.query
            .iter()
            .rev()
            .find(|(key, _)| {
                table::find(key).map_or(key.as_str(), |spec| {
                    if spec.prefix().is_some() { key } else { spec.name }
                }) == wanted
            })
            .map(|(_, value)| value)
    }
}

/// The form that may be shown and logged: without password, and without the values of options that are
/// secret or not known to be harmless.
impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.scheme)?;
        if self.user.is_some() || self.password.is_some() {
            formatter.write_str(self.user.as_deref().unwrap_or_default())?;
            if self.password.is_some() {
                formatter.write_str(":***")?;
            }
            formatter.write_str("@")?;
        }
        formatter.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        if self.scheme != "file" && !self.path.is_empty() {
            formatter.write_str("/")?;
        }
        write!(formatter, "{}", self.path.display())?;
        for (index, (name, value)) in self.query.iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            let harmless = table::find(name).is_some_and(|spec| spec.kind != Kind::Secret);
            let shown = if harmless { value.expose_secret() } else { "***" };
            write!(formatter, "{separator}{name}={shown}")?;
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> UserError {
    UserError::invalid_command_line(ids::INVALID_DESTINATION, message)
}

fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let mut letters = scheme.chars();
    let valid = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn looks_like_url(bytes: &[u8]) -> bool {
    let scheme = bytes.split(|byte| *byte == b':').next().unwrap_or_default();
    scheme.iter().all(u8::is_ascii_alphanumeric) && bytes[scheme.len()..].starts_with(b"://")
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), UserError> {
    let search_from = text.rfind(']').unwrap_or(0);
    let Some(colon) = text[search_from..]
        .rfind(':')
        .map(|position| position + search_from)
    else {
        return Ok((text, None));
    };
    match text[colon + 1..].parse() {
        Ok(port) if port != 0 => Ok((&text[..colon], Some(port))),
        // The text is not repeated: when the user information is wrongly encoded it holds the password.
        _ => Err(invalid(
            "the port in the destination URL is not a number from 1 to 65535; \
             a '/', ':' or '@' in user name or password is written as %2F, %3A or %40",
        )),
    }
}

fn parse_query(query: &str) -> Vec<(String, SecretString)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name, true).to_lowercase();
            (
                name.trim_start_matches("--").to_owned(),
                SecretString::from(decode(value, true)),
            )
        })
        .collect()
}

fn decode(text: &str, plus_is_space: bool) -> String {
    let text = if plus_is_space {
        text.replace('+', " ")
    } else {
        text.to_owned()
    };
    String::from_utf8_lossy(decode_bytes(&text).as_bytes()).into_owned()
}

/// Replaces `%XX`. A `%` that no two hexadecimal digits follow stands for itself.
fn decode_bytes(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let digit = |position: usize| {
        bytes
            .get(position)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        match (bytes[position], digit(position + 1), digit(position + 2)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits make at most 255.
                decoded.push((high * 16 + low) as u8);
                position += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                position += 1;
            }
        }
    }
    OsString::from_vec(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Destination, UserError> {
        Destination::parse(OsStr::new(text), Path::new("/here"))
    }

    fn parsed(text: &str) -> Destination {
        parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn all_parts_of_a_url_are_found_and_decoded() {
        let destination =
            parsed("SSH://me%40home:p%2Fw@Example.org:2222/a%20b/c+d?ssh-keyfile=/k%26&use-ssl");
        assert_eq!(destination.scheme, "ssh");
        assert_eq!(destination.user.as_deref(), Some("me@home"));
        assert_eq!(
            destination.password.as_ref().map(|p| p.expose_secret()),
            Some("p/w")
        );
        assert_eq!(
            (destination.host.as_str(), destination.port),
            ("Example.org", Some(2222))
        );
        assert_eq!(destination.path, "a b/c+d");
        assert_eq!(
            destination.query_value("ssh-keyfile").map(|v| v.expose_secret()),
            Some("/k&")
        );
        assert_eq!(
            destination.query_value("use-ssl").map(|v| v.expose_secret()),
            Some("")
        );
    }

    #[test]
    fn a_plain_path_is_a_folder_taken_literally() {
        assert_eq!(parsed("/backup/100%25?x").path, "/backup/100%25?x");
        assert_eq!(parsed("relative").path, "/here/relative");
        assert_eq!(parsed("file:///back%20up?use-move-for-put=true").path, "/back up");
        let bytes = OsStr::from_bytes(b"/back\xffup");
        let destination = Destination::parse(bytes, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(destination.path, bytes);
    }

    #[test]
    fn web_addresses_are_refused_with_a_hint() {
        let error = parse("https://example.org/dav").expect_err("https is no destination");
        assert_eq!(
            (error.id, error.exit_code.code()),
            ("BackendNotSupportedHttp", 200)
        );
        assert!(error.message.contains("webdav://"));
    }

    #[test]
    fn neither_display_nor_debug_nor_errors_show_a_secret() {
        let text = "webdav://me:hunter2@host/path?auth-password=hunter2&unknown=hunter2&use-ssl=true";
        let destination = parsed(text);
        assert_eq!(
            destination.to_string(),
            "webdav://me:***@host/path?auth-password=***&unknown=***&use-ssl=true"
        );
        assert!(!format!("{destination:?}").contains("hunter2"));
        let error = parse("webdav://me:hunter2/x@host/path").expect_err("the port is no number");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn bracketed_addresses_keep_their_colons() {
        let destination = parsed("ftp://[::1]:21/x");
        assert_eq!((destination.host.as_str(), destination.port), ("[::1]", Some(21)));
        assert_eq!(parsed("ftp://[::1]/x").port, None);
    }

    #[test]
    fn an_option_in_the_url_is_found_by_its_alias() {
        let destination = parsed("s3://bucket/prefix?s3-servername=example.org");
        assert_eq!(
            destination
                .query_value("s3-server-name")
                .map(|v| v.expose_secret()),
            Some("example.org")
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}") {
            let _ = parse(&text).map(|destination| destination.to_string());
        }

        #[test]
        fn parsing_near_valid_urls_never_panics(text in "[a-z]{1,4}://[a-z%0-9@:/?&=\\[\\].é]{0,40}") {
            let _ = parse(&text).map(|destination| destination.to_string());
        }
    }
}
