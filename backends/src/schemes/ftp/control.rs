// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The control connection: one command, one reply.

use std::io;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::trouble::Trouble;
use crate::transfer::Progress;

/// Longest line of a reply, bytes.
const LINE_BYTES_MAX: usize = 8 << 10;
/// Lines of one reply, at most; greetings and lists of features have some dozens.
const LINES_MAX: usize = 1_000;

/// TCP, or TLS over it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// Everything behind the codes, line by line.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// The command was carried out.
    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// A transfer begins.
    pub(super) fn is_begun(&self) -> bool {
        (100..200).contains(&self.code)
    }

    /// The server does not know the command, or not with these words.
    pub(super) fn is_unknown_command(&self) -> bool {
        matches!(self.code, 500..=504)
    }

    pub(super) fn text(&self) -> String {
        self.lines.join(" ")
    }
}

/// An open control connection.
pub(super) struct Control {
    stream: BufReader<Box<dyn Wire>>,
}

impl Control {
    pub(super) fn new(stream: Box<dyn Wire>) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// The stream below, to go on in TLS. What came ahead of the handshake would be taken for what came within.
    pub(super) fn into_stream(self) -> Result<Box<dyn Wire>, Trouble> {
        if self.stream.buffer().is_empty() {
            Ok(self.stream.into_inner())
        } else {
            Err(Trouble::broken(
                "the server sent something ahead of the TLS handshake",
            ))
        }
    }

    /// Sends a command and reads its reply.
    pub(super) async fn ask(&mut self, command: &str) -> Result<Reply, Trouble> {
        self.send(command).await?;
        self.reply().await
    }

    /// The same with a command whose end is a secret.
    pub(super) async fn ask_secretly(
        &mut self,
        command: &str,
        secret: &SecretString,
    ) -> Result<Reply, Trouble> {
        let secret = secret.expose_secret();
        if secret.contains(['\r', '\n']) {
            return Err(Trouble::invalid("a password for FTP cannot hold a line break"));
        }
        let line = SecretString::from(format!("{command} {secret}\r\n"));
        self.write(line.expose_secret()).await?;
        self.reply().await
    }

    pub(super) async fn send(&mut self, command: &str) -> Result<(), Trouble> {
        // Names are checked before; a line break would be a second command.
        if command.contains(['\r', '\n']) {
            return Err(Trouble::invalid("a name for FTP cannot hold a line break"));
        }
        tracing::trace!(target: "duplicati::ftp", command);
        self.write(&format!("{command}\r\n")).await
    }

    async fn write(&mut self, line: &str) -> Result<(), Trouble> {
        self.stream.write_all(line.as_bytes()).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)
    }

    /// Reads one reply, of one line or many.
    pub(super) async fn reply(&mut self) -> Result<Reply, Trouble> {
        let first = self.line().await?;
        let (code, rest) = split(&first)
            .ok_or_else(|| Trouble::broken("the server does not speak FTP; check host and port"))?;
        let mut lines = vec![rest.get(1..).unwrap_or_default().to_owned()];
        if rest.starts_with('-') {
            loop {
                let line = self.line().await?;
                if lines.len() >= LINES_MAX {
                    return Err(Trouble::broken("a reply of the server does not end"));
                }
                match split(&line) {
                    Some((same, rest)) if same == code && !rest.starts_with('-') => {
                        lines.push(rest.trim_start().to_owned());
                        break;
                    }
                    _ => lines.push(line),
                }
            }
        }
        let reply = Reply { code, lines };
        tracing::trace!(target: "duplicati::ftp", code, text = reply.text());
        if let Some(progress) = Progress::current() {
            progress.step();
        }
        // Said at any moment by a server that is about to close.
        if reply.code == 421 {
            return Err(Trouble::broken(format!(
                "the server closes the connection: {}",
                reply.text()
            )));
        }
        Ok(reply)
    }

    async fn line(&mut self) -> Result<String, Trouble> {
        let mut line = Vec::new();
        loop {
            let buffered = self.stream.fill_buf().await.map_err(lost)?;
            if buffered.is_empty() {
                return Err(Trouble::broken("the server closed the connection"));
            }
            let (taken, is_whole) = match buffered.iter().position(|byte| *byte == b'\n') {
                Some(place) => (place + 1, true),
                None => (buffered.len(), false),
            };
            line.extend_from_slice(&buffered[..taken]);
            self.stream.consume(taken);
            if line.len() > LINE_BYTES_MAX {
                return Err(Trouble::broken("a line of the server does not end"));
            }
            if is_whole {
                let text = String::from_utf8_lossy(&line);
                return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
            }
        }
    }
}

fn lost(error: io::Error) -> Trouble {
    Trouble::lost(&error)
}

/// Code and rest of a line that has one.
fn split(line: &str) -> Option<(u16, &str)> {
    let digits = line
        .get(..3)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let rest = &line[3..];
    let is_reply = rest.is_empty() || rest.starts_with([' ', '-']);
    Some((digits.parse().ok().filter(|_| is_reply)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> Result<Reply, Trouble> {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        theirs.write_all(text.as_bytes()).await.unwrap();
        drop(theirs);
        Control::new(Box::new(ours)).reply().await
    }

    #[tokio::test]
    async fn replies_of_one_line_and_of_many_are_read() {
        let reply = read("226 Transfer complete.\r\n").await.unwrap();
        assert_eq!((reply.code, reply.text().as_str()), (226, "Transfer complete."));
        let reply = read("211-Features:\r\n MLST size*;\r\n211-SIZE\r\n200 inside\r\n211 End\r\n")
            .await
            .unwrap();
        assert_eq!(reply.code, 211);
        assert_eq!(reply.lines.len(), 5);
    }

    #[tokio::test]
    async fn what_is_no_reply_or_never_ends_is_refused() {
        for text in [
            "",
            "220",
            "HTTP/1.1 400\r\n",
            "22 x\r\n",
            "220-begun\r\n",
            "421 busy\r\n",
        ] {
            assert!(read(text).await.is_err(), "{text:?}");
        }
        assert!(read(&"x".repeat(20_000)).await.is_err());
        assert!(
            read(&format!("220-x\r\n{}", "y\r\n".repeat(2_000)))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_line_break_in_a_name_is_no_second_command() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut control = Control::new(Box::new(ours));
        assert!(control.send("DELE a\r\nDELE b").await.is_err());
    }
}
