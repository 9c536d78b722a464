//! What is known of an object: the noun that all stages share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object that is being forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Object {
    /// The bucket, if it is in S3.
    pub bucket: Option<String>,
    /// The region of the bucket, if it need not be that of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The key, the path of a local file, or `-` for standard input.
    pub key: String,
    /// The version of the object that is meant; the newest if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
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

    /// Whether it is what Elastic Load Balancing writes to see whether it may: no log.
    pub fn is_test_file(&self) -> bool {
        self.bucket.is_some()
            && ["Access", "Connection", "HealthCheck"]
                .iter()
                .any(|log| self.key.ends_with(&format!("ELB{log}LogTestFile")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_files_of_all_logs_of_load_balancers_are_known() {
        let is_test_file = |key: &str| Object::named(Some("logs".into()), format!("AWSLogs/1/{key}")).is_test_file();
        for key in ["ELBAccessLogTestFile", "ELBConnectionLogTestFile", "ELBHealthCheckLogTestFile"] {
            assert!(is_test_file(key), "{key}");
        }
        assert!(!is_test_file("MyLogTestFile"));
    }
}
