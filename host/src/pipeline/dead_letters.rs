//! Where rejected records go, and that they have got there before their object is settled.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::Pipeline;
use crate::account::Account;
use crate::config::{DeadLettersTo, DestinationConfig, Url};
use crate::deliver::Destination;
use crate::object::Object;
use crate::rung::Rung;

/// How many bytes of dead letters make an object in S3; the last of an object's may be smaller.
const PART: usize = 4 << 20;

/// Where dead letters go.
pub(super) enum DeadLetters {
    /// Nowhere: they are counted.
    Nowhere,
    /// To the destination of the object's events.
    SameDestination,
    /// To a file of their own.
    File(Destination),
    /// To objects below a prefix.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys begin with.
        prefix: String,
    },
}

impl DeadLetters {
    pub(super) async fn open(to: &DeadLettersTo) -> Result<Self> {
        Ok(match to {
            DeadLettersTo::None => Self::Nowhere,
            DeadLettersTo::SameDestination => Self::SameDestination,
            DeadLettersTo::S3 { bucket, prefix } => Self::S3 { bucket: bucket.clone(), prefix: prefix.clone() },
            DeadLettersTo::File(path) => {
                let config = DestinationConfig::new(Url::File(path.clone()));
                Self::File(Destination::open(&config).await.context("[dead-letters]")?)
            }
        })
    }

    /// Whether an object is one of them. A bucket may notify elbow of what elbow itself has written.
    pub(super) fn are_in(&self, object: &Object) -> bool {
        match self {
            Self::S3 { bucket, prefix } => {
                object.bucket.as_ref() == Some(bucket) && !prefix.is_empty() && object.key.starts_with(prefix)
            }
            _ => false,
        }
    }

    pub(super) fn are_wanted(&self) -> bool {
        !matches!(self, Self::Nowhere)
    }

    pub(super) async fn drain(&self, deadline: std::time::Duration) {
        if let Self::File(file) = self {
            file.drain(deadline).await;
        }
    }
}

/// The dead letters of one object, on their way. What is still in it when it is dropped was not sent: that is for objects
/// that have failed. The others end with [`Self::finish`].
pub(super) struct Mailbag<'a> {
    pipeline: &'a Pipeline,
    destination: &'a Destination,
    account: &'a Arc<Account>,
    /// What the names of its objects in S3 begin with.
    name: String,
    waiting: String,
    waiting_count: u64,
    parts: u32,
}

impl<'a> Mailbag<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        destination: &'a Destination,
        account: &'a Arc<Account>,
        name: String,
    ) -> Self {
        Self { pipeline, destination, account, name, waiting: String::new(), waiting_count: 0, parts: 0 }
    }

    /// Adds a letter, one line.
    pub(super) async fn add(&mut self, line: &str) {
        self.waiting.push_str(line);
        self.waiting_count += 1;
        if self.waiting.len() >= PART {
            self.flush().await;
        }
    }

    /// Sends what is waiting, unless there is reason to gather more.
    pub(super) async fn end_batch(&mut self) {
        if !matches!(self.pipeline.dead_letters, DeadLetters::S3 { .. }) {
            self.flush().await;
        }
    }

    /// Sends the rest.
    pub(super) async fn finish(mut self) {
        self.flush().await;
    }

    async fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.waiting));
        let ticket = self.account.open(std::mem::take(&mut self.waiting_count), bytes.len() as u64);
        match &self.pipeline.dead_letters {
            DeadLetters::Nowhere => ticket.confirm(Rung::Written),
            DeadLetters::SameDestination => self.destination.send(bytes, ticket).await,
            DeadLetters::File(file) => file.send(bytes, ticket).await,
            DeadLetters::S3 { bucket, prefix } => {
                // The same names each time, so that a replay writes the same objects and adds none.
                let key = format!("{prefix}{}-{:04}.ndjson", self.name, self.parts);
                self.parts += 1;
                tokio::select! {
                    put = self.pipeline.fetcher.put(bucket, &key, bytes.into()) => match put {
                        Ok(()) => ticket.confirm(Rung::Written),
                        Err(error) => ticket.fail(format!("{error:#}")),
                    },
                    () = self.pipeline.given_up.cancelled() => {
                        ticket.fail("elbow stopped before the dead letters were written".into());
                    }
                }
            }
        }
    }
}
