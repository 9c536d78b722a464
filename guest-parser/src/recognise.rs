//! Which format an object has.
//!
//! By its key, where the key is one that AWS writes: health-check and access lines look alike, so the content alone would
//! not do. Any other key (a copy, a local file, standard input) leaves the first line to decide.

use elbow_guest::scan::{Fields, Syntax};
use elbow_guest::{Framing, Header, Object, Plan};

use crate::formats::{
    alb, alb_connection, alb_health_check, classic_elb, cloudfront, cloudtrail, nlb, s3_access, s3_access_json,
    test_file, vpc_flow, waf,
};
use crate::header::{self, BYTE_ORDER_MARK};
use crate::table::{self, Table};
use crate::times::is_whole_timestamp as is_timestamp;

/// The formats that this mapping reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Access log of a Classic Load Balancer.
    ClassicElb,
    /// Access log of an Application Load Balancer.
    Alb,
    /// Connection log of an Application Load Balancer.
    AlbConnection,
    /// Health check log of an Application Load Balancer.
    AlbHealthCheck,
    /// Access log of a Network Load Balancer.
    Nlb,
    /// Standard log of CloudFront.
    CloudFront,
    /// Server access log of S3.
    S3Access,
    /// Flow log of a VPC.
    VpcFlow,
    /// Log of a web ACL.
    Waf,
    /// Events of CloudTrail.
    CloudTrail,
    /// The object by which a load balancer tests its permission to write.
    TestFile,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ClassicElb,
        Self::Alb,
        Self::AlbConnection,
        Self::AlbHealthCheck,
        Self::Nlb,
        Self::CloudFront,
        Self::S3Access,
        Self::VpcFlow,
        Self::Waf,
        Self::CloudTrail,
        Self::TestFile,
    ];

    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClassicElb => "classic-elb",
            Self::Alb => "alb",
            Self::AlbConnection => "alb-connection",
            Self::AlbHealthCheck => "alb-health-check",
            Self::Nlb => "nlb",
            Self::CloudFront => "cloudfront",
            Self::S3Access => "s3-access",
            Self::VpcFlow => "vpc-flow",
            Self::Waf => "waf",
            Self::CloudTrail => "cloudtrail",
            Self::TestFile => "elb-test-file",
        }
    }

    /// The format with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its columns and fields.
    pub fn table(self) -> &'static Table {
        match self {
            Self::ClassicElb => &classic_elb::TABLE,
            Self::Alb => &alb::TABLE,
            Self::AlbConnection => &alb_connection::TABLE,
            Self::AlbHealthCheck => &alb_health_check::TABLE,
            Self::Nlb => &nlb::TABLE,
            Self::CloudFront => &cloudfront::TABLE,
            Self::S3Access => &s3_access::TABLE,
            Self::VpcFlow => &vpc_flow::TABLE,
            Self::Waf => &waf::TABLE,
            Self::CloudTrail => &cloudtrail::TABLE,
            Self::TestFile => &test_file::TABLE,
        }
    }
}

/// The format of the object with this key and these first bytes. An error names what was found instead.
pub fn recognise(key: &str, head: &[u8]) -> Result<Kind, String> {
    if head.starts_with(b"PAR1") {
        return Err("it is a Parquet file, which this mapping does not read: have the logs delivered as text".into());
    }
    if let Some(kind) = by_key(key) {
        return Ok(kind);
    }
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let Some(line) =
        head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).find(|line| !line.is_empty())
    else {
        // Nothing to map, so nothing that could be mapped wrongly.
        return Ok(Kind::ClassicElb);
    };
    let named = if line.starts_with(b"#") { by_header(head) } else { None };
    named.or_else(|| by_line(line)).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!(
            "neither the key nor the first line is that of a log that this mapping reads; \
             if the object is one, set `format` to one of {}",
            names.join(", ")
        )
    })
}

/// Keys as AWS writes them. `{account}_elasticloadbalancing_{region}_…` says the kind in what follows: `app.` and `net.` with
/// two more dots, or the bare name of a Classic Load Balancer, which itself has no dot. Prefixes mark the logs that are not
/// access logs; AWS's pages have `conn_log.`, its objects `conn_log_`.
fn by_key(key: &str) -> Option<Kind> {
    let file = key.rsplit('/').next().unwrap_or(key);
    if file.starts_with("ELB") && file.ends_with("LogTestFile") {
        return Some(Kind::TestFile);
    }
    if let Some((account, rest)) = file.split_once("_elasticloadbalancing_") {
        let (_region, name) = rest.split_once('_')?;
        return Some(if account.starts_with("conn_log") {
            Kind::AlbConnection
        } else if account.starts_with("health_check_log") {
            Kind::AlbHealthCheck
        } else if name.starts_with("net.") {
            Kind::Nlb
        } else if name.starts_with("app.") {
            Kind::Alb
        } else {
            Kind::ClassicElb
        });
    }
    for (infix, kind) in [("_vpcflowlogs_", Kind::VpcFlow), ("_waflogs_", Kind::Waf), ("_CloudTrail", Kind::CloudTrail)]
    {
        if is_after_account(file, infix) {
            return Some(kind);
        }
    }
    if file.starts_with("aws-waf-logs-") {
        return Some(Kind::Waf);
    }
    if is_cloudfront(file) {
        return Some(Kind::CloudFront);
    }
    is_s3_access(file).then_some(Kind::S3Access)
}

/// W3C's header, by the names of columns: the format that knows most of them.
fn by_header(head: &[u8]) -> Option<Kind> {
    let names = head.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"#Fields:"))?;
    let names: Vec<&str> = Fields::new(names).filter_map(|name| std::str::from_utf8(name.trim_ascii()).ok()).collect();
    let known = |kind: &Kind| names.iter().filter(|name| header::known_column(kind.table(), name).is_some()).count();
    // Of several, the last: CloudFront.
    let kinds = [Kind::AlbConnection, Kind::AlbHealthCheck, Kind::Nlb, Kind::Alb, Kind::CloudFront];
    kinds.into_iter().max_by_key(known).filter(|kind| known(kind) > 0)
}

/// JSON, by the names of members that only one format has. The record may be cut off.
fn by_members(json: &[u8]) -> Option<Kind> {
    let json = json.to_ascii_lowercase();
    let has = |name: &str| memchr::memmem::find(&json, format!("\"{name}\"").to_ascii_lowercase().as_bytes()).is_some();
    let marks = [
        (has("webaclId"), Kind::Waf),
        (has("Records") || has("digestStartTime") || has("eventVersion") && has("eventTime"), Kind::CloudTrail),
        (has("x-edge-location"), Kind::CloudFront),
        (has("target_group_id"), Kind::AlbHealthCheck),
        (has("listener_port"), Kind::AlbConnection),
        (has("tls_handshake_time"), Kind::Nlb),
        (has("schema_version_id"), Kind::S3Access),
        (has("elb") && ["client:port", "client_port", "request", "request_line"].into_iter().any(has), Kind::Alb),
    ];
    marks.into_iter().find(|(is_so, _)| *is_so).map(|(_, kind)| kind)
}

/// The line of the object by which a load balancer tests its permission to write.
pub fn is_test_line(line: &[u8]) -> bool {
    line.starts_with(b"Enable ") && line.windows(3).any(|word| word == b"ELB")
}

/// What an object's records are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Lines of columns.
    #[default]
    Lines,
    /// JSON objects.
    Json,
    /// Nothing that becomes an event.
    Nothing,
}

/// How an object is read.
#[derive(Default)]
pub struct Found {
    /// What its records are like.
    pub shape: Shape,
    /// Its table, if it is not that of its format.
    pub table: Option<&'static Table>,
}

/// How an object of a format is read, by its first bytes.
pub fn shape(kind: Kind, object: &Object) -> Found {
    let head = object.head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&object.head);
    let is_json = matches!(head.trim_ascii_start(), [b'{' | b'[', ..]);
    let found = |shape| Found { shape, ..Found::default() };
    match kind {
        Kind::TestFile => found(Shape::Nothing),
        Kind::CloudTrail if is_digest(object) => found(Shape::Nothing),
        Kind::Waf | Kind::CloudTrail => found(Shape::Json),
        Kind::S3Access if is_json => Found { table: Some(&s3_access_json::TABLE), ..found(Shape::Json) },
        _ if is_json => found(Shape::Json),
        _ => found(Shape::Lines),
    }
}

/// What parts the columns of an object of so many, as its first record tells: a tab or a space, whichever gives as many; else a
/// tab, if it gives half as many at least.
pub fn separator(head: &[u8], syntax: Syntax, columns: usize) -> u8 {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let record = lines.find(|line| !line.starts_with(b"#") && !line.is_empty()).unwrap_or_default();
    let count = |separator: u8| Fields::with(record, Syntax { separator, ..syntax }).count();
    match (count(b'\t'), count(b' ')) {
        (..=1, ..=1) => syntax.separator,
        (..=1, _) => b' ',
        (_, ..=1) => b'\t',
        (tabs, _) if tabs == columns => b'\t',
        (_, spaces) if spaces == columns => b' ',
        (tabs, _) if tabs * 2 >= columns => b'\t',
        _ => b' ',
    }
}

/// A digest of CloudTrail: one signed object, without records.
fn is_digest(object: &Object) -> bool {
    let has = |name: &[u8]| memchr::memmem::find(&object.head, name).is_some();
    object.key.contains("CloudTrail-Digest") || (has(b"\"digestStartTime\"") && !has(b"\"Records\""))
}

/// How a record of a Classic Load Balancer begins, which may have a line break in its user agent.
const CLASSIC_ELB_TIME: &str = "0000-00-00T00:00:00";

/// How an object of a format is cut into records.
pub fn plan(kind: Kind, object: &Object, has_configured_columns: bool) -> Plan {
    let head = object.head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&object.head);
    let (framing, header) = match (shape(kind, object).shape, kind) {
        (Shape::Json, Kind::CloudTrail) => match head.trim_ascii_start() {
            [b'[', ..] => (Framing::JsonArray(String::new()), Header::None),
            _ if memchr::memmem::find(head, b"\"Records\"").is_some() || head.is_empty() => {
                (Framing::JsonArray("Records".into()), Header::None)
            }
            _ => (Framing::JsonValues, Header::None),
        },
        (Shape::Json, _) => (Framing::JsonValues, Header::None),
        (Shape::Nothing, Kind::CloudTrail) => (Framing::JsonValues, Header::None),
        (Shape::Nothing, _) => (Framing::Lines, Header::None),
        (Shape::Lines, _) if head.starts_with(b"#") && has_configured_columns && !header::is_w3c(head) => {
            (Framing::Lines, Header::Prefix("#".into()))
        }
        (Shape::Lines, _) if head.starts_with(b"#") => (Framing::Lines, Header::W3c),
        (Shape::Lines, Kind::ClassicElb) => (Framing::LinesFrom(CLASSIC_ELB_TIME.into()), Header::None),
        (Shape::Lines, _) => match kind.table().header {
            table::Header::FirstLine if !has_configured_columns => {
                let names = kind.table().columns.iter().map(|name| (*name).to_owned());
                (Framing::Lines, Header::FirstLine(names.collect()))
            }
            _ => (Framing::Lines, Header::None),
        },
    };
    Plan { format: kind.name().into(), framing, header }
}

/// `{account}{infix}...`
fn is_after_account(file: &str, infix: &str) -> bool {
    file.split_once(infix)
        .is_some_and(|(account, _)| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
}

/// `E0EXAMPLE00000.2026-10-05-08.a1b2c3d4.gz`
fn is_cloudfront(file: &str) -> bool {
    let mut parts = file.split('.');
    let (Some(distribution), Some(hour), Some(_unique)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let is_distribution = distribution.len() >= 10
        && distribution.starts_with('E')
        && distribution.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    is_distribution && has_shape(hour, "0000-00-00-00")
}

/// `2026-10-05-08-20-11-0123456789ABCDEF`, perhaps behind a prefix without a slash.
fn is_s3_access(file: &str) -> bool {
    let Some(at) = file.len().checked_sub("0000-00-00-00-00-00-0123456789ABCDEF".len()) else { return false };
    let Some((time, unique)) = file.get(at..).and_then(|end| end.split_at_checked(20)) else { return false };
    has_shape(time, "0000-00-00-00-00-00-") && unique.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}

/// Whether a text is this, with any digits in place of its zeros.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(b, s)| if s == b'0' { b.is_ascii_digit() } else { b == s })
}

fn by_line(line: &[u8]) -> Option<Kind> {
    if line.starts_with(b"#Version:") || line.starts_with(b"#Fields:") {
        return Some(Kind::CloudFront);
    }
    if is_test_line(line) {
        return Some(Kind::TestFile);
    }
    if matches!(line.trim_ascii_start(), [b'{' | b'[', ..]) {
        return by_members(line);
    }
    let fields: Vec<&[u8]> = Fields::new(line).take(5).collect();
    let [first, second, third, ..] = fields[..] else { return None };
    let is_number = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    let names = vpc_flow::TABLE.columns;
    // Most, not all: AWS adds columns.
    let known = Fields::new(line).filter(|field| names.iter().any(|name| name.as_bytes() == *field)).count();
    if known * 2 > Fields::new(line).count() {
        return Some(Kind::VpcFlow);
    }
    if is_timestamp(first) && third.contains(&b':') {
        return Some(Kind::ClassicElb);
    }
    if is_timestamp(first) && is_number(third) && fields.get(3).is_some_and(|port| is_number(port)) {
        return Some(Kind::AlbConnection);
    }
    if first == b"tls" && matches!(second, b"1.0" | b"2.0") {
        return Some(Kind::Nlb);
    }
    if first.len() == 64 && first.iter().all(u8::is_ascii_hexdigit) && third.starts_with(b"[") {
        return Some(Kind::S3Access);
    }
    if is_timestamp(second) && third.starts_with(b"app/") {
        return Some(Kind::Alb);
    }
    let is_check = fields.len() == 5 && matches!(Fields::new(line).nth(5), Some(b"PASS" | b"FAIL"));
    (is_timestamp(second) && is_check).then_some(Kind::AlbHealthCheck)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "pre/fix/AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/10/05/";

    fn of_key(file: &str) -> Result<Kind, String> {
        recognise(&format!("{PREFIX}{file}"), b"")
    }

    #[test]
    fn a_key_that_aws_writes_decides() {
        let alb = "111122223333_elasticloadbalancing_us-east-1_app.demo-alb.0123456789abcdef_20261005T0820Z_203.0.113.7_1a2b3c4d.log.gz";
        let classic =
            "111122223333_elasticloadbalancing_us-east-1_network-lb_20261005T0820Z_203.000.113.007_1a2b3c4d.log";
        assert_eq!(of_key(alb), Ok(Kind::Alb));
        assert_eq!(of_key(classic), Ok(Kind::ClassicElb));
        assert_eq!(of_key("ELBAccessLogTestFile"), Ok(Kind::TestFile));
    }

    #[test]
    fn keys_of_every_format_are_known() {
        for (key, kind) in [
            (
                "conn_log_111122223333_elasticloadbalancing_us-east-1_app.a.0123456789abcdef_x.log.gz",
                Kind::AlbConnection,
            ),
            (
                "conn_log.111122223333_elasticloadbalancing_us-east-1_app.a.0123456789abcdef_x.log.gz",
                Kind::AlbConnection,
            ),
            ("health_check_log_111122223333_elasticloadbalancing_us-east-1_app.a.0_x.log.gz", Kind::AlbHealthCheck),
            ("111122223333_elasticloadbalancing_us-east-1_net.a.0123456789abcdef_20261005T0820Z_1a.log.gz", Kind::Nlb),
            ("111122223333_vpcflowlogs_us-east-1_fl-00000000000000001_20261005T0815Z_a1b2c3d4.log.gz", Kind::VpcFlow),
            ("E0EXAMPLE00000.2026-10-05-08.a1b2c3d4.gz", Kind::CloudFront),
            ("2026-10-05-08-20-11-0123456789ABCDEF", Kind::S3Access),
            ("s3logs2026-10-05-08-20-11-0123456789ABCDEF", Kind::S3Access),
        ] {
            assert_eq!(of_key(key), Ok(kind), "{key}");
        }
    }

    #[test]
    fn what_parts_columns_is_seen_in_the_first_record() {
        for (record, columns, expected) in [
            ("a\tb c\td", 3, b'\t'),
            ("a b c", 3, b' '),
            // A tab within a text does not part columns, nor do the spaces of a short or a long record.
            ("a \"b\tc\" d e\tf", 4, b' '),
            ("a\tb\t\"c d e f g\" h i", 4, b'\t'),
            ("a b\tc d e f g h", 9, b' '),
            // Nothing is said.
            ("a", 3, b' '),
            ("", 3, b' '),
        ] {
            let head = format!("#Fields: x\n\r\n{record}\n");
            let found = separator(head.as_bytes(), Syntax::SPACES, columns);
            assert_eq!(found, expected, "{record:?}");
        }
        assert_eq!(separator(b"#Fields: x\n", Syntax::TABS, 3), b'\t');
    }

    #[test]
    fn without_such_a_key_the_first_line_decides() {
        let classic = b"\r\n2026-10-05T08:15:30.120450Z demo-clb 192.0.2.10:51000 - ";
        let alb = b"\xEF\xBB\xBFh2 2026-10-05T08:15:30.120450Z app/demo-alb/0123 192.0.2.10:51000 ";
        let health = b"http 2026-10-05T08:15:30.120450Z 0.003 192.0.2.10:80 tg/0 PASS 200 -";
        assert_eq!(recognise("x.log", classic), Ok(Kind::ClassicElb));
        assert_eq!(recognise("-", alb), Ok(Kind::Alb));
        assert_eq!(recognise("-", health), Ok(Kind::AlbHealthCheck));
        assert_eq!(recognise("-", b"#Version: 1.0\n#Fields: date time\n"), Ok(Kind::CloudFront));
        assert_eq!(recognise("-", b"#Version: 1.0\n#Fields: time client:port request\r\n"), Ok(Kind::Alb));
        assert_eq!(recognise("-", b"\xEF\xBB\xBF#Fields: time listener TLS_HANDSHAKE_TIME\n"), Ok(Kind::Nlb));
        assert_eq!(recognise("-", b"version srcaddr dstaddr new-column\n"), Ok(Kind::VpcFlow));
        assert!(recognise("-", b"\0\xFF\n").unwrap_err().contains("set `format`"));
        assert!(recognise("-", b"PAR1\x15\x04").unwrap_err().contains("Parquet"));
        assert!(recognise("empty", b"").is_ok());
    }
}
