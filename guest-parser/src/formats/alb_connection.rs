//! Connection log of an Application Load Balancer (AWS: "Connection logs for your Application Load Balancer").
//!
//! A line for each connection; the access log's lines of that connection have the same `conn_trace_id`. 11 columns in 2023,
//! 15 in 2026. On a listener without TLS, the columns of TLS are `-`.

use elbow_guest::Reject;
use elbow_guest::scan::{Span, Syntax};

use crate::search::find;
use crate::source::Source::{Columns, Number, OptionalTime, Text, Time, TlsName, TlsVersion};
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::values::{Slot, Values};

/// The format.
pub const TABLE: Table = Table {
    what: "an ALB connection",
    summary: "connection log of an Application Load Balancer",
    syntax: Syntax::SPACES,
    encoding: Encoding::Backslash,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 11,
    fields: FIELDS,
    parts,
    has_zones: true,
    category: "network",
    ecs_prefix: "aws.elb",
    original: None,
};

const COLUMNS: [&str; 15] = [
    "timestamp",
    "client_ip",
    "client_port",
    "listener_port",
    "tls_protocol",
    "tls_cipher",
    "tls_handshake_latency",
    "leaf_client_cert_subject",
    "leaf_client_cert_validity",
    "leaf_client_cert_serial_number",
    "tls_verify_status",
    "conn_trace_id",
    "tls_keyexchange",
    "elb",
    "ip_address",
];

const TIME: Slot = Slot::column(0);
const CLIENT_IP: Slot = Slot::column(1);
const CLIENT_PORT: Slot = Slot::column(2);
const LISTENER_PORT: Slot = Slot::column(3);
const PROTOCOL: Slot = Slot::column(4);
const CIPHER: Slot = Slot::column(5);
const LATENCY: Slot = Slot::column(6);
const SUBJECT: Slot = Slot::column(7);
const VALIDITY: Slot = Slot::column(8);
const SERIAL: Slot = Slot::column(9);
const VERIFY: Slot = Slot::column(10);
const CONN_TRACE_ID: Slot = Slot::column(11);
const KEY_EXCHANGE: Slot = Slot::column(12);
const ELB: Slot = Slot::column(13);
const NODE_IP: Slot = Slot::column(14);

fn parts(batch: &[u8], values: &mut Values) -> Result<(), Reject> {
    let port = values.get(CLIENT_PORT);
    if !port.of(batch).iter().all(u8::is_ascii_digit) {
        return Err(Reject::from("column 3, client_port: expected a number"));
    }
    let validity = values.get(VALIDITY);
    let (mut not_before, mut not_after) = (Span::NONE, Span::NONE);
    if !validity.is_none() {
        let semicolon = find(batch, validity.start as usize, validity.end(), b';').unwrap_or(validity.end());
        not_before = behind(batch, Span::between(validity.start as usize, semicolon), b"NotBefore=");
        not_after = behind(batch, Span::between((semicolon + 1).min(validity.end()), validity.end()), b"NotAfter=");
    }
    // `Success`, or `Failed:ClientCertExpired`.
    let verify = values.get(VERIFY);
    let (mut status, mut code) = (verify, Span::NONE);
    if !verify.is_none()
        && let Some(colon) = find(batch, verify.start as usize, verify.end(), b':')
    {
        status = Span::between(verify.start as usize, colon);
        code = Span::between(colon + 1, verify.end());
    }
    for (slot, value) in Slot::OWN.into_iter().zip([not_before, not_after, status, code]) {
        values.set(slot, value);
    }
    Ok(())
}

/// What follows a word, if the part begins with it.
fn behind(batch: &[u8], part: Span, word: &[u8]) -> Span {
    match part.of(batch).starts_with(word) {
        true => Span::between(part.start as usize + word.len(), part.end()),
        false => Span::NONE,
    }
}

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(Time(TIME), "@timestamp", &["@timestamp"], "when the connection was established, or failed to be"),
    field(Text(CLIENT_IP), "client_ip", &["client.ip", "client.address", "source.address", "source.ip"], "client's address"),
    field(Number(CLIENT_PORT), "client_port", &["client.port", "source.port"], "client's port"),
    field(Number(LISTENER_PORT), "listener_port", &["aws.elb.listener_port", "destination.port"], "port of the listener"),
    field(Text(PROTOCOL), "tls_protocol", &["aws.elb.ssl_protocol"], "TLS protocol, as `TLSv1.3`"),
    field(TlsName(PROTOCOL), "", &["tls.version_protocol"], "always `tls`"),
    field(TlsVersion(PROTOCOL), "", &["tls.version"], "TLS version, as `1.3`"),
    field(Text(CIPHER), "tls_cipher", &["tls.cipher"], "TLS cipher"),
    field(Number(LATENCY), "tls_handshake_latency", &["aws.elb.tls_handshake_latency"], "seconds from the start of the handshake to its end"),
    field(Text(SUBJECT), "leaf_client_cert_subject", &["aws.elb.leaf_client_cert_subject"], "subject of the client's certificate"),
    field(OptionalTime(Slot::OWN[0]), "leaf_client_cert_validity_not_before", &["aws.elb.leaf_client_cert_not_before"], "from when the client's certificate is valid"),
    field(OptionalTime(Slot::OWN[1]), "leaf_client_cert_validity_not_after", &["aws.elb.leaf_client_cert_not_after"], "until when the client's certificate is valid"),
    field(Text(SERIAL), "leaf_client_cert_serial_number", &["aws.elb.leaf_client_cert_serial_number"], "serial number of the client's certificate, hexadecimal"),
    field(Text(VERIFY), "tls_verify_status", &[], "`Success`, or `Failed:` and the code of the reason, an open set"),
    field(Text(Slot::OWN[2]), "", &["aws.elb.tls_verify_status"], "`Success` or `Failed`"),
    field(Text(Slot::OWN[3]), "", &["aws.elb.tls_error_code"], "why the client's certificate was refused, an open set"),
    since("2024-05", Text(CONN_TRACE_ID), "conn_trace_id", &["aws.elb.conn_trace_id"], "id of the connection, as in the access log"),
    since("2026", Text(KEY_EXCHANGE), "tls_keyexchange", &["aws.elb.tls_keyexchange"], "named group of the key exchange"),
    since("2026", Text(ELB), "elb", &["aws.elb.name"], "load balancer, as `app/name/id`"),
    since("2026", Text(NODE_IP), "ip_address", &["aws.elb.ip_address"], "address of the load balancer's node"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.elb.extra_fields"], "columns that AWS has added since, in order"),
];
