// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes that do not compress, fast: what is measured is the target and not their making.

/// A stream of bytes that looks random and is none.
pub struct Noise(u64);

impl Noise {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A stream that nobody had before, as far as the system's randomness goes.
    pub fn unforeseen() -> Self {
        let id = duplicati_engine::crypto::secret::random_id().unwrap_or([7; 16]);
        let (low, _) = id.split_at(8);
        Self::new(low.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
    }

    /// Fills a buffer.
    pub fn fill(&mut self, out: &mut [u8]) {
        for piece in out.chunks_mut(8) {
            let mut state = self.0;
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            self.0 = state;
            let word = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
            let length = piece.len();
            piece.copy_from_slice(&word[..length]);
        }
    }
}
