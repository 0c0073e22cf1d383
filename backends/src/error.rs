// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one translation of OpenDAL's errors: kind, whether a retry is sensible, and who should act.

use duplicati_engine::storage::StoreErrorKind;
use opendal::{Error, ErrorKind};

use crate::http::transport::NoConnection;

/// Longest part of a target's own message that is repeated, characters.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// Words in the errors of network libraries that mean that nobody trusted the certificate.
const CERTIFICATE_WORDS: [&str; 3] = ["certificate", "UnknownIssuer", "CertificateRequired"];

/// Kind and message of an error.
pub fn translate(error: &Error) -> (StoreErrorKind, String) {
    let text = own_message(error);
    if CERTIFICATE_WORDS.iter().any(|word| text.contains(word)) {
        return (StoreErrorKind::PermissionDenied, untrusted(&text));
    }
    if let Some(translated) = by_word(&text) {
        return translated;
    }
    if has_no_connection(error) {
        return (StoreErrorKind::Unreachable, text);
    }
    match error.kind() {
        ErrorKind::NotFound => (StoreErrorKind::NotFound, "no such object".to_owned()),
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMatch => (
            StoreErrorKind::AlreadyExists,
            "the name exists already".to_owned(),
        ),
        ErrorKind::PermissionDenied => (
            StoreErrorKind::PermissionDenied,
            format!("the target refuses: check user, password and their rights ({text})"),
        ),
        ErrorKind::RangeNotSatisfied => (
            StoreErrorKind::Truncated,
            "the object is shorter than the range wanted".to_owned(),
        ),
        ErrorKind::RateLimited => (
            StoreErrorKind::Unavailable,
            format!("the target asks for fewer requests ({text})"),
        ),
        // Two conditional requests met; one of them will be told that it lost.
        ErrorKind::Conflict => (
            StoreErrorKind::Unavailable,
            format!("the target was busy with this name ({text})"),
        ),
        ErrorKind::ConfigInvalid => (StoreErrorKind::Invalid, text),
        _ if error.is_temporary() => (StoreErrorKind::Unavailable, text),
        _ => (StoreErrorKind::Other, text),
    }
}

/// What to say about a certificate that is not trusted.
pub fn untrusted(text: &str) -> String {
    format!(
        "the certificate of the target is not trusted ({text}); for a certificate of your own set SSL_CERT_FILE to its issuer, \
         or name its hash with --accept-specified-ssl-hash"
    )
}

/// What to say when no connection came about, by the innermost error.
pub fn unreachable(text: &str) -> String {
    if text.contains("InvalidContentType") {
        return "the target cannot be reached: it does not speak TLS at this port; leave out --use-ssl"
            .to_owned();
    }
    format!("the target cannot be reached: {text}")
}

fn has_no_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<NoConnection>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Codes of S3 and Azure that need other words than their kind.
fn by_word(text: &str) -> Option<(StoreErrorKind, String)> {
    let has = |word: &str| text.contains(word);
    if has("NoSuchBucket") || has("ContainerNotFound") {
        return Some((
            StoreErrorKind::NotFound,
            "the bucket or container does not exist; create it first, or check its name".to_owned(),
        ));
    }
    if has("SignatureDoesNotMatch") {
        return Some((
            StoreErrorKind::PermissionDenied,
            "the secret key is wrong (the signature does not match)".to_owned(),
        ));
    }
    if has("InvalidAccessKeyId") || has("NotSignedUp") {
        return Some((
            StoreErrorKind::PermissionDenied,
            "the access key is not known to the target".to_owned(),
        ));
    }
    if has("ExpiredToken") || has("TokenRefreshRequired") {
        return Some((
            StoreErrorKind::PermissionDenied,
            "the credentials have expired".to_owned(),
        ));
    }
    if has("RequestTimeTooSkewed") {
        return Some((
            StoreErrorKind::PermissionDenied,
            "the clock of this machine differs too much from that of the target".to_owned(),
        ));
    }
    if has("InsufficientStorage") || has("QuotaExceeded") || has("status: 507") || has("No space left") {
        return Some((
            StoreErrorKind::NoSpace,
            "no room is left at the target".to_owned(),
        ));
    }
    None
}

/// The message of an error on one line and cut to a bearable length; the whole one stays as the source.
fn own_message(error: &Error) -> String {
    let mut text: String = error
        .message()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MESSAGE_CHARACTERS_MAX)
        .collect();
    if text.is_empty() {
        text = error.kind().to_string();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_unavailable_and_nothing_else_is() {
        let temporary = Error::new(ErrorKind::Unexpected, "503").set_temporary();
        assert_eq!(translate(&temporary).0, StoreErrorKind::Unavailable);
        let permanent = Error::new(ErrorKind::Unexpected, "400");
        assert_eq!(translate(&permanent).0, StoreErrorKind::Other);
        let limited = Error::new(ErrorKind::RateLimited, "slow down");
        assert_eq!(translate(&limited).0, StoreErrorKind::Unavailable);
    }

    #[test]
    fn a_wrong_secret_key_and_a_missing_bucket_are_named() {
        let denied = Error::new(
            ErrorKind::PermissionDenied,
            "S3Error { code: \"SignatureDoesNotMatch\" }",
        );
        assert!(translate(&denied).1.contains("secret key"));
        let missing = Error::new(ErrorKind::ConfigInvalid, "S3Error { code: \"NoSuchBucket\" }");
        let (kind, message) = translate(&missing);
        assert_eq!(kind, StoreErrorKind::NotFound);
        assert!(message.contains("create it"));
    }
}
