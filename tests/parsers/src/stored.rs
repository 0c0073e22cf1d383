// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Parsers of what lies at the target: the stored format.

use std::sync::{Arc, LazyLock};

use age::x25519;
use duplicati_engine::{
    clock::Timestamp,
    compression::{FrameCompressor, FrameDecompressor, compress_object, decompress_object, store_raw},
    crypto::{
        Envelope, age_file,
        key_file::{self, KeyContent, KeyHolder, Unlock},
        secret::Secret,
    },
    format::{
        FormatError,
        chunk_list::{ChunkList, decode_list_chunk},
        codec::Decoder,
        config::{ChunkingParameters, Encryption, RepositoryConfig},
        index_segment::{PackDescription, decode_segment, encode_segment},
        manifest::{Manifest, SnapshotObject, Totals, decode_snapshot, encode_json},
        pack::{FrameDescription, PackClass, PackFooter},
        path_text::PathText,
        session::{Fence, Plan, Session},
        tree::{EntryBody, Hole, Owner, TreeChunkReader, TreeChunkWriter, TreeEntry},
    },
    id::{ChunkId, PackId, PlanId, RepositoryId, SegmentId, SnapshotId},
    storage::ObjectName,
};
use secrecy::ExposeSecret;

use crate::target::Target;

/// Room for error texts and the first steps of growing buffers.
const SMALL: usize = 256 << 10;
/// Binary items of three bytes become up to 56 in memory, and buffers double.
const BINARY: usize = 64;
/// The smallest JSON object takes a node of a map.
const JSON: usize = 400;

pub const TARGETS: &[Target] = &[
    target("config", config, config_samples, SMALL, JSON),
    target("key-file", key_file_bytes, key_file_samples, SMALL, JSON),
    target(
        "key-file-content",
        key_file_content,
        key_content_samples,
        SMALL,
        JSON,
    ),
    target("identity", identity, identity_samples, SMALL, JSON),
    target("age-file", age_object, age_samples, SMALL, BINARY),
    target(
        "object",
        object,
        object_samples,
        OBJECT_LIMIT as usize * 2 + SMALL,
        BINARY,
    ),
    target("frame", frame, frame_samples, FRAME_LIMIT + SMALL, BINARY),
    target("pack-footer", pack_footer, footer_samples, SMALL, BINARY),
    target("index-segment", index_segment, segment_samples, SMALL, BINARY),
    target("tree", tree, tree_samples, SMALL, BINARY),
    target("chunk-list", chunk_list, chunk_list_samples, SMALL, BINARY),
    target("snapshot", snapshot, snapshot_samples, SMALL, JSON),
    target("session", session, session_samples, SMALL, JSON),
    target("plan", plan, plan_samples, SMALL, JSON),
    target("object-name", object_name, name_samples, SMALL, BINARY),
];

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    samples: fn() -> Vec<Vec<u8>>,
    memory_bytes: usize,
    memory_factor: usize,
) -> Target {
    Target {
        name,
        run,
        samples,
        memory_bytes,
        memory_factor,
    }
}

/// Content that [`object`] opens at most, bytes; the limit of each kind of object is handed in the same way.
const OBJECT_LIMIT: u64 = 1 << 20;
/// Largest raw size that [`frame`] asks for, bytes.
const FRAME_LIMIT: usize = 1 << 16;

/// One for the whole process: samples must open.
static IDENTITY: LazyLock<x25519::Identity> = LazyLock::new(x25519::Identity::generate);

fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

fn repository_id() -> RepositoryId {
    RepositoryId([1; 16])
}

fn config(bytes: &[u8]) {
    if let Ok((config, check)) = RepositoryConfig::decode(bytes) {
        let _ = check.verify(&secret());
        assert!(
            u64::from(config.chunking.size_bytes_max) <= duplicati_engine::format::pack::FRAME_SIZE_BYTES_MAX
        );
        // What was accepted is written so that it is accepted again.
        let written = config.encode(&secret());
        let (again, check) = RepositoryConfig::decode(&written).unwrap();
        assert_eq!(again, config);
        assert!(check.verify(&secret()).is_ok());
    }
}

fn config_samples() -> Vec<Vec<u8>> {
    [Encryption::Age, Encryption::None]
        .map(|encryption| {
            let chunking = ChunkingParameters::around(1 << 20);
            let created = "2026-01-01T00:00:00.000000000Z".to_owned();
            RepositoryConfig::new(repository_id(), encryption, chunking, created, &secret()).encode(&secret())
        })
        .to_vec()
}

fn unlock() -> Unlock {
    Unlock::from_identity_text(IDENTITY.to_string().expose_secret()).unwrap()
}

fn key_content() -> KeyContent {
    let mut content = KeyContent::generate(repository_id(), "label".to_owned(), String::new()).unwrap();
    content.secret = secret();
    content
}

/// As the bytes lie at the target. By identity only: opening by passphrase costs a tenth of a second each.
fn key_file_bytes(bytes: &[u8]) {
    let _ = key_file::holder_kind(bytes);
    let _ = key_file::open(bytes, &unlock());
}

fn key_file_samples() -> Vec<Vec<u8>> {
    let recipient = IDENTITY.to_public().to_string();
    let holders = [
        vec![recipient.clone()],
        vec![x25519::Identity::generate().to_public().to_string(), recipient],
    ];
    let seal = |holder| key_file::seal(&key_content(), &KeyHolder::Recipients(holder)).unwrap();
    holders.map(seal).to_vec()
}

/// What stands inside an intact seal.
fn key_file_content(bytes: &[u8]) {
    let sealed = age_file::seal(&IDENTITY.to_public(), bytes).unwrap();
    if let Ok(content) = key_file::open(&sealed, &unlock()) {
        let _ = content.data_envelope();
        let _ = content.index_envelope();
        assert!(
            !format!("{content:?}").contains("AGE-SECRET"),
            "a secret is shown"
        );
    }
}

fn key_content_samples() -> Vec<Vec<u8>> {
    let content = key_content();
    let write_only = content.write_only("other".to_owned(), String::new());
    [content, write_only]
        .map(|content| serde_json::to_vec(&content).unwrap())
        .to_vec()
}

fn identity(bytes: &[u8]) {
    let _ = Unlock::from_identity_text(&String::from_utf8_lossy(bytes));
}

fn identity_samples() -> Vec<Vec<u8>> {
    let age = IDENTITY.to_string().expose_secret().to_owned();
    let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ==\n-----END OPENSSH PRIVATE KEY-----\n";
    vec![
        format!("# created\n{age}\n").into_bytes(),
        ssh.as_bytes().to_vec(),
    ]
}

fn age_object(bytes: &[u8]) {
    let identity: &dyn age::Identity = &*IDENTITY;
    if let Ok(plaintext) = age_file::open(&[identity], bytes) {
        assert!(plaintext.len() < bytes.len());
    }
    if let Ok(length) = age_file::header_length(bytes) {
        assert!(length <= bytes.len());
        let nonce = [0; age_file::NONCE_SIZE_BYTES];
        if let Ok(key) = age_file::open_header(&bytes[..length], &nonce, &[identity]) {
            let mut plaintext = Vec::new();
            let _ = age_file::open_blocks(&key, 0, true, &bytes[length..], &mut plaintext);
        }
    }
}

fn age_samples() -> Vec<Vec<u8>> {
    let seal = |size| age_file::seal(&IDENTITY.to_public(), &vec![5; size]).unwrap();
    [0, 10, 1000].map(seal).to_vec()
}

fn object(bytes: &[u8]) {
    if let Ok(content) = decompress_object(bytes, OBJECT_LIMIT) {
        assert!(content.len() as u64 <= OBJECT_LIMIT);
    }
    let _ = Envelope::Open.open(bytes).map(|opened| assert_eq!(opened, bytes));
}

fn object_samples() -> Vec<Vec<u8>> {
    let two = [
        compress_object(b"one").unwrap(),
        compress_object(&[1; 5000]).unwrap(),
    ]
    .concat();
    // Small on the outside, twice the limit inside.
    let bomb = compress_object(&vec![0; 2 * OBJECT_LIMIT as usize]).unwrap();
    vec![compress_object(b"text text text text").unwrap(), two, bomb]
}

/// The first two bytes say what size the index claims.
fn frame(bytes: &[u8]) {
    let Some((claim, frame)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let size = usize::from(u16::from_le_bytes(*claim));
    let mut out = Vec::new();
    if FrameDecompressor::default()
        .decompress(frame, size, &mut out)
        .is_ok()
    {
        assert_eq!(out.len(), size);
    }
}

fn frame_samples() -> Vec<Vec<u8>> {
    let claimed =
        |content: &[u8], frame: Vec<u8>| [&(content.len() as u16).to_le_bytes()[..], &frame].concat();
    let (content, mut raw, mut small) = (b"frame frame frame".repeat(40), Vec::new(), Vec::new());
    store_raw(&content, &mut raw);
    FrameCompressor::new(3).compress(&content, &mut small).unwrap();
    vec![claimed(&content, raw), claimed(&content, small)]
}

fn footer() -> PackFooter {
    let frame = |first: u8| FrameDescription {
        stored_size_bytes: 5,
        raw_size_bytes: 30,
        chunks: vec![(ChunkId([first; 32]), 10), (ChunkId([first + 1; 32]), 20)],
    };
    PackFooter {
        class: PackClass::Data,
        frames: vec![frame(1), frame(3)],
    }
}

fn pack_footer(bytes: &[u8]) {
    let mut decoder = Decoder::new("pack footer", bytes);
    if let Ok(footer) = PackFooter::decode(&mut decoder) {
        let mut written = Vec::new();
        footer.encode(&mut written);
        assert_eq!(
            written,
            bytes[..bytes.len() - decoder.rest().len()],
            "there is one way to write it"
        );
    }
    let _ = PackFooter::from_pack_plaintext(bytes);
}

fn footer_samples() -> Vec<Vec<u8>> {
    let (mut payload, mut pack) = (Vec::new(), vec![9; 10]);
    footer().encode(&mut payload);
    pack.extend(footer().encode_frame());
    vec![payload, pack]
}

fn index_segment(bytes: &[u8]) {
    let mut packs: Vec<Vec<u8>> = Vec::new();
    let read = decode_segment::<FormatError>(bytes, |pack| {
        let mut written = Vec::new();
        pack.encode(&mut written);
        packs.push(written);
        Ok(())
    });
    if read.is_ok() {
        assert_eq!(encode_segment(packs.iter().map(Vec::as_slice)), bytes);
    }
}

fn segment_samples() -> Vec<Vec<u8>> {
    let mut packs = Vec::new();
    for (number, header) in [(1u8, Vec::new()), (2, b"age-encryption.org/v1\n--- x\n".to_vec())] {
        let pack = PackDescription {
            id: PackId([number; 16]),
            object_size_bytes: 12_345,
            age_header: header,
            footer: footer(),
        };
        let mut written = Vec::new();
        pack.encode(&mut written);
        packs.push(written);
    }
    vec![
        encode_segment(packs.iter().map(Vec::as_slice)),
        encode_segment([].into_iter()),
    ]
}

fn tree(bytes: &[u8]) {
    let Ok(reader) = TreeChunkReader::new(bytes) else {
        return;
    };
    let entries: Vec<TreeEntry> = reader.map_while(Result::ok).collect();
    // What was read can be written, and reads the same.
    let mut writer = TreeChunkWriter::new();
    entries.iter().for_each(|entry| writer.push(entry));
    if !entries.is_empty() {
        let written = writer.take();
        let again: Vec<_> = TreeChunkReader::new(&written)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(again, entries);
    }
}

fn entry(name: &[u8], body: EntryBody) -> TreeEntry {
    TreeEntry {
        name: name.to_vec(),
        mode: 0o644,
        owner: Arc::new(Owner {
            uid: 1000,
            gid: 100,
            user: b"anna".to_vec(),
            group: b"users".to_vec(),
        }),
        mtime: Timestamp {
            seconds: -5,
            nanoseconds: 999_999_999,
        },
        ctime: Timestamp::from_seconds(1 << 40),
        inode: 12,
        device: 3,
        hard_linked: false,
        no_metadata: false,
        xattrs: Vec::new(),
        body,
    }
}

fn tree_samples() -> Vec<Vec<u8>> {
    let list = || ChunkList::direct(vec![ChunkId([3; 32]), ChunkId([4; 32])]);
    let mut file = entry(
        b"b",
        EntryBody::File {
            size: 100_000,
            content: list(),
            holes: vec![Hole {
                gap: 5,
                length: 90_000,
            }],
        },
    );
    file.xattrs = vec![
        (b"user.a".to_vec(), b"1".to_vec()),
        (b"user.b".to_vec(), Vec::new()),
    ];
    file.hard_linked = true;
    let folder = EntryBody::Directory {
        content: list(),
        entries_below: 3,
        bytes_below: 7,
    };
    let target = b"../x".to_vec();
    let entries = [
        entry(b"a\xff", folder),
        file,
        entry(b"c", EntryBody::Symlink { target }),
        entry(b"d", EntryBody::Fifo),
        entry(b"e", EntryBody::Socket),
        entry(b"f", EntryBody::CharDevice { major: 1, minor: 3 }),
        entry(b"g", EntryBody::BlockDevice { major: 8, minor: 0 }),
    ];
    let write = |entries: &[TreeEntry]| {
        let mut writer = TreeChunkWriter::new();
        entries.iter().for_each(|entry| writer.push(entry));
        writer.take()
    };
    let mut samples: Vec<_> = entries
        .iter()
        .map(|entry| write(std::slice::from_ref(entry)))
        .collect();
    samples.push(write(&entries));
    samples
}

fn chunk_list(bytes: &[u8]) {
    let mut decoder = Decoder::new("chunk list", bytes);
    if let Ok(list) = ChunkList::decode(&mut decoder) {
        let mut written = Vec::new();
        list.encode(&mut written);
        assert_eq!(
            written,
            bytes[..bytes.len() - decoder.rest().len()],
            "there is one way to write it"
        );
    }
    if let Ok(ids) = decode_list_chunk(bytes) {
        assert_eq!(ids.len() * 32, bytes.len());
    }
}

fn chunk_list_samples() -> Vec<Vec<u8>> {
    [(0, 0), (0, 3), (2, 1)]
        .map(|(depth, count)| {
            let ids = vec![ChunkId([9; 32]); count];
            let mut written = Vec::new();
            ChunkList { depth, ids }.encode(&mut written);
            written
        })
        .to_vec()
}

fn snapshot(bytes: &[u8]) {
    if let Ok(read) = decode_snapshot(bytes) {
        let written = match &read {
            SnapshotObject::Manifest(manifest) => encode_json(manifest),
            SnapshotObject::Fence(fence) => encode_json(fence),
        };
        assert_eq!(decode_snapshot(&written), Ok(read));
    }
}

fn snapshot_samples() -> Vec<Vec<u8>> {
    let manifest = Manifest {
        version: 1,
        kind: "manifest".to_owned(),
        id: None,
        repository_id: repository_id(),
        time: "2026-01-01T00:00:00.000000000Z".to_owned(),
        finished: "2026-01-01T00:00:01.000000000Z".to_owned(),
        host: "host".to_owned(),
        user: "user".to_owned(),
        program: "program".to_owned(),
        name: "job".to_owned(),
        tags: vec!["tag".to_owned()],
        sources: vec![PathText(b"/home".to_vec()), PathText(b"/\xff".to_vec())],
        complete: true,
        root: ChunkList::direct(vec![ChunkId([1; 32])]).into(),
        parent: Some(SnapshotId([2; 16])),
        totals: Totals::default(),
        statistics: serde_json::json!({"a": [1, 2.5, "x", null]}),
        control_files: Vec::new(),
    };
    let fence = Fence {
        version: 1,
        kind: "fence".to_owned(),
        id: None,
        plan: PlanId([4; 16]),
    };
    vec![encode_json(&manifest), encode_json(&fence)]
}

fn session(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Session>(bytes);
}

fn session_samples() -> Vec<Vec<u8>> {
    let session = Session {
        version: 1,
        repository_id: repository_id(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        host: "host".to_owned(),
        program: String::new(),
        machine: "machine".to_owned(),
    };
    vec![encode_json(&session)]
}

fn plan(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Plan>(bytes);
}

fn plan_samples() -> Vec<Vec<u8>> {
    let plan = Plan {
        version: 1,
        repository_id: repository_id(),
        created: "2026-01-01T00:00:00Z".to_owned(),
        host: "host".to_owned(),
        packs: vec![PackId([5; 16]), PackId([6; 16])],
        segments: vec![SegmentId([7; 16])],
    };
    vec![encode_json(&plan)]
}

fn object_name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(name) = text.parse::<ObjectName>() {
        assert_eq!(name.to_string(), text, "a name has one spelling");
    }
}

fn name_samples() -> Vec<Vec<u8>> {
    let names = [
        ObjectName::CONFIG,
        ObjectName::from(PackId([0xab; 16])),
        ObjectName::from(SnapshotId([1; 16])),
        ObjectName::from(SegmentId([2; 16])),
    ];
    names.map(|name| name.to_string().into_bytes()).to_vec()
}
