//! Standard log of CloudFront: version 1, and version 2 with a header (AWS: "Standard log file format reference").
//!
//! Columns are parted by tabs, and named by the line `#Fields:` of each file: 12 in the beginning, 33 since December 2019, and
//! in version 2 whatever whoever has set up the delivery has chosen. Texts are percent-encoded once more than the viewer sent
//! them, so one decoding gives what the viewer sent. Files of before 2019 have the user agent encoded twice.

use elbow_guest::scan::Syntax;

use crate::source::Source::{
    CloudFrontTime, Columns, Flag, Forwarded, HttpOutcome, HttpVersion, Nanoseconds, Number, Query, Text, TextIn,
    TlsName, TlsVersion, Url,
};
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::values::Slot;

/// The format.
pub const TABLE: Table = Table {
    what: "a CloudFront",
    summary: "standard log of CloudFront",
    syntax: Syntax::TABS,
    encoding: Encoding::Percent,
    header: Header::Fields,
    columns: &COLUMNS,
    min_columns: 1,
    fields: FIELDS,
    parts: |_, _| Ok(()),
    has_zones: true,
    category: "web",
    ecs_prefix: "aws.cloudfront",
    original: None,
};

const COLUMNS: [&str; 45] = [
    "date",
    "time",
    "x-edge-location",
    "sc-bytes",
    "c-ip",
    "cs-method",
    "cs(Host)",
    "cs-uri-stem",
    "sc-status",
    "cs(Referer)",
    "cs(User-Agent)",
    "cs-uri-query",
    "cs(Cookie)",
    "x-edge-result-type",
    "x-edge-request-id",
    "x-host-header",
    "cs-protocol",
    "cs-bytes",
    "time-taken",
    "x-forwarded-for",
    "ssl-protocol",
    "ssl-cipher",
    "x-edge-response-result-type",
    "cs-protocol-version",
    "fle-status",
    "fle-encrypted-fields",
    "c-port",
    "time-to-first-byte",
    "x-edge-detailed-result-type",
    "sc-content-type",
    "sc-content-len",
    "sc-range-start",
    "sc-range-end",
    "timestamp",
    "timestamp(ms)",
    "origin-fbl",
    "origin-lbl",
    "asn",
    "c-country",
    "cache-behavior-path-pattern",
    "DistributionId",
    "distribution-tenant-id",
    "connection-id",
    "viewer-request-log-data",
    "viewer-response-log-data",
];

const DATE: Slot = Slot::column(0);
const TIME: Slot = Slot::column(1);
const X_EDGE_LOCATION: Slot = Slot::column(2);
const SC_BYTES: Slot = Slot::column(3);
const C_IP: Slot = Slot::column(4);
const CS_METHOD: Slot = Slot::column(5);
const CS_HOST: Slot = Slot::column(6);
const CS_URI_STEM: Slot = Slot::column(7);
const SC_STATUS: Slot = Slot::column(8);
const CS_REFERER: Slot = Slot::column(9);
const CS_USER_AGENT: Slot = Slot::column(10);
const CS_URI_QUERY: Slot = Slot::column(11);
const CS_COOKIE: Slot = Slot::column(12);
const X_EDGE_RESULT_TYPE: Slot = Slot::column(13);
const X_EDGE_REQUEST_ID: Slot = Slot::column(14);
const X_HOST_HEADER: Slot = Slot::column(15);
const CS_PROTOCOL: Slot = Slot::column(16);
const CS_BYTES: Slot = Slot::column(17);
const TIME_TAKEN: Slot = Slot::column(18);
const X_FORWARDED_FOR: Slot = Slot::column(19);
const SSL_PROTOCOL: Slot = Slot::column(20);
const SSL_CIPHER: Slot = Slot::column(21);
const X_EDGE_RESPONSE_RESULT_TYPE: Slot = Slot::column(22);
const CS_PROTOCOL_VERSION: Slot = Slot::column(23);
const FLE_STATUS: Slot = Slot::column(24);
const FLE_ENCRYPTED_FIELDS: Slot = Slot::column(25);
const C_PORT: Slot = Slot::column(26);
const TIME_TO_FIRST_BYTE: Slot = Slot::column(27);
const X_EDGE_DETAILED_RESULT_TYPE: Slot = Slot::column(28);
const SC_CONTENT_TYPE: Slot = Slot::column(29);
const SC_CONTENT_LEN: Slot = Slot::column(30);
const SC_RANGE_START: Slot = Slot::column(31);
const SC_RANGE_END: Slot = Slot::column(32);
const TIMESTAMP: Slot = Slot::column(33);
const TIMESTAMP_MS: Slot = Slot::column(34);
const ORIGIN_FBL: Slot = Slot::column(35);
const ORIGIN_LBL: Slot = Slot::column(36);
const ASN: Slot = Slot::column(37);
const C_COUNTRY: Slot = Slot::column(38);
const CACHE_BEHAVIOR_PATH_PATTERN: Slot = Slot::column(39);
const DISTRIBUTIONID: Slot = Slot::column(40);
const DISTRIBUTION_TENANT_ID: Slot = Slot::column(41);
const CONNECTION_ID: Slot = Slot::column(42);
const VIEWER_REQUEST_LOG_DATA: Slot = Slot::column(43);
const VIEWER_RESPONSE_LOG_DATA: Slot = Slot::column(44);

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(CloudFrontTime([DATE, TIME, TIMESTAMP, TIMESTAMP_MS]), "@timestamp", &["@timestamp", "event.end"], "when the response was finished, or a WebSocket closed"),
    field(Text(X_EDGE_LOCATION), "x_edge_location", &["aws.cloudfront.edge_location"], "edge location that served the request"),
    field(Number(SC_BYTES), "sc_bytes", &["http.response.bytes"], "bytes sent to the viewer, headers included"),
    field(Text(C_IP), "c_ip", &["source.address", "source.ip"], "viewer's address"),
    field(Text(CS_METHOD), "cs_method", &["http.request.method"], "HTTP method"),
    field(Text(CS_HOST), "cs_host", &["aws.cloudfront.domain"], "domain of the distribution"),
    field(Url(CS_URI_STEM), "cs_uri_stem", &["url.path"], "path of the URL"),
    field(Number(SC_STATUS), "sc_status", &["http.response.status_code"], "HTTP status; 0 if the viewer closed the connection before there was one"),
    field(Url(CS_REFERER), "cs_referer", &["http.request.referrer"], "referrer"),
    field(TextIn(CS_USER_AGENT, Encoding::PercentUserAgent), "cs_user_agent", &["user_agent.original"], "user agent"),
    field(Query(CS_URI_QUERY), "cs_uri_query", &["url.query"], "query of the URL"),
    field(Text(CS_COOKIE), "cs_cookie", &["aws.cloudfront.cookies"], "cookies, if they are logged"),
    field(Text(X_EDGE_RESULT_TYPE), "x_edge_result_type", &["aws.cloudfront.edge_result_type"], "how the request was served, as `Hit`"),
    field(Text(X_EDGE_REQUEST_ID), "x_edge_request_id", &["http.request.id", "event.id"], "id of the request"),
    since("2013-10", Text(X_HOST_HEADER), "x_host_header", &["destination.address", "destination.domain"], "host that the viewer asked"),
    since("2013-10", Text(CS_PROTOCOL), "cs_protocol", &["network.protocol"], "protocol: `http`, `https`, `ws`, `wss`, `grpcs`"),
    since("2013-10", Number(CS_BYTES), "cs_bytes", &["http.request.bytes"], "bytes received from the viewer, headers included"),
    since("2014", Number(TIME_TAKEN), "time_taken", &["aws.cloudfront.time_taken"], "seconds from the request's arrival to the response's last byte"),
    since("2015", Forwarded(X_FORWARDED_FOR), "x_forwarded_for", &["network.forwarded_ip"], "addresses that a proxy has named"),
    since("2015", Text(SSL_PROTOCOL), "ssl_protocol", &["aws.cloudfront.ssl_protocol"], "TLS protocol, as `TLSv1.3`"),
    since("2015", Text(SSL_CIPHER), "ssl_cipher", &["tls.cipher"], "TLS cipher"),
    since("2015", Text(X_EDGE_RESPONSE_RESULT_TYPE), "x_edge_response_result_type", &["aws.cloudfront.edge_response_result_type"], "how it was going to be served, before the response began"),
    since("2015", Text(CS_PROTOCOL_VERSION), "cs_protocol_version", &[], "HTTP version, as `HTTP/2.0`"),
    since("2017", Text(FLE_STATUS), "fle_status", &["aws.cloudfront.fle_status"], "field-level encryption of the body"),
    since("2017", Number(FLE_ENCRYPTED_FIELDS), "fle_encrypted_fields", &["aws.cloudfront.fle_encrypted_fields"], "fields that were encrypted"),
    since("2019-12", Number(C_PORT), "c_port", &["source.port"], "viewer's port"),
    since("2019-12", Number(TIME_TO_FIRST_BYTE), "time_to_first_byte", &["aws.cloudfront.time_to_first_byte"], "seconds to the response's first byte"),
    since("2019-12", Text(X_EDGE_DETAILED_RESULT_TYPE), "x_edge_detailed_result_type", &["aws.cloudfront.edge_detailed_result_type"], "how it was served, in more detail"),
    since("2019-12", Text(SC_CONTENT_TYPE), "sc_content_type", &["http.response.mime_type"], "content type"),
    since("2019-12", Number(SC_CONTENT_LEN), "sc_content_len", &["http.response.body.bytes"], "content length"),
    since("2019-12", Number(SC_RANGE_START), "sc_range_start", &["aws.cloudfront.range_start"], "first byte of the range"),
    since("2019-12", Number(SC_RANGE_END), "sc_range_end", &["aws.cloudfront.range_end"], "last byte of the range"),
    since("2024-11", Number(ORIGIN_FBL), "origin_fbl", &["aws.cloudfront.origin_fbl"], "seconds to the origin's first byte"),
    since("2024-11", Number(ORIGIN_LBL), "origin_lbl", &["aws.cloudfront.origin_lbl"], "seconds to the origin's last byte"),
    since("2024-11", Number(ASN), "asn", &["source.as.number"], "number of the viewer's autonomous system"),
    since("2024-11", Text(C_COUNTRY), "c_country", &["source.geo.country_iso_code"], "viewer's country"),
    since("2024-11", Text(CACHE_BEHAVIOR_PATH_PATTERN), "cache_behavior_path_pattern", &["aws.cloudfront.cache_behavior_path_pattern"], "path pattern of the cache behaviour"),
    since("2024-11", Text(DISTRIBUTIONID), "distribution_id", &["aws.cloudfront.distribution_id"], "distribution"),
    since("2024-11", Text(DISTRIBUTION_TENANT_ID), "distribution_tenant_id", &["aws.cloudfront.distribution_tenant_id"], "tenant of the distribution"),
    since("2024-11", Text(CONNECTION_ID), "connection_id", &["aws.cloudfront.connection_id"], "id of the connection"),
    since("2024-11", Text(VIEWER_REQUEST_LOG_DATA), "viewer_request_log_data", &["aws.cloudfront.viewer_request_log_data"], "what a viewer request function has logged"),
    since("2024-11", Text(VIEWER_RESPONSE_LOG_DATA), "viewer_response_log_data", &["aws.cloudfront.viewer_response_log_data"], "what a viewer response function has logged"),
    field(TlsName(SSL_PROTOCOL), "", &["tls.version_protocol"], "always `tls`"),
    field(TlsVersion(SSL_PROTOCOL), "", &["tls.version"], "TLS version, as `1.3`"),
    field(HttpVersion(CS_PROTOCOL_VERSION), "", &["http.version"], "HTTP version, as `2.0`"),
    field(Nanoseconds(TIME_TAKEN, 9), "", &["event.duration"], "nanoseconds from the request's arrival to the response's last byte"),
    field(HttpOutcome(SC_STATUS), "", &["event.outcome"], "`success` for a status from 100 to 399, else `failure`"),
    field(Flag(Slot::SHORT), "short_row", &["aws.cloudfront.short_row"], "`true` if the row has fewer columns than the header"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.cloudfront.extra_fields"], "columns beyond those of the header"),
];
