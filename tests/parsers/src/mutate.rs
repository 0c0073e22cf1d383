// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes close to valid ones: most bugs of parsers lie a few bytes beside what writers write.

use rand::{Rng, RngCore, rngs::StdRng};

/// Longest input that is made, bytes; what matters shows in short ones.
const LENGTH_MAX: usize = 64 << 10;

/// Numbers at which something ends, in the forms that stand in files.
const NUMBERS: [&[u8]; 14] = [
    b"\0",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x80\x80\x40",
    b"\x80\x80\x80\x20",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x10",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff",
    b"18446744073709551616",
    b"-9223372036854775808",
];

/// Makes one input: a sample with a few changes, two samples joined, or noise.
pub fn input(samples: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let sample = |random: &mut StdRng| samples[random.random_range(0..samples.len())].clone();
    let mut bytes = match random.random_range(0..20) {
        0 => {
            let mut noise = vec![0; random.random_range(0..300)];
            random.fill_bytes(&mut noise);
            return noise;
        }
        1 => {
            let (mut one, other) = (sample(random), sample(random));
            one.truncate(random.random_range(0..=one.len()));
            one.extend_from_slice(&other[random.random_range(0..=other.len())..]);
            one
        }
        _ => sample(random),
    };
    for _ in 0..random.random_range(0..4) {
        change(&mut bytes, random);
    }
    bytes.truncate(LENGTH_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, random: &mut StdRng) {
    let place = random.random_range(0..=bytes.len());
    let end = (place + random.random_range(0..40)).min(bytes.len());
    match random.random_range(0..9) {
        0 => bytes.truncate(place),
        1 => drop(bytes.drain(place..end)),
        2 => {
            let number = NUMBERS[random.random_range(0..NUMBERS.len())];
            bytes.splice(place..place, number.iter().copied());
        }
        3 => {
            let number = NUMBERS[random.random_range(0..NUMBERS.len())];
            let end = (place + number.len()).min(bytes.len());
            bytes.splice(place..end, number.iter().copied());
        }
        4 => {
            let piece = bytes[place..end].to_vec();
            for _ in 0..random.random_range(1..50) {
                if bytes.len() < LENGTH_MAX {
                    bytes.splice(place..place, piece.iter().copied());
                }
            }
        }
        5 => bytes.insert(place, random.random()),
        6 if place < bytes.len() => bytes[place] ^= 1 << random.random_range(0..8),
        7 if place < bytes.len() => bytes[place] = random.random(),
        8 => {
            let repeated = vec![random.random(); random.random_range(0..2_000)];
            bytes.splice(place..place, repeated);
        }
        _ => {}
    }
}
