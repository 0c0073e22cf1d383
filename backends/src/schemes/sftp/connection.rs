// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From an address to an open SFTP session: TCP, ssh, login, subsystem.

use std::{
    borrow::Cow,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use duplicati_engine::storage::StoreErrorKind;
use russh::{
    ChannelMsg, Preferred, cipher,
    client::{self, Config, Handle},
    keys::PublicKeyOrCertificate,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    arguments::SftpArguments,
    errors::Trouble,
    fingerprint::KeyKind,
    host_key,
    login::{self, Credentials},
    session::Session,
};

/// Longest time for the TCP connection. Shorter than a call may be silent, so that what is told is that nobody answers at this
/// address.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(20);
/// Longest time from the TCP connection to the open session; a login may have to wait for a directory service.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(60);
/// What the server may send us ahead, bytes: a gigabit over a round trip of 100 ms.
const WINDOW_BYTES: u32 = 16 << 20;
/// Longest packet of a channel that we accept, bytes.
const CHANNEL_PACKET_BYTES: u32 = 65_535;
/// Messages between the ssh layer and the session; the session takes them at once.
const CHANNEL_BUFFER_MESSAGES: usize = 256;
/// Unanswered questions after which an idle connection is dead.
const KEEPALIVES_UNANSWERED_MAX: usize = 3;
/// Bytes of the server's greeting that are looked at; the protocol allows 255.
const GREETING_BYTES_MAX: usize = 255;

/// Judges the server's key during the key exchange.
pub(super) struct HostKeyCheck {
    arguments: Arc<SftpArguments>,
    /// Why the key was refused.
    objection: Arc<Mutex<Option<String>>>,
}

impl client::Handler for HostKeyCheck {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let SftpArguments { host, port, .. } = &*self.arguments;
        match self.arguments.host_key.check(host, *port, key) {
            Ok(()) => Ok(true),
            Err(objection) => {
                *self.objection.lock().unwrap_or_else(PoisonError::into_inner) = Some(objection);
                Ok(false)
            }
        }
    }
}

/// Opens a session. `offer` is the number of the offer of host keys that worked before, and is set to the one that works.
pub(super) async fn open(
    arguments: &Arc<SftpArguments>,
    credentials: &Credentials,
    offer: &Mutex<usize>,
) -> Result<Session, Trouble> {
    let offers = arguments.host_key.offers(&arguments.host, arguments.port);
    let mut refusal = None;
    let first = *offer.lock().unwrap_or_else(PoisonError::into_inner);
    for (number, kinds) in offers.iter().enumerate().skip(first) {
        match open_with(arguments, credentials, kinds).await {
            Ok(session) => {
                *offer.lock().unwrap_or_else(PoisonError::into_inner) = number;
                return Ok(session);
            }
            // The server may have the right key of another kind.
            Err(Attempt::HostKey(trouble)) => refusal = refusal.or(Some(trouble)),
            Err(Attempt::NoSuchKey(trouble)) if number + 1 == offers.len() => {
                return Err(refusal.unwrap_or(trouble));
            }
            Err(Attempt::NoSuchKey(_)) => {}
            Err(Attempt::Other(trouble)) => return Err(trouble),
        }
    }
    Err(refusal.unwrap_or_else(|| Trouble::passing("the server showed no host key")))
}

enum Attempt {
    /// The host key is not trusted.
    HostKey(Trouble),
    /// The server has no host key of the kinds asked for.
    NoSuchKey(Trouble),
    Other(Trouble),
}

impl From<Trouble> for Attempt {
    fn from(trouble: Trouble) -> Self {
        Self::Other(trouble)
    }
}

async fn open_with(
    arguments: &Arc<SftpArguments>,
    credentials: &Credentials,
    kinds: &[KeyKind],
) -> Result<Session, Attempt> {
    let tcp = connect(arguments).await?;
    let twin = |error: io::Error| {
        Trouble::told(
            StoreErrorKind::Other,
            format!("the socket cannot be used: {error}"),
        )
    };
    let tcp = tcp.into_std().map_err(twin)?;
    let socket = tcp.try_clone().map_err(twin)?;
    // Whatever fails or is cut off below, the connection must not stay.
    let guard = CloseOnDrop(Some(socket));
    let tcp = TcpStream::from_std(tcp).map_err(twin)?;
    let session = tokio::time::timeout(LOGIN_TIME_MAX, log_in(arguments, credentials, kinds, tcp, guard));
    match session.await {
        Ok(result) => result,
        Err(_) => Err(Trouble::passing(format!(
            "the login was not finished within {} seconds; try again later, or look at the server's log",
            LOGIN_TIME_MAX.as_secs()
        ))
        .into()),
    }
}

async fn connect(arguments: &SftpArguments) -> Result<TcpStream, Trouble> {
    let host = arguments.host.as_str();
    let at = format!("{host} port {}", arguments.port);
    match tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect((host, arguments.port))).await {
        Ok(Ok(tcp)) => {
            // Small requests must not wait for the answers to earlier ones.
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%error, "the connection may be slow: small packets wait");
            }
            Ok(tcp)
        }
        Ok(Err(error)) => Err(Trouble::told(
            StoreErrorKind::Unreachable,
            format!(
                "no connection to {at}: {error}; check host name and port, and that the server runs and can be reached"
            ),
        )),
        Err(_) => Err(Trouble::told(
            StoreErrorKind::Unreachable,
            format!(
                "no connection to {at} within {} seconds; check host name and port, and that no firewall is between",
                CONNECT_TIME_MAX.as_secs()
            ),
        )),
    }
}

async fn log_in(
    arguments: &Arc<SftpArguments>,
    credentials: &Credentials,
    kinds: &[KeyKind],
    tcp: TcpStream,
    mut guard: CloseOnDrop,
) -> Result<Session, Attempt> {
    let objection = Arc::default();
    let check = HostKeyCheck {
        arguments: Arc::clone(arguments),
        objection: Arc::clone(&objection),
    };
    let greeting = Arc::default();
    let stream = Greeted {
        inner: tcp,
        greeting: Arc::clone(&greeting),
    };
    let handle = client::connect_stream(Arc::new(config(arguments, kinds)), stream, check).await;
    let mut handle =
        handle.map_err(
            |error| match objection.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(objection) => {
                    Attempt::HostKey(Trouble::told(StoreErrorKind::PermissionDenied, objection))
                }
                None => broken_exchange(error),
            },
        )?;
    login::login(&mut handle, arguments, credentials).await?;
    let is_openssh = {
        let greeting = greeting.lock().unwrap_or_else(PoisonError::into_inner);
        greeting.starts_with(b"SSH-2.0-OpenSSH")
    };
    start_subsystem(arguments, handle, &mut guard, is_openssh)
        .await
        .map_err(Attempt::Other)
}

async fn start_subsystem(
    arguments: &SftpArguments,
    handle: Handle<HostKeyCheck>,
    guard: &mut CloseOnDrop,
    is_openssh: bool,
) -> Result<Session, Trouble> {
    let lost =
        |error: russh::Error| Trouble::passing(format!("the connection was lost after the login: {error}"));
    let no_sftp = || {
        Trouble::told(
            StoreErrorKind::Other,
            "the login works, but the server does not offer SFTP to this user; with OpenSSH, add \
             \"Subsystem sftp internal-sftp\" to its sshd_config",
        )
    };
    let mut channel = handle.channel_open_session().await.map_err(|error| match error {
        russh::Error::ChannelOpenFailure(_) => no_sftp(),
        error => lost(error),
    })?;
    channel.request_subsystem(true, "sftp").await.map_err(lost)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure | ChannelMsg::Close | ChannelMsg::Eof) => return Err(no_sftp()),
            Some(_) => {}
            None => {
                return Err(Trouble::passing(
                    "the server closed the connection after the login",
                ));
            }
        }
    }
    let Some(socket) = guard.0.take() else {
        return Err(Trouble::passing("the connection was closed"));
    };
    Ok(Session::start(channel, handle, socket, arguments, is_openssh).await?)
}

fn broken_exchange(error: russh::Error) -> Attempt {
    match error {
        russh::Error::NoCommonAlgo {
            kind: russh::AlgorithmKind::Key,
            ..
        } => Attempt::NoSuchKey(Trouble::told(
            StoreErrorKind::PermissionDenied,
            "the server has no host key of the kind that --ssh-fingerprint names; ask its administrator for the fingerprint \
             of a key that it has",
        )),
        russh::Error::NoCommonAlgo { kind, ours, theirs } => Attempt::Other(Trouble::told(
            StoreErrorKind::Other,
            format!(
                "the server has no safe algorithm in common with us ({kind:?}: it offers {}, we {}); update the server",
                theirs.join(", "),
                ours.join(", ")
            ),
        )),
        error => Attempt::Other(Trouble::passing(format!(
            "the server did not agree on a connection: {error}; check that host and port are those of an ssh server, and that \
             it does not limit connections"
        ))),
    }
}

fn config(arguments: &SftpArguments, kinds: &[KeyKind]) -> Config {
    Config {
        window_size: WINDOW_BYTES,
        maximum_packet_size: CHANNEL_PACKET_BYTES,
        channel_buffer_size: CHANNEL_BUFFER_MESSAGES,
        keepalive_interval: arguments.keepalive,
        keepalive_max: KEEPALIVES_UNANSWERED_MAX,
        nodelay: true,
        preferred: Preferred {
            key: Cow::Owned(host_key::algorithms(kinds)),
            cipher: Cow::Owned(ciphers()),
            ..Preferred::DEFAULT
        },
        ..Config::default()
    }
}

/// The fastest cipher of this machine first; all of them are safe.
fn ciphers() -> Vec<cipher::Name> {
    let gcm = [cipher::AES_128_GCM, cipher::AES_256_GCM];
    let stream = [cipher::CHACHA20_POLY1305];
    let counter = [cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];
    if has_aes_instructions() {
        [&gcm[..], &stream, &counter].concat()
    } else {
        [&stream[..], &gcm, &counter].concat()
    }
}

fn has_aes_instructions() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[allow(unreachable_code, reason = "the kinds of machines above have returned")]
    false
}

/// Closes a connection that was not handed on.
struct CloseOnDrop(Option<std::net::TcpStream>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            let _closed_already = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A stream that remembers how the server introduced itself.
struct Greeted {
    inner: TcpStream,
    greeting: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(context, buffer);
        let mut greeting = self.greeting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = GREETING_BYTES_MAX.saturating_sub(greeting.len());
        if room > 0 {
            let fresh = &buffer.filled()[before..];
            greeting.extend_from_slice(&fresh[..fresh.len().min(room)]);
        }
        result
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
