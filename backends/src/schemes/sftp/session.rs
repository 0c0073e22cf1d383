// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One SFTP session: many requests on their way at once over one channel.
//!
//! A request is sent without waiting for the answer to the one before; answers find their request by its number. Two tasks
//! carry the bytes, so that a caller that is dropped never leaves half a packet behind. A session that says nothing for too
//! long while somebody waits is broken for good, and all who wait learn it at once.

use std::{
    collections::HashMap,
    fmt,
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use russh::{
    Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf,
    client::{Handle, Msg},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::Instant,
};

use super::{
    arguments::SftpArguments,
    connection::HostKeyCheck,
    flow::Flow,
    packet::{self, Outgoing, Request},
    reply::{Assembler, READ_BYTES_MAX, Reply},
};
use crate::transfer::{Limits, Progress};

/// Packets that wait for the channel, at most; a caller waits for room.
const OUTGOING_PACKETS_MAX: usize = 32;
/// Bytes of one read or write that every server takes.
const TRANSFER_BYTES_SAFE: usize = 32 << 10;
/// Least room for the frame of a write when the server limits the length of packets, bytes.
const WRITE_FRAME_BYTES: u64 = 1_024;
/// Bytes of writes without an answer, at most: OpenSSH takes 2 MiB ahead, other servers more.
const UPLOAD_BYTES_MAX: usize = 8 << 20;
/// Bytes of reads on their way, at most: what the window lets the server send ahead.
const DOWNLOAD_BYTES_MAX: usize = 16 << 20;
/// How often a silent session is looked at, in parts of the time it may be silent.
const LOOKS_PER_SILENCE: u32 = 4;
/// Longest text of the server about its own end that is kept, bytes.
const LAST_WORDS_BYTES_MAX: usize = 300;
/// The key under which the version is waited for; requests count from one.
const VERSION_KEY: u32 = 0;

/// The session is over; another one may work.
#[derive(Debug, Clone)]
pub(super) struct Broken(Arc<str>);

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What the server can do beyond the bare protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) can_sync: bool,
    pub(super) can_link: bool,
    pub(super) can_show_file_system: bool,
    /// Requests are carried out one after the other, so that a later one may rest on an earlier one without waiting for its
    /// answer. True of OpenSSH.
    pub(super) is_sequential: bool,
    pub(super) read_bytes_max: usize,
    pub(super) write_bytes_max: usize,
}

/// A session that is open.
pub(super) struct Session {
    outgoing: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
    pub(super) server: Server,
    /// Transfers that run on it now.
    transfers: AtomicUsize,
    pub(super) limits: Arc<Limits>,
    pub(super) uploads: Flow,
    pub(super) downloads: Flow,
    _handle: Handle<HostKeyCheck>,
}

struct Shared {
    state: Mutex<State>,
    /// The same socket once more: closing it ends whatever the ssh layer waits for.
    socket: TcpStream,
    tasks: Mutex<Vec<AbortHandle>>,
}

struct State {
    waiting: HashMap<u32, oneshot::Sender<Reply>>,
    last_id: u32,
    broken: Option<Broken>,
    /// When the server last moved, or when somebody began to wait.
    last_moved: Instant,
}

/// A request whose answer is on its way.
pub(super) struct Pending {
    answer: oneshot::Receiver<Reply>,
    shared: Arc<Shared>,
}

impl Pending {
    pub(super) async fn reply(self) -> Result<Reply, Broken> {
        let reply = self.answer.await.map_err(|_| self.shared.why_broken())?;
        // Whoever watches over the transfer sees that it moves.
        if let Some(progress) = Progress::current() {
            progress.step();
        }
        Ok(reply)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why_broken(&self) -> Broken {
        let unknown = || Broken("the connection has ended".into());
        self.lock().broken.clone().unwrap_or_else(unknown)
    }

    fn break_off(&self, reason: &str) {
        {
            let mut state = self.lock();
            state.broken.get_or_insert_with(|| Broken(reason.into()));
            // Whoever waits is woken by the loss of the sender.
            state.waiting.clear();
        }
        let _closed_already = self.socket.shutdown(Shutdown::Both);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
        }
    }

    /// Hands an answer to whoever waits for it. Returns a handle that nobody wants any more.
    fn deliver(&self, reply: Reply) -> Option<Reply> {
        let waiting = {
            let mut state = self.lock();
            state.last_moved = Instant::now();
            let key = if reply.is_version() { VERSION_KEY } else { reply.id };
            state.waiting.remove(&key)
        };
        let unwanted = match waiting {
            Some(sender) => sender.send(reply).err()?,
            None => reply,
        };
        unwanted.is_handle().then_some(unwanted)
    }

    fn moved(&self) {
        self.lock().last_moved = Instant::now();
    }

    fn is_silent_for(&self, silence: Duration) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() && state.last_moved.elapsed() >= silence
    }
}

impl Session {
    /// Starts the protocol on a channel whose subsystem runs.
    pub(super) async fn start(
        channel: Channel<Msg>,
        handle: Handle<HostKeyCheck>,
        socket: TcpStream,
        arguments: &SftpArguments,
        is_openssh: bool,
    ) -> Result<Self, Broken> {
        let (incoming, outgoing) = channel.split();
        let (sender, receiver) = mpsc::channel(OUTGOING_PACKETS_MAX);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: HashMap::new(),
                last_id: VERSION_KEY,
                broken: None,
                last_moved: Instant::now(),
            }),
            socket,
            tasks: Mutex::default(),
        });
        let tasks = vec![
            tokio::spawn(carry_out(receiver, outgoing, Arc::clone(&shared))).abort_handle(),
            tokio::spawn(carry_in(
                incoming,
                sender.clone(),
                arguments.silence,
                Arc::clone(&shared),
            ))
            .abort_handle(),
        ];
        *shared.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        let mut session = Self {
            outgoing: sender,
            shared,
            server: Server {
                can_sync: false,
                can_link: false,
                can_show_file_system: false,
                is_sequential: false,
                read_bytes_max: TRANSFER_BYTES_SAFE,
                write_bytes_max: TRANSFER_BYTES_SAFE,
            },
            transfers: AtomicUsize::new(0),
            limits: Arc::clone(&arguments.limits),
            uploads: Flow::new(UPLOAD_BYTES_MAX),
            downloads: Flow::new(DOWNLOAD_BYTES_MAX),
            _handle: handle,
        };
        session.greet(is_openssh).await?;
        Ok(session)
    }

    async fn greet(&mut self, is_openssh: bool) -> Result<(), Broken> {
        let version = self.send_packet(VERSION_KEY, packet::init()).await?;
        let version = version.reply().await?;
        if version.id < packet::PROTOCOL_VERSION {
            return Err(Broken(
                format!("the server speaks SFTP version {}, which is too old", version.id).into(),
            ));
        }
        let extensions = version
            .into_extensions()
            .map_err(|error| Broken(error.to_string().into()))?;
        let offers = |name: &str| extensions.iter().any(|offered| offered == name.as_bytes());
        self.server.can_sync = offers("fsync@openssh.com");
        self.server.can_link = offers("hardlink@openssh.com");
        self.server.can_show_file_system = offers("statvfs@openssh.com");
        self.server.is_sequential = is_openssh && self.server.can_sync;
        if offers("limits@openssh.com")
            && let Ok((packet_bytes, read_bytes, write_bytes)) =
                self.ask(Request::Limits).await?.into_limits()
        {
            let bounded = |limit: u64| {
                let by_packet = packet_bytes.saturating_sub(WRITE_FRAME_BYTES);
                let limit = if limit == 0 { by_packet } else { limit };
                usize::try_from(limit)
                    .unwrap_or(READ_BYTES_MAX)
                    .clamp(TRANSFER_BYTES_SAFE, READ_BYTES_MAX)
            };
            self.server.read_bytes_max = bounded(read_bytes);
            self.server.write_bytes_max = bounded(write_bytes);
        }
        Ok(())
    }

    async fn send_packet(&self, id: u32, packet: Outgoing) -> Result<Pending, Broken> {
        let (sender, answer) = oneshot::channel();
        // Room first: a caller that is dropped while it waits must not leave behind a number that nobody will ever answer.
        let Ok(room) = self.outgoing.reserve().await else {
            return Err(self.shared.why_broken());
        };
        {
            let mut state = self.shared.lock();
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            if state.waiting.is_empty() {
                state.last_moved = Instant::now();
            }
            state.waiting.insert(id, sender);
        }
        room.send(packet);
        Ok(Pending {
            answer,
            shared: Arc::clone(&self.shared),
        })
    }

    fn next_id(&self) -> u32 {
        let mut state = self.shared.lock();
        loop {
            state.last_id = state.last_id.checked_add(1).unwrap_or(VERSION_KEY + 1);
            if !state.waiting.contains_key(&state.last_id) {
                return state.last_id;
            }
        }
    }

    /// Sends a request; its answer is waited for later.
    pub(super) async fn send(&self, request: Request) -> Result<Pending, Broken> {
        let id = self.next_id();
        self.send_packet(id, request.encode(id)).await
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, Broken> {
        self.send(request).await?.reply().await
    }

    /// Sends a request whose answer does not matter, without waiting; for what is cleaned up on the way out.
    pub(super) fn post(&self, request: Request) {
        let id = self.next_id();
        if let Err(mpsc::error::TrySendError::Full(packet)) = self.outgoing.try_send(request.encode(id)) {
            let outgoing = self.outgoing.clone();
            // The packet waits for room, and ends with the session.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { outgoing.send(packet).await });
            }
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.shared.lock().broken.is_some()
    }

    pub(super) fn transfers(&self) -> usize {
        self.transfers.load(Ordering::Relaxed)
    }

    pub(super) fn begin_transfer(&self) {
        self.transfers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_transfer(&self) {
        self.transfers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.break_off("the connection was closed");
    }
}

async fn carry_out(
    mut packets: mpsc::Receiver<Outgoing>,
    channel: ChannelWriteHalf<Msg>,
    shared: Arc<Shared>,
) {
    while let Some(packet) = packets.recv().await {
        for bytes in [packet.head, packet.content] {
            if let Err(error) = channel.data_bytes(bytes).await {
                shared.break_off(&format!("the connection was lost while sending: {error}"));
                return;
            }
        }
    }
}

async fn carry_in(
    mut channel: ChannelReadHalf,
    outgoing: mpsc::Sender<Outgoing>,
    silence: Duration,
    shared: Arc<Shared>,
) {
    let mut assembler = Assembler::default();
    let mut last_words = Vec::new();
    let reason = loop {
        let message = match tokio::time::timeout(silence / LOOKS_PER_SILENCE, channel.wait()).await {
            Ok(message) => message,
            Err(_) if shared.is_silent_for(silence) => {
                break format!("the server did not answer within {} seconds", silence.as_secs());
            }
            Err(_) => continue,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                shared.moved();
                let mut unwanted = Vec::new();
                let result = assembler.push(data, |reply| unwanted.extend(shared.deliver(reply)));
                close_all(unwanted, &outgoing);
                if let Err(error) = result {
                    break error.to_string();
                }
            }
            Some(ChannelMsg::WindowAdjusted { .. }) => shared.moved(),
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                let room = LAST_WORDS_BYTES_MAX.saturating_sub(last_words.len());
                last_words.extend_from_slice(&data[..data.len().min(room)]);
            }
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => {
                let words = String::from_utf8_lossy(&last_words);
                break match words.trim() {
                    "" => "the server closed the connection".to_owned(),
                    words => format!("the server closed the connection, saying: {words}"),
                };
            }
            Some(_) => {}
        }
    };
    shared.break_off(&reason);
}

/// Gives back files that were opened for a caller who is gone.
fn close_all(unwanted: Vec<Reply>, outgoing: &mpsc::Sender<Outgoing>) {
    for reply in unwanted {
        let id = reply.id;
        if let Ok(handle) = reply.into_handle() {
            // The number is free again, and nobody waits for this answer. Without room the file stays open until the session ends.
            let _without_room = outgoing.try_send(Request::Close { handle }.encode(id));
        }
    }
}
