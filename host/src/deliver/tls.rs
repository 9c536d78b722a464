//! TLS for a destination: whom elbow trusts, and who elbow says that it is.
//!
//! The server's certificate is always verified, against the system's roots or the config's file; there is no way to leave
//! that out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::TlsConfig;

/// Makes the TLS connections of an endpoint.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    /// Whose certificate is expected.
    name: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(config: &TlsConfig, host: &str) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("failed to set TLS up")?
            .with_root_certificates(roots(config.ca.as_deref())?);
        let client = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| anyhow!("tls.key: no private key in {}: {error}", key.display()))?;
                builder
                    .with_client_auth_cert(certificates(cert, "tls.cert")?, key)
                    .with_context(|| format!("tls.cert and tls.key: {} and its key do not fit", cert.display()))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(anyhow!("tls.cert and tls.key belong together: one of them is missing")),
        };
        let name = config.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name.clone()).map_err(|_| anyhow!("`{name}` is no server name"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(client)), name })
    }

    pub(super) async fn handshake(&self, tcp: TcpStream, within: Duration) -> Result<TlsStream<TcpStream>> {
        match timeout(within, self.connector.connect(self.name.clone(), tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(anyhow!("the TLS handshake failed: {error}")),
            Err(_) => Err(anyhow!("no TLS handshake within {within:?}")),
        }
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(ca) => {
            for certificate in certificates(ca, "tls.ca")? {
                roots.add(certificate).with_context(|| format!("tls.ca: {}", ca.display()))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            ensure!(!roots.is_empty(), "the system has no root certificates; name a file with `tls.ca`");
        }
    }
    Ok(roots)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| anyhow!("{setting}: failed to read the certificates in {}: {error}", path.display()))?;
    ensure!(!certificates.is_empty(), "{setting}: there is no certificate in {}", path.display());
    Ok(certificates)
}
