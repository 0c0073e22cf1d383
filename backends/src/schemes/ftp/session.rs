// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection that is logged in: commands about files and folders, by absolute paths.

use std::{net::IpAddr, sync::Arc, time::Duration};

use duplicati_engine::storage::StoreErrorKind;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

use super::{
    arguments::{Arguments, Encryption, Passive},
    control::{Control, Reply, Wire},
    listing,
    trouble::Trouble,
};
use crate::transfer::Limits;

/// Longest time for a TCP connection, and for the login. Shorter than a call may be silent, so that what is told is that nobody
/// answers at this address.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(20);

/// What is known of the size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Bytes(u64),
    /// Not there, or not ours to see.
    Refused,
    /// The server does not know the question.
    NotOffered,
}

/// What is needed to go on in TLS.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    fn new(config: &Arc<ClientConfig>, host: &str) -> Result<Self, Trouble> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Trouble::invalid("the host name cannot be that of a certificate"))?;
        Ok(Self {
            connector: TlsConnector::from(Arc::clone(config)),
            name,
        })
    }

    pub(super) async fn wrap(&self, stream: Box<dyn Wire>) -> Result<Box<dyn Wire>, Trouble> {
        match self.connector.connect(self.name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Trouble::lost(&error)),
        }
    }
}

pub(super) struct Session {
    pub(super) control: Control,
    /// Where data connections go, whatever address the server names: behind a router it names a wrong one.
    pub(super) server: IpAddr,
    /// For data connections.
    pub(super) tls: Option<Tls>,
    pub(super) passive: Passive,
    pub(super) limits: Arc<Limits>,
    has_machine_listings: bool,
    /// Where the target's folder begins: `/`, or the folder of the login.
    base: String,
    pub(super) idle_since: Instant,
    /// Nothing is known of its state; it is not used again.
    pub(super) is_spent: bool,
}

impl Session {
    pub(super) async fn open(arguments: &Arguments) -> Result<Self, Trouble> {
        let at = format!("{} port {}", arguments.host, arguments.port);
        let tcp = TcpStream::connect((arguments.host.as_str(), arguments.port));
        let tcp = match tokio::time::timeout(CONNECT_TIME_MAX, tcp).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => {
                return Err(Trouble::Unreachable(format!(
                    "the target cannot be reached: no connection to {at}: {error}"
                )));
            }
            Err(_) => {
                return Err(Trouble::Unreachable(format!(
                    "the target cannot be reached: no connection to {at} within {} seconds",
                    CONNECT_TIME_MAX.as_secs()
                )));
            }
        };
        match tokio::time::timeout(CONNECT_TIME_MAX, Self::log_in(tcp, arguments)).await {
            Ok(result) => result,
            Err(_) => Err(Trouble::broken(format!(
                "the login at {at} was not finished within {} seconds",
                CONNECT_TIME_MAX.as_secs()
            ))),
        }
    }

    async fn log_in(tcp: TcpStream, arguments: &Arguments) -> Result<Self, Trouble> {
        let lost = |error: std::io::Error| Trouble::lost(&error);
        let server = tcp.peer_addr().map_err(lost)?.ip();
        tcp.set_nodelay(true).map_err(lost)?;
        let tls = match &arguments.tls {
            Some(config) => Some(Tls::new(config, &arguments.host)?),
            None => None,
        };
        let mut stream: Box<dyn Wire> = Box::new(tcp);
        if let (Encryption::Implicit, Some(tls)) = (arguments.encryption, &tls) {
            stream = tls.wrap(stream).await?;
        }
        let mut control = Control::new(stream);
        let greeting = control.reply().await?;
        done(greeting)?;
        let mut used_tls = (arguments.encryption == Encryption::Implicit)
            .then(|| tls.clone())
            .flatten();
        if let (Encryption::Explicit | Encryption::Auto, Some(tls)) = (arguments.encryption, &tls) {
            let reply = control.ask("AUTH TLS").await?;
            if reply.is_done() {
                control = Control::new(tls.wrap(control.into_stream()?).await?);
                used_tls = Some(tls.clone());
            } else if arguments.encryption == Encryption::Explicit {
                return Err(Trouble::Told(
                    StoreErrorKind::Other,
                    format!("the server offers no TLS ({} {})", reply.code, reply.text()),
                ));
            }
        }
        let mut session = Self {
            control,
            server,
            tls: None,
            passive: arguments.passive,
            limits: Arc::clone(&arguments.limits),
            has_machine_listings: false,
            base: "/".to_owned(),
            idle_since: Instant::now(),
            is_spent: false,
        };
        let mut reply = session.control.ask(&format!("USER {}", arguments.user)).await?;
        if reply.code == 331 {
            reply = session.control.ask_secretly("PASS", &arguments.password).await?;
        }
        done(reply)?;
        if let Some(tls) = used_tls {
            done(session.control.ask("PBSZ 0").await?)?;
            done(session.control.ask("PROT P").await?)?;
            session.tls = Some(tls);
        }
        let features = session.control.ask("FEAT").await?;
        let offers = |name: &str| {
            features.lines.iter().any(|line| {
                let word = line.split_whitespace().next().unwrap_or_default();
                word.eq_ignore_ascii_case(name)
            })
        };
        session.has_machine_listings = features.is_done() && (offers("MLSD") || offers("MLST"));
        if features.is_done() && offers("UTF8") {
            // Some want to be asked; others are in UTF-8 already and refuse.
            let _reply = session.control.ask("OPTS UTF8 ON").await?;
        }
        done(session.control.ask("TYPE I").await?)?;
        if arguments.is_relative {
            session.base = folder_of_login(&session.control.ask("PWD").await?);
        }
        Ok(session)
    }

    /// The absolute path of something below the target's folder; of that folder itself for an empty path.
    pub(super) fn path(&self, folder: &str, path: &str) -> String {
        let mut absolute = self.base.trim_end_matches('/').to_owned();
        for part in [folder, path].into_iter().filter(|part| !part.is_empty()) {
            absolute.push('/');
            absolute.push_str(part);
        }
        if absolute.is_empty() {
            "/".to_owned()
        } else {
            absolute
        }
    }

    pub(super) async fn is_alive(&mut self) -> bool {
        let noop = tokio::time::timeout(CONNECT_TIME_MAX, self.control.ask("NOOP"));
        matches!(noop.await, Ok(Ok(reply)) if reply.is_done())
    }

    pub(super) async fn size(&mut self, path: &str) -> Result<Size, Trouble> {
        let reply = self.control.ask(&format!("SIZE {path}")).await?;
        if reply.code == 213 {
            let text = reply.text();
            return match text.trim().parse() {
                Ok(bytes) => Ok(Size::Bytes(bytes)),
                Err(_) => Err(Trouble::broken(format!(
                    "the server tells a size that is no number: {text}"
                ))),
            };
        }
        match reply.code {
            550 | 450 => Ok(Size::Refused),
            _ if reply.is_unknown_command() => Ok(Size::NotOffered),
            _ => Err(Trouble::Refused(reply)),
        }
    }

    /// When a file was last written, seconds since 1970; none when the server does not say.
    pub(super) async fn modified(&mut self, path: &str) -> Result<Option<i64>, Trouble> {
        let reply = self.control.ask(&format!("MDTM {path}")).await?;
        Ok((reply.code == 213)
            .then(|| listing::time(reply.text().trim()))
            .flatten())
    }

    /// Whether a folder can be entered; one that is not there cannot, and neither can one that is not ours.
    pub(super) async fn enter(&mut self, path: &str) -> Result<bool, Trouble> {
        let reply = self.control.ask(&format!("CWD {path}")).await?;
        if matches!(reply.code, 550 | 450 | 553) {
            return Ok(false);
        }
        done(reply).map(|()| true)
    }

    /// The entries of a folder; none when it cannot be entered.
    pub(super) async fn list(&mut self, path: &str) -> Result<Option<Vec<listing::Entry>>, Trouble> {
        if !self.enter(path).await? {
            return Ok(None);
        }
        let command = if self.has_machine_listings { "MLSD" } else { "LIST" };
        let text = self.fetch_listing(command).await?;
        let entries = if self.has_machine_listings {
            listing::of_machine(&text)
        } else {
            listing::of_people(&text)
        };
        entries
            .map(Some)
            .map_err(|message| Trouble::Told(StoreErrorKind::Other, message))
    }

    pub(super) async fn delete(&mut self, path: &str) -> Result<Reply, Trouble> {
        self.control.ask(&format!("DELE {path}")).await
    }

    pub(super) async fn make_folder(&mut self, path: &str) -> Result<Reply, Trouble> {
        self.control.ask(&format!("MKD {path}")).await
    }

    pub(super) async fn remove_folder(&mut self, path: &str) -> Result<(), Trouble> {
        done(self.control.ask(&format!("RMD {path}")).await?)
    }

    /// Gives a file another name. Most servers replace a file that has it.
    pub(super) async fn rename(&mut self, from: &str, to: &str) -> Result<(), Trouble> {
        let reply = self.control.ask(&format!("RNFR {from}")).await?;
        if reply.code != 350 {
            return Err(Trouble::Refused(reply));
        }
        done(self.control.ask(&format!("RNTO {to}")).await?)
    }
}

/// Success, or what the server said instead.
pub(super) fn done(reply: Reply) -> Result<(), Trouble> {
    if reply.is_done() {
        Ok(())
    } else {
        Err(Trouble::Refused(reply))
    }
}

/// `257 "/home/me" is the current folder`, with quotes inside doubled. Where the server does not say, its root.
fn folder_of_login(reply: &Reply) -> String {
    let text = reply.text();
    let mut folder = String::new();
    let mut characters = text
        .chars()
        .skip_while(|character| *character != '"')
        .skip(1)
        .peekable();
    while let Some(character) = characters.next() {
        if character == '"' && characters.next_if_eq(&'"').is_none() {
            break;
        }
        folder.push(character);
    }
    if reply.code == 257 && folder.starts_with('/') {
        folder
    } else {
        "/".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_the_login_is_read_from_its_quotes() {
        let of = |code, text: &str| {
            folder_of_login(&Reply {
                code,
                lines: vec![text.to_owned()],
            })
        };
        assert_eq!(of(257, "\"/home/me\" is the current directory"), "/home/me");
        assert_eq!(of(257, "\"/a\"\"b\" x"), "/a\"b");
        assert_eq!(of(257, "nothing"), "/");
        assert_eq!(of(550, "\"/home\""), "/");
    }
}
