//! Which format an object has.
//!
//! By its key, where the key is one that AWS writes: health-check and access lines look alike, so the content alone would
//! not do. Any other key (a copy, a local file, standard input) leaves the first line to decide.

use elbow_guest::scan::Fields;

use crate::values::is_timestamp;

/// The formats that this mapping reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Access log of a Classic Load Balancer.
    ClassicElb,
    /// Access log of an Application Load Balancer.
    Alb,
    /// The object by which a load balancer tests its permission to write.
    TestFile,
}

/// What the format `elb-test-file` is, for people.
pub const TEST_FILE_SUMMARY: &str =
    "ELBAccessLogTestFile, by which a load balancer tests its permission to write; its lines are dropped";

impl Kind {
    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Kind::ClassicElb => "classic-elb",
            Kind::Alb => "alb",
            Kind::TestFile => "elb-test-file",
        }
    }
}

/// The format of the object with this key and these first bytes. An error names what was found instead.
pub fn recognise(key: &str, head: &[u8]) -> Result<Kind, String> {
    if let Some(by_key) = by_key(key) {
        return by_key;
    }
    let Some(line) =
        head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).find(|line| !line.is_empty())
    else {
        // Nothing to map, so nothing that could be mapped wrongly.
        return Ok(Kind::ClassicElb);
    };
    by_line(line).ok_or_else(|| {
        "neither the key nor the first line is that of a log that this mapping reads; \
         if the object is one, set `format` to \"classic-elb\" or \"alb\""
            .into()
    })
}

/// `{account}_elasticloadbalancing_{region}_…` says the kind in what follows: `app.` and `net.` with two more dots, or
/// the bare name of a Classic Load Balancer, which itself has no dot. Prefixes mark the logs that are not access logs.
fn by_key(key: &str) -> Option<Result<Kind, String>> {
    let file = key.rsplit('/').next().unwrap_or(key);
    if file.starts_with("ELB") && file.ends_with("LogTestFile") {
        return Some(Ok(Kind::TestFile));
    }
    let (account, rest) = file.split_once("_elasticloadbalancing_")?;
    let (_region, name) = rest.split_once('_')?;
    let unsupported = if account.starts_with("conn_log") {
        "ALB connection log"
    } else if account.starts_with("health_check_log") {
        "ALB health check log"
    } else if name.starts_with("net.") {
        "NLB access log"
    } else if name.starts_with("app.") {
        return Some(Ok(Kind::Alb));
    } else {
        return Some(Ok(Kind::ClassicElb));
    };
    Some(Err(format!("by its key this is an {unsupported}, which this mapping does not read")))
}

fn by_line(line: &[u8]) -> Option<Kind> {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    let mut fields = Fields::new(line);
    let (first, second, third) = (fields.next()?, fields.next()?, fields.next()?);
    let is_endpoint = |field: &[u8]| field.contains(&b':');
    if is_timestamp(first) && is_endpoint(third) {
        return Some(Kind::ClassicElb);
    }
    (is_timestamp(second) && third.starts_with(b"app/")).then_some(Kind::Alb)
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
    fn a_log_of_another_kind_is_named() {
        for (file, kind) in [
            ("conn_log_111122223333_elasticloadbalancing_us-east-1_app.a.0123456789abcdef_x.log.gz", "connection"),
            ("health_check_log_111122223333_elasticloadbalancing_us-east-1_app.a.0_x.log.gz", "health check"),
            ("111122223333_elasticloadbalancing_us-east-1_net.a.0123456789abcdef_x.log.gz", "NLB"),
        ] {
            let error = of_key(file).unwrap_err();
            assert!(error.contains(kind), "{error}");
        }
    }

    #[test]
    fn without_such_a_key_the_first_line_decides() {
        let classic = b"\r\n2026-10-05T08:15:30.120450Z demo-clb 192.0.2.10:51000 - ";
        let alb = b"\xEF\xBB\xBFh2 2026-10-05T08:15:30.120450Z app/demo-alb/0123 192.0.2.10:51000 ";
        let health = b"http 2026-10-05T08:15:30.120450Z 0.003 192.0.2.10:80 tg/0 PASS";
        assert_eq!(recognise("x.log", classic), Ok(Kind::ClassicElb));
        assert_eq!(recognise("-", alb), Ok(Kind::Alb));
        assert!(recognise("-", health).unwrap_err().contains("set `format`"));
        assert!(recognise("-", b"\0\xFF\n").is_err());
        assert!(recognise("empty", b"").is_ok());
    }
}
