// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers of the server: put together from the pieces that arrive, then read.
//!
//! Everything here comes from the network. Lengths are checked before anything is kept, and nothing is trusted to be there.

use bytes::{Buf, Bytes, BytesMut};

use super::packet;

/// Longest answer that is accepted, bytes: the largest read that we ask for, and room for its frame.
pub(super) const ANSWER_BYTES_MAX: usize = READ_BYTES_MAX + 4_096;
/// Most bytes that one read asks for: what OpenSSH gives at once.
pub(super) const READ_BYTES_MAX: usize = 255 << 10;
/// Length, kind and number of a packet.
const FRAME_BYTES: usize = 9;
/// Most names that one answer can hold: each takes at least this many bytes.
const NAME_BYTES_MIN: usize = 12;

/// A whole packet from the server. What follows the frame stays in the pieces in which it came.
#[derive(Debug)]
pub(super) struct Reply {
    kind: u8,
    /// The number of the request; for the version packet the version.
    pub(super) id: u32,
    parts: Vec<Bytes>,
}

/// What a server says instead of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u32,
    pub(super) message: String,
}

/// Codes of a [`Status`].
pub(super) mod code {
    pub(in super::super) const OK: u32 = 0;
    pub(in super::super) const END: u32 = 1;
    pub(in super::super) const NO_SUCH_FILE: u32 = 2;
    pub(in super::super) const PERMISSION_DENIED: u32 = 3;
    pub(in super::super) const FAILURE: u32 = 4;
    pub(in super::super) const NO_CONNECTION: u32 = 6;
    pub(in super::super) const CONNECTION_LOST: u32 = 7;
    pub(in super::super) const UNSUPPORTED: u32 = 8;
    // Of later versions of the protocol; some servers send them in version 3 as well.
    pub(in super::super) const ALREADY_EXISTS: u32 = 11;
    pub(in super::super) const WRITE_PROTECTED: u32 = 12;
    pub(in super::super) const NO_SPACE: u32 = 14;
    pub(in super::super) const QUOTA_EXCEEDED: u32 = 15;
}

/// An answer that is not what the protocol allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server's answer is not SFTP: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// A result other than the one asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Status(Status),
    Malformed(Malformed),
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size_bytes: Option<u64>,
    pub(super) mode: Option<u32>,
    /// Seconds since 1970, by the server's clock.
    pub(super) modified: Option<u32>,
}

impl Attributes {
    fn kind_is(&self, kind: u32) -> Option<bool> {
        const KIND_MASK: u32 = 0o170_000;
        self.mode
            .filter(|mode| mode & KIND_MASK != 0)
            .map(|mode| mode & KIND_MASK == kind)
    }

    /// Whether this is a file; servers that do not say are believed to show one.
    pub(super) fn is_file(&self) -> bool {
        self.kind_is(0o100_000).unwrap_or(true)
    }

    /// Whether this is a folder; servers that do not say are believed to show one.
    pub(super) fn is_folder(&self) -> bool {
        self.kind_is(0o040_000).unwrap_or(true)
    }
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Bytes,
    pub(super) attributes: Attributes,
}

/// Room on the server's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSystem {
    pub(super) available_bytes: u64,
    pub(super) available_files: u64,
    pub(super) total_files: u64,
    pub(super) is_read_only: bool,
}

impl Reply {
    pub(super) fn is_handle(&self) -> bool {
        self.kind == packet::HANDLE
    }

    pub(super) fn is_version(&self) -> bool {
        self.kind == packet::VERSION
    }

    fn body(mut self) -> Bytes {
        if self.parts.len() == 1 {
            return self.parts.remove(0);
        }
        let mut body = BytesMut::with_capacity(self.parts.iter().map(Bytes::len).sum());
        for part in self.parts {
            body.extend_from_slice(&part);
        }
        body.freeze()
    }

    fn expect(self, kind: u8) -> Result<Self, Refusal> {
        if self.kind == kind {
            Ok(self)
        } else if self.kind == packet::STATUS {
            Err(Refusal::Status(read_status(&mut self.body())?))
        } else {
            Err(Malformed("another kind of answer than the request has").into())
        }
    }

    /// For requests that are only done or not done.
    pub(super) fn into_done(self) -> Result<(), Refusal> {
        let status = read_status(&mut self.expect(packet::STATUS)?.body())?;
        if status.code == code::OK {
            Ok(())
        } else {
            Err(Refusal::Status(status))
        }
    }

    pub(super) fn into_handle(self) -> Result<Bytes, Refusal> {
        Ok(take_text(&mut self.expect(packet::HANDLE)?.body())?)
    }

    /// The bytes read, in the pieces in which they came; none at the end of the file.
    pub(super) fn into_data(self) -> Result<Option<Vec<Bytes>>, Refusal> {
        let mut reply = match self.expect(packet::DATA) {
            Err(Refusal::Status(status)) if status.code == code::END => return Ok(None),
            result => result?,
        };
        // The length is a field of its own, but it can only be that of the packet.
        let mut left = 4;
        while left > 0 {
            let Some(first) = reply.parts.first_mut() else {
                return Err(Malformed("data without a length").into());
            };
            let taken = first.len().min(left);
            first.advance(taken);
            left -= taken;
            if first.is_empty() {
                reply.parts.remove(0);
            }
        }
        Ok(Some(reply.parts))
    }

    /// The next entries of a folder; none at its end.
    pub(super) fn into_entries(self) -> Result<Option<Vec<Entry>>, Refusal> {
        let mut body = match self.expect(packet::NAME) {
            Err(Refusal::Status(status)) if status.code == code::END => return Ok(None),
            result => result?.body(),
        };
        let count = take_u32(&mut body)? as usize;
        if count > body.len() / NAME_BYTES_MIN {
            return Err(Malformed("more names than the answer has room for").into());
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let name = take_text(&mut body)?;
            let _for_people = take_text(&mut body)?;
            let attributes = take_attributes(&mut body)?;
            entries.push(Entry { name, attributes });
        }
        Ok(Some(entries))
    }

    pub(super) fn into_attributes(self) -> Result<Attributes, Refusal> {
        Ok(take_attributes(&mut self.expect(packet::ATTRIBUTES)?.body())?)
    }

    pub(super) fn into_file_system(self) -> Result<FileSystem, Refusal> {
        let mut body = self.expect(packet::EXTENDED_REPLY)?.body();
        let mut fields = [0; 11];
        for field in &mut fields {
            *field = take_u64(&mut body)?;
        }
        let [
            _,
            fragment,
            _,
            _,
            available,
            total_files,
            _,
            available_files,
            _,
            flags,
            _,
        ] = fields;
        Ok(FileSystem {
            available_bytes: available.saturating_mul(fragment),
            available_files,
            total_files,
            is_read_only: flags & 1 != 0,
        })
    }

    /// Longest packet, longest read and longest write, each zero when there is no such limit.
    pub(super) fn into_limits(self) -> Result<(u64, u64, u64), Refusal> {
        let mut body = self.expect(packet::EXTENDED_REPLY)?.body();
        Ok((take_u64(&mut body)?, take_u64(&mut body)?, take_u64(&mut body)?))
    }

    /// The names of the extensions that a version packet offers.
    pub(super) fn into_extensions(self) -> Result<Vec<Bytes>, Malformed> {
        let mut body = self.body();
        let mut names = Vec::new();
        while !body.is_empty() {
            names.push(take_text(&mut body)?);
            let _version = take_text(&mut body)?;
        }
        Ok(names)
    }
}

fn read_status(body: &mut Bytes) -> Result<Status, Malformed> {
    let code = take_u32(body)?;
    // Old servers send the code alone.
    let message = take_text(body).unwrap_or_default();
    Ok(Status {
        code,
        message: String::from_utf8_lossy(&message).trim().to_owned(),
    })
}

const SHORT: Malformed = Malformed("it ends too early");

fn take_u32(body: &mut Bytes) -> Result<u32, Malformed> {
    body.try_get_u32().map_err(|_| SHORT)
}

fn take_u64(body: &mut Bytes) -> Result<u64, Malformed> {
    body.try_get_u64().map_err(|_| SHORT)
}

fn take_text(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = take_u32(body)? as usize;
    if length > body.len() {
        return Err(SHORT);
    }
    Ok(body.split_to(length))
}

fn take_attributes(body: &mut Bytes) -> Result<Attributes, Malformed> {
    let flags = take_u32(body)?;
    let mut attributes = Attributes::default();
    if flags & 0x01 != 0 {
        attributes.size_bytes = Some(take_u64(body)?);
    }
    if flags & 0x02 != 0 {
        let _owner_and_group = take_u64(body)?;
    }
    if flags & 0x04 != 0 {
        attributes.mode = Some(take_u32(body)?);
    }
    if flags & 0x08 != 0 {
        let _accessed = take_u32(body)?;
        attributes.modified = Some(take_u32(body)?);
    }
    if flags & 0x8000_0000 != 0 {
        for _ in 0..take_u32(body)? {
            let _name = take_text(body)?;
            let _value = take_text(body)?;
        }
    }
    Ok(attributes)
}

/// Cuts the stream from the server into packets.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    frame: BytesMut,
    /// The packet whose frame is known and whose rest is still to come.
    open: Option<(Reply, usize)>,
}

impl Assembler {
    /// Takes the next piece; what it completes goes to `done`.
    pub(super) fn push(&mut self, mut piece: Bytes, mut done: impl FnMut(Reply)) -> Result<(), Malformed> {
        while !piece.is_empty() {
            let (mut reply, missing) = match self.open.take() {
                Some(open) => open,
                None => {
                    let wanted = (FRAME_BYTES - self.frame.len()).min(piece.len());
                    self.frame.extend_from_slice(&piece.split_to(wanted));
                    if self.frame.len() < FRAME_BYTES {
                        return Ok(());
                    }
                    let length = self.frame.get_u32() as usize;
                    if !(FRAME_BYTES - 4..=ANSWER_BYTES_MAX).contains(&length) {
                        return Err(Malformed("a packet has an impossible length"));
                    }
                    let reply = Reply {
                        kind: self.frame.get_u8(),
                        id: self.frame.get_u32(),
                        parts: Vec::new(),
                    };
                    (reply, length - (FRAME_BYTES - 4))
                }
            };
            let taken = missing.min(piece.len());
            if taken > 0 {
                reply.parts.push(piece.split_to(taken));
            }
            if missing == taken {
                done(reply);
            } else {
                self.open = Some((reply, missing - taken));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn packet(kind: u8, id: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u32(5 + body.len() as u32);
        bytes.put_u8(kind);
        bytes.put_u32(id);
        bytes.extend_from_slice(body);
        bytes
    }

    fn replies(stream: &[u8], piece_bytes: usize) -> Result<Vec<Reply>, Malformed> {
        let (mut assembler, mut found) = (Assembler::default(), Vec::new());
        for piece in stream.chunks(piece_bytes) {
            assembler.push(Bytes::copy_from_slice(piece), |reply| found.push(reply))?;
        }
        Ok(found)
    }

    #[test]
    fn packets_are_found_however_the_stream_is_cut() {
        let mut stream = packet(packet::DATA, 1, b"\0\0\0\x05hello");
        stream.extend(packet(packet::STATUS, 2, b"\0\0\0\x04\0\0\0\x03bad\0\0\0\0"));
        stream.extend(packet(packet::STATUS, 3, b"\0\0\0\0"));
        for piece_bytes in 1..stream.len() {
            let mut found = replies(&stream, piece_bytes).unwrap().into_iter();
            let data = found.next().unwrap().into_data().unwrap().unwrap().concat();
            assert_eq!(data, b"hello");
            let status = found.next().unwrap().into_done().unwrap_err();
            let expected = Status {
                code: 4,
                message: "bad".to_owned(),
            };
            assert_eq!(status, Refusal::Status(expected));
            assert_eq!(found.next().unwrap().into_done(), Ok(()));
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_kept() {
        for length in [0_u32, 4, ANSWER_BYTES_MAX as u32 + 1, u32::MAX] {
            let mut stream = length.to_be_bytes().to_vec();
            stream.extend([packet::STATUS, 0, 0, 0, 1]);
            assert!(replies(&stream, 100).is_err(), "{length}");
        }
    }

    #[test]
    fn answers_that_lie_about_their_content_are_errors() {
        let names = replies(&packet(packet::NAME, 1, &[0xff; 30]), 100)
            .unwrap()
            .remove(0);
        assert!(matches!(names.into_entries(), Err(Refusal::Malformed(_))));
        let handle = replies(&packet(packet::HANDLE, 1, b"\0\0\0\x09abc"), 100)
            .unwrap()
            .remove(0);
        assert!(matches!(handle.into_handle(), Err(Refusal::Malformed(_))));
        let data = replies(&packet(packet::DATA, 1, b"\0\0"), 100).unwrap().remove(0);
        assert!(matches!(data.into_data(), Err(Refusal::Malformed(_))));
        let other = replies(&packet(packet::ATTRIBUTES, 1, b"\0\0\0\0"), 100)
            .unwrap()
            .remove(0);
        assert!(matches!(other.into_done(), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn names_and_attributes_are_read_byte_for_byte() {
        let mut body = Vec::new();
        body.put_u32(1);
        body.extend_from_slice(b"\0\0\0\x02\xff\x01\0\0\0\0");
        body.put_u32(0x8000_000f);
        body.put_u64(77);
        body.put_u64(0);
        body.put_u32(0o100_600);
        body.put_u32(1);
        body.put_u32(2);
        body.put_u32(1);
        body.extend_from_slice(b"\0\0\0\x01a\0\0\0\x01b");
        let reply = replies(&packet(packet::NAME, 1, &body), 7).unwrap().remove(0);
        let entries = reply.into_entries().unwrap().unwrap();
        assert_eq!(entries[0].name, &b"\xff\x01"[..]);
        let attributes = entries[0].attributes;
        assert_eq!((attributes.size_bytes, attributes.modified), (Some(77), Some(2)));
        assert!(attributes.is_file() && !attributes.is_folder());
    }
}
