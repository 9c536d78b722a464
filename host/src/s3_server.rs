//! An S3 server within the process, for the demo and the tests: s3s speaks the protocol, the objects live in memory.
//!
//! It knows what elbow asks of S3: objects with ranges and conditions, and listings with continuation. Its file system
//! sibling, s3s-fs, keeps a key in a file's name, where the keys of AWS's logs do not fit.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::TryStreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    CreateBucketInput, CreateBucketOutput, ETag, ETagCondition, GetObjectInput, GetObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Request, S3Response, S3Result, s3_error};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// The credentials that the server takes.
pub const ACCESS_KEY: &str = "elbow-access-key";
/// See [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "elbow-secret-key";

/// Buckets and their objects. Clones share them.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<BTreeMap<String, Bucket>>>);

type Bucket = BTreeMap<String, Stored>;

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    etag: ETag,
    modified: SystemTime,
}

impl Store {
    /// Writes an object, and makes its bucket.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes);
        let etag = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let stored = Stored { bytes, etag: ETag::Strong(etag), modified: SystemTime::now() };
        self.lock().entry(bucket.into()).or_default().insert(key.into(), stored);
    }

    /// The bytes of an object.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.lock().get(bucket)?.get(key).map(|stored| stored.bytes.clone())
    }

    /// The keys that begin with this.
    pub fn list(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let buckets = self.lock();
        let keys = buckets.get(bucket).into_iter().flat_map(|bucket| bucket.keys());
        keys.filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// The service that answers for this store, to be served by hyper.
    pub fn service(&self) -> S3Service {
        let mut service = S3ServiceBuilder::new(self.clone());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        service.build()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

/// Serves a store on a free port of loopback, for as long as the runtime lives.
pub async fn serve(store: Store) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to listen for the S3 server")?;
    let address = listener.local_addr().context("failed to learn the address of the S3 server")?;
    let service = store.service();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(error, "a connection to the S3 server broke");
                }
            });
        }
    });
    Ok(address)
}

#[async_trait::async_trait]
impl s3s::S3 for Store {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.lock().entry(request.input.bucket).or_default();
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let PutObjectInput { bucket, key, body, .. } = request.input;
        if !self.lock().contains_key(&bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        let mut bytes = Vec::new();
        if let Some(mut body) = body {
            while let Some(chunk) = body.try_next().await.map_err(|_| s3_error!(IncompleteBody))? {
                bytes.extend_from_slice(&chunk);
            }
        }
        self.put(&bucket, &key, bytes);
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, if_match, .. } = request.input;
        let stored = {
            let buckets = self.lock();
            let bucket = buckets.get(&bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
            bucket.get(&key).cloned().ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))?
        };
        if let Some(ETagCondition::ETag(wanted)) = if_match
            && wanted != stored.etag
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let length = stored.bytes.len() as u64;
        let part = match range {
            Some(range) => range.check(length)?,
            None => 0..length,
        };
        let content_range = range.map(|_| format!("bytes {}-{}/{length}", part.start, part.end - 1));
        let bytes = stored.bytes.slice(part.start as usize..part.end as usize);
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(bytes.len() as i64),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            content_range,
            e_tag: Some(stored.etag),
            last_modified: Some(Timestamp::from(stored.modified)),
            ..GetObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let buckets = self.lock();
        let bucket = buckets.get(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.clone().or(input.start_after).unwrap_or_default();
        let page = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap_or(1000);
        let mut found = bucket.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let contents: Vec<Object> = found
            .by_ref()
            .take(page)
            .map(|(key, stored)| Object {
                key: Some(key.clone()),
                size: Some(stored.bytes.len() as i64),
                e_tag: Some(stored.etag.clone()),
                last_modified: Some(Timestamp::from(stored.modified)),
                ..Object::default()
            })
            .collect();
        let last = contents.last().and_then(|object| object.key.clone());
        let is_truncated = found.next().is_some();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            key_count: Some(contents.len() as i32),
            max_keys: input.max_keys,
            is_truncated: Some(is_truncated),
            next_continuation_token: last.filter(|_| is_truncated),
            continuation_token: input.continuation_token,
            contents: Some(contents),
            ..ListObjectsV2Output::default()
        }))
    }
}
