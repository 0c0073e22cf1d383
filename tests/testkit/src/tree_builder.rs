// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Source trees from a seed: the same seed gives the same names, sizes and bytes on every machine.

use std::{
    fs, io,
    io::{BufWriter, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

/// Words that text-like content is made of; few enough to compress as prose does.
const WORDS: [&str; 32] = [
    "tree", "stone", "river", "window", "yellow", "seven", "garden", "letter", "paper", "market", "under",
    "cloud", "winter", "between", "copper", "story", "the", "of", "and", "to", "in", "was", "that", "with",
    "for", "not", "morning", "engine", "carry", "silent", "north", "bread",
];

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Words and lines; compresses well.
    Text,
    /// Does not compress.
    Random,
    /// Zero bytes that are written, so no hole.
    Zeros,
}

/// What was built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeSummary {
    pub files: u64,
    pub folders: u64,
    pub bytes: u64,
}

/// Describes a tree, then builds it.
#[derive(Debug, Clone)]
pub struct TreeBuilder {
    seed: u64,
    named_files: Vec<(PathBuf, u64, Content)>,
    random_files: u64,
    size_bytes: RangeInclusive<u64>,
    depth_max: u32,
    text_share: f64,
}

impl TreeBuilder {
    /// An empty tree.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            named_files: Vec::new(),
            random_files: 0,
            size_bytes: 0..=64 * 1024,
            depth_max: 4,
            text_share: 0.7,
        }
    }

    /// Adds one file; its folders are made.
    pub fn file(mut self, path: impl Into<PathBuf>, size_bytes: u64, content: Content) -> Self {
        self.named_files.push((path.into(), size_bytes, content));
        self
    }

    /// Adds so many files with names, places and sizes from the seed.
    pub fn random_files(mut self, count: u64, size_bytes: RangeInclusive<u64>) -> Self {
        self.random_files = count;
        self.size_bytes = size_bytes;
        self
    }

    /// Deepest folder of random files; 0 puts all into the root.
    pub fn depth_max(mut self, depth_max: u32) -> Self {
        self.depth_max = depth_max;
        self
    }

    /// The share of random files that are text, 0.0 to 1.0.
    pub fn text_share(mut self, text_share: f64) -> Self {
        self.text_share = text_share.clamp(0.0, 1.0);
        self
    }

    /// Writes the tree below `root`, which is made if need be.
    pub fn build(&self, root: &Path) -> io::Result<TreeSummary> {
        let mut generator = StdRng::seed_from_u64(self.seed);
        let mut summary = TreeSummary::default();
        fs::create_dir_all(root)?;
        for (path, size_bytes, content) in &self.named_files {
            // A file's own seed: adding another file must not change this one.
            let seed = path
                .as_os_str()
                .as_encoded_bytes()
                .iter()
                .fold(self.seed, |seed, byte| {
                    seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte)
                });
            write_file(&root.join(path), *size_bytes, *content, seed, &mut summary)?;
        }
        for number in 0..self.random_files {
            let mut path = root.to_owned();
            for _ in 0..generator.random_range(0..=self.depth_max) {
                path.push(format!("folder-{}", generator.random_range(0..4)));
            }
            path.push(format!("file-{number:06}"));
            let size_bytes = generator.random_range(self.size_bytes.clone());
            let content = if generator.random_bool(self.text_share) {
                Content::Text
            } else {
                Content::Random
            };
            write_file(&path, size_bytes, content, generator.random(), &mut summary)?;
        }
        Ok(summary)
    }
}

fn write_file(
    path: &Path,
    size_bytes: u64,
    content: Content,
    seed: u64,
    summary: &mut TreeSummary,
) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        let missing = folder.ancestors().take_while(|folder| !folder.exists()).count();
        fs::create_dir_all(folder)?;
        summary.folders += missing as u64;
    }
    let mut file = BufWriter::with_capacity(1 << 16, fs::File::create(path)?);
    write_content(&mut file, size_bytes, content, seed)?;
    file.flush()?;
    summary.files += 1;
    summary.bytes += size_bytes;
    Ok(())
}

/// Writes exactly `size_bytes` of a kind of content; the same seed gives the same bytes.
pub fn write_content(out: &mut impl Write, size_bytes: u64, content: Content, seed: u64) -> io::Result<()> {
    let mut generator = StdRng::seed_from_u64(seed);
    let mut piece = vec![0; 8 * 1024];
    let mut left = size_bytes;
    while left > 0 {
        match content {
            Content::Random => generator.fill_bytes(&mut piece),
            Content::Zeros => {}
            Content::Text => fill_with_words(&mut piece, &mut generator),
        }
        let length = left.min(piece.len() as u64);
        out.write_all(&piece[..length as usize])?;
        left -= length;
    }
    Ok(())
}

fn fill_with_words(piece: &mut [u8], generator: &mut StdRng) {
    let mut place = 0;
    while place < piece.len() {
        let word = WORDS[generator.random_range(0..WORDS.len())].as_bytes();
        let length = word.len().min(piece.len() - place);
        piece[place..place + length].copy_from_slice(&word[..length]);
        place += length;
        if place < piece.len() {
            piece[place] = if generator.random_range(0..12) == 0 {
                b'\n'
            } else {
                b' '
            };
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree_compare::{CompareOptions, compare_trees_with};

    #[test]
    fn same_seed_builds_the_same_tree_and_another_seed_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let roots = ["a", "b", "c"].map(|name| folder.path().join(name));
        let build = |seed, root: &Path| {
            TreeBuilder::new(seed)
                .file("named/text", 100_000, Content::Text)
                .random_files(30, 0..=20_000)
                .build(root)
                .unwrap()
        };
        let summary = build(1, &roots[0]);
        assert_eq!(summary, build(1, &roots[1]));
        build(2, &roots[2]);
        assert_eq!(summary.files, 31);
        let options = CompareOptions {
            ignore_times: true,
            ..CompareOptions::default()
        };
        assert_eq!(compare_trees_with(&roots[0], &roots[1], &options), []);
        assert_ne!(compare_trees_with(&roots[0], &roots[2], &options), []);
    }
}
