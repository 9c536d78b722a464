//! Access log of a Classic Load Balancer (AWS: "Access logs for your Classic Load Balancer").
//!
//! 15 columns, 12 in files from before May 2015. A listener for TCP or SSL writes `-` for both statuses, and that is the
//! only way to tell it from one for HTTP. Bytes are those of the body for HTTP, and all for TCP. Nothing is escaped, and a user
//! agent may have line breaks, which the host hands over as `\x0A`.

use elbow_guest::Reject;
use elbow_guest::scan::{Span, Syntax};

use crate::source::Source::{
    Columns, HttpOutcome, ListenerProtocol, NotUtf8, Number, Query, Seconds, Text, Time, TlsName, TlsVersion, Url,
};
use crate::styles::Original;
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::values::{Slot, Values};

/// The format.
pub const TABLE: Table = Table {
    what: "a classic ELB",
    summary: "access log of a Classic Load Balancer",
    syntax: Syntax::SPACES,
    encoding: Encoding::Backslash,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 12,
    fields: FIELDS,
    parts,
    has_zones: true,
    category: "web",
    ecs_prefix: "aws.elb",
    original: Some(Original {
        time: TIME,
        elb: ELB,
        client: CLIENT,
        backend: BACKEND,
        times: [REQUEST_TIME, BACKEND_TIME, RESPONSE_TIME],
        statuses: [ELB_STATUS, BACKEND_STATUS],
        bytes: [RECEIVED_BYTES, SENT_BYTES],
        user_agent: USER_AGENT,
    }),
};

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

const TIME: Slot = Slot::column(0);
const ELB: Slot = Slot::column(1);
const CLIENT: Slot = Slot::column(2);
const BACKEND: Slot = Slot::column(3);
const REQUEST_TIME: Slot = Slot::column(4);
const BACKEND_TIME: Slot = Slot::column(5);
const RESPONSE_TIME: Slot = Slot::column(6);
const ELB_STATUS: Slot = Slot::column(7);
const BACKEND_STATUS: Slot = Slot::column(8);
const RECEIVED_BYTES: Slot = Slot::column(9);
const SENT_BYTES: Slot = Slot::column(10);
const REQUEST: Slot = Slot::column(11);
const USER_AGENT: Slot = Slot::column(12);
const CIPHER: Slot = Slot::column(13);
const TLS_PROTOCOL: Slot = Slot::column(14);

fn parts(batch: &[u8], values: &mut Values) -> Result<(), Reject> {
    values.endpoint(batch, CLIENT, 0, "column 3, client:port")?;
    values.endpoint(batch, BACKEND, 1, "column 4, backend:port")?;
    values.request(batch, REQUEST);
    // The kind of listener decides what the bytes are: of the body, or of the connection.
    let is_tcp = values.get(ELB_STATUS).is_none() && values.get(BACKEND_STATUS).is_none();
    let bytes = [values.get(RECEIVED_BYTES), values.get(SENT_BYTES)];
    let none = [Span::NONE; 2];
    let [tcp, http] = if is_tcp { [bytes, none] } else { [none, bytes] };
    for (slot, value) in Slot::OWN.into_iter().zip(tcp.into_iter().chain(http)) {
        values.set(slot, value);
    }
    Ok(())
}

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(Time(TIME), "@timestamp", &["@timestamp", "event.end"], "when the load balancer received the request"),
    field(Text(ELB), "elb", &["aws.elb.name"], "name of the load balancer"),
    field(ListenerProtocol(ELB_STATUS, BACKEND_STATUS), "", &["aws.elb.protocol"], "`http`, or `tcp` for a TCP or SSL listener"),
    field(Text(Slot::IP[0]), "client_ip", &["source.address", "source.ip"], "client's address"),
    field(Number(Slot::PORT[0]), "client_port", &["source.port"], "client's port"),
    field(Number(Slot::OWN[0]), "", &["source.bytes"], "bytes received from the client, TCP and SSL listeners only"),
    field(Text(Slot::IP[1]), "backend_ip", &["aws.elb.backend.ip"], "address of the instance"),
    field(Number(Slot::PORT[1]), "backend_port", &["aws.elb.backend.port"], "port of the instance"),
    field(Number(Slot::OWN[1]), "", &["destination.bytes"], "bytes sent to the client, TCP and SSL listeners only"),
    field(Seconds(REQUEST_TIME), "request_processing_time", &["aws.elb.request_processing_time.sec"], "seconds from receiving the request to sending it to the instance"),
    field(Seconds(BACKEND_TIME), "backend_processing_time", &["aws.elb.backend_processing_time.sec"], "seconds from sending the request to the first byte of the response"),
    field(Seconds(RESPONSE_TIME), "response_processing_time", &["aws.elb.response_processing_time.sec"], "seconds from the response's first byte to sending it to the client"),
    field(Number(ELB_STATUS), "elb_status_code", &["http.response.status_code"], "HTTP status that the load balancer answered"),
    field(Number(BACKEND_STATUS), "backend_status_code", &["aws.elb.backend.http.response.status_code"], "HTTP status that the instance answered"),
    field(Number(RECEIVED_BYTES), "received_bytes", &[], "bytes received from the client: of the body for HTTP, all for TCP"),
    field(Number(SENT_BYTES), "sent_bytes", &[], "bytes sent to the client: of the body for HTTP, all for TCP"),
    field(Number(Slot::OWN[2]), "", &["http.request.body.bytes"], "bytes of the request's body"),
    field(Number(Slot::OWN[3]), "", &["http.response.body.bytes"], "bytes of the response's body"),
    field(Text(Slot::METHOD), "http_method", &["http.request.method"], "HTTP method"),
    field(Url(Slot::URL), "url", &["url.original"], "URL as the client sent it"),
    field(Text(Slot::VERSION), "http_version", &["http.version"], "HTTP version, as `1.1`"),
    field(Text(Slot::SCHEME), "url_scheme", &["url.scheme"], "scheme of the URL"),
    field(Text(Slot::HOST), "url_host", &["url.domain"], "host of the URL"),
    field(Number(Slot::URL_PORT), "url_port", &["url.port"], "port of the URL"),
    field(Text(Slot::PATH), "url_path", &["url.path"], "path of the URL"),
    field(Query(Slot::QUERY), "url_query", &["url.query"], "query of the URL, without the question mark"),
    since("2015-05", Text(USER_AGENT), "user_agent", &["user_agent.original"], "user agent"),
    field(NotUtf8(USER_AGENT), "user_agent_invalid_utf8", &["aws.elb.user_agent_invalid_utf8"], "`true` if the user agent is not UTF-8; the bytes that are not are U+FFFD in it"),
    since("2015-05", Text(CIPHER), "ssl_cipher", &["aws.elb.ssl_cipher", "tls.cipher"], "TLS cipher, by OpenSSL's name"),
    since("2015-05", Text(TLS_PROTOCOL), "ssl_protocol", &["aws.elb.ssl_protocol"], "TLS protocol, as `TLSv1.2`"),
    since("2015-05", TlsName(TLS_PROTOCOL), "", &["tls.version_protocol"], "always `tls`"),
    since("2015-05", TlsVersion(TLS_PROTOCOL), "", &["tls.version"], "TLS version, as `1.2`"),
    field(HttpOutcome(ELB_STATUS), "", &["event.outcome"], "`success` for a status below 400, else `failure`"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.elb.extra_fields"], "columns that AWS has added since, in order"),
];
