//! What tells elbow of objects: from the bytes of an event to the objects that it names.
//!
//! | shape | where it comes from |
//! |---|---|
//! | S3 event notification | a bucket, directly, or through SNS with raw delivery |
//! | SNS notification | a topic that a bucket notifies: the S3 event is text inside it |
//! | EventBridge event | a rule on `Object Created` |
//! | request | elbow itself: an object that it could not finish in time, or that `elbow forward --enqueue` has listed |
//!
//! Each can be the body of an SQS message, and each but the last what a Lambda function is invoked with. What is meant is
//! found by what is in it, for a queue may have several sources. A shape that is not known is an error that says what was
//! found: whoever sent it wanted something.
//!
//! The event types of `aws_lambda_events` are not used: they demand fields that elbow has no need of and that other S3
//! servers leave out, and they do not have the S3 events of EventBridge.

use anyhow::{Context, Result, bail, ensure};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bookmark::Bookmark;
use crate::object::Object;

/// How deep an event may lie in others: S3's in that of SNS, and no deeper.
const DEPTH: u32 = 3;

/// What a notification asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notification {
    /// Objects to forward, each perhaps from where another process left it.
    pub objects: Vec<(Object, Option<Bookmark>)>,
    /// What it says beside that, and nothing need be done about: test events, objects that were deleted.
    pub ignored: Vec<String>,
}

/// What a Lambda function was invoked with.
#[derive(Debug, PartialEq)]
pub enum Invocation {
    /// A notification; AWS repeats it if the function fails.
    Direct(Notification),
    /// Messages of a queue; those that the function names are given back to it.
    Messages(Vec<Message>),
}

/// A message of a queue, as Lambda hands it over.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// By which it is given back.
    pub message_id: String,
    /// To be read by [`Notification::parse`].
    pub body: String,
}

impl Invocation {
    /// Reads an event that a function was invoked with.
    pub fn parse(event: Value) -> Result<Self> {
        let is_of_queue = event["Records"].as_array().is_some_and(|records| {
            !records.is_empty() && records.iter().all(|record| record["eventSource"] == "aws:sqs")
        });
        Ok(match is_of_queue {
            true => Self::Messages(typed::<Records<Message>>(event, "an SQS event")?.records),
            false => Self::Direct(read(event, 0)?),
        })
    }
}

impl Notification {
    /// Reads the text of a notification.
    pub fn parse(text: &str) -> Result<Self> {
        read(json(text)?, 0)
    }
}

/// The text that asks an elbow to forward an object, perhaps from where another has left it.
pub fn request(object: &Object, from: Option<&Bookmark>) -> String {
    let request = Request { elbow: REQUEST.into(), object: object.clone(), from: from.map(Bookmark::short) };
    serde_json::to_string(&request).expect("it is plain data")
}

const REQUEST: &str = "forward";

#[derive(Deserialize, Serialize)]
struct Request {
    elbow: String,
    object: Object,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Bookmark>,
}

#[derive(Deserialize)]
struct Records<T> {
    #[serde(rename = "Records")]
    records: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Record {
    event_name: String,
    aws_region: Option<String>,
    s3: S3Entity,
}

#[derive(Deserialize)]
struct S3Entity {
    bucket: Bucket,
    object: S3Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Object {
    key: String,
    size: Option<u64>,
    version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsEnvelope {
    message: String,
}

#[derive(Deserialize)]
struct SnsRecord {
    #[serde(rename = "Sns")]
    sns: SnsEnvelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EventBridge {
    detail_type: String,
    region: Option<String>,
    detail: EventBridgeDetail,
}

#[derive(Deserialize)]
struct EventBridgeDetail {
    bucket: Bucket,
    object: EventBridgeObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EventBridgeObject {
    key: String,
    size: Option<u64>,
    version_id: Option<String>,
}

fn read(event: Value, depth: u32) -> Result<Notification> {
    ensure!(depth < DEPTH, "a notification within {depth} others");
    if event["Event"] == "s3:TestEvent" {
        let bucket = event["Bucket"].as_str().unwrap_or("a bucket");
        return Ok(Notification { ignored: vec![format!("the test event of {bucket}")], ..Notification::default() });
    }
    if event["Type"] == "Notification" && event["TopicArn"].is_string() {
        let envelope: SnsEnvelope = typed(event, "an SNS notification")?;
        return read(json(&envelope.message).context("the message of an SNS notification")?, depth + 1);
    }
    if event["source"] == "aws.s3" {
        return event_bridge(typed(event, "an EventBridge event of S3")?);
    }
    if event["elbow"] == REQUEST {
        let Request { object, from, .. } = typed(event, "a request")?;
        // Or whoever may send a message could have elbow send its own files away.
        ensure!(object.bucket.is_some() && !object.key.is_empty(), "a request names no object in S3");
        return Ok(Notification { objects: vec![(object, from)], ..Notification::default() });
    }
    let records = event["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Other S3 servers say `minio:s3`, or `ceph:s3`.
    let is_of_s3 = |record: &Value| record["eventSource"].as_str().is_some_and(|source| source.ends_with(":s3"));
    if !records.is_empty() && records.iter().all(is_of_s3) {
        return s3_event(typed(event, "an S3 event notification")?);
    }
    if !records.is_empty() && records.iter().all(|record| record["EventSource"] == "aws:sns") {
        let mut all = Notification::default();
        for record in typed::<Records<SnsRecord>>(event, "an SNS event")?.records {
            let inner = read(json(&record.sns.message).context("the message of an SNS notification")?, depth + 1)?;
            all.objects.extend(inner.objects);
            all.ignored.extend(inner.ignored);
        }
        return Ok(all);
    }
    bail!(
        "expected a notification of S3 (as it is, or in one of SNS or EventBridge), or a request of elbow's; found {}",
        found(&event)
    )
}

fn s3_event(event: Records<S3Record>) -> Result<Notification> {
    let mut notification = Notification::default();
    for (index, record) in event.records.into_iter().enumerate() {
        let S3Entity { bucket: Bucket { name: bucket }, object } = record.s3;
        // As in forms: a space is a plus.
        let key = object.key.replace('+', " ");
        let key = percent_decode_str(&key).decode_utf8();
        let key = key.with_context(|| format!("Records[{index}].s3.object.key: `{}` is not UTF-8", object.key))?;
        let name = record.event_name.trim_start_matches("s3:");
        if !name.starts_with("ObjectCreated:") {
            notification.ignored.push(format!("{} of s3://{bucket}/{key}", record.event_name));
            continue;
        }
        let found = Object {
            region: record.aws_region.filter(|region| !region.is_empty()),
            size: object.size,
            version: object.version_id.filter(|version| version != "null"),
            ..Object::named(Some(bucket), key)
        };
        notification.objects.push((found, None));
    }
    Ok(notification)
}

/// Keys are not encoded here.
fn event_bridge(event: EventBridge) -> Result<Notification> {
    let EventBridgeDetail { bucket: Bucket { name: bucket }, object } = event.detail;
    if event.detail_type != "Object Created" {
        let ignored = format!("`{}` of s3://{bucket}/{}", event.detail_type, object.key);
        return Ok(Notification { ignored: vec![ignored], ..Notification::default() });
    }
    let found = Object {
        region: event.region,
        size: object.size,
        version: object.version_id.filter(|version| version != "null"),
        ..Object::named(Some(bucket), object.key)
    };
    Ok(Notification { objects: vec![(found, None)], ..Notification::default() })
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| {
        let begin: String = text.chars().take(80).collect();
        format!("expected a notification as JSON, found text that begins with {begin:?}")
    })
}

/// The value as this type; the error names the place that does not fit.
fn typed<T: DeserializeOwned>(value: Value, what: &str) -> Result<T> {
    serde_path_to_error::deserialize(value).with_context(|| format!("failed to read {what}"))
}

/// What there is instead of a notification.
fn found(event: &Value) -> String {
    match event {
        Value::Object(members) if members.is_empty() => "an empty object".into(),
        Value::Object(members) => {
            let names: Vec<String> = members.keys().take(10).map(|name| format!("`{name}`")).collect();
            let source = ["/Records/0/eventSource", "/Records/0/EventSource", "/source", "/Type"]
                .iter()
                .find_map(|place| Some(format!(" ({place} is {})", event.pointer(place)?)));
            format!("an object with {}{}", names.join(", "), source.unwrap_or_default())
        }
        Value::Array(_) => "an array".into(),
        other => format!("{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3_event(name: &str, key: &str) -> String {
        format!(
            r#"{{"Records": [{{"eventSource": "aws:s3", "eventName": "{name}", "awsRegion": "eu-central-1",
                "s3": {{"bucket": {{"name": "b"}}, "object": {{"key": "{key}", "size": 3, "versionId": "v1"}}}}}}]}}"#
        )
    }

    #[test]
    fn keys_are_decoded_as_s3_encodes_them() {
        for (encoded, key) in
            [("a/b.log.gz", "a/b.log.gz"), ("a+b%2Bc%20d", "a b+c d"), ("%C3%BC%2Fx%25", "ü/x%"), ("100%", "100%")]
        {
            let notification = Notification::parse(&s3_event("ObjectCreated:Put", encoded)).unwrap();
            let expected = Object {
                region: Some("eu-central-1".into()),
                version: Some("v1".into()),
                size: Some(3),
                ..Object::named(Some("b".into()), key)
            };
            assert_eq!(notification.objects, [(expected, None)], "{encoded}");
        }
        let error = Notification::parse(&s3_event("ObjectCreated:Put", "%FF")).unwrap_err();
        assert!(format!("{error:#}").contains("Records[0].s3.object.key: `%FF` is not UTF-8"));
    }

    #[test]
    fn what_is_no_new_object_is_ignored_and_named() {
        let notification = Notification::parse(&s3_event("ObjectRemoved:Delete", "a+b")).unwrap();
        assert_eq!(notification.ignored, ["ObjectRemoved:Delete of s3://b/a b"]);
        assert!(notification.objects.is_empty());
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let object = Object { etag: Some("e".into()), ..Object::named(Some("b".into()), "k + ü") };
        let from = Bookmark { offset: 7, seconds: 1.5, ..Bookmark::default() };
        let notification = Notification::parse(&request(&object, Some(&from))).unwrap();
        assert_eq!(notification.objects, [(object.clone(), Some(from))]);
        let notification = Notification::parse(&request(&object, None)).unwrap();
        assert_eq!(notification.objects, [(object, None)]);
    }

    #[test]
    fn an_unknown_shape_is_named() {
        for (text, expected) in [
            (r#"{"elbow": "forward", "object": {"key": "/proc/self/environ"}}"#, "names no object in S3"),
            ("hello", "found text that begins with \"hello\""),
            ("{}", "found an empty object"),
            ("[1]", "found an array"),
            (r#"{"Records": [{"eventSource": "aws:kinesis"}]}"#, "(/Records/0/eventSource is \"aws:kinesis\")"),
            (r#"{"Type": "SubscriptionConfirmation", "Token": "t"}"#, "(/Type is \"SubscriptionConfirmation\")"),
            (
                r#"{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}}]}"#,
                "Records[0].s3: missing field `bucket`",
            ),
        ] {
            let error = format!("{:#}", Notification::parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
