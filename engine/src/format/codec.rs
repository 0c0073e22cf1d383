// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The few primitives that all binary objects are made of: `u8`, `varint`, `svarint`, `bytes`.

use super::FormatError;

/// Appends an unsigned LEB128 number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number in zigzag form.
#[inline]
pub fn put_svarint(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a length and that many bytes.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads primitives from a slice; every method fails cleanly at the end of the data.
#[derive(Clone)]
pub struct Decoder<'a> {
    object: &'static str,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Starts reading; `object` is named in errors.
    pub fn new(object: &'static str, bytes: &'a [u8]) -> Self {
        Self { object, rest: bytes }
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error about this object.
    pub fn damaged(&self, detail: impl Into<String>) -> FormatError {
        FormatError::damaged(self.object, detail)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        let (&first, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| self.damaged("ends early"))?;
        self.rest = rest;
        Ok(first)
    }

    /// Checks the version byte (F-8).
    pub fn version(&mut self) -> Result<(), FormatError> {
        match self.u8()? {
            super::FORMAT_VERSION => Ok(()),
            found => Err(FormatError::UnknownVersion {
                object: self.object,
                found: found.into(),
            }),
        }
    }

    /// An unsigned number.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.damaged("a number is longer than it needs to be"));
                }
                return Ok(value);
            }
        }
        Err(self.damaged("a number does not fit 64 bits"))
    }

    /// A number no larger than `max`.
    #[inline]
    pub fn varint_up_to(&mut self, what: &'static str, max: u64) -> Result<u64, FormatError> {
        let value = self.varint()?;
        if value > max {
            return Err(self.damaged(format!("{what} is {value}, at most {max} is allowed")));
        }
        Ok(value)
    }

    /// A signed number.
    #[inline]
    pub fn svarint(&mut self) -> Result<i64, FormatError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Exactly `count` bytes.
    #[inline]
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], FormatError> {
        if count > self.rest.len() as u64 {
            return Err(self.damaged("ends early"));
        }
        let (taken, rest) = self.rest.split_at(count as usize);
        self.rest = rest;
        Ok(taken)
    }

    /// A fixed number of bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// A length and that many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.varint()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_svarint(&mut out, signed);
            let mut decoder = Decoder::new("test", &out);
            prop_assert_eq!(decoder.varint(), Ok(value));
            prop_assert_eq!(decoder.svarint(), Ok(signed));
            prop_assert!(decoder.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new("test", &bytes);
            while decoder.bytes().is_ok() && !decoder.is_empty() {}
        }
    }

    #[test]
    fn padded_and_overlong_numbers_are_refused() {
        assert!(Decoder::new("test", &[0x80, 0x00]).varint().is_err());
        assert!(Decoder::new("test", &[0xff; 11]).varint().is_err());
        assert!(
            Decoder::new(
                "test",
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]
            )
            .varint()
            .is_err()
        );
    }
}
