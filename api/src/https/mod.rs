// SPDX-License-Identifier: Apache-2.0 OR MIT
//! HTTPS: certificates as users bring them, a certificate authority of this machine's own, and the listener that speaks TLS.
//!
//! Reading order: [`certificate`] (a chain with its key, from PEM or PKCS#12), [`authority`] (our own authority and what it signs), [`stored`]
//! (both in the server database), [`keeper`] (what is served now, and its renewal), [`listener`]. Nothing here trusts anything: that is the
//! client's business.

pub mod authority;
pub mod certificate;
pub mod keeper;
pub mod listener;
mod pem;
pub mod stored;
