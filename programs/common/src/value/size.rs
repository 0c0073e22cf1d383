// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sizes: a whole number and a unit, always in powers of 1024.

use super::ValueError;

const ACCEPTED: &str = "a size: a whole number with an optional unit b, kb, mb, gb or tb (for example 50mb)";

/// What a bare number counts, which differs from option to option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeUnit {
    Bytes,
    Kilobytes,
    Megabytes,
    Gigabytes,
    Terabytes,
}

impl SizeUnit {
    /// The number of bytes in one unit.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bytes => 1,
            Self::Kilobytes => 1 << 10,
            Self::Megabytes => 1 << 20,
            Self::Gigabytes => 1 << 30,
            Self::Terabytes => 1 << 40,
        }
    }

    /// The suffix as users write it.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Bytes => "b",
            Self::Kilobytes => "kb",
            Self::Megabytes => "mb",
            Self::Gigabytes => "gb",
            Self::Terabytes => "tb",
        }
    }

    fn from_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix.to_ascii_lowercase().as_str() {
            "b" => Self::Bytes,
            "kb" | "kib" => Self::Kilobytes,
            "mb" | "mib" => Self::Megabytes,
            "gb" | "gib" => Self::Gigabytes,
            "tb" | "tib" => Self::Terabytes,
            _ => return None,
        })
    }
}

/// Reads a size in bytes; a number without a unit counts `default_unit`s.
pub fn parse_size(text: &str, default_unit: SizeUnit) -> Result<u64, ValueError> {
    let error = || ValueError::new(text, ACCEPTED);
    let trimmed = text.trim();
    let digits_end = trimmed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (digits, suffix) = trimmed.split_at(digits_end);
    let number: u64 = digits.parse().map_err(|_| error())?;
    let suffix = suffix.trim_start();
    let unit = if suffix.is_empty() {
        default_unit
    } else {
        SizeUnit::from_suffix(suffix).ok_or_else(error)?
    };
    number
        .checked_mul(unit.bytes())
        .ok_or_else(|| ValueError::new(text, "a size below 16 exabytes (sizes are counted in 64 bits)"))
}
