// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A proxy between us and a real server that spoils connections on order.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Bytes that are passed on at once.
const PIECE_BYTES: usize = 16 << 10;

/// What happens to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toxic {
    /// Nothing.
    Pass,
    /// Each piece waits before it goes on, in both directions.
    Delay(Duration),
    /// The connection is cut after so many bytes towards the server.
    CutUploadAfter(u64),
    /// The connection is cut after so many bytes from the server.
    CutDownloadAfter(u64),
    /// Every request is answered with a status, and `Retry-After` in seconds.
    Answer(u16, Option<u64>),
    /// Everything is taken and nothing is answered.
    Hang,
}

#[derive(Default)]
struct Plan {
    /// For the next connections, one each; then `rest`.
    next: Vec<Toxic>,
    rest: Option<Toxic>,
}

/// A running proxy.
pub struct Proxy {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    plan: Arc<Mutex<Plan>>,
    connections: Arc<AtomicU64>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    is_over: Arc<AtomicBool>,
}

impl Proxy {
    /// Stands before a server on 127.0.0.1.
    pub fn before(upstream_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let proxy = Self {
            port,
            plan: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
            is_over: Arc::default(),
        };
        let (plan, connections, open, is_over) = (
            Arc::clone(&proxy.plan),
            Arc::clone(&proxy.connections),
            Arc::clone(&proxy.open),
            Arc::clone(&proxy.is_over),
        );
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                connections.fetch_add(1, Ordering::AcqRel);
                let toxic = {
                    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                    if plan.next.is_empty() {
                        plan.rest.clone().unwrap_or(Toxic::Pass)
                    } else {
                        plan.next.remove(0)
                    }
                };
                if let Ok(copy) = client.try_clone() {
                    open.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
                }
                thread::spawn(move || serve(client, upstream_port, &toxic));
            }
        });
        proxy
    }

    /// Spoils all connections from now on; those that are open are cut.
    pub fn spoil(&self, toxic: Toxic) {
        let mut plan = self.lock();
        plan.next.clear();
        plan.rest = Some(toxic);
        drop(plan);
        self.cut();
    }

    /// Spoils the next connections, one each, and none after them; those that are open are cut.
    pub fn spoil_next(&self, toxics: impl IntoIterator<Item = Toxic>) {
        let mut plan = self.lock();
        plan.next = toxics.into_iter().collect();
        plan.rest = None;
        drop(plan);
        self.cut();
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Acquire)
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _closed_already = stream.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the listener, which then sees that it is over.
        let _refused = TcpStream::connect(("127.0.0.1", self.port));
        self.cut();
    }
}

fn serve(client: TcpStream, upstream_port: u16, toxic: &Toxic) {
    match toxic {
        Toxic::Answer(status, retry_after) => answer(client, *status, *retry_after),
        Toxic::Hang => swallow(client),
        _ => {
            let Ok(server) = TcpStream::connect(("127.0.0.1", upstream_port)) else {
                return;
            };
            let (delay, up, down) = match toxic {
                Toxic::Delay(delay) => (Some(*delay), None, None),
                Toxic::CutUploadAfter(bytes) => (None, Some(*bytes), None),
                Toxic::CutDownloadAfter(bytes) => (None, None, Some(*bytes)),
                _ => (None, None, None),
            };
            let (Ok(client_again), Ok(server_again)) = (client.try_clone(), server.try_clone()) else {
                return;
            };
            let upload = thread::spawn(move || pump(client_again, server_again, delay, up));
            pump(server, client, delay, down);
            let _ended = upload.join();
        }
    }
}

/// Passes bytes on until the end, or until the limit.
fn pump(mut from: TcpStream, mut to: TcpStream, delay: Option<Duration>, limit: Option<u64>) {
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = limit.unwrap_or(u64::MAX);
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if let Some(delay) = delay {
            thread::sleep(delay);
        }
        let passed = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        if to.write_all(&piece[..passed]).is_err() {
            break;
        }
        left -= passed as u64;
        if left == 0 {
            break;
        }
    }
    let _closed_already = from.shutdown(Shutdown::Both);
    let _closed_already = to.shutdown(Shutdown::Both);
}

fn swallow(mut client: TcpStream) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(1..) = client.read(&mut piece) {}
}

/// Answers one request, whose body is taken as far as it comes within a moment.
fn answer(mut client: TcpStream, status: u16, retry_after: Option<u64>) {
    let mut piece = vec![0; PIECE_BYTES];
    if !matches!(client.read(&mut piece), Ok(1..)) {
        return;
    }
    let wish = retry_after
        .map(|seconds| format!("Retry-After: {seconds}\r\n"))
        .unwrap_or_default();
    let text = format!("HTTP/1.1 {status} Spoiled\r\n{wish}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let _gone = client.write_all(text.as_bytes());
    let _gone = client.shutdown(Shutdown::Write);
    // Closing with unread bytes would reset the connection and take the answer with it.
    let _no_limit = client.set_read_timeout(Some(Duration::from_secs(5)));
    while let Ok(1..) = client.read(&mut piece) {}
}
