// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which certificates are trusted: those that the system trusts, unless the user named others.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use rustls_platform_verifier::BuilderVerifierExt;

use crate::{options::StoreOptions, registry::OpenError};

/// Bytes of a SHA-1 hash, the form in which Duplicati names certificates.
const HASH_BYTES: usize = 20;

/// The trust that the options ask for, and without them that of the system.
pub fn config(scheme: &'static str, options: &StoreOptions) -> Result<ClientConfig, OpenError> {
    if let Some(config) = own_config(scheme, options)? {
        return Ok(config);
    }
    let failed = |error: rustls::Error| OpenError::Client {
        scheme,
        message: error.to_string(),
    };
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(failed)?
        .with_no_client_auth())
}

/// A configuration of our own where the options ask for one; none leaves the system's trust (and `SSL_CERT_FILE`).
pub fn own_config(scheme: &'static str, options: &StoreOptions) -> Result<Option<ClientConfig>, OpenError> {
    let trust = if options.flag("accept-any-ssl-certificate") {
        Trust::Any
    } else {
        match options.list("accept-specified-ssl-hash") {
            [] => return Ok(None),
            texts => {
                let hashes = texts
                    .iter()
                    .map(|text| parse_hash(text))
                    .collect::<Result<_, _>>();
                Trust::Hashes(hashes.map_err(|message| OpenError::InvalidOption {
                    scheme,
                    option: "accept-specified-ssl-hash",
                    message,
                })?)
            }
        }
    };
    trusting(trust).map(Some).map_err(|error| OpenError::Client {
        scheme,
        message: error.to_string(),
    })
}

/// A client that trusts certificates with one of these SHA-1 hashes, and no others.
pub fn trusting_hashes(texts: &[String]) -> Result<ClientConfig, String> {
    let hashes = texts
        .iter()
        .map(|text| parse_hash(text))
        .collect::<Result<_, _>>()?;
    trusting(Trust::Hashes(hashes)).map_err(|error| error.to_string())
}

fn trusting(trust: Trust) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = Chosen {
        trust,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

fn parse_hash(text: &str) -> Result<[u8; HASH_BYTES], String> {
    let invalid = || {
        format!(
            "{text:?} is not the SHA-1 hash of a certificate: that is {} hexadecimal digits, as 'openssl x509 -noout -fingerprint -sha1' \
             prints them",
            2 * HASH_BYTES
        )
    };
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !matches!(character, ':' | ' '))
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .ok_or_else(invalid)?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0))
        .collect();
    if digits.len() != 2 * HASH_BYTES {
        return Err(invalid());
    }
    bytes.try_into().map_err(|_| invalid())
}

#[derive(Debug)]
enum Trust {
    Any,
    Hashes(Vec<[u8; HASH_BYTES]>),
}

/// Trusts what the user named. That the server holds the key of the certificate is checked all the same.
#[derive(Debug)]
struct Chosen {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Chosen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_trusted = match &self.trust {
            Trust::Any => true,
            Trust::Hashes(hashes) => hashes.contains(&sha1(end_entity)),
        };
        if is_trusted {
            return Ok(ServerCertVerified::assertion());
        }
        let shown: String = sha1(end_entity)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        Err(rustls::Error::General(format!(
            "the certificate has the SHA-1 hash {shown}, which is not among the accepted ones"
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn sha1(certificate: &CertificateDer<'_>) -> [u8; HASH_BYTES] {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    let mut bytes = [0; HASH_BYTES];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OptionValue;

    fn with_hashes(hashes: &[&str]) -> Result<Option<ClientConfig>, OpenError> {
        let hashes = hashes.iter().map(|hash| (*hash).to_owned()).collect();
        own_config(
            "s3",
            &StoreOptions::default().with("accept-specified-ssl-hash", OptionValue::List(hashes)),
        )
    }

    #[test]
    fn hashes_are_read_with_and_without_colons() {
        let plain = "0123456789abcdef0123456789ABCDEF01234567";
        let colons = "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67";
        assert_eq!(parse_hash(plain).unwrap(), parse_hash(colons).unwrap());
        assert!(with_hashes(&[plain, colons]).unwrap().is_some());
        assert!(with_hashes(&[]).unwrap().is_none());
    }

    #[test]
    fn a_wrong_hash_is_refused_and_not_ignored() {
        for hash in ["", "0123", "xyz", "0123456789abcdef0123456789ABCDEF0123456"] {
            assert!(
                matches!(with_hashes(&[hash]), Err(OpenError::InvalidOption { .. })),
                "{hash}"
            );
        }
    }
}
