// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Data connections: a transfer has worked when the server says so at its end, and when all bytes that were to come have come.

use std::time::Duration;

use duplicati_engine::storage::StoreErrorKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    arguments::Passive,
    control::{Reply, Wire},
    session::{CONNECT_TIME_MAX, Session, done},
    trouble::Trouble,
};
use crate::transfer::Progress;

/// Largest listing of one folder, bytes; more is no folder of a repository.
const LISTING_BYTES_MAX: usize = 512 << 20;
/// Room that is taken before content arrives, bytes.
const CAPACITY_MAX: u64 = 64 << 20;
/// What is left of a file behind a range is read to its end up to here, and cut off beyond, bytes.
const REST_READ_MAX: u64 = 128 << 10;
/// How long the server may take to say why it cut a transfer off.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(5);
/// Words with which servers say at the end of a listing, in an answer of success, that it is not all.
const SHORT_LISTING_WORDS: [&str; 2] = ["truncated", "failed to open directory"];

impl Session {
    /// The listing of the current folder as it came.
    pub(super) async fn fetch_listing(&mut self, command: &str) -> Result<String, Trouble> {
        let mut data = self.begin(command, 0).await?;
        let mut content = Vec::new();
        while self.read_piece(&mut data, &mut content, u64::MAX).await? > 0 {
            if content.len() > LISTING_BYTES_MAX {
                return Err(Trouble::broken("the listing of a folder does not end"));
            }
        }
        drop(data);
        let reply = self.control.reply().await?;
        let words = reply.text();
        done(reply)?;
        if SHORT_LISTING_WORDS
            .iter()
            .any(|word| words.to_ascii_lowercase().contains(word))
        {
            return Err(Trouble::Told(
                StoreErrorKind::Other,
                format!(
                    "the server does not list all of the folder ({words}); raise its limit, or check the rights"
                ),
            ));
        }
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// `length` bytes from `start` on, of a file of `size` bytes.
    pub(super) async fn read(
        &mut self,
        path: &str,
        start: u64,
        length: u64,
        size: u64,
    ) -> Result<Vec<u8>, Trouble> {
        let mut data = self.begin(&format!("RETR {path}"), start).await?;
        let mut content = Vec::new();
        let capacity = usize::try_from(length.min(CAPACITY_MAX)).unwrap_or(usize::MAX);
        content
            .try_reserve(capacity)
            .map_err(|error| Trouble::broken(error.to_string()))?;
        let rest = size.saturating_sub(start.saturating_add(length));
        let is_cut_off = rest > REST_READ_MAX;
        // One byte more than there should be tells of a file that is longer than the server said.
        let wanted = if is_cut_off { length } else { size - start + 1 };
        while (content.len() as u64) < wanted {
            let left = wanted - content.len() as u64;
            match self.read_piece(&mut data, &mut content, left).await {
                Ok(0) => break,
                Ok(_) => {}
                // Some servers end TLS without saying so; whether all has come is told by the number of bytes.
                Err(Trouble::Broken(_)) if content.len() as u64 == size - start => break,
                Err(trouble) => return Err(trouble),
            }
        }
        drop(data);
        let came = content.len() as u64;
        let reply = match is_cut_off {
            // The server learns of it by a broken connection, and says so; without a word the connection is not used again.
            true => match tokio::time::timeout(LAST_WORDS_TIME_MAX, self.control.reply()).await {
                Ok(reply) => reply.map(|_| ()),
                Err(_) => Err(Trouble::broken("the server does not end a transfer")),
            },
            false => self.control.reply().await.and_then(done),
        };
        if came < length || (!is_cut_off && came != size - start) {
            reply?;
            return Err(Trouble::passing(format!(
                "the target sent {came} bytes of the {} from {start} on",
                size - start
            )));
        }
        if let Err(trouble) = reply {
            if !is_cut_off {
                return Err(trouble);
            }
            self.is_spent = true;
        }
        content.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(content)
    }

    /// Writes a new file, or over one of the same name.
    pub(super) async fn write(&mut self, path: &str, content: &[u8]) -> Result<(), Trouble> {
        let mut data = self.begin(&format!("STOR {path}"), 0).await?;
        let progress = Progress::current();
        let limits = std::sync::Arc::clone(&self.limits);
        let mut rest = content;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(limits.upload.piece_bytes().min(rest.len()));
            limits.upload.pass(piece.len() as u64).await;
            if let Err(error) = data.write_all(piece).await {
                return Err(self.why_cut_off(&error).await);
            }
            if let Some(progress) = &progress {
                progress.step();
            }
            rest = after;
        }
        if let Err(error) = data.shutdown().await {
            return Err(self.why_cut_off(&error).await);
        }
        drop(data);
        done(self.control.reply().await?)
    }

    /// The server knows more than the broken data connection tells: a full disk, most often.
    async fn why_cut_off(&mut self, error: &std::io::Error) -> Trouble {
        match tokio::time::timeout(LAST_WORDS_TIME_MAX, self.control.reply()).await {
            Ok(Ok(reply)) if !reply.is_done() => Trouble::Refused(reply),
            _ => Trouble::lost(error),
        }
    }

    async fn read_piece(
        &mut self,
        data: &mut Box<dyn Wire>,
        content: &mut Vec<u8>,
        at_most: u64,
    ) -> Result<usize, Trouble> {
        let piece = self.limits.download.piece_bytes() as u64;
        let mut bounded = (&mut *data).take(piece.min(at_most));
        content.reserve(piece.min(at_most) as usize);
        let count = bounded
            .read_buf(content)
            .await
            .map_err(|error| Trouble::lost(&error))?;
        self.limits.download.pass(count as u64).await;
        if let Some(progress) = Progress::current() {
            progress.step();
        }
        Ok(count)
    }

    /// Opens a data connection and lets a command begin on it.
    async fn begin(&mut self, command: &str, offset: u64) -> Result<Box<dyn Wire>, Trouble> {
        let tcp = self.data_connection().await?;
        if offset > 0 {
            let reply = self.control.ask(&format!("REST {offset}")).await?;
            if reply.code != 350 {
                return Err(Trouble::Refused(reply));
            }
        }
        let reply = self.control.ask(command).await?;
        if !reply.is_begun() {
            return Err(Trouble::Refused(reply));
        }
        match self.tls.clone() {
            Some(tls) => tls.wrap(Box::new(tcp)).await,
            None => Ok(Box::new(tcp)),
        }
    }

    async fn data_connection(&mut self) -> Result<TcpStream, Trouble> {
        let port = self.data_port().await?;
        let connect = TcpStream::connect((self.server, port));
        match tokio::time::timeout(CONNECT_TIME_MAX, connect).await {
            Ok(Ok(tcp)) => Ok(tcp),
            Ok(Err(error)) => Err(Trouble::broken(format!(
                "no data connection to port {port} of the server: {error}"
            ))),
            Err(_) => Err(Trouble::broken(format!(
                "no data connection to port {port} of the server within {} seconds",
                CONNECT_TIME_MAX.as_secs()
            ))),
        }
    }

    async fn data_port(&mut self) -> Result<u16, Trouble> {
        if self.passive != Passive::Plain {
            let reply = self.control.ask("EPSV").await?;
            if reply.code == 229 {
                return extended_port(&reply);
            }
            if self.passive == Passive::Extended || !(reply.is_unknown_command() || reply.code == 522) {
                return Err(Trouble::Refused(reply));
            }
            self.passive = Passive::Plain;
        }
        let reply = self.control.ask("PASV").await?;
        if reply.code == 227 {
            plain_port(&reply)
        } else {
            Err(Trouble::Refused(reply))
        }
    }
}

/// `229 Entering Extended Passive Mode (|||6446|)`
fn extended_port(reply: &Reply) -> Result<u16, Trouble> {
    let text = reply.text();
    let inside = text
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inside, _)| inside);
    let port = inside.and_then(|inside| {
        let separator = inside.chars().next()?;
        inside.split(separator).nth(3)?.parse().ok()
    });
    port.ok_or_else(|| no_port(reply))
}

/// `227 Entering Passive Mode (127,0,0,1,25,46)`
fn plain_port(reply: &Reply) -> Result<u16, Trouble> {
    let text = reply.text();
    let numbers: Vec<u8> = text
        .split(|character: char| !character.is_ascii_digit() && character != ',')
        .find(|part| part.matches(',').count() == 5)
        .map(|part| part.split(',').filter_map(|number| number.parse().ok()).collect())
        .unwrap_or_default();
    match numbers[..] {
        [_, _, _, _, high, low] => Ok(u16::from_be_bytes([high, low])),
        _ => Err(no_port(reply)),
    }
}

fn no_port(reply: &Reply) -> Trouble {
    Trouble::broken(format!(
        "the server names no port for the data connection: {}",
        reply.text()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply {
            code: 227,
            lines: vec![text.to_owned()],
        }
    }

    #[test]
    fn ports_are_read_and_nonsense_is_refused() {
        assert_eq!(extended_port(&reply("Mode (|||6446|)")).unwrap(), 6446);
        assert_eq!(extended_port(&reply("Mode (!!!1!)")).unwrap(), 1);
        assert_eq!(
            plain_port(&reply("Passive (127,0,0,1,25,46).")).unwrap(),
            25 * 256 + 46
        );
        assert_eq!(plain_port(&reply("=127,0,0,1,0,21")).unwrap(), 21);
        for text in ["", "()", "(|||)", "(|||70000|)", "(1,2,3)", "(1,2,3,4,5,256)"] {
            assert!(extended_port(&reply(text)).is_err(), "{text}");
            assert!(plain_port(&reply(text)).is_err(), "{text}");
        }
    }
}
