// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A certificate authority of this machine's own. It signs certificates for this server and for nothing else; whoever trusts it trusts what
//! holds its key, so the key stays in the server database.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::certificate::{Certificate, CertificateError, Facts};

const AUTHORITY_NAME: &str = "Duplicati Local CA";
const AUTHORITY_DAYS: i64 = 3_650;
const SERVER_NAME: &str = "Duplicati Server";
const SERVER_DAYS: i64 = 90;
/// A certificate is made anew when it has less than this left.
pub const RENEW_DAYS: i64 = 30;
const DAY_HOURS: i64 = 24;
/// Begin of what is made lies this far back, for machines whose clock is a little behind.
const EARLIER_HOURS: i64 = 1;
/// Names in one certificate.
const NAMES_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 253;

/// The authority. Has no `Debug`: it holds the key.
pub struct Authority {
    certificate_pem: String,
    key: KeyPair,
}

fn failed(error: rcgen::Error) -> CertificateError {
    CertificateError::Unusable(error.to_string())
}

fn params(name: &str, now: Timestamp, days: i64) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject.push(DnType::OrganizationName, "Duplicati");
    subject.push(DnType::CountryName, "US");
    params.distinguished_name = subject;
    let at = |hours: i64| {
        let time = now.checked_add(SignedDuration::from_hours(hours));
        let seconds = time.map_or(now.as_second(), Timestamp::as_second);
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| CertificateError::Unusable("the clock of this machine is far off".to_owned()))
    };
    params.not_before = at(-EARLIER_HOURS)?;
    params.not_after = at(days * DAY_HOURS)?;
    Ok(params)
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = params(AUTHORITY_NAME, now, AUTHORITY_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            key,
        })
    }

    /// The one of two texts.
    ///
    /// # Errors
    /// When they are no authority.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::from_pem(key).map_err(failed)?;
        Issuer::from_ca_cert_pem(certificate, &key).map_err(failed)?;
        Ok(Self {
            certificate_pem: certificate.to_owned(),
            key,
        })
    }

    /// What machines that shall trust it are given.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// What can be told about it.
    ///
    /// # Errors
    /// When its certificate cannot be read.
    pub fn facts(&self) -> Result<Facts, CertificateError> {
        let der = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|error| CertificateError::Damaged(error.to_string()))?;
        Facts::of(&der)
    }

    /// A certificate for a server of these names and addresses.
    ///
    /// # Errors
    /// When a name is none.
    pub fn sign(&self, names: &[String], now: Timestamp) -> Result<Certificate, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = params(SERVER_NAME, now, SERVER_DAYS)?;
        params.subject_alt_names = CertificateParams::new(names).map_err(failed)?.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, &self.key).map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        let text = certificate.pem() + &self.certificate_pem + &key.serialize_pem();
        Certificate::read(text.as_bytes(), None)
    }
}

/// The names that a certificate stands for when none were asked for: this machine, as it is called here and from elsewhere.
pub fn names_of_machine(host_name: &str) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let host_name = host_name.trim().to_ascii_lowercase();
    if check_name(&host_name).is_ok() && !names.contains(&host_name) {
        let short = host_name.split('.').next().unwrap_or_default().to_owned();
        if short != host_name && !names.contains(&short) {
            names.push(short);
        }
        names.push(host_name);
    }
    names
}

/// The names in a list, separated by commas or semicolons.
///
/// # Errors
/// When one can be no name of a machine, or there are too many, or none.
pub fn parse_names(list: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for name in list
        .split([',', ';'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let name = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        check_name(&name)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() || names.len() > NAMES_MAX {
        return Err(format!("between one and {NAMES_MAX} names are needed"));
    }
    Ok(names)
}

fn check_name(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
    };
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let is_name = name.len() <= NAME_BYTES_MAX && plain.split('.').all(is_label);
    if name.parse::<IpAddr>().is_ok() || is_name {
        Ok(())
    } else {
        let shown: String = name.chars().take(60).collect();
        Err(format!(
            "{shown:?} is neither the name of a machine nor an address"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_kept_once() {
        let names =
            parse_names("Backup.example, 10.0.0.1;[fd00::1],backup.EXAMPLE,*.lan").expect("good names");
        assert_eq!(names, ["backup.example", "10.0.0.1", "fd00::1", "*.lan"]);
        for wrong in [
            "",
            " , ",
            "a b",
            "a..b",
            "-a",
            "https://x",
            &"a".repeat(300),
            "ä.example",
        ] {
            assert!(parse_names(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_machine_has_a_short_name_and_a_long_one() {
        assert_eq!(
            names_of_machine("Nas.lan\n"),
            ["localhost", "127.0.0.1", "::1", "nas", "nas.lan"]
        );
        assert_eq!(names_of_machine("localhost").len(), 3);
        assert_eq!(names_of_machine("no name").len(), 3);
    }
}
