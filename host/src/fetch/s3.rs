//! The S3 client: the calls that elbow makes, and its errors in words.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::Object as ListedObject;
use tokio::time::timeout;

use super::rfc3339;
use crate::aws::{self, in_words};
use crate::config;
use crate::object::Object;

/// A client. Cheap to clone.
#[derive(Clone)]
pub struct S3(aws_sdk_s3::Client);

impl S3 {
    /// Endpoint, region and credentials come from the usual AWS variables and files. With an endpoint of one's own,
    /// buckets are addressed by path: few servers but AWS's have a name for each bucket.
    pub async fn from_environment() -> Self {
        let shared = aws::from_environment().await;
        let path_style = shared.endpoint_url().is_some() || config::has_s3_endpoint();
        let config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(path_style).build();
        Self(aws_sdk_s3::Client::from_conf(config))
    }

    /// A client of a server of one's own.
    pub fn at(endpoint: &str, access_key: &str, secret_key: &str) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws::REGION)
            .credentials_provider(Credentials::new(access_key, secret_key, None, None, "static"))
            .http_client(aws::https())
            .endpoint_url(endpoint)
            .force_path_style(true)
            .build();
        Self(aws_sdk_s3::Client::from_conf(config))
    }

    /// Begins to read an object from `offset` on.
    pub(super) async fn get(
        &self,
        object: &Object,
        offset: u64,
        condition: Condition<'_>,
        within: Duration,
    ) -> Result<GetObjectOutput, GetError> {
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let request = self.0.get_object().set_bucket(object.bucket.clone()).key(&object.key);
        let request = request.set_version_id(object.version.clone());
        let request = request.set_range(range);
        let request = match condition {
            Condition::None => request,
            Condition::Is(etag) => request.if_match(etag),
            Condition::IsNot(etag) => request.if_none_match(etag),
        };
        let request = request.customize();
        let request = match &object.region {
            Some(region) => {
                let region = Region::new(region.clone());
                request.config_override(aws_sdk_s3::config::Builder::new().region(region))
            }
            None => request,
        };
        // The SDK itself waits for ever for an answer.
        let sent = timeout(within, request.send()).await;
        let Ok(sent) = sent else {
            let error = anyhow!("S3 has not answered for {within:?}");
            return Err(GetError { changed: false, unchanged: false, hopeless: false, error });
        };
        sent.map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            GetError {
                changed: status == Some(412),
                unchanged: status == Some(304),
                // Whatever the server says of the request itself, it will say again.
                hopeless: status.is_some_and(|status| (400..500).contains(&status) && status != 408 && status != 429),
                error: in_words(error),
            }
        })
    }

    /// Lists the objects below a prefix.
    pub(super) fn pages(&self, bucket: &str, prefix: &str) -> Pages {
        Pages { s3: self.clone(), bucket: bucket.into(), prefix: prefix.into(), continuation: None, is_over: false }
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, bucket: &str) -> Result<()> {
        let sent = self.0.create_bucket().bucket(bucket).send().await;
        sent.map(drop).map_err(in_words).with_context(|| format!("failed to make the bucket {bucket}"))
    }

    /// Writes an object.
    pub async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        let sent = self.0.put_object().bucket(bucket).key(key).body(ByteStream::from(bytes)).send().await;
        sent.map(drop).map_err(in_words).with_context(|| format!("failed to write s3://{bucket}/{key}"))
    }
}

/// What must be so of an object's etag, or it is not sent. Not every server honours it.
#[derive(Clone, Copy)]
pub(super) enum Condition<'a> {
    None,
    Is(&'a str),
    IsNot(&'a str),
}

/// Why an object could not be got, and whether another attempt is of use.
pub(super) struct GetError {
    /// It has another etag than it must have.
    pub(super) changed: bool,
    /// It has the etag that it must not have.
    pub(super) unchanged: bool,
    pub(super) hopeless: bool,
    pub(super) error: anyhow::Error,
}

/// The listing of a prefix, a page at a time.
pub(super) struct Pages {
    s3: S3,
    bucket: String,
    prefix: String,
    continuation: Option<String>,
    is_over: bool,
}

impl Pages {
    /// The objects of the next page, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Object>>> {
        if self.is_over {
            return Ok(None);
        }
        let request = self.s3.0.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let sent = request.set_continuation_token(self.continuation.take()).send().await;
        let page =
            sent.map_err(in_words).with_context(|| format!("failed to list s3://{}/{}", self.bucket, self.prefix))?;
        self.continuation = page.next_continuation_token;
        self.is_over = self.continuation.is_none();
        if self.is_over && page.is_truncated == Some(true) {
            bail!("S3 says that s3://{}/{} goes on, but not from where", self.bucket, self.prefix);
        }
        let objects = page.contents.unwrap_or_default().into_iter();
        Ok(Some(objects.filter_map(|listed| self.object(listed)).collect()))
    }

    /// An empty object whose key has a slash at its end stands for a folder in a console.
    fn object(&self, listed: ListedObject) -> Option<Object> {
        let is_folder = |key: &str| key.ends_with('/') && listed.size == Some(0);
        let key = listed.key.filter(|key| !is_folder(key))?;
        Some(Object {
            size: listed.size.and_then(|size| u64::try_from(size).ok()),
            etag: listed.e_tag.as_deref().map(unquoted),
            last_modified: listed.last_modified.as_ref().and_then(|time| rfc3339(SystemTime::try_from(*time).ok()?)),
            ..Object::named(Some(self.bucket.clone()), key)
        })
    }
}

/// What is known of an object when it has answered.
pub(super) fn described(object: &Object, response: &GetObjectOutput) -> Object {
    Object {
        size: response.content_length.and_then(|size| u64::try_from(size).ok()),
        etag: response.e_tag.as_deref().map(unquoted),
        last_modified: response.last_modified.as_ref().and_then(|time| rfc3339(SystemTime::try_from(*time).ok()?)),
        ..object.clone()
    }
}

fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}
