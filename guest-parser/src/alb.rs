//! Access log of an Application Load Balancer (AWS: "Access logs for your Application Load Balancer").
//!
//! AWS appends columns without notice: 18 at the launch in 2016, 34 in autumn 2026, 36 seen once. A line may have any
//! count from 18; what stands behind the last column that is known here is kept, in order. While a column is being
//! prepared, a single `-` may already stand at the end of a line: that one means nothing.
//!
//! Bytes include the headers, unlike those of a Classic Load Balancer. A quote in a quoted column is written as `\x22`,
//! and each byte outside of printable ASCII as `\xHH`.

use elbow_guest::Reject;

use crate::program::Source::{Columns, Flag, Number, Numbers, Text, Texts, Time};
use crate::program::{Output, field};
use crate::values::{Slot, Values, columns};

/// What the format is, for people.
pub const SUMMARY: &str = "access log of an Application Load Balancer";

/// The fewest columns that a line may have.
const MIN_COLUMNS: usize = 18;

/// The columns in their order, by the names of AWS's documentation.
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

/// Splits a line into values.
pub fn parse<'a>(line: &'a [u8], values: &mut Values<'a>) -> Result<(), Reject> {
    let extra = columns(line, &COLUMNS, MIN_COLUMNS, "an ALB", values, parse_column)?;
    values.set(Slot::Extra, (!extra.is_empty() && extra.trim_ascii_end() != b"-").then_some(extra));
    values.set(Slot::ListenerProtocol, Some(b"http"));
    values.outcome();
    Ok(())
}

#[inline]
fn parse_column<'a>(index: usize, column: &'a [u8], values: &mut Values<'a>) -> Result<(), Reject> {
    match index {
        0 => values.plain(Slot::Type, column),
        1 => values.time(Slot::Time, column)?,
        2 if !column.contains(&b'/') => {
            // A health check line has a latency here, and is otherwise easily taken for an access line.
            return Err(Reject::from("expected `app/name/id`"));
        }
        2 => values.plain(Slot::Elb, column),
        3 => values.endpoint([Slot::Client, Slot::ClientIp, Slot::ClientPort], column)?,
        4 => values.endpoint([Slot::Target, Slot::TargetIp, Slot::TargetPort], column)?,
        5 => values.seconds(Slot::RequestTime, column),
        6 => values.seconds(Slot::TargetTime, column),
        7 => values.seconds(Slot::ResponseTime, column),
        8 => values.status(Slot::ElbStatus, column)?,
        9 => values.status(Slot::TargetStatus, column)?,
        10 => values.plain(Slot::ReceivedBytes, column),
        11 => values.plain(Slot::SentBytes, column),
        12 => values.request(column),
        13 => values.plain(Slot::UserAgent, column),
        14 => values.plain(Slot::Cipher, column),
        15 => values.tls_protocol(column),
        16 => values.plain(Slot::TargetGroup, column),
        17 => trace_id(column, values),
        18 => values.plain(Slot::Domain, column),
        19 if column == b"session-reused" => values.set(Slot::Resumed, Some(column)),
        19 => values.plain(Slot::CertArn, column),
        20 => values.plain(Slot::RulePriority, column),
        21 if column == b"-" => {}
        21 => values.time(Slot::CreationTime, column)?,
        22 => values.plain(Slot::Actions, column),
        23 => values.plain(Slot::RedirectUrl, column),
        24 => values.plain(Slot::ErrorReason, column),
        25 => values.plain(Slot::TargetList, column),
        26 => values.plain(Slot::TargetStatusList, column),
        27 => values.plain(Slot::Classification, column),
        28 => values.plain(Slot::ClassificationReason, column),
        29 => values.plain(Slot::ConnTraceId, column),
        30 => values.plain(Slot::TransformedHost, column),
        31 => values.plain(Slot::TransformedUri, column),
        32 => values.plain(Slot::TransformStatus, column),
        _ => values.plain(Slot::NodeIp, column),
    }
    Ok(())
}

/// The whole header `X-Amzn-Trace-Id`, which the client may have sent, and the value of `Root=` in it.
fn trace_id<'a>(column: &'a [u8], values: &mut Values<'a>) {
    values.plain(Slot::TraceId, column);
    let root = column.split(|b| *b == b';').find_map(|part| part.strip_prefix(b"Root="));
    values.set(Slot::TraceRoot, root.filter(|root| !root.is_empty()));
}

/// The fields of the output, in their order.
#[rustfmt::skip]
pub const FIELDS: &[Output] = &[
    field(Time(Slot::Time), "@timestamp", &["@timestamp", "event.end"], "when the response was generated, or a WebSocket closed"),
    field(Time(Slot::CreationTime), "request_creation_time", &["event.start"], "when the load balancer received the request"),
    field(Text(Slot::Type), "type", &["aws.elb.type"], "kind of request: `http`, `https`, `h2`, `grpcs`, `ws`, `wss`, or one that AWS adds"),
    field(Text(Slot::Elb), "elb", &["aws.elb.name"], "load balancer, as `app/name/id`"),
    field(Text(Slot::ListenerProtocol), "", &["aws.elb.protocol"], "always `http`"),
    field(Text(Slot::ClientIp), "client_ip", &["source.address", "source.ip"], "client's address"),
    field(Number(Slot::ClientPort), "client_port", &["source.port"], "client's port"),
    field(Text(Slot::TargetIp), "target_ip", &["aws.elb.backend.ip"], "target's address"),
    field(Number(Slot::TargetPort), "target_port", &["aws.elb.backend.port"], "target's port"),
    field(Number(Slot::RequestTime), "request_processing_time", &["aws.elb.request_processing_time.sec"], "seconds from receiving the request to sending it to the target"),
    field(Number(Slot::TargetTime), "target_processing_time", &["aws.elb.backend_processing_time.sec"], "seconds from sending the request to the first byte of the response"),
    field(Number(Slot::ResponseTime), "response_processing_time", &["aws.elb.response_processing_time.sec"], "seconds from the response's first byte to sending it to the client"),
    field(Number(Slot::ElbStatus), "elb_status_code", &["http.response.status_code"], "HTTP status that the load balancer answered"),
    field(Number(Slot::TargetStatus), "target_status_code", &["aws.elb.backend.http.response.status_code"], "HTTP status that the target answered"),
    field(Number(Slot::ReceivedBytes), "received_bytes", &["http.request.bytes"], "bytes received from the client, headers included"),
    field(Number(Slot::SentBytes), "sent_bytes", &["http.response.bytes"], "bytes sent to the client, headers included"),
    field(Text(Slot::Method), "http_method", &["http.request.method"], "HTTP method"),
    field(Text(Slot::HttpVersion), "http_version", &["http.version"], "HTTP version, as `1.1`"),
    field(Text(Slot::Url), "url", &["url.original"], "URL as the client sent it"),
    field(Text(Slot::UrlScheme), "url_scheme", &["url.scheme"], "scheme of the URL"),
    field(Text(Slot::UrlHost), "url_host", &["url.domain"], "host of the URL"),
    field(Number(Slot::UrlPort), "url_port", &["url.port"], "port of the URL"),
    field(Text(Slot::UrlPath), "url_path", &["url.path"], "path of the URL"),
    field(Text(Slot::UrlQuery), "url_query", &["url.query"], "query of the URL, without the question mark"),
    field(Text(Slot::UserAgent), "user_agent", &["user_agent.original"], "user agent, cut at 8 KB"),
    field(Text(Slot::Cipher), "ssl_cipher", &["aws.elb.ssl_cipher", "tls.cipher"], "TLS cipher"),
    field(Text(Slot::TlsProtocol), "ssl_protocol", &["aws.elb.ssl_protocol"], "TLS protocol, as `TLSv1.3`"),
    field(Text(Slot::TlsName), "", &["tls.version_protocol"], "always `tls`"),
    field(Text(Slot::TlsVersion), "", &["tls.version"], "TLS version, as `1.3`"),
    field(Text(Slot::TargetGroup), "target_group_arn", &["aws.elb.target_group.arn"], "ARN of the target group"),
    field(Text(Slot::TraceId), "trace_id", &["aws.elb.trace_id"], "the header X-Amzn-Trace-Id; a client can choose it"),
    field(Text(Slot::TraceRoot), "", &["trace.id"], "the value of `Root=` in the trace header"),
    field(Text(Slot::Domain), "domain_name", &["destination.domain"], "server name that the client asked for (SNI)"),
    field(Text(Slot::CertArn), "chosen_cert_arn", &["aws.elb.chosen_cert.arn"], "ARN of the certificate"),
    field(Flag(Slot::Resumed), "tls_resumed", &["tls.resumed"], "`true` if the TLS session was resumed, where the line has `session-reused` for the certificate"),
    field(Number(Slot::RulePriority), "matched_rule_priority", &["aws.elb.matched_rule_priority"], "priority of the rule that matched; 0 the default rule, -1 an error"),
    field(Texts(Slot::Actions, b','), "actions_executed", &["aws.elb.action_executed"], "what was done, as `waf`, `authenticate`, `forward`"),
    field(Text(Slot::RedirectUrl), "redirect_url", &["aws.elb.redirect_url"], "where the client was redirected to"),
    field(Text(Slot::ErrorReason), "error_reason", &["aws.elb.error.reason"], "code of the error, an open set"),
    field(Texts(Slot::TargetList, b' '), "target_port_list", &["aws.elb.target_port"], "address and port of each target that was tried"),
    field(Numbers(Slot::TargetStatusList, b' '), "target_status_code_list", &["aws.elb.target_status_code"], "status of each target that was tried"),
    field(Text(Slot::Classification), "classification", &["aws.elb.classification"], "desync mitigation: `Acceptable`, `Ambiguous`, `Severe`"),
    field(Text(Slot::ClassificationReason), "classification_reason", &["aws.elb.classification_reason"], "code of the reason, an open set"),
    field(Text(Slot::ConnTraceId), "conn_trace_id", &["aws.elb.conn_trace_id"], "id of the connection, as in the connection log"),
    field(Text(Slot::TransformedHost), "transformed_host", &["aws.elb.transformed_host"], "host after a rewrite"),
    field(Text(Slot::TransformedUri), "transformed_uri", &["aws.elb.transformed_uri"], "URI after a rewrite"),
    field(Text(Slot::TransformStatus), "request_transform_status", &["aws.elb.request_transform_status"], "how the rewrite went, an open set"),
    field(Text(Slot::NodeIp), "ip_address", &["aws.elb.ip_address"], "address of the load balancer's node"),
    field(Text(Slot::Outcome), "", &["event.outcome"], "`success` for a status below 400, else `failure`"),
    field(Columns(Slot::Extra), "extra_fields", &["aws.elb.extra_fields"], "columns that AWS has added since, in order"),
];
