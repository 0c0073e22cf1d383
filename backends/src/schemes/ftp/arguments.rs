// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From an address to what an FTP store needs to know.

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;
use secrecy::SecretString;

use super::SCHEME;
use crate::{address::StoreAddress, http::tls, registry::OpenError, transfer::Limits};

/// The port of FTP.
const PORT: u16 = 21;
/// The port of FTP in TLS from the first byte.
const PORT_IMPLICIT: u16 = 990;

/// Whether and when TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    None,
    /// Asked for after the greeting; without it there is no login.
    Explicit,
    /// From the first byte.
    Implicit,
    /// Asked for after the greeting; a server that does not know it is used in the clear, as the user has said.
    Auto,
}

/// How the server is asked for a data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passive {
    /// `EPSV`, and `PASV` where the server does not know it.
    Auto,
    Extended,
    Plain,
}

/// Everything about one FTP target.
pub(super) struct Arguments {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) encryption: Encryption,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) passive: Passive,
    /// Without slashes at either end; empty for where it begins.
    pub(super) folder: String,
    /// Whether the folder begins where the login does, and not at the server's root.
    pub(super) is_relative: bool,
    /// Wait between an upload and the look at it.
    pub(super) upload_delay: Duration,
    pub(super) limits: Arc<Limits>,
    pub(super) location: String,
}

impl Arguments {
    pub(super) fn of(address: &StoreAddress) -> Result<Self, OpenError> {
        if address.host.is_empty() {
            return Err(OpenError::Missing {
                scheme: SCHEME,
                what: "a host: ftp://host/path",
            });
        }
        let options = &address.options;
        let encryption = encryption(address)?;
        let tls = match encryption {
            Encryption::None => None,
            _ => Some(Arc::new(tls::config(SCHEME, options)?)),
        };
        let folder = address.remote_folder(SCHEME)?;
        if folder.chars().any(char::is_control) {
            return Err(OpenError::InvalidPath {
                scheme: SCHEME,
                path: folder.escape_debug().to_string(),
                message: "a path for FTP holds no line break and no other control character".to_owned(),
            });
        }
        let host = address
            .host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = address.port.unwrap_or(match encryption {
            Encryption::Implicit => PORT_IMPLICIT,
            _ => PORT,
        });
        let scheme = if encryption == Encryption::None {
            "ftp"
        } else {
            "ftps"
        };
        let is_relative = match address.scheme.as_str() {
            "aftp" => options.flag("aftp-relative-path"),
            _ => !options.flag("ftp-absolute-path"),
        };
        let (user, password) = match (&address.user, &address.password) {
            (Some(user), Some(password)) => (user.clone(), password.clone()),
            (Some(user), None) => (user.clone(), SecretString::default()),
            (None, _) => ("anonymous".to_owned(), SecretString::from("anonymous")),
        };
        Ok(Self {
            location: format!("{scheme}://{}:{port}/{folder}", address.host),
            host,
            port,
            user,
            password,
            encryption,
            tls,
            passive: passive(address)?,
            folder,
            is_relative,
            upload_delay: options
                .duration("ftp-upload-delay")
                .filter(|delay| !delay.is_zero())
                .or_else(|| options.duration("aftp-upload-delay"))
                .unwrap_or_default(),
            limits: Arc::clone(&address.limits),
        })
    }
}

/// A setting that `ftp` and `aftp` have under their own names, unless it is the default.
fn setting<'a>(address: &'a StoreAddress, own: &str, other: &str, default: &str) -> Option<&'a str> {
    let said = |name: &str| {
        address
            .options
            .text(name)
            .filter(|text| !text.eq_ignore_ascii_case(default))
    };
    said(own).or_else(|| said(other))
}

fn encryption(address: &StoreAddress) -> Result<Encryption, OpenError> {
    Ok(
        match setting(address, "ftp-encryption-mode", "aftp-encryption-mode", "None") {
            Some("Implicit") => Encryption::Implicit,
            Some("Explicit") => Encryption::Explicit,
            Some("Auto") => Encryption::Auto,
            Some(_) => {
                return Err(OpenError::InvalidOption {
                    scheme: SCHEME,
                    option: "ftp-encryption-mode",
                    message: "it is one of None, Explicit, Implicit and Auto".to_owned(),
                });
            }
            None if address.options.flag("use-ssl") || address.scheme == "ftps" => Encryption::Explicit,
            None => Encryption::None,
        },
    )
}

fn passive(address: &StoreAddress) -> Result<Passive, OpenError> {
    let active = |option| OpenError::InvalidOption {
        scheme: SCHEME,
        option,
        message: "data connections that the server opens are not part of this version; use AutoPassive"
            .to_owned(),
    };
    if address.options.flag("ftp-regular") {
        return Err(active("ftp-regular"));
    }
    let wish = setting(
        address,
        "ftp-data-connection-type",
        "aftp-data-connection-type",
        "AutoPassive",
    );
    match wish.map(str::to_ascii_uppercase).as_deref() {
        None => Ok(Passive::Auto),
        Some("EPSV") => Ok(Passive::Extended),
        Some("PASV" | "PASVEX") => Ok(Passive::Plain),
        Some("AUTOACTIVE" | "PORT" | "EPRT") => Err(active("ftp-data-connection-type")),
        Some(_) => Err(OpenError::InvalidOption {
            scheme: SCHEME,
            option: "ftp-data-connection-type",
            message: "it is one of AutoPassive, PASV and EPSV".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{OptionValue, StoreOptions};

    fn of(scheme: &str, options: StoreOptions) -> Result<Arguments, OpenError> {
        Arguments::of(&StoreAddress {
            scheme: scheme.to_owned(),
            host: "h".to_owned(),
            path: "a/b".into(),
            options,
            ..StoreAddress::default()
        })
    }

    #[test]
    fn tls_and_the_port_follow_the_options() {
        let plain = of("ftp", StoreOptions::default()).unwrap();
        assert_eq!((plain.encryption, plain.port), (Encryption::None, 21));
        assert_eq!(
            of("ftps", StoreOptions::default()).unwrap().encryption,
            Encryption::Explicit
        );
        let options = StoreOptions::default().with_text("ftp-encryption-mode", "Implicit");
        let implicit = of("ftp", options).unwrap();
        assert_eq!((implicit.encryption, implicit.port), (Encryption::Implicit, 990));
        let options = StoreOptions::default()
            .with_text("ftp-encryption-mode", "None")
            .with_text("aftp-encryption-mode", "Explicit");
        assert_eq!(of("aftp", options).unwrap().encryption, Encryption::Explicit);
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_not_ignored() {
        let active = StoreOptions::default().with_text("ftp-data-connection-type", "AutoActive");
        assert!(matches!(of("ftp", active), Err(OpenError::InvalidOption { .. })));
        let regular = StoreOptions::default().with("ftp-regular", OptionValue::Flag(true));
        assert!(matches!(of("ftp", regular), Err(OpenError::InvalidOption { .. })));
        let strange = StoreOptions::default().with_text("ftp-data-connection-type", "x");
        assert!(matches!(of("ftp", strange), Err(OpenError::InvalidOption { .. })));
        let address = StoreAddress {
            scheme: "ftp".to_owned(),
            host: "h".to_owned(),
            path: "a\r\nDELE b".into(),
            ..StoreAddress::default()
        };
        assert!(matches!(
            Arguments::of(&address),
            Err(OpenError::InvalidPath { .. })
        ));
    }

    #[test]
    fn paths_begin_where_the_login_does_unless_asked_otherwise() {
        assert!(of("ftp", StoreOptions::default()).unwrap().is_relative);
        assert!(!of("aftp", StoreOptions::default()).unwrap().is_relative);
        let absolute = StoreOptions::default().with("ftp-absolute-path", OptionValue::Flag(true));
        assert!(!of("ftp", absolute).unwrap().is_relative);
        let relative = StoreOptions::default().with("aftp-relative-path", OptionValue::Flag(true));
        assert!(of("aftp", relative).unwrap().is_relative);
    }
}
