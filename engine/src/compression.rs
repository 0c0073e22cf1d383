// SPDX-License-Identifier: Apache-2.0 OR MIT
//! zstd frames (RFC 8878): compressing, storing raw what does not compress, and opening with a limit.

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

use crate::format::{FormatError, pack::FRAME_SIZE_BYTES_MAX};

/// Level used unless the user chooses another; see `docs/decisions/`.
pub const LEVEL_DEFAULT: i32 = 3;
/// Levels that make sense here.
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

/// Chunks below this size are not tested: sharing a frame costs nothing, bytes.
const TEST_SIZE_BYTES_MIN: usize = 16 << 10;
/// Contiguous bytes that the second test compresses.
const TEST_SAMPLE_BYTES: usize = 32 << 10;
/// Logarithms of the two hash tables (long and short matches) at the default level. zstd's own, 17 and 16, are 768 KiB together and push each
/// other out of a core's second-level cache; these take 192 KiB, a quarter less time, and cost about 1 % of size.
const LEVEL_DEFAULT_TABLES_LOG: (u32, u32) = (15, 14);
/// Largest block of a zstd frame, bytes.
const BLOCK_SIZE_BYTES_MAX: usize = 128 << 10;

/// Makes frames; keeps its tables between calls.
pub struct FrameCompressor {
    compressor: Compressor<'static>,
}

impl FrameCompressor {
    /// A compressor of the given level.
    ///
    /// # Panics
    /// Never with a level in [`LEVELS`].
    pub fn new(level: i32) -> Self {
        let mut compressor = Compressor::new(level).expect("zstd takes every level of LEVELS");
        if level == LEVEL_DEFAULT {
            let (long, short) = LEVEL_DEFAULT_TABLES_LOG;
            for parameter in [CParameter::HashLog(long), CParameter::ChainLog(short)] {
                compressor
                    .set_parameter(parameter)
                    .expect("the table sizes are within zstd's bounds");
            }
        }
        Self { compressor }
    }

    /// Replaces `out` by one frame that holds `content`. The room is not zeroed first: at these speeds that would show.
    ///
    /// # Errors
    /// When zstd fails, which means a lack of memory.
    pub fn compress(&mut self, content: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        out.clear();
        out.reserve(zstd::zstd_safe::compress_bound(content.len()));
        self.compressor.compress_to_buffer(content, out).map(|_length| ())
    }
}

/// Appends a valid frame that holds `content` in raw blocks, at the speed of a copy.
pub fn store_raw(content: &[u8], out: &mut Vec<u8>) {
    out.reserve(content.len() + 16 + content.len() / BLOCK_SIZE_BYTES_MAX * 3);
    out.extend_from_slice(&0xFD2F_B528u32.to_le_bytes());
    // Single segment, content size in four bytes.
    out.push(0b1010_0000);
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    let mut blocks = content.chunks(BLOCK_SIZE_BYTES_MAX).peekable();
    if blocks.peek().is_none() {
        out.extend_from_slice(&[1, 0, 0]);
    }
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        let header = (block.len() as u32) << 3 | last;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
}

/// Tells cheaply what does not compress: first by the spread of sampled bytes, then by a fast trial on a piece.
pub struct CompressibilityTest {
    trial: Compressor<'static>,
    scratch: Vec<u8>,
}

impl Default for CompressibilityTest {
    fn default() -> Self {
        Self {
            trial: Compressor::new(1).expect("zstd takes level 1"),
            scratch: vec![0; zstd::zstd_safe::compress_bound(TEST_SAMPLE_BYTES)],
        }
    }
}

impl CompressibilityTest {
    /// Whether compressing `chunk` would be wasted.
    pub fn is_incompressible(&mut self, chunk: &[u8]) -> bool {
        if chunk.len() < TEST_SIZE_BYTES_MIN || sampled_entropy(chunk) < 7.6 {
            return false;
        }
        let start = (chunk.len() - chunk.len().min(TEST_SAMPLE_BYTES)) / 2;
        let sample = &chunk[start..(start + TEST_SAMPLE_BYTES).min(chunk.len())];
        match self.trial.compress_to_buffer(sample, &mut self.scratch[..]) {
            Ok(length) => length * 100 > sample.len() * 97,
            Err(_) => true,
        }
    }
}

/// Entropy in bits per byte of 4,096 bytes taken evenly; random data shows about 7.95.
fn sampled_entropy(chunk: &[u8]) -> f64 {
    const SAMPLES: usize = 4096;
    let mut counts = [0u32; 256];
    // Runs of 16 bytes: evenly spread single bytes would miss a period of the same length.
    let step = (chunk.len() / (SAMPLES / 16)).max(16);
    let mut taken = 0u32;
    for run in chunk.chunks(step) {
        for byte in run.iter().take(16) {
            counts[usize::from(*byte)] += 1;
            taken += 1;
        }
    }
    let total = f64::from(taken);
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// Opens frames; keeps its tables between calls.
pub struct FrameDecompressor {
    decompressor: Decompressor<'static>,
}

impl Default for FrameDecompressor {
    fn default() -> Self {
        Self {
            decompressor: Decompressor::new().expect("zstd needs no more than memory"),
        }
    }
}

impl FrameDecompressor {
    /// Opens one frame into `out`, which is replaced; `raw_size` is what the footer or index says.
    ///
    /// # Errors
    /// When the frame is damaged or of another size.
    pub fn decompress(
        &mut self,
        frame: &[u8],
        raw_size: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        if raw_size as u64 > FRAME_SIZE_BYTES_MAX {
            return Err(FormatError::damaged(
                "frame",
                "it is larger than any frame may be",
            ));
        }
        out.clear();
        out.reserve(raw_size);
        let damaged = |detail: &str| FormatError::damaged("frame", detail);
        match self.decompressor.decompress_to_buffer(frame, out) {
            Ok(length) if length == raw_size => Ok(()),
            Ok(_) => Err(damaged("it is shorter than described")),
            Err(error) => Err(damaged(&error.to_string())),
        }
    }
}

/// Compresses a small object whole at a good level.
///
/// # Errors
/// When zstd fails, which means a lack of memory.
pub fn compress_object(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    FrameCompressor::new(LEVEL_DEFAULT).compress(content, &mut out)?;
    Ok(out)
}

/// Opens a small object of one or more frames, up to `limit` bytes of content.
///
/// # Errors
/// When it is damaged or larger.
pub fn decompress_object(stored: &[u8], limit: u64) -> Result<Vec<u8>, FormatError> {
    use std::io::Read;
    let damaged = |error: std::io::Error| FormatError::damaged("object", error.to_string());
    let mut content = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(stored).map_err(damaged)?;
    decoder
        .take(limit + 1)
        .read_to_end(&mut content)
        .map_err(damaged)?;
    if content.len() as u64 > limit {
        return Err(FormatError::damaged(
            "object",
            format!("its content is larger than {limit} bytes"),
        ));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(size: usize) -> Vec<u8> {
        let mut out = vec![0; size];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    #[test]
    fn raw_frames_of_every_size_are_valid_zstd() {
        for size in [0, 1, 255, 256, 131_071, 131_072, 131_073, 1 << 20, (1 << 20) + 5] {
            let content = random(size);
            let mut frame = Vec::new();
            store_raw(&content, &mut frame);
            let mut out = vec![9; 3];
            FrameDecompressor::default()
                .decompress(&frame, size, &mut out)
                .unwrap();
            assert_eq!(out, content, "{size}");
            assert_eq!(zstd::stream::decode_all(&frame[..]).unwrap(), content);
        }
    }

    #[test]
    fn a_frame_of_another_size_is_refused() {
        let mut frame = Vec::new();
        FrameCompressor::new(3).compress(&[1; 1000], &mut frame).unwrap();
        for size in [999, 1001] {
            assert!(
                FrameDecompressor::default()
                    .decompress(&frame, size, &mut Vec::new())
                    .is_err()
            );
        }
        assert!(
            FrameDecompressor::default()
                .decompress(&frame, usize::MAX, &mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn random_data_is_skipped_and_text_and_repeats_are_not() {
        let mut test = CompressibilityTest::default();
        assert!(test.is_incompressible(&random(1 << 20)));
        assert!(test.is_incompressible(&random(17 << 10)));
        assert!(!test.is_incompressible(&b"some text that repeats itself. ".repeat(4000)));
        assert!(
            !test.is_incompressible(&random(4096).repeat(64)),
            "random once, but repeated"
        );
        assert!(!test.is_incompressible(&random(100)));
    }

    #[test]
    fn an_object_that_grows_beyond_its_limit_is_refused() {
        let stored = compress_object(&vec![0; 1 << 20]).unwrap();
        assert!(decompress_object(&stored, 1 << 20).is_ok());
        assert!(decompress_object(&stored, (1 << 20) - 1).is_err());
    }
}
