//! Access log of an Application Load Balancer (AWS: "Access logs for your Application Load Balancer").
//!
//! AWS appends columns without notice: 18 at the launch in 2016, 34 in autumn 2026, 36 seen once. A line may have any
//! count from 18; what stands behind the last column that is known here is kept, in order. While a column is being
//! prepared, a single `-` may already stand at the end of a line: that one means nothing.
//!
//! Bytes include the headers, unlike those of a Classic Load Balancer. A quote in a quoted column is written as `\x22`,
//! and each byte outside of printable ASCII as `\xHH`.

use std::borrow::Cow;

use elbow_guest::Reject;
use elbow_guest::scan::{Span, Syntax};

use crate::search::{begins, find, is};
use crate::source::Source::{
    Columns, Constant, Flag, HttpOutcome, NotUtf8, Number, Numbers, OptionalTime, Query, Seconds, Text, Texts, Time,
    TlsName, TlsVersion, Url,
};
use crate::styles::Original;
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::values::{Slot, Values};

/// The format.
pub const TABLE: Table = Table {
    what: "an ALB",
    summary: "access log of an Application Load Balancer",
    syntax: Syntax::SPACES,
    encoding: Encoding::Backslash,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 18,
    fields: FIELDS,
    parts,
    has_zones: true,
    category: "web",
    ecs_prefix: "aws.elb",
    original: Some(Original {
        time: TIME,
        elb: ELB,
        client: CLIENT,
        backend: TARGET,
        times: [REQUEST_TIME, TARGET_TIME, RESPONSE_TIME],
        statuses: [ELB_STATUS, TARGET_STATUS],
        bytes: [RECEIVED_BYTES, SENT_BYTES],
        user_agent: USER_AGENT,
    }),
};

const COLUMNS: [&str; 34] = [
    "type",
    "time",
    "elb",
    "client:port",
    "target:port",
    "request_processing_time",
    "target_processing_time",
    "response_processing_time",
    "elb_status_code",
    "target_status_code",
    "received_bytes",
    "sent_bytes",
    "request",
    "user_agent",
    "ssl_cipher",
    "ssl_protocol",
    "target_group_arn",
    "trace_id",
    "domain_name",
    "chosen_cert_arn",
    "matched_rule_priority",
    "request_creation_time",
    "actions_executed",
    "redirect_url",
    "error_reason",
    "target:port_list",
    "target_status_code_list",
    "classification",
    "classification_reason",
    "conn_trace_id",
    "transformed_host",
    "transformed_uri",
    "request_transform_status",
    "ip_address",
];

const TYPE: Slot = Slot::column(0);
const TIME: Slot = Slot::column(1);
const ELB: Slot = Slot::column(2);
const CLIENT: Slot = Slot::column(3);
const TARGET: Slot = Slot::column(4);
const REQUEST_TIME: Slot = Slot::column(5);
const TARGET_TIME: Slot = Slot::column(6);
const RESPONSE_TIME: Slot = Slot::column(7);
const ELB_STATUS: Slot = Slot::column(8);
const TARGET_STATUS: Slot = Slot::column(9);
const RECEIVED_BYTES: Slot = Slot::column(10);
const SENT_BYTES: Slot = Slot::column(11);
const REQUEST: Slot = Slot::column(12);
const USER_AGENT: Slot = Slot::column(13);
const CIPHER: Slot = Slot::column(14);
const TLS_PROTOCOL: Slot = Slot::column(15);
const TARGET_GROUP: Slot = Slot::column(16);
const TRACE_ID: Slot = Slot::column(17);
const DOMAIN: Slot = Slot::column(18);
const CERT_ARN: Slot = Slot::column(19);
const RULE_PRIORITY: Slot = Slot::column(20);
const CREATION_TIME: Slot = Slot::column(21);
const ACTIONS: Slot = Slot::column(22);
const REDIRECT_URL: Slot = Slot::column(23);
const ERROR_REASON: Slot = Slot::column(24);
const TARGET_LIST: Slot = Slot::column(25);
const TARGET_STATUS_LIST: Slot = Slot::column(26);
const CLASSIFICATION: Slot = Slot::column(27);
const CLASSIFICATION_REASON: Slot = Slot::column(28);
const CONN_TRACE_ID: Slot = Slot::column(29);
const TRANSFORMED_HOST: Slot = Slot::column(30);
const TRANSFORMED_URI: Slot = Slot::column(31);
const TRANSFORM_STATUS: Slot = Slot::column(32);
const NODE_IP: Slot = Slot::column(33);

fn parts(batch: &[u8], values: &mut Values) -> Result<(), Reject> {
    // A health check line has a latency here, and is otherwise easily taken for an access line.
    let elb = values.get(ELB);
    if !elb.is_none() && find(batch, elb.start as usize, elb.end(), b'/').is_none() {
        return Err(Reject::from("column 3, elb: expected `app/name/id`"));
    }
    values.endpoint(batch, CLIENT, 0, "column 4, client:port")?;
    values.endpoint(batch, TARGET, 1, "column 5, target:port")?;
    values.request(batch, REQUEST);
    values.set(Slot::OWN[0], trace_root(batch, values.get(TRACE_ID)));
    let certificate = values.get(CERT_ARN);
    let is_resumed = is(batch, certificate, "session-reused");
    values.set(Slot::OWN[1], if is_resumed { certificate } else { Span::NONE });
    if is_resumed {
        values.set(CERT_ARN, Span::NONE);
    }
    Ok(())
}

/// The value of `Root=` in the header `X-Amzn-Trace-Id`, which the client may have sent.
#[inline(always)]
fn trace_root(batch: &[u8], header: Span) -> Span {
    if header.is_none() {
        return Span::NONE;
    }
    let mut start = header.start as usize;
    loop {
        let end = find(batch, start, header.end(), b';').unwrap_or(header.end());
        if end > start + 5 && begins(batch, start, "Root=") {
            return Span::between(start + 5, end);
        }
        if end == header.end() {
            return Span::NONE;
        }
        start = end + 1;
    }
}

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(Time(TIME), "@timestamp", &["@timestamp", "event.end"], "when the response was generated, or a WebSocket closed"),
    since("2018", OptionalTime(CREATION_TIME), "request_creation_time", &["event.start"], "when the load balancer received the request"),
    field(Text(TYPE), "type", &["aws.elb.type"], "kind of request: `http`, `https`, `h2`, `grpcs`, `ws`, `wss`, or one that AWS adds"),
    field(Text(ELB), "elb", &["aws.elb.name"], "load balancer, as `app/name/id`"),
    field(Constant(Cow::Borrowed("\"http\"")), "", &["aws.elb.protocol"], "always `http`"),
    field(Text(Slot::IP[0]), "client_ip", &["source.address", "source.ip"], "client's address"),
    field(Number(Slot::PORT[0]), "client_port", &["source.port"], "client's port"),
    field(Text(Slot::IP[1]), "target_ip", &["aws.elb.backend.ip"], "target's address"),
    field(Number(Slot::PORT[1]), "target_port", &["aws.elb.backend.port"], "target's port"),
    field(Seconds(REQUEST_TIME), "request_processing_time", &["aws.elb.request_processing_time.sec"], "seconds from receiving the request to sending it to the target"),
    field(Seconds(TARGET_TIME), "target_processing_time", &["aws.elb.backend_processing_time.sec"], "seconds from sending the request to the first byte of the response"),
    field(Seconds(RESPONSE_TIME), "response_processing_time", &["aws.elb.response_processing_time.sec"], "seconds from the response's first byte to sending it to the client"),
    field(Number(ELB_STATUS), "elb_status_code", &["http.response.status_code"], "HTTP status that the load balancer answered"),
    field(Number(TARGET_STATUS), "target_status_code", &["aws.elb.backend.http.response.status_code"], "HTTP status that the target answered"),
    field(Number(RECEIVED_BYTES), "received_bytes", &["http.request.bytes"], "bytes received from the client, headers included"),
    field(Number(SENT_BYTES), "sent_bytes", &["http.response.bytes"], "bytes sent to the client, headers included"),
    field(Text(Slot::METHOD), "http_method", &["http.request.method"], "HTTP method"),
    field(Text(Slot::VERSION), "http_version", &["http.version"], "HTTP version, as `1.1`"),
    field(Url(Slot::URL), "url", &["url.original"], "URL as the client sent it"),
    field(Text(Slot::SCHEME), "url_scheme", &["url.scheme"], "scheme of the URL"),
    field(Text(Slot::HOST), "url_host", &["url.domain"], "host of the URL"),
    field(Number(Slot::URL_PORT), "url_port", &["url.port"], "port of the URL"),
    field(Text(Slot::PATH), "url_path", &["url.path"], "path of the URL"),
    field(Query(Slot::QUERY), "url_query", &["url.query"], "query of the URL, without the question mark"),
    field(Text(USER_AGENT), "user_agent", &["user_agent.original"], "user agent, cut at 8 KB"),
    field(NotUtf8(USER_AGENT), "user_agent_invalid_utf8", &["aws.elb.user_agent_invalid_utf8"], "`true` if the user agent is not UTF-8; the bytes that are not are U+FFFD in it"),
    field(Text(CIPHER), "ssl_cipher", &["aws.elb.ssl_cipher", "tls.cipher"], "TLS cipher"),
    field(Text(TLS_PROTOCOL), "ssl_protocol", &["aws.elb.ssl_protocol"], "TLS protocol, as `TLSv1.3`"),
    field(TlsName(TLS_PROTOCOL), "", &["tls.version_protocol"], "always `tls`"),
    field(TlsVersion(TLS_PROTOCOL), "", &["tls.version"], "TLS version, as `1.3`"),
    field(Text(TARGET_GROUP), "target_group_arn", &["aws.elb.target_group.arn"], "ARN of the target group"),
    field(Text(TRACE_ID), "trace_id", &["aws.elb.trace_id"], "the header X-Amzn-Trace-Id; a client can choose it"),
    field(Text(Slot::OWN[0]), "", &["trace.id"], "the value of `Root=` in the trace header"),
    since("2017", Text(DOMAIN), "domain_name", &["destination.domain"], "server name that the client asked for (SNI)"),
    since("2017", Text(CERT_ARN), "chosen_cert_arn", &["aws.elb.chosen_cert.arn"], "ARN of the certificate"),
    field(Flag(Slot::OWN[1]), "tls_resumed", &["tls.resumed"], "`true` if the TLS session was resumed, where the line has `session-reused` for the certificate"),
    since("2018-03", Number(RULE_PRIORITY), "matched_rule_priority", &["aws.elb.matched_rule_priority"], "priority of the rule that matched; 0 the default rule, -1 an error"),
    since("2018", Texts(ACTIONS, b','), "actions_executed", &["aws.elb.action_executed"], "what was done, as `waf`, `authenticate`, `forward`"),
    since("2018-07", Url(REDIRECT_URL), "redirect_url", &["aws.elb.redirect_url"], "where the client was redirected to"),
    since("2018-11", Text(ERROR_REASON), "error_reason", &["aws.elb.error.reason"], "code of the error, an open set"),
    since("2019-11", Texts(TARGET_LIST, b' '), "target_port_list", &["aws.elb.target_port"], "address and port of each target that was tried"),
    since("2019-11", Numbers(TARGET_STATUS_LIST, b' '), "target_status_code_list", &["aws.elb.target_status_code"], "status of each target that was tried"),
    since("2020-08", Text(CLASSIFICATION), "classification", &["aws.elb.classification"], "desync mitigation: `Acceptable`, `Ambiguous`, `Severe`"),
    since("2020-08", Text(CLASSIFICATION_REASON), "classification_reason", &["aws.elb.classification_reason"], "code of the reason, an open set"),
    since("2024-05", Text(CONN_TRACE_ID), "conn_trace_id", &["aws.elb.conn_trace_id"], "id of the connection, as in the connection log"),
    since("2025-08", Text(TRANSFORMED_HOST), "transformed_host", &["aws.elb.transformed_host"], "host after a rewrite"),
    since("2025-08", Url(TRANSFORMED_URI), "transformed_uri", &["aws.elb.transformed_uri"], "URI after a rewrite"),
    since("2025-08", Text(TRANSFORM_STATUS), "request_transform_status", &["aws.elb.request_transform_status"], "how the rewrite went, an open set"),
    since("2026-07", Text(NODE_IP), "ip_address", &["aws.elb.ip_address"], "address of the load balancer's node"),
    field(HttpOutcome(ELB_STATUS), "", &["event.outcome"], "`success` for a status below 400, else `failure`"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.elb.extra_fields"], "columns that AWS has added since, in order"),
];
