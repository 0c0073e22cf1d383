// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The packets of SFTP version 3 that this client sends, and those it understands.
//!
//! Paths and handles are bytes throughout: servers choose their handles freely, and file names need not be UTF-8.

use bytes::{BufMut, Bytes, BytesMut};

/// The version of the protocol that every server speaks.
pub(super) const PROTOCOL_VERSION: u32 = 3;

const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const WRITE: u8 = 6;
const LSTAT: u8 = 7;
const FSTAT: u8 = 8;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const REMOVE: u8 = 13;
const MKDIR: u8 = 14;
const RMDIR: u8 = 15;
const STAT: u8 = 17;
const RENAME: u8 = 18;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
pub(super) const DATA: u8 = 103;
pub(super) const NAME: u8 = 104;
pub(super) const ATTRIBUTES: u8 = 105;
const EXTENDED: u8 = 200;
pub(super) const EXTENDED_REPLY: u8 = 201;

const OPEN_READ: u32 = 0x01;
const OPEN_WRITE: u32 = 0x02;
const OPEN_CREATE: u32 = 0x08;
const OPEN_EXCLUSIVE: u32 = 0x20;

const ATTRIBUTE_PERMISSIONS: u32 = 0x04;

/// Permissions of a file that we make.
const FILE_MODE: u32 = 0o600;
/// Permissions of a folder that we make.
const FOLDER_MODE: u32 = 0o700;

/// What is asked of the server.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// A new file for writing; fails when the name exists.
    Create {
        path: Bytes,
    },
    /// An existing file, or a folder that is to be synced, for reading.
    Open {
        path: Bytes,
    },
    Close {
        handle: Bytes,
    },
    Read {
        handle: Bytes,
        offset: u64,
        length: u32,
    },
    Write {
        handle: Bytes,
        offset: u64,
        content: Bytes,
    },
    /// Follows no symbolic link.
    Inspect {
        path: Bytes,
    },
    /// Follows symbolic links.
    InspectTarget {
        path: Bytes,
    },
    InspectHandle {
        handle: Bytes,
    },
    OpenFolder {
        path: Bytes,
    },
    ReadFolder {
        handle: Bytes,
    },
    Remove {
        path: Bytes,
    },
    MakeFolder {
        path: Bytes,
    },
    /// Only an empty one goes.
    RemoveFolder {
        path: Bytes,
    },
    Rename {
        from: Bytes,
        to: Bytes,
    },
    /// `fsync@openssh.com`
    Sync {
        handle: Bytes,
    },
    /// `hardlink@openssh.com`
    Link {
        from: Bytes,
        to: Bytes,
    },
    /// `statvfs@openssh.com`
    FileSystem {
        path: Bytes,
    },
    /// `limits@openssh.com`
    Limits,
}

/// A packet on its way out: what comes first, and a content that is not copied.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) head: Bytes,
    pub(super) content: Bytes,
}

/// The first packet of a session.
pub(super) fn init() -> Outgoing {
    let mut head = BytesMut::with_capacity(9);
    head.put_u32(5);
    head.put_u8(INIT);
    head.put_u32(PROTOCOL_VERSION);
    Outgoing {
        head: head.freeze(),
        content: Bytes::new(),
    }
}

impl Request {
    /// The packet of this request.
    pub(super) fn encode(self, id: u32) -> Outgoing {
        let mut body = Body::default();
        let kind = match &self {
            Request::Create { path } => {
                body.text(path);
                body.bytes.put_u32(OPEN_WRITE | OPEN_CREATE | OPEN_EXCLUSIVE);
                body.permissions(FILE_MODE);
                OPEN
            }
            Request::Open { path } => {
                body.text(path);
                body.bytes.put_u32(OPEN_READ);
                body.bytes.put_u32(0);
                OPEN
            }
            Request::Close { handle } => body.only(handle, CLOSE),
            Request::Read {
                handle,
                offset,
                length,
            } => {
                body.text(handle);
                body.bytes.put_u64(*offset);
                body.bytes.put_u32(*length);
                READ
            }
            Request::Write {
                handle,
                offset,
                content,
            } => {
                body.text(handle);
                body.bytes.put_u64(*offset);
                body.bytes.put_u32(length_u32(content));
                WRITE
            }
            Request::Inspect { path } => body.only(path, LSTAT),
            Request::InspectTarget { path } => body.only(path, STAT),
            Request::InspectHandle { handle } => body.only(handle, FSTAT),
            Request::OpenFolder { path } => body.only(path, OPENDIR),
            Request::ReadFolder { handle } => body.only(handle, READDIR),
            Request::Remove { path } => body.only(path, REMOVE),
            Request::RemoveFolder { path } => body.only(path, RMDIR),
            Request::MakeFolder { path } => {
                body.text(path);
                body.permissions(FOLDER_MODE);
                MKDIR
            }
            Request::Rename { from, to } => {
                body.text(from);
                body.only(to, RENAME)
            }
            Request::Sync { handle } => {
                body.text(b"fsync@openssh.com");
                body.only(handle, EXTENDED)
            }
            Request::Link { from, to } => {
                body.text(b"hardlink@openssh.com");
                body.text(from);
                body.only(to, EXTENDED)
            }
            Request::FileSystem { path } => {
                body.text(b"statvfs@openssh.com");
                body.only(path, EXTENDED)
            }
            Request::Limits => body.only(b"limits@openssh.com", EXTENDED),
        };
        let content = match self {
            Request::Write { content, .. } => content,
            _ => Bytes::new(),
        };
        let mut head = BytesMut::with_capacity(9 + body.bytes.len());
        let length = 5 + body.bytes.len() + content.len();
        head.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        head.put_u8(kind);
        head.put_u32(id);
        head.extend_from_slice(&body.bytes);
        Outgoing {
            head: head.freeze(),
            content,
        }
    }
}

#[derive(Default)]
struct Body {
    bytes: BytesMut,
}

impl Body {
    fn text(&mut self, text: &[u8]) {
        self.bytes.put_u32(length_u32(text));
        self.bytes.extend_from_slice(text);
    }

    fn only(&mut self, text: &[u8], kind: u8) -> u8 {
        self.text(text);
        kind
    }

    fn permissions(&mut self, mode: u32) {
        self.bytes.put_u32(ATTRIBUTE_PERMISSIONS);
        self.bytes.put_u32(mode);
    }
}

fn length_u32(bytes: &[u8]) -> u32 {
    // Paths come from addresses and contents are cut into requests, both far below the limit of the field.
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_state_their_own_length() {
        let content = Bytes::from_static(b"content");
        let packets = [
            init(),
            Request::Limits.encode(7),
            Request::Create {
                path: Bytes::from_static(b"/a/\xff"),
            }
            .encode(7),
            Request::Write {
                handle: Bytes::from_static(&[0, 0, 0, 200]),
                offset: 1 << 40,
                content,
            }
            .encode(7),
        ];
        for packet in packets {
            let length = u32::from_be_bytes(packet.head[..4].try_into().unwrap()) as usize;
            assert_eq!(length, packet.head.len() + packet.content.len() - 4, "{packet:?}");
        }
    }

    #[test]
    fn a_write_carries_handle_offset_and_length_before_its_content() {
        let request = Request::Write {
            handle: Bytes::from_static(b"hh"),
            offset: 3,
            content: Bytes::from_static(b"abc"),
        };
        let packet = request.encode(9);
        assert_eq!(
            packet.head[4..],
            [
                6, 0, 0, 0, 9, 0, 0, 0, 2, b'h', b'h', 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3
            ]
        );
    }
}
