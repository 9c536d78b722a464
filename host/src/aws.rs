//! How elbow finds AWS, or a server like it: what all its clients share.

use anyhow::anyhow;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// The region where none is configured.
pub const REGION: Region = Region::from_static("us-east-1");

/// Endpoint, region and credentials as the usual AWS variables and files have them.
pub async fn from_environment() -> SdkConfig {
    let shared = aws_config::defaults(BehaviorVersion::latest()).http_client(https()).load().await;
    match shared.region() {
        Some(_) => shared,
        None => shared.into_builder().region(REGION).build(),
    }
}

/// ring, so that the build needs no C toolchain of minutes.
pub fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// What the server said, `NoSuchKey: The specified key does not exist.`, or what went wrong on the way to it.
pub fn in_words<E>(error: SdkError<E, HttpResponse>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => anyhow!("{code}: {message}"),
        (Some(code), None) => anyhow!("{code}"),
        (None, _) => anyhow::Error::from(error),
    }
}
