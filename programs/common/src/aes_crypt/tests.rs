// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files made by other programs: version 2 by pyAesCrypt 6.1, version 3 by its description.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use super::*;

const VERSION_2: &str = concat!(
    "4145530200001b435245415445445f4259007079416573437279707420362e312e3100800000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000005b2f6208158c725da100925b1a74b2bf8024f2900c620acef0b0e77f16f1e69ffa79",
    "3ce983cd5651525ab1d273652d8468d6dbfcb374665547a553f6e34805d4f60ad764374beeb4f4de9c2fccfa2980a1e8a1a3",
    "7c96213ccf1d5ca02850e11a4643fad5ec06bcd22bc089182cd0865ee419dc225878753e419990123ddb6887081f79e84e06",
    "1ac750cd7fa6ff5794ff3037783495550215a01a6ef0638f7c3fed",
);
const VERSION_3: &str = concat!(
    "4145530300000261620000000003e82ea4df2c21af9e30b51e4329dcc55a8645633b39a2a8d9dd464270386eb3ecc4cd5088",
    "fd281549b94acd3ef2dce4d8b6a83f3822dffb76175d4a6693ff61d7eff69212073eaa65067587a404d97737edda8d2aa540",
    "01297fad8e80f0093eedcbb03f1c87d39aadd31f493108c91fcd81145aca1c88c5674f14fc1afc9b75b47f42d61d0251623e",
    "69850b99d65494e626acc6794409ee833ddabaa020ac90afd1",
);
const PASSPHRASE: &str = "pass\u{e9}";
const PLAIN: &[u8] = br#"{"token":"hidden value"}"#;

fn bytes(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) * 16 + digit(pair[1]))
        .collect()
}

#[test]
fn files_of_both_versions_are_opened() {
    for text in [VERSION_2, VERSION_3] {
        assert_eq!(open(&bytes(text), PASSPHRASE).unwrap().as_slice(), PLAIN);
    }
}

#[test]
fn another_passphrase_is_told_from_damage() {
    for text in [VERSION_2, VERSION_3] {
        assert_eq!(open(&bytes(text), "other"), Err(AesCryptError::WrongPassphrase));
        let mut damaged = bytes(text);
        let place = damaged.len() - 40;
        damaged[place] ^= 1;
        assert_eq!(open(&damaged, PASSPHRASE), Err(AesCryptError::Damaged));
    }
}

#[test]
fn files_that_are_cut_off_or_something_else_are_refused() {
    let whole = bytes(VERSION_2);
    for length in 0..whole.len() {
        assert!(open(&whole[..length], PASSPHRASE).is_err(), "{length}");
    }
    assert_eq!(open(b"{}", PASSPHRASE), Err(AesCryptError::NotAesCrypt));
    assert_eq!(
        open(b"AES\x01\x00", PASSPHRASE),
        Err(AesCryptError::UnknownVersion(1))
    );
}
