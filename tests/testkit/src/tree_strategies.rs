// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which trees and edits property tests try: any bytes in names, every kind, sizes where chunks, frames and batches end.

use proptest::{collection::vec, prelude::*};

use crate::{
    tree_builder::Content,
    tree_edits::{Edit, Look, Node, Stretch},
};

/// Sizes at which something ends, bytes: the chunk sizes of [`CHUNK_AVERAGE_BYTES`], a frame, a batch.
const EDGES: [u32; 6] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 2 << 20];

/// The chunk size that repositories of these tests are made with, so that [`EDGES`] are edges.
pub const CHUNK_AVERAGE_BYTES: u64 = 16 << 10;

/// A tree, as edits of an empty folder.
pub fn tree(entries_max: usize) -> impl Strategy<Value = Vec<Edit>> {
    vec(addition(), 0..=entries_max)
}

/// Changes of a tree that exists.
pub fn changes(edits_max: usize) -> impl Strategy<Value = Vec<Edit>> {
    vec(change(), 0..=edits_max)
}

fn addition() -> impl Strategy<Value = Edit> {
    (any::<u16>(), name(), node(), look()).prop_map(|(folder, name, node, look)| Edit::Add {
        folder,
        name,
        node,
        look,
    })
}

fn change() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => addition(),
        2 => (any::<u16>(), file(), look()).prop_map(|(entry, content, look)| Edit::Rewrite { entry, content, look }),
        2 => (any::<u16>(), any::<u32>(), vec(any::<u8>(), 1..40))
            .prop_map(|(entry, place, bytes)| Edit::Patch { entry, place, bytes }),
        1 => (any::<u16>(), look()).prop_map(|(entry, look)| Edit::Touch { entry, look }),
        2 => any::<u16>().prop_map(|entry| Edit::Remove { entry }),
        2 => (any::<u16>(), any::<u16>(), name()).prop_map(|(entry, folder, name)| Edit::Rename { entry, folder, name }),
        2 => (any::<u16>(), node(), look()).prop_map(|(entry, node, look)| Edit::Replace { entry, node, look }),
    ]
}

/// Any name that Linux takes, the awkward ones often.
pub fn name() -> impl Strategy<Value = Vec<u8>> {
    let awkward = prop_oneof![
        Just("new\nline"),
        Just(" "),
        Just("-rf"),
        Just("..."),
        Just(".hidden"),
        Just("*?[x]{y}"),
        Just("é"),
        Just("e\u{301}"),
        Just("\u{1b}[31m"),
        Just("a.2026-01-01.txt"),
        Just("x.tmp-0123456789abcdef"),
    ];
    prop_oneof![
        4 => "[a-c]{1,2}".prop_map(String::into_bytes),
        3 => vec(any::<u8>(), 1..12),
        1 => awkward.prop_map(|name| name.as_bytes().to_vec()),
        1 => (any::<u8>(), 250..=255usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
    .prop_map(|mut name| {
        for byte in &mut name {
            if matches!(byte, 0 | b'/') {
                *byte = b'_';
            }
        }
        name
    })
}

fn node() -> impl Strategy<Value = Node> {
    let target = vec(1..=u8::MAX, 1..60);
    prop_oneof![
        6 => Just(Node::Folder),
        8 => file().prop_map(Node::File),
        2 => any::<u16>().prop_map(Node::HardLink),
        2 => target.prop_map(Node::Symlink),
        1 => Just(Node::Fifo),
        1 => Just(Node::Socket),
        1 => (0..512u32, 0..4096u32).prop_map(|(major, minor)| Node::CharDevice { major, minor }),
        1 => (0..700u16).prop_map(|files| Node::FolderOfMany { files }),
    ]
}

fn file() -> impl Strategy<Value = Vec<Stretch>> {
    let content = prop_oneof![Just(Content::Text), Just(Content::Random), Just(Content::Zeros)];
    // Few seeds, so that the same bytes come again elsewhere.
    let data = (length(), content, 0..4u64).prop_map(|(bytes, content, seed)| Stretch::Data {
        bytes,
        content,
        seed,
    });
    let hole = length().prop_map(|bytes| Stretch::Hole { bytes });
    prop_oneof![
        1 => Just(Vec::new()),
        5 => data.clone().prop_map(|data| vec![data]),
        2 => vec(prop_oneof![data, hole], 1..5),
    ]
}

/// A length, often one byte around where something ends.
fn length() -> impl Strategy<Value = u32> + Clone {
    let edge = (0..EDGES.len(), 0..3u32).prop_map(|(edge, off)| EDGES[edge] + off - 1);
    // Large ones rarely: they cost the time of many cases.
    let small_edge = (0..3usize, 0..3u32).prop_map(|(edge, off)| EDGES[edge] + off - 1);
    prop_oneof![
        6 => 0..200u32,
        4 => small_edge,
        1 => edge,
        2 => 0..100_000u32,
    ]
}

fn look() -> impl Strategy<Value = Look> {
    let seconds = prop_oneof![
        4 => 0..2_000_000_000i64,
        1 => -2_000_000_000..0i64,
        1 => Just(0),
        1 => 4_294_967_296..15_000_000_000i64,
    ];
    let owner = prop_oneof![
        3 => Just((0, 0)),
        1 => (0..3u32, 0..3u32),
        1 => (60_000..4_000_000_000u32, 60_000..4_000_000_000u32),
    ];
    let xattr = ("[a-z.]{1,20}", vec(any::<u8>(), 0..50));
    (
        0..0o10000u16,
        seconds,
        0..1_000_000_000u32,
        owner,
        vec(xattr, 0..3),
    )
        .prop_map(|(mode, seconds, nanoseconds, owner, xattrs)| Look {
            mode,
            seconds,
            nanoseconds,
            owner,
            xattrs,
        })
}
