//! Traces for OpenTelemetry: one for each object, with a span for each part of its way, to where the environment says.
//!
//! The variables are those of OpenTelemetry (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, ...),
//! and their SDK reads them. Without an endpoint nothing is recorded. Spans leave in the background, in batches; where a
//! collector is slow or gone, spans are lost, never lines: see [`flush`].

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::trace::{Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value, global};
use opentelemetry_http::{HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use crate::config;
use crate::object::Object;

/// How long one request may take. OpenTelemetry's own variable, `OTEL_EXPORTER_OTLP_TIMEOUT`, can make it shorter.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);

/// As the log is: one for the process.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Starts to record and export, if the environment names an endpoint. Within a runtime, once.
pub fn start() -> Result<()> {
    if !config::has_traces_endpoint() {
        return Ok(());
    }
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .context("the system has no root certificates")?
        .https_or_http()
        .enable_http1()
        .build();
    let client = OnRuntime { client: HyperClient::new(https, LONGEST_REQUEST, None), runtime: Handle::current() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()
        .map_err(|error| anyhow!("traces (the variables OTEL_EXPORTER_OTLP_...): {error}"))?;
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !config::has_service_name() {
        resource = resource.with_service_name("elbow");
    }
    let provider = SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build();
    global::set_tracer_provider(provider.clone());
    // A second start would be a bug of the caller's; the first goes on.
    let _ = PROVIDER.set(provider);
    Ok(())
}

/// Exports what is recorded, and waits for it so long at most. For when the process ends, or is frozen.
pub async fn flush(within: Duration) {
    let Some(provider) = PROVIDER.get() else { return };
    let flush = tokio::task::spawn_blocking(|| provider.force_flush());
    match tokio::time::timeout(within, flush).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "traces could not be exported"),
        Ok(Err(error)) => tracing::warn!(%error, "traces could not be exported"),
        Err(_) => tracing::warn!("traces could not be exported within {within:?}"),
    }
}

/// A part of an object's way. It ends when it is dropped.
pub struct Span(Context);

impl Span {
    /// An object's whole way: the root of a trace.
    pub fn object(object: &Object) -> Self {
        let tracer = global::tracer("elbow");
        let mut attributes = vec![KeyValue::new("aws.s3.key", object.key.clone())];
        attributes.extend(object.bucket.clone().map(|bucket| KeyValue::new("aws.s3.bucket", bucket)));
        let span =
            tracer.build_with_context(tracer.span_builder("forward").with_attributes(attributes), &Context::new());
        Self(Context::new().with_span(span))
    }

    /// A part of this one.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Self {
        let span = global::tracer("elbow").start_with_context(name, &self.0);
        Self(Context::new().with_span(span))
    }

    /// Says more of it.
    pub fn note(&self, name: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(name, value));
    }

    /// It has failed.
    pub fn fail(&self, why: &str) {
        self.0.span().set_status(Status::error(why.to_owned()));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

/// The exporter runs on a thread of its own, where hyper finds no runtime: requests are made on elbow's.
#[derive(Debug)]
struct OnRuntime {
    client: HyperClient<HttpsConnector<HttpConnector>>,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
