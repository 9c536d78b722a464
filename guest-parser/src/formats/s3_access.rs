//! Server access log of S3 (AWS: "Amazon S3 server access log format").
//!
//! 18 columns in 2006, 27 today; the time's zone is a column of its own here, since a space stands before it. Quotes within
//! quotes are not escaped, and the request may hold any byte. The key is encoded once more than the request has it.

use elbow_guest::Reject;
use elbow_guest::scan::Syntax;

use crate::source::Source::{
    Address, BracketTime, Columns, Flag, HttpOutcome, Key, Nanoseconds, Number, Query, Text, TlsName, TlsVersion, Url,
};
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::values::{Slot, Values};

/// The format.
pub const TABLE: Table = Table {
    what: "an S3 server access",
    summary: "server access log of S3",
    syntax: Syntax { escape: b'%', ..Syntax::SPACES },
    encoding: Encoding::Plain,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 19,
    fields: FIELDS,
    parts,
    has_zones: true,
    category: "web",
    ecs_prefix: "aws.s3access",
    original: None,
};

const COLUMNS: [&str; 28] = [
    "bucket_owner",
    "bucket",
    "time",
    "time_zone",
    "remote_ip",
    "requester",
    "request_id",
    "operation",
    "key",
    "request_uri",
    "http_status",
    "error_code",
    "bytes_sent",
    "object_size",
    "total_time",
    "turn_around_time",
    "referer",
    "user_agent",
    "version_id",
    "host_id",
    "signature_version",
    "cipher_suite",
    "auth_type",
    "host_header",
    "tls_version",
    "access_point_arn",
    "aclRequired",
    "source_region",
];

const OWNER: Slot = Slot::column(0);
const BUCKET: Slot = Slot::column(1);
const TIME: Slot = Slot::column(2);
const ZONE: Slot = Slot::column(3);
const REMOTE_IP: Slot = Slot::column(4);
const REQUESTER: Slot = Slot::column(5);
const REQUEST_ID: Slot = Slot::column(6);
const OPERATION: Slot = Slot::column(7);
const KEY: Slot = Slot::column(8);
const REQUEST: Slot = Slot::column(9);
const STATUS: Slot = Slot::column(10);
const ERROR: Slot = Slot::column(11);
const BYTES_SENT: Slot = Slot::column(12);
const OBJECT_SIZE: Slot = Slot::column(13);
const TOTAL_TIME: Slot = Slot::column(14);
const TURN_AROUND_TIME: Slot = Slot::column(15);
const REFERER: Slot = Slot::column(16);
const USER_AGENT: Slot = Slot::column(17);
const VERSION_ID: Slot = Slot::column(18);
const HOST_ID: Slot = Slot::column(19);
const SIGNATURE: Slot = Slot::column(20);
const CIPHER: Slot = Slot::column(21);
const AUTH_TYPE: Slot = Slot::column(22);
const HOST_HEADER: Slot = Slot::column(23);
const TLS_PROTOCOL: Slot = Slot::column(24);
const ACCESS_POINT: Slot = Slot::column(25);
const ACL_REQUIRED: Slot = Slot::column(26);
const SOURCE_REGION: Slot = Slot::column(27);

fn parts(batch: &[u8], values: &mut Values) -> Result<(), Reject> {
    values.request(batch, REQUEST);
    Ok(())
}

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(BracketTime(TIME, ZONE), "@timestamp", &["@timestamp"], "when the request was received"),
    field(Text(OWNER), "bucket_owner", &["aws.s3access.bucket_owner"], "canonical id of the bucket's owner"),
    field(Text(BUCKET), "bucket", &["aws.s3access.bucket"], "bucket"),
    field(Text(REMOTE_IP), "remote_ip", &["aws.s3access.remote_ip", "client.address"], "client's address"),
    field(Address(REMOTE_IP), "", &["client.ip"], "client's address, if it is one"),
    field(Text(REQUESTER), "requester", &["aws.s3access.requester", "client.user.id"], "who asked: canonical id, ARN, or service"),
    field(Text(REQUEST_ID), "request_id", &["aws.s3access.request_id", "event.id"], "id of the request"),
    field(Text(OPERATION), "operation", &["aws.s3access.operation", "event.action"], "operation, as `REST.GET.OBJECT`"),
    field(Key(KEY, Slot::PATH), "key", &["aws.s3access.key"], "key of the object, decoded"),
    field(Text(Slot::METHOD), "http_method", &["http.request.method"], "HTTP method"),
    field(Url(Slot::URL), "url", &["url.original"], "URL as the client sent it"),
    field(Text(Slot::VERSION), "http_version", &["http.version"], "HTTP version, as `1.1`"),
    field(Text(Slot::SCHEME), "url_scheme", &["url.scheme"], "scheme of the URL"),
    field(Text(Slot::HOST), "url_host", &["url.domain"], "host of the URL"),
    field(Number(Slot::URL_PORT), "url_port", &["url.port"], "port of the URL"),
    field(Text(Slot::PATH), "url_path", &["url.path"], "path of the URL"),
    field(Query(Slot::QUERY), "url_query", &["url.query"], "query of the URL, without the question mark"),
    field(Number(STATUS), "http_status", &["aws.s3access.http_status", "http.response.status_code"], "HTTP status"),
    field(HttpOutcome(STATUS), "", &["event.outcome"], "`success` for a status below 400, else `failure`"),
    field(Text(ERROR), "error_code", &["aws.s3access.error_code", "event.code"], "error, as `AccessDenied`"),
    field(Number(BYTES_SENT), "bytes_sent", &["aws.s3access.bytes_sent", "http.response.body.bytes"], "bytes of the response's body; none is not there"),
    field(Number(OBJECT_SIZE), "object_size", &["aws.s3access.object_size"], "bytes of the object"),
    field(Number(TOTAL_TIME), "total_time", &["aws.s3access.total_time"], "milliseconds from the request's first byte to the response's last"),
    field(Nanoseconds(TOTAL_TIME, 6), "", &["event.duration"], "nanoseconds from the request's first byte to the response's last"),
    field(Number(TURN_AROUND_TIME), "turn_around_time", &["aws.s3access.turn_around_time"], "milliseconds from the request's last byte to the response's first"),
    field(Url(REFERER), "referer", &["aws.s3access.referrer", "http.request.referrer"], "referrer"),
    field(Text(USER_AGENT), "user_agent", &["aws.s3access.user_agent", "user_agent.original"], "user agent"),
    field(Text(VERSION_ID), "version_id", &["aws.s3access.version_id"], "version of the object in the request"),
    since("2019", Text(HOST_ID), "host_id", &["aws.s3access.host_id"], "extended id of the request"),
    since("2019", Text(SIGNATURE), "signature_version", &["aws.s3access.signature_version"], "`SigV2` or `SigV4`"),
    since("2019", Text(CIPHER), "cipher_suite", &["aws.s3access.cipher_suite", "tls.cipher"], "TLS cipher"),
    since("2019", Text(AUTH_TYPE), "auth_type", &["aws.s3access.authentication_type"], "`AuthHeader` or `QueryString`"),
    since("2019", Text(HOST_HEADER), "host_header", &["aws.s3access.host_header"], "host that the client asked"),
    since("2019", Text(TLS_PROTOCOL), "tls_version", &["aws.s3access.tls_version"], "TLS protocol, as `TLSv1.2`"),
    since("2019", TlsName(TLS_PROTOCOL), "", &["tls.version_protocol"], "always `tls`"),
    since("2019", TlsVersion(TLS_PROTOCOL), "", &["tls.version"], "TLS version, as `1.2`"),
    since("2021", Text(ACCESS_POINT), "access_point_arn", &["aws.s3access.access_point_arn"], "ARN of the access point"),
    since("2022", Flag(ACL_REQUIRED), "acl_required", &["aws.s3access.acl_required"], "`true` if the request needed an ACL"),
    since("2025", Text(SOURCE_REGION), "source_region", &["aws.s3access.source_region"], "region that the request came from"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.s3access.extra_fields"], "columns that AWS has added since, in order"),
];
