//! What is known of an object: the noun that all stages share.

use std::fmt;

/// An object that is being forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The bucket, if it is in S3.
    pub bucket: Option<String>,
    /// The key, the path of a local file, or `-` for standard input.
    pub key: String,
    /// The size in bytes as stored; unknown for standard input.
    pub size: Option<u64>,
    /// The entity tag of S3, without its quotes.
    pub etag: Option<String>,
    /// When it was last modified, ISO 8601 to the second.
    pub last_modified: Option<String>,
}

impl Object {
    /// An object that is known by its key only.
    pub fn named(bucket: Option<String>, key: impl Into<String>) -> Self {
        Self { bucket, key: key.into(), ..Self::default() }
    }
}

/// `s3://bucket/key`, the path, or `-`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bucket {
            Some(bucket) => write!(f, "s3://{bucket}/{}", self.key),
            None => f.write_str(&self.key),
        }
    }
}
