// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A certificate with those that signed it and its private key, as a user brings it: PKCS#12 (`.pfx`, `.p12`) or PEM.

use std::sync::Arc;

use jiff::Timestamp;
use p12_keystore::Pkcs12Archive;
use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate, prelude::X509Certificate};

use super::pem;

/// Largest file, bytes; a certificate with its chain has a few thousand.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Certificates in one file; browsers follow about ten.
const CHAIN_MAX: usize = 20;

/// Why a file gives no certificate. Holds neither key nor password.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("it is neither PKCS#12 (.pfx, .p12) nor PEM")]
    Unknown,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error(
        "{}; give the right one with --webservice-sslcertificatepassword",
        if *is_given { "the password does not open it" } else { "it is protected by a password" }
    )]
    Password { is_given: bool },
    #[error("its key is encrypted in an old, weak way; write it again with 'openssl pkcs8 -topk8'")]
    OldEncryption,
    #[error("it holds no certificate")]
    NoCertificate,
    #[error("it holds no private key; put the key into the same file, behind the certificate")]
    NoKey,
    #[error("its private key belongs to none of its certificates")]
    KeyDoesNotFit,
    #[error("it holds {0} certificates, more than the {CHAIN_MAX} that make sense")]
    TooMany(usize),
    #[error("it cannot be used: {0}")]
    Unusable(String),
}

/// A certificate that a server can show. Has no `Debug`: it holds the key.
pub struct Certificate {
    /// The server's own first, then the one that signed it, and so on.
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads a file of either kind.
    ///
    /// # Errors
    /// When it holds no certificate with its key that can be opened.
    pub fn read(bytes: &[u8], password: Option<&str>) -> Result<Self, CertificateError> {
        /// How every DER sequence begins, and so PKCS#12.
        const SEQUENCE: u8 = 0x30;
        let is_pem = bytes.windows(pem::BEGIN.len()).any(|window| window == pem::BEGIN);
        let (certificates, key) = match bytes.first() {
            _ if is_pem => pem::read(bytes, password)?,
            Some(&SEQUENCE) => of_pkcs12(bytes, password)?,
            _ => return Err(CertificateError::Unknown),
        };
        Self::of(certificates, key)
    }

    /// Puts certificates in order; those that have nothing to do with the key's own are left out.
    fn of(
        mut others: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        if others.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        if others.len() > CHAIN_MAX {
            return Err(CertificateError::TooMany(others.len()));
        }
        // The key is looked at first, so that one that cannot be used is not told as one that does not fit.
        let signing = default_provider()
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|error| CertificateError::Unusable(format!("its private key: {error}")))?;
        let own = others.iter().position(|certificate| {
            CertifiedKey::new(vec![certificate.clone()], Arc::clone(&signing))
                .keys_match()
                .is_ok()
        });
        let mut chain = vec![others.remove(own.ok_or(CertificateError::KeyDoesNotFit)?)];
        loop {
            let last = parsed(&chain[chain.len() - 1])?;
            if last.issuer() == last.subject() {
                break;
            }
            let issuer = last.issuer().as_raw().to_vec();
            let next = others
                .iter()
                .position(|other| parsed(other).is_ok_and(|other| other.subject().as_raw() == issuer));
            match next {
                Some(next) => chain.push(others.remove(next)),
                None => break,
            }
        }
        Ok(Self { chain, key })
    }

    /// What TLS takes.
    ///
    /// # Errors
    /// When the key is of a kind that TLS cannot use.
    pub fn for_tls(&self) -> Result<CertifiedKey, CertificateError> {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &default_provider())
            .map_err(|error| CertificateError::Unusable(error.to_string()))
    }

    /// Chain and key as one text.
    pub fn to_pem(&self) -> String {
        let kind = match &self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        self.chain_pem() + &pem::write(kind, self.key.secret_der())
    }

    /// What everybody may see.
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|one| pem::write("CERTIFICATE", one))
            .collect()
    }

    /// What a user wants to know about it.
    ///
    /// # Errors
    /// When the certificate cannot be read after all.
    pub fn facts(&self) -> Result<Facts, CertificateError> {
        Facts::of(&self.chain[0])
    }
}

fn of_pkcs12(
    bytes: &[u8],
    password: Option<&str>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    use p12_keystore::error::Error;
    let archive =
        Pkcs12Archive::from_pkcs12(bytes, password.unwrap_or_default()).map_err(|error| match error {
            // What a wrong password looks like depends on how the file protects itself.
            Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => CertificateError::Password {
                is_given: password.is_some(),
            },
            error => CertificateError::Damaged(error.to_string()),
        })?;
    let key = archive.keys.first().ok_or(CertificateError::NoKey)?;
    let key = PrivatePkcs8KeyDer::from(key.key.as_der().to_vec()).into();
    let certificates = archive.certs.iter();
    let certificates = certificates.map(|bag| CertificateDer::from(bag.cert.as_der().to_vec()));
    Ok((certificates.collect(), key))
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match parse_x509_certificate(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(CertificateError::Damaged(error.to_string())),
    }
}

/// What can be told about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub subject: String,
    pub issuer: String,
    pub begin: Timestamp,
    pub end: Timestamp,
    /// Names and addresses that it stands for.
    pub names: Vec<String>,
    /// SHA-1 in capital hexadecimal digits, the form in which options name certificates.
    pub sha1: String,
    pub sha256: String,
}

impl Facts {
    /// The facts of a certificate.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let certificate = parsed(der)?;
        let time = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |names| {
            let names = names.value.general_names.iter();
            names.filter_map(shown_name).collect()
        });
        let digest = |algorithm| hexadecimal(ring::digest::digest(algorithm, der).as_ref());
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            begin: time(certificate.validity().not_before.timestamp()),
            end: time(certificate.validity().not_after.timestamp()),
            names,
            sha1: digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: digest(&ring::digest::SHA256),
        })
    }
}

fn shown_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
