//! The fetch stage: from a URI to the objects it names, and from an object to its bytes as stored.
//!
//! An object is a stream; nothing here holds a whole one. A stream from S3 goes on after a broken connection, at the very
//! byte, and only if the object is still the same.

mod resume;
pub mod s3;

use std::collections::VecDeque;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::object::Object;
use s3::S3;

/// How much is read from a file at a time.
const BUFFER: usize = 128 << 10;

/// What a user names: an object, or all objects below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri {
    /// `-`
    Stdin,
    /// A path.
    File(PathBuf),
    /// `s3://bucket/key`
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// `s3://bucket/` or `s3://bucket/prefix/`
    Prefix {
        /// The bucket.
        bucket: String,
        /// Empty, or with a slash at its end.
        prefix: String,
    },
}

impl FromStr for Uri {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "-" {
            return Ok(Uri::Stdin);
        }
        let Some(location) = text.strip_prefix("s3://") else {
            ensure!(
                !text.contains("://"),
                "`{text}`: expected a path, `-`, `s3://bucket/key` or `s3://bucket/prefix/`"
            );
            return Ok(Uri::File(text.into()));
        };
        let (bucket, key) = location.split_once('/').unwrap_or((location, ""));
        ensure!(!bucket.is_empty(), "`{text}`: the bucket is missing, expected `s3://bucket/key`");
        let (bucket, key) = (bucket.into(), key.into());
        Ok(match location.ends_with('/') || !location.contains('/') {
            true => Uri::Prefix { bucket, prefix: key },
            false => Uri::Object { bucket, key },
        })
    }
}

/// Gets objects. Shared by all that are being read; the S3 client is made when it is needed first.
pub struct Fetcher {
    s3: OnceCell<S3>,
    read_timeout: Duration,
}

impl Fetcher {
    /// A fetcher whose S3 client takes its endpoint, region and credentials from the usual AWS variables and files.
    pub fn new(read_timeout: Duration) -> Self {
        Self { s3: OnceCell::new(), read_timeout }
    }

    /// A fetcher with this S3 client.
    pub fn with_s3(s3: S3, read_timeout: Duration) -> Self {
        Self { s3: OnceCell::new_with(Some(s3)), read_timeout }
    }

    async fn s3(&self) -> &S3 {
        self.s3.get_or_init(S3::from_environment).await
    }

    /// Writes an object.
    pub async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        match timeout(self.read_timeout, self.s3().await.put(bucket, key, bytes)).await {
            Ok(answer) => answer,
            Err(_) => bail!("S3 has not answered for {:?}", self.read_timeout),
        }
    }

    /// The objects that a URI names.
    pub async fn list(&self, uri: Uri) -> Listing {
        match uri {
            Uri::Stdin => Listing::one(Object::named(None, "-")),
            Uri::File(path) => Listing::one(Object::named(None, path.display().to_string())),
            Uri::Object { bucket, key } => Listing::one(Object::named(Some(bucket), key)),
            Uri::Prefix { bucket, prefix } => {
                let pages = self.s3().await.pages(&bucket, &prefix);
                Listing { listed: VecDeque::new(), pages: Some(pages), read_timeout: self.read_timeout }
            }
        }
    }

    /// Opens an object: completes what is known of it, and begins to read. `is_pinned`: it must still have its etag.
    pub async fn open(&self, object: &Object, is_pinned: bool) -> Result<(Object, Stored)> {
        match (&object.bucket, object.key.as_str()) {
            (Some(_), _) => {
                let (object, stored) =
                    resume::open(self.s3().await.clone(), object, is_pinned, self.read_timeout).await?;
                Ok((object, Stored::new(stored)))
            }
            (None, "-") => {
                let stdin = BufReader::with_capacity(BUFFER, tokio::io::stdin());
                Ok((object.clone(), Stored::new(stdin)))
            }
            (None, path) => open_file(Path::new(path)).await,
        }
    }

    /// Opens an object unless it is still in the state that is known; `None` if it is.
    pub async fn open_if_changed(&self, object: &Object, known: Option<&Version>) -> Result<Option<(Version, Stored)>> {
        if object.bucket.is_some() {
            let etag = match known {
                Some(Version::S3 { etag }) => etag.as_deref(),
                _ => None,
            };
            let opened = resume::open_if_changed(self.s3().await.clone(), object, etag, self.read_timeout).await?;
            return Ok(opened.map(|(etag, stored)| (Version::S3 { etag }, Stored::new(stored))));
        }
        let (metadata, file) = look_at(Path::new(&object.key)).await?;
        let version = Version::File { modified: metadata.modified().ok(), size: metadata.len() };
        let has_changed = known != Some(&version);
        Ok(has_changed.then(|| (version, Stored::new(BufReader::with_capacity(BUFFER, file)))))
    }
}

/// Which state of an object it is: another one, another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Of a file: when it was last modified, and its size. Two writes within the clock's tick that leave the size as it
    /// was look alike.
    File {
        /// Left out where the file system does not tell.
        modified: Option<SystemTime>,
        /// In bytes.
        size: u64,
    },
    /// Of an object in S3: its etag, with its quotes.
    S3 {
        /// Left out where the server does not tell.
        etag: Option<String>,
    },
}

async fn open_file(path: &Path) -> Result<(Object, Stored)> {
    let (metadata, file) = look_at(path).await?;
    let modified = metadata.modified().ok();
    let object = Object {
        size: metadata.is_file().then_some(metadata.len()),
        last_modified: modified.and_then(rfc3339),
        ..Object::named(None, path.display().to_string())
    };
    Ok((object, Stored::new(BufReader::with_capacity(BUFFER, file))))
}

async fn look_at(path: &Path) -> Result<(Metadata, File)> {
    let file = File::open(path).await.with_context(|| format!("failed to open {}", path.display()))?;
    let metadata = file.metadata().await.with_context(|| format!("failed to look at {}", path.display()))?;
    if metadata.is_dir() {
        bail!("{} is a directory: name the files in it", path.display());
    }
    Ok((metadata, file))
}

/// ISO 8601 to the second; `None` for a time outside of the years 1970 to 9999, which humantime would panic at.
fn rfc3339(time: SystemTime) -> Option<String> {
    const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);
    let is_common = time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since <= YEAR_9999);
    is_common.then(|| humantime::format_rfc3339_seconds(time).to_string())
}

/// The objects that a URI names, one after the other; a prefix is listed as it is used.
pub struct Listing {
    listed: VecDeque<Object>,
    pages: Option<s3::Pages>,
    read_timeout: Duration,
}

impl Listing {
    fn one(object: Object) -> Self {
        Self { listed: [object].into(), pages: None, read_timeout: Duration::MAX }
    }

    /// The next object. Dropping the future may lose a page of the listing.
    pub async fn next(&mut self) -> Result<Option<Object>> {
        while self.listed.is_empty() {
            let Some(pages) = &mut self.pages else {
                return Ok(None);
            };
            // The SDK itself waits for ever for an answer.
            let page = match timeout(self.read_timeout, pages.next()).await {
                Ok(page) => page?,
                Err(_) => bail!("S3 has not answered a listing for {:?}", self.read_timeout),
            };
            match page {
                Some(page) => self.listed.extend(page),
                None => self.pages = None,
            }
        }
        Ok(self.listed.pop_front())
    }
}

/// The bytes of an object as stored.
pub struct Stored {
    bytes: Pin<Box<dyn AsyncBufRead + Send>>,
    read: Arc<AtomicU64>,
}

impl Stored {
    fn new(bytes: impl AsyncBufRead + Send + 'static) -> Self {
        Self { bytes: Box::pin(bytes), read: Arc::default() }
    }

    /// How many bytes were read, now and later.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl AsyncRead for Stored {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.bytes.as_mut().poll_read(task, buffer);
        self.read.fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        polled
    }
}

impl AsyncBufRead for Stored {
    fn poll_fill_buf(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<std::io::Result<&[u8]>> {
        self.get_mut().bytes.as_mut().poll_fill_buf(task)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.read.fetch_add(amount as u64, Relaxed);
        self.bytes.as_mut().consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_says_what_it_names() {
        let object = |bucket: &str, key: &str| Uri::Object { bucket: bucket.into(), key: key.into() };
        let prefix = |bucket: &str, prefix: &str| Uri::Prefix { bucket: bucket.into(), prefix: prefix.into() };
        for (text, uri) in [
            ("-", Uri::Stdin),
            ("logs/a.log", Uri::File("logs/a.log".into())),
            ("s3://b/k/l.gz", object("b", "k/l.gz")),
            ("s3://b/k l+ü%20.gz", object("b", "k l+ü%20.gz")),
            ("s3://b/k/", prefix("b", "k/")),
            ("s3://b/", prefix("b", "")),
            ("s3://b", prefix("b", "")),
        ] {
            assert_eq!(text.parse::<Uri>().unwrap(), uri, "{text}");
        }
        for text in ["s3://", "s3:///k", "https://b/k"] {
            assert!(text.parse::<Uri>().is_err(), "{text}");
        }
    }
}
