// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Connections, plain or through TLS. A peer that is slow with its handshake keeps no other one waiting, and one that speaks plain HTTP where
//! TLS is spoken is told so.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Handshakes at once; further connections wait in the kernel.
const HANDSHAKES_MAX: usize = 128;
/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// After a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// The first byte of TLS: a record of the handshake.
const TLS_HANDSHAKE: u8 = 22;
/// Bytes of a plain request that are read before it is refused, so that the answer is not lost.
const PLAIN_BYTES_MAX: usize = 16 << 10;
const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 66\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS only; use an address with https:// in front";

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub address: SocketAddr,
    /// Whether nobody between can read along.
    pub is_secure: bool,
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        *stream.remote_addr()
    }
}

/// Gives connections that are ready for HTTP.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
}

struct Tls {
    acceptor: TlsAcceptor,
    places: Arc<Semaphore>,
    done: mpsc::Sender<(Stream, Peer)>,
    ready: mpsc::Receiver<(Stream, Peer)>,
}

impl Listener {
    /// Listens with TLS if told how, and plainly otherwise.
    pub fn new(tcp: TcpListener, tls: Option<Arc<ServerConfig>>) -> Self {
        let tls = tls.map(|config| {
            let (done, ready) = mpsc::channel(1);
            Tls {
                acceptor: config.into(),
                places: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
                done,
                ready,
            }
        });
        Self { tcp, tls }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}

impl axum::serve::Listener for Listener {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        let Some(tls) = &mut self.tls else {
            let (stream, address) = accepted(&self.tcp).await;
            let peer = Peer {
                address,
                is_secure: false,
            };
            return (Stream::Plain(stream), peer);
        };
        loop {
            let next = async {
                // Never closed.
                let place = Arc::clone(&tls.places).acquire_owned().await;
                (accepted(&self.tcp).await, place)
            };
            tokio::select! {
                // This value holds a sender, so the channel does not end.
                Some(ready) = tls.ready.recv() => return ready,
                ((stream, address), place) = next => {
                    let (acceptor, done) = (tls.acceptor.clone(), tls.done.clone());
                    tokio::spawn(async move {
                        let shaken = tokio::time::timeout(HANDSHAKE_TIME, shake_hands(acceptor, stream)).await;
                        drop(place);
                        if let Ok(Ok(stream)) = shaken {
                            let peer = Peer { address, is_secure: true };
                            // When nobody takes it the server has ended.
                            let _taken = done.send((Stream::Tls(Box::new(stream)), peer)).await.is_ok();
                        }
                    });
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer {
            address: self.address()?,
            is_secure: self.is_secure(),
        })
    }
}

async fn accepted(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

async fn shake_hands(acceptor: TlsAcceptor, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
        refuse_plain(&mut stream).await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    acceptor.accept(stream).await
}

async fn refuse_plain(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = vec![0; PLAIN_BYTES_MAX];
    let mut length = stream.read(&mut request).await?;
    stream.write_all(PLAIN_ANSWER).await?;
    stream.shutdown().await?;
    // What is left unread when the socket closes would take the answer with it.
    while length < PLAIN_BYTES_MAX {
        match stream.read(&mut request[length..]).await? {
            0 => break,
            more => length += more,
        }
    }
    Ok(())
}

/// A connection.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_requests_is_as_long_as_it_says() {
        let text = String::from_utf8_lossy(PLAIN_ANSWER);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
