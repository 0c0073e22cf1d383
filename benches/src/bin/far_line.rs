// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A far line on this machine: `far_line LISTEN_PORT TARGET_PORT ROUND_TRIP_MS [BYTES_PER_SECOND]` carries TCP connections with a
//! delay, and with one bandwidth per direction that all of them share.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use duplicati_engine::clock::{Clock, SystemClock};

/// Bytes carried at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces on the line, at most; a gigabit for a second.
const PIECES_MAX: usize = 2_000;

/// One direction of the line.
struct Direction {
    delay: Duration,
    bytes_per_second: u64,
    free_at: Mutex<Duration>,
}

impl Direction {
    /// When a piece that is put on the line now comes out at the other end.
    fn arrival(&self, bytes: usize) -> Duration {
        let now = SystemClock.monotonic();
        if self.bytes_per_second == 0 {
            return now + self.delay;
        }
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        *free_at = now.max(*free_at) + taken;
        *free_at + self.delay
    }
}

fn take_in(mut from: TcpStream, line: &Direction, pieces: &SyncSender<(Duration, Vec<u8>)>) {
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let piece = buffer[..length].to_vec();
        if pieces.send((line.arrival(length), piece)).is_err() {
            return;
        }
    }
}

fn give_out(mut to: TcpStream, pieces: &Receiver<(Duration, Vec<u8>)>) {
    while let Ok((arrival, piece)) = pieces.recv() {
        std::thread::sleep(arrival.saturating_sub(SystemClock.monotonic()));
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    let _closed_already = to.shutdown(Shutdown::Both);
}

fn carry(from: &TcpStream, to: &TcpStream, line: Arc<Direction>) -> std::io::Result<()> {
    let (from, to) = (from.try_clone()?, to.try_clone()?);
    let (sender, receiver) = sync_channel(PIECES_MAX);
    std::thread::spawn(move || take_in(from, &line, &sender));
    std::thread::spawn(move || give_out(to, &receiver));
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut numbers = Vec::new();
    for argument in std::env::args().skip(1) {
        numbers.push(argument.parse::<u64>()?);
    }
    let [listen, target, round_trip_ms, ref rest @ ..] = numbers[..] else {
        anyhow::bail!("far_line LISTEN_PORT TARGET_PORT ROUND_TRIP_MS [BYTES_PER_SECOND]");
    };
    let direction = || {
        Arc::new(Direction {
            delay: Duration::from_micros(round_trip_ms * 500),
            bytes_per_second: rest.first().copied().unwrap_or(0),
            free_at: Mutex::new(Duration::ZERO),
        })
    };
    let (up, down) = (direction(), direction());
    let listener = TcpListener::bind(("127.0.0.1", u16::try_from(listen)?))?;
    for client in listener.incoming() {
        let client = client?;
        let Ok(server) = TcpStream::connect(("127.0.0.1", u16::try_from(target)?)) else {
            continue;
        };
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        carry(&client, &server, Arc::clone(&up))?;
        carry(&server, &client, Arc::clone(&down))?;
    }
    Ok(())
}
