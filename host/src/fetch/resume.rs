//! An object of S3 as one stream, over as many responses as it takes.
//!
//! A body that breaks, stalls, or ends before its length is asked for again from the byte where it ended, with the etag
//! of the first response as a condition: bytes of two versions never mix. An object that was replaced meanwhile fails.

use std::io;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use tokio::io::AsyncBufRead;
use tokio::time::{sleep, timeout};
use tokio_util::io::StreamReader;

use super::s3::{Condition, GetError, S3, described};
use crate::object::Object;

/// How often in a row a resume may bring no byte.
const ATTEMPTS: u32 = 5;

const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Opens an object, and answers what is known of it and its bytes. `is_pinned`: it must still have its etag.
pub(super) async fn open(
    s3: S3,
    object: &Object,
    is_pinned: bool,
    read_timeout: Duration,
) -> Result<(Object, impl AsyncBufRead + Send + use<>)> {
    let etag = object.etag.as_ref().filter(|_| is_pinned).map(|etag| format!("\"{etag}\""));
    let condition = etag.as_deref().map_or(Condition::None, Condition::Is);
    let response = s3.get(object, 0, condition, read_timeout).await.map_err(|error| match error.changed {
        true => anyhow!("{object} was replaced since it was begun"),
        false => error.error.context(format!("failed to fetch {object}")),
    })?;
    let found = described(object, &response);
    // Not every server honours the conditions of a request.
    ensure!(!is_pinned || found.etag == object.etag, "{object} was replaced since it was begun");
    Ok((found.clone(), Body::begin(s3, found, response, read_timeout)))
}

/// Opens an object unless it still has this etag (in quotes, as the server says it), and answers the one that it has.
pub(super) async fn open_if_changed(
    s3: S3,
    object: &Object,
    etag: Option<&str>,
    read_timeout: Duration,
) -> Result<Option<(Option<String>, impl AsyncBufRead + Send + use<>)>> {
    let response = match s3.get(object, 0, etag.map_or(Condition::None, Condition::IsNot), read_timeout).await {
        Ok(response) if etag.is_some() && response.e_tag.as_deref() == etag => return Ok(None),
        Ok(response) => response,
        Err(error) if error.unchanged => return Ok(None),
        Err(error) => return Err(error.error.context(format!("failed to fetch {object}"))),
    };
    let found = described(object, &response);
    Ok(Some((response.e_tag.clone(), Body::begin(s3, found, response, read_timeout))))
}

struct Body {
    s3: S3,
    object: Object,
    etag: Option<String>,
    /// How much was read.
    offset: u64,
    /// Attempts in a row that brought nothing.
    failures: u32,
    read_timeout: Duration,
    /// None when it has to be asked for again.
    stream: Option<ByteStream>,
}

fn chunks(body: Body) -> impl Stream<Item = io::Result<Bytes>> {
    try_unfold(body, |mut body| async move {
        let chunk = body.next().await.map_err(|error| io::Error::other(format!("{error:#}")))?;
        Ok(chunk.map(|chunk| (chunk, body)))
    })
}

impl Body {
    /// The bytes of an object, of which the server has begun to send those of this response.
    fn begin(
        s3: S3,
        object: Object,
        response: GetObjectOutput,
        read_timeout: Duration,
    ) -> impl AsyncBufRead + Send + use<> {
        let etag = response.e_tag;
        let body = Self { s3, object, etag, offset: 0, failures: 0, read_timeout, stream: Some(response.body) };
        StreamReader::new(Box::pin(chunks(body)))
    }

    /// The next bytes, `None` at the end of the object.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let read_timeout = self.read_timeout;
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => self.resume().await?,
            };
            let broken = match timeout(read_timeout, stream.next()).await {
                Ok(Some(Ok(chunk))) => {
                    self.offset += chunk.len() as u64;
                    self.failures = 0;
                    return Ok(Some(chunk));
                }
                Ok(None) if self.object.size.is_none_or(|length| self.offset == length) => return Ok(None),
                Ok(None) => "the body is shorter than its length".to_owned(),
                // With all bytes there, it is not the connection that failed, but the check of their sum.
                Ok(Some(Err(error))) if self.object.size == Some(self.offset) => {
                    bail!("{}: {error:#}", self.name(), error = anyhow::Error::from(error));
                }
                Ok(Some(Err(error))) => format!("{:#}", anyhow::Error::from(error)),
                Err(_) => format!("S3 has sent nothing for {read_timeout:?}"),
            };
            tracing::warn!(object = self.name(), offset = self.offset, error = broken, "the body broke off, resuming");
            self.note_failure(&broken)?;
            self.stream = None;
        }
    }

    async fn resume(&mut self) -> Result<&mut ByteStream> {
        loop {
            sleep(FIRST_PAUSE * 2_u32.pow(self.failures.saturating_sub(1))).await;
            let condition = self.etag.as_deref().map_or(Condition::None, Condition::Is);
            let got = self.s3.get(&self.object, self.offset, condition, self.read_timeout).await;
            match got {
                Ok(response) => {
                    self.check_is_same(&response)?;
                    return Ok(self.stream.insert(response.body));
                }
                Err(GetError { changed: true, .. }) => bail!("{} was replaced while it was being read", self.name()),
                Err(GetError { hopeless: true, error, .. }) => {
                    return Err(error.context(format!("failed to resume {} at byte {}", self.name(), self.offset)));
                }
                Err(GetError { error, .. }) => self.note_failure(&format!("{error:#}"))?,
            }
        }
    }

    /// Not every server honours the conditions of a request.
    fn check_is_same(&self, response: &GetObjectOutput) -> Result<()> {
        if response.e_tag != self.etag {
            bail!("{} was replaced while it was being read", self.name());
        }
        let begins_at = format!("bytes {}-", self.offset);
        if self.offset > 0 && !response.content_range.as_deref().is_some_and(|range| range.starts_with(&begins_at)) {
            bail!(
                "{}: asked for the bytes from {} on, S3 answered with {:?}",
                self.name(),
                self.offset,
                response.content_range
            );
        }
        Ok(())
    }

    fn note_failure(&mut self, error: &str) -> Result<()> {
        self.failures += 1;
        if self.failures > ATTEMPTS {
            bail!("failed to read {} beyond byte {}, {ATTEMPTS} times in a row: {error}", self.name(), self.offset);
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.object.to_string()
    }
}
