//! An S3 server whose answers can be made to fail: a layer in front of the one that the demo uses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use elbow::s3_server::{ACCESS_KEY, SECRET_KEY, Store};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::dto::StreamingBlob;
use s3s::service::S3Service;
use socket2::{SockRef, Socket};

use super::elbow::Elbow;

pub(crate) const BUCKET: &str = "access-logs";

/// What happens to a GET of an object.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection breaks after so many bytes of the body.
    CutBodyAfter(usize),
    /// The connection is closed in peace after so many bytes of the body, whatever its length was said to be.
    EndBodyAfter(usize),
    /// The body comes in drops.
    Trickle,
    /// The checksum that comes with the body is that of another.
    WrongChecksum,
    /// An error of the server, with its status.
    Status(u16, &'static str),
    /// Before the answer, the object is replaced by this.
    Replace(String, Bytes),
    /// Nothing.
    None,
}

/// A server on a runtime of its own.
pub(crate) struct S3 {
    pub(crate) store: Store,
    address: SocketAddr,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    /// Taken out when the server ends.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for S3 {
    fn drop(&mut self) {
        // Also from within another runtime, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3 {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (store, faults) = (Store::default(), Arc::default());
        runtime.spawn(serve(listener, store.clone(), Arc::clone(&faults)));
        Self { store, address, faults, runtime: Some(runtime) }
    }

    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.store.put(BUCKET, key, bytes);
    }

    /// What happens to the next GETs of objects, one after the other.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// Nothing happens to GETs any more.
    pub(crate) fn fail_no_more(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `elbow forward` with this server, events in the style `flat` on standard output.
    pub(crate) fn forward(&self) -> Elbow {
        self.forward_with_ids().args(["--event-id", ""])
    }

    /// The same, and each event has its id.
    pub(crate) fn forward_with_ids(&self) -> Elbow {
        self.command("forward").args(["--set", "style=flat", "--summary", "summary.json"])
    }

    /// A command with this server.
    pub(crate) fn command(&self, subcommand: &str) -> Elbow {
        Elbow::new(subcommand)
            .env("AWS_ENDPOINT_URL", &self.endpoint())
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    }
}

async fn serve(listener: std::net::TcpListener, store: Store, faults: Arc<Mutex<VecDeque<Fault>>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let service = store.service();
    while let Ok((stream, _)) = listener.accept().await {
        let (service, store, faults) = (service.clone(), store.clone(), Arc::clone(&faults));
        // A second handle of the socket, to say that it closes with a reset.
        let socket = Arc::new(SockRef::from(&stream).try_clone().unwrap());
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                answer(request, service.clone(), store.clone(), Arc::clone(&faults), Arc::clone(&socket))
            });
            // A body that is cut is an error here, and meant to be.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    service: S3Service,
    store: Store,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    socket: Arc<Socket>,
) -> Result<Response<Body>, String> {
    let is_listing = request.uri().query().is_some_and(|query| query.contains("list-type"));
    let fault = match request.method() == Method::GET && !is_listing {
        true => faults.lock().unwrap().pop_front().unwrap_or(Fault::None),
        false => Fault::None,
    };
    match fault {
        Fault::None => call(service, request).await,
        Fault::Status(status, code) => {
            let body = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>told to</Message></Error>"
            );
            Ok(Response::builder().status(status).body(Body::from(body)).unwrap())
        }
        Fault::Replace(key, bytes) => {
            store.put(BUCKET, &key, bytes);
            call(service, request).await
        }
        Fault::CutBodyAfter(bytes) => with_body(call(service, request).await?, |body| cut(body, bytes, socket)).await,
        Fault::EndBodyAfter(bytes) => with_body(call(service, request).await?, |body| end(body, bytes)).await,
        Fault::Trickle => with_body(call(service, request).await?, trickle).await,
        Fault::WrongChecksum => {
            let mut response = call(service, request).await?;
            response.headers_mut().insert("x-amz-checksum-crc32", HeaderValue::from_static("/////w=="));
            Ok(response)
        }
    }
}

async fn call(service: S3Service, request: Request<Incoming>) -> Result<Response<Body>, String> {
    service.call(request.map(Body::from)).await.map_err(|error| format!("{error:?}"))
}

async fn with_body<F: Future<Output = Body>>(
    response: Response<Body>,
    change: impl FnOnce(Bytes) -> F,
) -> Result<Response<Body>, String> {
    let (parts, body) = response.into_parts();
    let whole: Vec<Bytes> = StreamingBlob::from(body).try_collect().await.unwrap();
    Ok(Response::from_parts(parts, change(whole.concat().into()).await))
}

fn body(chunks: impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static) -> Body {
    Body::from(StreamingBlob::wrap(Box::pin(chunks)))
}

/// The first bytes of a body, then an error, which breaks the connection.
async fn cut(whole: Bytes, bytes: usize, socket: Arc<Socket>) -> Body {
    // A moment later, or the server would not have sent what comes before.
    let cut = stream::once(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        Err(std::io::Error::other("cut"))
    });
    body(stream::iter([Ok(whole.slice(..bytes.min(whole.len())))]).chain(cut))
}

/// The first bytes of a body, and no more.
async fn end(whole: Bytes, bytes: usize) -> Body {
    body(stream::iter([Ok(whole.slice(..bytes.min(whole.len())))]))
}

/// A body in drops.
async fn trickle(whole: Bytes) -> Body {
    let drops = (0..whole.len()).step_by(100).map(move |begin| whole.slice(begin..whole.len().min(begin + 100)));
    body(stream::iter(drops).then(|bytes| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(bytes)
    }))
}
