//! Server access log of S3 as CloudWatch delivers it: JSON objects with names of their own.
//!
//! AWS has not published all of its members. Those that are not listed here are fields under their own names.

use elbow_guest::JsonType;
use elbow_guest::scan::Syntax;

use crate::source::Source::{Members, Text, Time};
use crate::table::{Encoding, Header, Output, Table, field};
use crate::values::Slot;

/// The format.
pub const TABLE: Table = Table {
    what: "an S3 server access",
    summary: "server access log of S3, as CloudWatch delivers it",
    syntax: Syntax::SPACES,
    encoding: Encoding::Plain,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 0,
    fields: FIELDS,
    parts: |_, _| Ok(()),
    has_zones: true,
    category: "web",
    ecs_prefix: "aws.s3access",
    original: None,
};

/// The members that are known; of an object that is taken apart, with its name before them.
const COLUMNS: [&str; 5] = ["request_time", "bucket_name", "remote_ip", "operation", "schema_version_id"];

const REQUEST_TIME: Slot = Slot::column(0);
const BUCKET_NAME: Slot = Slot::column(1);
const REMOTE_IP: Slot = Slot::column(2);
const OPERATION: Slot = Slot::column(3);
const SCHEMA_VERSION_ID: Slot = Slot::column(4);

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(Time(REQUEST_TIME), "@timestamp", &["@timestamp"], "when the request was received"),
    field(Text(BUCKET_NAME), "bucket_name", &["aws.s3access.bucket"], "bucket"),
    field(Text(REMOTE_IP), "remote_ip", &["client.address"], "client's address"),
    field(Text(OPERATION), "operation", &["event.action"], "operation, as `REST.GET.OBJECT`"),
    field(Text(SCHEMA_VERSION_ID), "schema_version_id", &["aws.s3access.schema_version_id"], "version of the log"),
    field(Members(Slot::EXTRA, JsonType::Object), "", &["aws.s3access.extra_fields"], "members that are not known"),
];
