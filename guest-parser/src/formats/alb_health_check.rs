//! Health check log of an Application Load Balancer, new in November 2025 (AWS: "Health check logs for your Application Load
//! Balancer").
//!
//! A line begins as one of the access log does: only the key of the object, or the third column, which is a number here,
//! tells them apart. Elastic has no names for it yet; those in `ecs` are elbow's.

use elbow_guest::Reject;
use elbow_guest::scan::{Span, Syntax};

use crate::source::Source::{Choice, Columns, Number, Seconds, Text, Time};
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::values::{Slot, Values};

/// The format.
pub const TABLE: Table = Table {
    what: "an ALB health check",
    summary: "health check log of an Application Load Balancer",
    syntax: Syntax::SPACES,
    encoding: Encoding::Backslash,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 8,
    fields: FIELDS,
    parts,
    has_zones: true,
    category: "network",
    ecs_prefix: "aws.elb",
    original: None,
};

const COLUMNS: [&str; 10] = [
    "type",
    "time",
    "latency",
    "target_addr",
    "target_group_id",
    "status",
    "status_code",
    "reason_code",
    "elb",
    "ip_address",
];

const TYPE: Slot = Slot::column(0);
const TIME: Slot = Slot::column(1);
const LATENCY: Slot = Slot::column(2);
const TARGET: Slot = Slot::column(3);
const GROUP: Slot = Slot::column(4);
const STATUS: Slot = Slot::column(5);
const STATUS_CODE: Slot = Slot::column(6);
const REASON: Slot = Slot::column(7);
const ELB: Slot = Slot::column(8);
const NODE_IP: Slot = Slot::column(9);

fn parts(batch: &[u8], values: &mut Values) -> Result<(), Reject> {
    // An access line has the load balancer here.
    if values.get(LATENCY).of(batch).contains(&b'/') {
        return Err(Reject::from("column 3, latency: expected a number of seconds"));
    }
    // `address:port`, or the ARN of a Lambda function, which has colons too.
    let target = values.get(TARGET);
    values.set(Slot::IP[0], Span::NONE);
    values.set(Slot::PORT[0], Span::NONE);
    values.set(Slot::OWN[0], target);
    if !target.is_none() && values.endpoint(batch, TARGET, 0, "").is_ok() {
        let address = std::str::from_utf8(values.get(Slot::IP[0]).of(batch)).unwrap_or_default();
        match address.parse::<std::net::IpAddr>() {
            Ok(_) => values.set(Slot::OWN[0], Span::NONE),
            Err(_) => {
                values.set(Slot::IP[0], Span::NONE);
                values.set(Slot::PORT[0], Span::NONE);
            }
        }
    }
    Ok(())
}

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(Time(TIME), "@timestamp", &["@timestamp"], "when the check ended"),
    field(Text(TYPE), "type", &["aws.elb.type"], "protocol of the check, as `http`"),
    field(Seconds(LATENCY), "latency", &["aws.elb.health_check.latency.sec"], "seconds that the check took"),
    field(Text(Slot::IP[0]), "target_ip", &["aws.elb.backend.ip"], "target's address"),
    field(Number(Slot::PORT[0]), "target_port", &["aws.elb.backend.port"], "target's port"),
    field(Text(Slot::OWN[0]), "target_addr", &["aws.elb.backend.address"], "target, if it is no address and port: the ARN of a function"),
    field(Text(GROUP), "target_group_id", &["aws.elb.target_group.id"], "target group, as `name/id`"),
    field(Text(STATUS), "status", &["aws.elb.health_check.status"], "`PASS` or `FAIL`"),
    field(Choice(STATUS, "PASS", "success", "failure"), "", &["event.outcome"], "`success` for `PASS`, else `failure`"),
    field(Number(STATUS_CODE), "status_code", &["http.response.status_code"], "HTTP status that the target answered"),
    field(Text(REASON), "reason_code", &["event.reason"], "why the check failed, an open set"),
    since("2026", Text(ELB), "elb", &["aws.elb.name"], "load balancer, as `app/name/id`"),
    since("2026", Text(NODE_IP), "ip_address", &["aws.elb.ip_address"], "address of the load balancer's node"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.elb.extra_fields"], "columns that AWS has added since, in order"),
];
