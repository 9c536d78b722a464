//! S3 and SQS as one server, moto, which notifies a queue of new objects by itself.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use tokio::runtime::Runtime;

use super::elbow::Elbow;
use super::guests::workspace;
use super::receiver::free_address;
use super::s3::BUCKET;

const REGION: Region = Region::from_static("eu-central-1");

/// A server with a bucket that notifies a queue, whose messages go to a dead-letter queue after some receives.
pub(crate) struct Moto {
    endpoint: String,
    pub(crate) queue: String,
    pub(crate) dead_letters: String,
    pub(crate) runtime: Runtime,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    server: Child,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Moto {
    /// `visibility` is the queue's visibility timeout in seconds. A message is received three times.
    pub(crate) fn start(visibility: u32) -> Self {
        Self::start_with(visibility, 3)
    }

    pub(crate) fn start_with(visibility: u32, receives: u32) -> Self {
        let address = free_address();
        let server = Command::new(workspace().join("target/tools/bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server is there: `make tools` installs it");
        let runtime = Runtime::new().unwrap();
        let endpoint = format!("http://{address}");
        let credentials = Credentials::new("key", "secret", None, None, "test");
        let s3 = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(REGION)
            .credentials_provider(credentials.clone())
            .http_client(elbow::aws::https())
            .endpoint_url(&endpoint)
            .force_path_style(true);
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(REGION)
            .credentials_provider(credentials)
            .http_client(elbow::aws::https())
            .endpoint_url(&endpoint);
        let s3 = aws_sdk_s3::Client::from_conf(s3.build());
        let sqs = aws_sdk_sqs::Client::from_conf(sqs.build());
        super::eventually("moto answers", || std::net::TcpStream::connect(address).is_ok());
        let (queue, dead_letters) = runtime.block_on(set_up(&s3, &sqs, visibility, receives));
        Self { endpoint, queue, dead_letters, runtime, s3, sqs, server }
    }

    /// Writes an object, of which the server then notifies the queue.
    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let put = self.s3.put_object().bucket(BUCKET).key(key).body(bytes.into().into());
        self.runtime.block_on(put.send()).unwrap();
    }

    /// How many lines the objects below a prefix have together.
    pub(crate) fn lines_below(&self, prefix: &str) -> usize {
        self.runtime.block_on(async {
            let listed = self.s3.list_objects_v2().bucket(BUCKET).prefix(prefix).send().await.unwrap();
            let mut lines = 0;
            for object in listed.contents.unwrap_or_default() {
                let got = self.s3.get_object().bucket(BUCKET).set_key(object.key).send().await.unwrap();
                let bytes = got.body.collect().await.unwrap().into_bytes();
                lines += bytes.iter().filter(|byte| **byte == b'\n').count();
            }
            lines
        })
    }

    pub(crate) fn send(&self, queue: &str, body: &str) {
        let send = self.sqs.send_message().queue_url(queue).message_body(body);
        self.runtime.block_on(send.send()).unwrap();
    }

    /// How many messages wait in a queue, and how many are hidden because someone has them.
    pub(crate) fn counts(&self, queue: &str) -> (u64, u64) {
        let ask = self.sqs.get_queue_attributes().queue_url(queue);
        let ask = ask.attribute_names(QueueAttributeName::All);
        let answer = self.runtime.block_on(ask.send()).unwrap();
        let attributes: HashMap<_, _> = answer.attributes.unwrap();
        let number = |name: QueueAttributeName| attributes[&name].parse().unwrap();
        (
            number(QueueAttributeName::ApproximateNumberOfMessages),
            number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    /// Waits until a queue has no message, neither waiting nor hidden.
    #[track_caller]
    pub(crate) fn wait_until_empty(&self, queue: &str) {
        super::eventually("the queue is empty", || self.counts(queue) == (0, 0));
    }

    /// A command with this server.
    pub(crate) fn command(&self, subcommand: &str) -> Elbow {
        self.variables().iter().fold(Elbow::new(subcommand), |elbow, (name, value)| elbow.env(name, value))
    }

    /// Where a process finds this server.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }
}

async fn set_up(
    s3: &aws_sdk_s3::Client,
    sqs: &aws_sdk_sqs::Client,
    visibility: u32,
    receives: u32,
) -> (String, String) {
    use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
    let here = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuCentral1).build();
    s3.create_bucket().bucket(BUCKET).create_bucket_configuration(here).send().await.unwrap();
    let dead_letters = sqs.create_queue().queue_name("dead-letters").send().await.unwrap().queue_url.unwrap();
    let redrive = serde_json::json!({
        "deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:dead-letters",
        "maxReceiveCount": receives,
    });
    let queue = sqs
        .create_queue()
        .queue_name("elbow")
        .attributes(QueueAttributeName::VisibilityTimeout, visibility.to_string())
        .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
        .send()
        .await
        .unwrap();
    let notified = QueueConfiguration::builder()
        .queue_arn("arn:aws:sqs:eu-central-1:123456789012:elbow")
        .events(Event::from("s3:ObjectCreated:*"))
        .build()
        .unwrap();
    let notifications = NotificationConfiguration::builder().queue_configurations(notified).build();
    let put = s3.put_bucket_notification_configuration().bucket(BUCKET).notification_configuration(notifications);
    put.send().await.unwrap();
    (queue.queue_url.unwrap(), dead_letters)
}
