//! The SQS client: the calls that elbow makes, and its errors in words.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use aws_sdk_sqs::config::Region;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry};

use crate::aws::{self, in_words};
use crate::config::QueueConfig;

/// How long the queue may take for an answer, beside waiting for messages.
const ANSWER: Duration = Duration::from_secs(5);

/// A queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    sqs: aws_sdk_sqs::Client,
    url: String,
    wait: Duration,
    /// How long a message that was received is hidden from others, unless that is extended.
    pub(super) visibility_timeout: Duration,
}

/// A message that was received, and is hidden from others for a while.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    receipt: String,
    /// When it was first sent.
    pub(super) sent: Option<SystemTime>,
    /// How often it was received, this time included.
    pub(super) receives: u64,
    pub(super) received: Instant,
}

/// Why a message could not be kept.
pub(super) enum KeepError {
    /// The receipt is not good any more: the message was deleted, or others may have it.
    Stale(String),
    /// Another try may succeed.
    Failed(anyhow::Error),
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale(error) => write!(f, "{error}: the receipt is stale, another consumer may have the message"),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl Queue {
    /// Finds the queue, and learns its visibility timeout.
    pub async fn open(config: &QueueConfig) -> Result<Self> {
        let mut queue = Self::with_wait(&config.url, config.wait).await;
        let asked = queue.sqs.get_queue_attributes().queue_url(&queue.url);
        let attributes = asked.attribute_names(QueueAttributeName::VisibilityTimeout).send().await;
        let attributes = attributes.map_err(in_words).with_context(|| format!("failed to look at {}", queue.url))?;
        let seconds = attributes.attributes().and_then(|all| all.get(&QueueAttributeName::VisibilityTimeout));
        let seconds: u64 = seconds
            .and_then(|seconds| seconds.parse().ok())
            .with_context(|| format!("{} does not say its visibility timeout", queue.url))?;
        // With 0, a message would be someone else's before anything could be done about it.
        queue.visibility_timeout = Duration::from_secs(seconds.max(1));
        Ok(queue)
    }

    /// The queue as it is named, to send to.
    pub async fn named(url: &str) -> Self {
        Self::with_wait(url, Duration::ZERO).await
    }

    async fn with_wait(url: &str, wait: Duration) -> Self {
        let shared = aws::from_environment().await;
        // The SDK itself waits for ever for an answer.
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(wait + ANSWER);
        let mut config = aws_sdk_sqs::config::Builder::from(&shared).timeout_config(timeouts.build());
        if let Some(region) = region(url) {
            config = config.region(Region::new(region.to_owned()));
        }
        let sqs = aws_sdk_sqs::Client::from_conf(config.build());
        Self { sqs, url: url.into(), wait, visibility_timeout: Duration::from_secs(30) }
    }

    /// Sends a message.
    pub async fn send(&self, body: &str) -> Result<()> {
        let sent = self.sqs.send_message().queue_url(&self.url).message_body(body).send().await;
        sent.map(drop).map_err(in_words).with_context(|| format!("failed to send a message to {}", self.url))
    }

    /// Sends messages, ten at most.
    pub async fn send_all(&self, bodies: &[String]) -> Result<()> {
        let entry = |(index, body): (usize, &String)| {
            let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body);
            entry.build().expect("it has an id and a body")
        };
        let entries = bodies.iter().enumerate().map(entry).collect();
        let sent = self.sqs.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let sent = sent.map_err(in_words).with_context(|| format!("failed to send messages to {}", self.url))?;
        match sent.failed.first() {
            None => Ok(()),
            Some(failed) => Err(anyhow!(
                "{} of {} messages were not taken by {}: {}: {}",
                sent.failed.len(),
                bodies.len(),
                self.url,
                failed.code,
                failed.message.as_deref().unwrap_or_default()
            )),
        }
    }

    /// Waits for messages, up to so many.
    pub(super) async fn receive(&self, most: usize) -> Result<Vec<Message>> {
        let seconds = i32::try_from(self.wait.as_secs()).unwrap_or(20);
        let request = self.sqs.receive_message().queue_url(&self.url).wait_time_seconds(seconds);
        let request = request
            .visibility_timeout(i32::try_from(self.visibility_timeout.as_secs()).unwrap_or(i32::MAX))
            .max_number_of_messages(i32::try_from(most.min(10)).unwrap_or(10))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        // From before the answer: the queue counts from then too.
        let asked = Instant::now();
        let received = request.send().await.map_err(in_words)?;
        let waited = asked.elapsed().min(self.wait);
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .map(|message| {
                let attribute = |name| message.attributes.as_ref().and_then(|all| all.get(&name));
                let number = |name| attribute(name).and_then(|text: &String| text.parse::<u64>().ok());
                let sent = number(MessageSystemAttributeName::SentTimestamp);
                Message {
                    sent: sent.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis)),
                    receives: number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1),
                    id: message.message_id.unwrap_or_default(),
                    body: message.body.unwrap_or_default(),
                    receipt: message.receipt_handle.unwrap_or_default(),
                    received: asked + waited,
                }
            })
            .collect())
    }

    /// Hides a message from others for so long from now; with zero, gives it back.
    pub(super) async fn hide(&self, message: &Message, timeout: Duration) -> Result<(), KeepError> {
        let seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
        let request = self.sqs.change_message_visibility().queue_url(&self.url).visibility_timeout(seconds);
        request.receipt_handle(&message.receipt).send().await.map(drop).map_err(keep_error)
    }

    pub(super) async fn delete(&self, message: &Message) -> Result<(), KeepError> {
        let request = self.sqs.delete_message().queue_url(&self.url);
        request.receipt_handle(&message.receipt).send().await.map(drop).map_err(keep_error)
    }
}

fn keep_error<E>(error: SdkError<E>) -> KeepError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    // With the old protocol's names, which some servers still use.
    match error.code() {
        Some(code)
            if ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"]
                .iter()
                .any(|stale| code.contains(stale)) =>
        {
            KeepError::Stale(format!("{:#}", in_words(error)))
        }
        _ => KeepError::Failed(in_words(error)),
    }
}

/// The region in the URL of a queue of AWS, which may be another than that of the configuration.
fn region(url: &str) -> Option<&str> {
    let host = url.split("://").nth(1)?.split('/').next()?;
    let rest = host.strip_prefix("sqs.")?;
    let (region, domain) = rest.split_once('.')?;
    domain.starts_with("amazonaws.").then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_queue_of_aws_has_its_region() {
        assert_eq!(region("https://sqs.eu-central-1.amazonaws.com/111122223333/elbow"), Some("eu-central-1"));
        assert_eq!(region("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/elbow"), Some("cn-north-1"));
        for url in ["http://127.0.0.1:5000/1/elbow", "https://sqs.example.com/q", "elbow"] {
            assert_eq!(region(url), None, "{url}");
        }
    }
}
