// SPDX-License-Identifier: Apache-2.0 OR MIT
//! S3 and everything that speaks like it: `s3://bucket/prefix`.
//!
//! The service is AWS unless `s3-server-name` names another host or URL. Talking to AWS uses TLS unless `use-ssl=false`
//! says otherwise; to other hosts TLS is used when `use-ssl` asks for it, as existing command lines expect, or when the name is
//! an `https://` URL. Put-if-absent is `If-None-Match: *`; a service that ignores it is found by the probe.

use std::sync::Arc;

use opendal::services::S3;
use secrecy::ExposeSecret;

use super::bucket;
use crate::{address::StoreAddress, opendal_store::OpendalStore, registry::OpenError};

const SCHEME: &str = "s3";

/// The region that services without regions expect in signatures.
const REGION_DEFAULT: &str = "us-east-1";

/// The domain of AWS.
const AWS_DOMAIN: &str = "amazonaws.com";

/// Where the service is and how to talk to it.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    url: String,
    region: String,
    is_aws: bool,
    virtual_host_style: bool,
}

/// Makes the store of an `s3` address.
pub fn open(address: &StoreAddress) -> Result<Arc<OpendalStore>, OpenError> {
    let options = &address.options;
    let bucket = bucket::name(SCHEME, address, "a bucket: s3://bucket/prefix")?;
    let folder = address.remote_folder(SCHEME)?;
    let endpoint = endpoint(address)?;
    let mut builder = S3::default()
        .bucket(bucket)
        .root(&folder)
        .endpoint(&endpoint.url)
        .region(&endpoint.region);
    if endpoint.virtual_host_style {
        builder = builder.enable_virtual_host_style();
    }
    let user = options
        .text("aws-access-key-id")
        .or_else(|| options.text("access_key_id"))
        .or(address.user.as_deref());
    let password = options
        .secret("aws-secret-access-key")
        .or_else(|| options.secret("access_key_secret"))
        .or(address.password.as_ref());
    builder = match (user, password) {
        (Some(user), Some(password)) => builder
            .access_key_id(user)
            .secret_access_key(password.expose_secret())
            // What was named is used, whatever the environment says.
            .disable_config_load()
            .disable_ec2_metadata(),
        (Some(_), None) => {
            return Err(OpenError::Missing {
                scheme: SCHEME,
                what: "the secret key as well: --auth-password, or AUTH_PASSWORD in the environment",
            });
        }
        (None, Some(_)) => {
            return Err(OpenError::Missing {
                scheme: SCHEME,
                what: "the access key as well: --auth-username, or AUTH_USERNAME in the environment",
            });
        }
        // The environment, the profile, and on AWS the role of the machine.
        (None, None) if endpoint.is_aws => builder,
        (None, None) => builder.disable_ec2_metadata(),
    };
    if let Some(class) = options.text("s3-storage-class") {
        builder = builder.default_storage_class(class);
    }
    if options.text("s3-list-api-version") == Some("v1") {
        builder = builder.disable_list_objects_v2();
    }
    bucket::store(SCHEME, address, &folder, builder)
}

fn endpoint(address: &StoreAddress) -> Result<Endpoint, OpenError> {
    let options = &address.options;
    let location = options.text("s3-location-constraint");
    let server = match (options.text("s3-server-name"), location) {
        (Some(server), _) => server.trim_end_matches('/').to_owned(),
        (None, Some(location)) => format!("s3.{location}.{AWS_DOMAIN}"),
        (None, None) => format!("s3.{AWS_DOMAIN}"),
    };
    let (scheme_given, server) = match server.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (Some(scheme.to_owned()), rest.to_owned()),
        Some(_) => {
            return Err(OpenError::InvalidOption {
                scheme: SCHEME,
                option: "s3-server-name",
                message: "give a host, host:port, or a URL that begins with http:// or https://".to_owned(),
            });
        }
        None => (None, server),
    };
    let host = server.split(['/', ':']).next().unwrap_or_default();
    let is_aws = host == AWS_DOMAIN
        || host.ends_with(&format!(".{AWS_DOMAIN}"))
        || host.ends_with(".amazonaws.com.cn");
    let use_tls = options.flag("use-ssl") || (is_aws && !options.is_given("use-ssl"));
    let scheme = scheme_given.unwrap_or_else(|| if use_tls { "https" } else { "http" }.to_owned());
    let region = options
        .text("s3-authentication-region")
        .or(location)
        .or_else(|| is_aws.then(|| region_of_host(host)).flatten())
        .unwrap_or(REGION_DEFAULT)
        .to_owned();
    let asks_for_path_style = options
        .under("s3-ext-")
        .find(|(name, _)| *name == "forcepathstyle");
    let virtual_host_style = match asks_for_path_style {
        Some((_, value)) => matches!(value.to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off"),
        // A certificate for *.s3.amazonaws.com does not hold for a bucket with dots in its name.
        None => is_aws && !address.host.contains('.'),
    };
    Ok(Endpoint {
        url: format!("{scheme}://{server}"),
        region,
        is_aws,
        virtual_host_style,
    })
}

/// The region in a host such as `s3.eu-central-1.amazonaws.com` or `s3-eu-west-1.amazonaws.com`.
fn region_of_host(host: &str) -> Option<&str> {
    let rest = host.strip_prefix("s3")?.strip_prefix(['.', '-'])?;
    let region = rest
        .strip_prefix("dualstack.")
        .unwrap_or(rest)
        .split('.')
        .next()?;
    region.contains('-').then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{OptionValue, StoreOptions};

    fn address(options: StoreOptions) -> StoreAddress {
        StoreAddress {
            scheme: SCHEME.to_owned(),
            host: "bucket".to_owned(),
            path: "a/b".into(),
            options,
            ..StoreAddress::default()
        }
    }

    fn endpoint_of(options: StoreOptions) -> Endpoint {
        endpoint(&address(options)).unwrap()
    }

    #[test]
    fn without_a_server_it_is_aws_with_tls_in_the_named_region() {
        let plain = endpoint_of(StoreOptions::default());
        assert_eq!(
            (plain.url.as_str(), plain.region.as_str()),
            ("https://s3.amazonaws.com", "us-east-1")
        );
        assert!(plain.virtual_host_style);
        let located = endpoint_of(StoreOptions::default().with_text("s3-location-constraint", "eu-west-3"));
        assert_eq!(located.url, "https://s3.eu-west-3.amazonaws.com");
        assert_eq!(located.region, "eu-west-3");
        let named =
            endpoint_of(StoreOptions::default().with_text("s3-server-name", "s3-eu-west-1.amazonaws.com"));
        assert_eq!(named.region, "eu-west-1");
    }

    #[test]
    fn another_server_is_plain_and_by_path_unless_asked_otherwise() {
        let options = StoreOptions::default().with_text("s3-server-name", "minio.local:9000");
        let plain = endpoint_of(options.clone());
        assert_eq!(plain.url, "http://minio.local:9000");
        assert!(!plain.virtual_host_style && !plain.is_aws);
        let tls = endpoint_of(options.clone().with("use-ssl", OptionValue::Flag(true)));
        assert_eq!(tls.url, "https://minio.local:9000");
        let url = endpoint_of(StoreOptions::default().with_text("s3-server-name", "https://x.example/"));
        assert_eq!(url.url, "https://x.example");
        let by_host = endpoint_of(options.with_text("s3-ext-forcepathstyle", "false"));
        assert!(by_host.virtual_host_style);
    }

    #[test]
    fn half_of_the_credentials_is_refused_before_anything_is_sent() {
        let mut address = address(StoreOptions::default());
        address.user = Some("AK".to_owned());
        let message = open(&address).err().unwrap().to_string();
        assert!(message.contains("--auth-password"), "{message}");
        address.user = None;
        address.password = Some("SK".into());
        let message = open(&address).err().unwrap().to_string();
        assert!(message.contains("--auth-username"), "{message}");
    }

    #[test]
    fn a_missing_bucket_name_is_told() {
        let address = StoreAddress {
            host: String::new(),
            ..address(StoreOptions::default())
        };
        assert!(matches!(open(&address), Err(OpenError::Missing { .. })));
    }
}
