//! Access log of a Classic Load Balancer (AWS: "Access logs for your Classic Load Balancer").
//!
//! 15 columns, 12 in files from before May 2015. A listener for TCP or SSL writes `-` for both statuses, and that is the
//! only way to tell it from one for HTTP. Bytes are those of the body for HTTP, and all for TCP.

use elbow_guest::Reject;

use crate::program::Source::{Columns, Number, Text, Time};
use crate::program::{Output, field};
use crate::values::{Slot, Values, columns};

/// What the format is, for people.
pub const SUMMARY: &str = "access log of a Classic Load Balancer";

/// The fewest columns that a line may have.
const MIN_COLUMNS: usize = 12;

/// The columns in their order, by the names of AWS's documentation.
const COLUMNS: [&str; 15] = [
    "timestamp",
    "elb",
    "client:port",
    "backend:port",
    "request_processing_time",
    "backend_processing_time",
    "response_processing_time",
    "elb_status_code",
    "backend_status_code",
    "received_bytes",
    "sent_bytes",
    "request",
    "user_agent",
    "ssl_cipher",
    "ssl_protocol",
];

/// Splits a line into values.
pub fn parse<'a>(line: &'a [u8], values: &mut Values<'a>) -> Result<(), Reject> {
    let extra = columns(line, &COLUMNS, MIN_COLUMNS, "a classic ELB", values, parse_column)?;
    values.set(Slot::Extra, (!extra.is_empty()).then_some(extra));
    listener(values);
    values.outcome();
    Ok(())
}

#[inline]
fn parse_column<'a>(index: usize, column: &'a [u8], values: &mut Values<'a>) -> Result<(), Reject> {
    match index {
        0 => values.time(Slot::Time, column)?,
        1 => values.plain(Slot::Elb, column),
        2 => values.endpoint([Slot::Client, Slot::ClientIp, Slot::ClientPort], column)?,
        3 => values.endpoint([Slot::Target, Slot::TargetIp, Slot::TargetPort], column)?,
        4 => values.seconds(Slot::RequestTime, column),
        5 => values.seconds(Slot::TargetTime, column),
        6 => values.seconds(Slot::ResponseTime, column),
        7 => values.status(Slot::ElbStatus, column)?,
        8 => values.status(Slot::TargetStatus, column)?,
        9 => values.plain(Slot::ReceivedBytes, column),
        10 => values.plain(Slot::SentBytes, column),
        11 => values.request(column),
        12 => values.plain(Slot::UserAgent, column),
        13 => values.plain(Slot::Cipher, column),
        _ => values.tls_protocol(column),
    }
    Ok(())
}

/// The kind of listener decides what the bytes are: of the body, or of the connection.
fn listener(values: &mut Values<'_>) {
    let is_tcp = values.get(Slot::ElbStatus).is_none() && values.get(Slot::TargetStatus).is_none();
    values.set(Slot::ListenerProtocol, Some(if is_tcp { b"tcp" } else { b"http" }));
    if is_tcp {
        values.set(Slot::TcpReceivedBytes, values.get(Slot::ReceivedBytes));
        values.set(Slot::TcpSentBytes, values.get(Slot::SentBytes));
    } else {
        values.set(Slot::HttpReceivedBytes, values.get(Slot::ReceivedBytes));
        values.set(Slot::HttpSentBytes, values.get(Slot::SentBytes));
    }
}

/// The fields of the output, in their order.
#[rustfmt::skip]
pub const FIELDS: &[Output] = &[
    field(Time(Slot::Time), "@timestamp", &["@timestamp", "event.end"], "when the load balancer received the request"),
    field(Text(Slot::Elb), "elb", &["aws.elb.name"], "name of the load balancer"),
    field(Text(Slot::ListenerProtocol), "", &["aws.elb.protocol"], "`http`, or `tcp` for a TCP or SSL listener"),
    field(Text(Slot::ClientIp), "client_ip", &["source.address", "source.ip"], "client's address"),
    field(Number(Slot::ClientPort), "client_port", &["source.port"], "client's port"),
    field(Number(Slot::TcpReceivedBytes), "", &["source.bytes"], "bytes received from the client, TCP and SSL listeners only"),
    field(Text(Slot::TargetIp), "backend_ip", &["aws.elb.backend.ip"], "address of the instance"),
    field(Number(Slot::TargetPort), "backend_port", &["aws.elb.backend.port"], "port of the instance"),
    field(Number(Slot::TcpSentBytes), "", &["destination.bytes"], "bytes sent to the client, TCP and SSL listeners only"),
    field(Number(Slot::RequestTime), "request_processing_time", &["aws.elb.request_processing_time.sec"], "seconds from receiving the request to sending it to the instance"),
    field(Number(Slot::TargetTime), "backend_processing_time", &["aws.elb.backend_processing_time.sec"], "seconds from sending the request to the first byte of the response"),
    field(Number(Slot::ResponseTime), "response_processing_time", &["aws.elb.response_processing_time.sec"], "seconds from the response's first byte to sending it to the client"),
    field(Number(Slot::ElbStatus), "elb_status_code", &["http.response.status_code"], "HTTP status that the load balancer answered"),
    field(Number(Slot::TargetStatus), "backend_status_code", &["aws.elb.backend.http.response.status_code"], "HTTP status that the instance answered"),
    field(Number(Slot::ReceivedBytes), "received_bytes", &[], "bytes received from the client: of the body for HTTP, all for TCP"),
    field(Number(Slot::SentBytes), "sent_bytes", &[], "bytes sent to the client: of the body for HTTP, all for TCP"),
    field(Number(Slot::HttpReceivedBytes), "", &["http.request.body.bytes"], "bytes of the request's body"),
    field(Number(Slot::HttpSentBytes), "", &["http.response.body.bytes"], "bytes of the response's body"),
    field(Text(Slot::Method), "http_method", &["http.request.method"], "HTTP method"),
    field(Text(Slot::Url), "url", &["url.original"], "URL as the client sent it"),
    field(Text(Slot::HttpVersion), "http_version", &["http.version"], "HTTP version, as `1.1`"),
    field(Text(Slot::UrlScheme), "url_scheme", &["url.scheme"], "scheme of the URL"),
    field(Text(Slot::UrlHost), "url_host", &["url.domain"], "host of the URL"),
    field(Number(Slot::UrlPort), "url_port", &["url.port"], "port of the URL"),
    field(Text(Slot::UrlPath), "url_path", &["url.path"], "path of the URL"),
    field(Text(Slot::UrlQuery), "url_query", &["url.query"], "query of the URL, without the question mark"),
    field(Text(Slot::UserAgent), "user_agent", &["user_agent.original"], "user agent"),
    field(Text(Slot::Cipher), "ssl_cipher", &["aws.elb.ssl_cipher", "tls.cipher"], "TLS cipher, by OpenSSL's name"),
    field(Text(Slot::TlsProtocol), "ssl_protocol", &["aws.elb.ssl_protocol"], "TLS protocol, as `TLSv1.2`"),
    field(Text(Slot::TlsName), "", &["tls.version_protocol"], "always `tls`"),
    field(Text(Slot::TlsVersion), "", &["tls.version"], "TLS version, as `1.2`"),
    field(Text(Slot::Outcome), "", &["event.outcome"], "`success` for a status below 400, else `failure`"),
    field(Columns(Slot::Extra), "extra_fields", &["aws.elb.extra_fields"], "columns that AWS has added since, in order"),
];
