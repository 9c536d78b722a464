//! Access log of a Network Load Balancer's TLS listeners (AWS: "Access logs for your Network Load Balancer").
//!
//! Times are in milliseconds, unlike those of the other load balancers, and timestamps have no zone: they are in UTC. 18
//! columns in version 1.0 of 2019, 22 today.

use elbow_guest::Reject;
use elbow_guest::scan::{Span, Syntax};

use crate::search::find;
use crate::source::Source::{
    Columns, Flag, Nanoseconds, Number, OptionalTime, Parted, Text, TextIn, Time, TlsName, TlsVersion,
};
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::times::is_timestamp;
use crate::values::{Slot, Values, without_dash};

/// The format.
pub const TABLE: Table = Table {
    what: "an NLB",
    summary: "access log of a Network Load Balancer's TLS listeners",
    syntax: Syntax { escape: b'%', ..Syntax::SPACES },
    encoding: Encoding::Plain,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 18,
    fields: FIELDS,
    parts,
    has_zones: false,
    category: "network",
    ecs_prefix: "aws.elb",
    original: None,
};

const COLUMNS: [&str; 22] = [
    "type",
    "version",
    "time",
    "elb",
    "listener",
    "client:port",
    "destination:port",
    "connection_time",
    "tls_handshake_time",
    "received_bytes",
    "sent_bytes",
    "incoming_tls_alert",
    "chosen_cert_arn",
    "chosen_cert_serial",
    "tls_cipher",
    "tls_protocol_version",
    "tls_named_group",
    "domain_name",
    "alpn_fe_protocol",
    "alpn_be_protocol",
    "alpn_client_preference_list",
    "tls_connection_creation_time",
];

const TYPE: Slot = Slot::column(0);
const VERSION: Slot = Slot::column(1);
const TIME: Slot = Slot::column(2);
const ELB: Slot = Slot::column(3);
const LISTENER: Slot = Slot::column(4);
const CLIENT: Slot = Slot::column(5);
const DESTINATION: Slot = Slot::column(6);
const CONNECTION_TIME: Slot = Slot::column(7);
const HANDSHAKE_TIME: Slot = Slot::column(8);
const RECEIVED_BYTES: Slot = Slot::column(9);
const SENT_BYTES: Slot = Slot::column(10);
const ALERT: Slot = Slot::column(11);
const CERT_ARN: Slot = Slot::column(12);
const CERT_SERIAL: Slot = Slot::column(13);
const CIPHER: Slot = Slot::column(14);
const PROTOCOL: Slot = Slot::column(15);
const NAMED_GROUP: Slot = Slot::column(16);
const DOMAIN: Slot = Slot::column(17);
const ALPN_FRONT: Slot = Slot::column(18);
const ALPN_BACK: Slot = Slot::column(19);
const ALPN_LIST: Slot = Slot::column(20);
const CREATION_TIME: Slot = Slot::column(21);

/// The time, also where it clings to the list.
const TIME_OF_CREATION: Slot = Slot::OWN[0];
/// The list, if it was cut.
const CUT_LIST: Slot = Slot::OWN[1];

fn parts(batch: &[u8], values: &mut Values) -> Result<(), Reject> {
    values.endpoint(batch, CLIENT, 0, "column 6, client:port")?;
    values.endpoint(batch, DESTINATION, 1, "column 7, destination:port")?;
    let (list, cut, behind) = alpn_list(batch, values.get(ALPN_LIST));
    let time = if behind.is_none() { values.get(CREATION_TIME) } else { without_dash(batch, behind) };
    values.set(ALPN_LIST, list);
    values.set(CUT_LIST, cut);
    values.set(TIME_OF_CREATION, time);
    Ok(())
}

/// A list of protocols without the quotes around it; the same again if it was cut; and the column that clings to it then, a time
/// or `-`. AWS cuts the list at 256 bytes, and its last quote with it. The list itself is URL-encoded, and has no space.
fn alpn_list(batch: &[u8], list: Span) -> (Span, Span, Span) {
    let text = list.of(batch);
    // In a record of JSON it has its own quotes.
    if let [b'"', .., b'"'] = text {
        return (Span { start: list.start + 1, len: list.len - 2 }, Span::NONE, Span::NONE);
    }
    let (mut whole, mut behind) = (list, Span::NONE);
    if !list.is_none()
        && let Some(space) = find(batch, list.start as usize, list.end(), b' ')
    {
        let end = find(batch, space + 1, list.end(), b' ').unwrap_or(list.end());
        let word = Span::between(space + 1, end);
        if word.of(batch) == b"-" || is_timestamp(batch, word) {
            (whole, behind) = (Span::between(list.start as usize, space), word);
        }
    }
    let text = whole.of(batch);
    let items = text.strip_suffix(b"\",\"").or(text.strip_suffix(b"\",")).or(text.strip_suffix(b"\"")).unwrap_or(text);
    let kept = if list.is_none() { list } else { Span { len: items.len() as u32, ..whole } };
    let is_cut = kept != list;
    (kept, if is_cut { kept } else { Span::NONE }, behind)
}

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(Time(TIME), "@timestamp", &["@timestamp", "event.end"], "when the connection ended"),
    since("2023", OptionalTime(TIME_OF_CREATION), "tls_connection_creation_time", &["event.start"], "when the connection began"),
    field(Text(TYPE), "type", &["aws.elb.type"], "always `tls`"),
    field(Text(VERSION), "version", &["aws.elb.log_version"], "version of the log, `1.0` or `2.0`"),
    field(Text(ELB), "elb", &["aws.elb.name"], "load balancer, as `net/name/id`"),
    field(Text(LISTENER), "listener", &["aws.elb.listener"], "id of the listener"),
    field(Text(Slot::IP[0]), "client_ip", &["source.address", "source.ip"], "client's address"),
    field(Number(Slot::PORT[0]), "client_port", &["source.port"], "client's port"),
    field(Text(Slot::IP[1]), "destination_ip", &["aws.elb.backend.ip"], "address of the listener, or of the VPC endpoint"),
    field(Number(Slot::PORT[1]), "destination_port", &["aws.elb.backend.port"], "port of the listener, or of the VPC endpoint"),
    field(Number(CONNECTION_TIME), "connection_time", &["aws.elb.connection_time.ms"], "milliseconds from the connection's start to its end"),
    field(Nanoseconds(CONNECTION_TIME, 6), "", &["event.duration"], "nanoseconds from the connection's start to its end"),
    field(Number(HANDSHAKE_TIME), "tls_handshake_time", &["aws.elb.tls_handshake_time.ms"], "milliseconds of the TLS handshake"),
    field(Number(RECEIVED_BYTES), "received_bytes", &["source.bytes"], "bytes received from the client, after decryption"),
    field(Number(SENT_BYTES), "sent_bytes", &["destination.bytes"], "bytes sent to the client, before encryption"),
    field(Number(ALERT), "incoming_tls_alert", &["aws.elb.incoming_tls_alert"], "TLS alert from the client, by its number"),
    field(Text(CERT_ARN), "chosen_cert_arn", &["aws.elb.chosen_cert.arn"], "ARN of the certificate"),
    field(Text(CERT_SERIAL), "chosen_cert_serial", &["aws.elb.chosen_cert.serial"], "reserved by AWS"),
    field(Text(CIPHER), "tls_cipher", &["aws.elb.ssl_cipher", "tls.cipher"], "TLS cipher, by OpenSSL's name"),
    field(Text(PROTOCOL), "tls_protocol_version", &["aws.elb.ssl_protocol"], "TLS protocol, as `tlsv13`"),
    field(TlsName(PROTOCOL), "", &["tls.version_protocol"], "always `tls`"),
    field(TlsVersion(PROTOCOL), "", &["tls.version"], "TLS version, as `1.3`"),
    field(Text(NAMED_GROUP), "tls_named_group", &["aws.elb.ssl_named_group"], "named group of the key exchange"),
    field(TextIn(DOMAIN, Encoding::Percent), "domain_name", &["destination.domain"], "server name that the client asked for (SNI)"),
    since("2020", Text(ALPN_FRONT), "alpn_fe_protocol", &["aws.elb.alpn_fe_protocol"], "protocol negotiated with the client, as `h2`"),
    since("2020", Text(ALPN_BACK), "alpn_be_protocol", &["aws.elb.alpn_be_protocol"], "protocol negotiated with the target"),
    since("2020", Parted(ALPN_LIST, "\",\"", Encoding::Percent), "alpn_client_preference_list", &["aws.elb.alpn_client_preference_list"], "protocols that the client offered, cut at 256 bytes"),
    since("2020", Flag(CUT_LIST), "alpn_client_preference_list_truncated", &["aws.elb.alpn_client_preference_list_truncated"], "`true`, if AWS has cut the list"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.elb.extra_fields"], "columns that AWS has added since, in order"),
];
