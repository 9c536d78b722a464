//! What a line says, before it has names: slices of the line in numbered slots.
//!
//! `-` and `"-"` are no value, and neither is `-1` in a time; an empty pair of quotes is a value. The rules that the
//! formats share for addresses, request lines and times are here.

use elbow_guest::Reject;
use elbow_guest::scan::Fields;

/// Where a value has its place. A format uses those that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is described, with its unit, in the table of the format that fills it")]
pub enum Slot {
    Line,
    Extra,
    Bucket,
    Key,
    Type,
    Time,
    CreationTime,
    Elb,
    Client,
    ClientIp,
    ClientPort,
    Target,
    TargetIp,
    TargetPort,
    RequestTime,
    TargetTime,
    ResponseTime,
    ElbStatus,
    TargetStatus,
    ReceivedBytes,
    SentBytes,
    /// The same as the bytes, on a listener that does not speak HTTP.
    TcpReceivedBytes,
    TcpSentBytes,
    /// And on one that does.
    HttpReceivedBytes,
    HttpSentBytes,
    Request,
    Method,
    Url,
    UrlScheme,
    UrlHost,
    UrlPort,
    UrlPath,
    UrlQuery,
    HttpVersion,
    UserAgent,
    Cipher,
    TlsProtocol,
    TlsName,
    TlsVersion,
    TargetGroup,
    TraceId,
    TraceRoot,
    Domain,
    CertArn,
    Resumed,
    RulePriority,
    Actions,
    RedirectUrl,
    ErrorReason,
    TargetList,
    TargetStatusList,
    Classification,
    ClassificationReason,
    ConnTraceId,
    TransformedHost,
    TransformedUri,
    TransformStatus,
    NodeIp,
    ListenerProtocol,
    Outcome,
}

/// How many slots there are.
const SLOTS: usize = Slot::Outcome as usize + 1;

/// The values of one line.
pub struct Values<'a> {
    slots: [Option<&'a [u8]>; SLOTS],
}

impl<'a> Values<'a> {
    /// No values but the line itself.
    pub fn new(line: &'a [u8]) -> Self {
        let mut values = Self { slots: [None; SLOTS] };
        values.set(Slot::Line, Some(line));
        values
    }

    /// The value in a slot.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&'a [u8]> {
        self.slots[slot as usize]
    }

    /// Puts a value into a slot.
    #[inline]
    pub fn set(&mut self, slot: Slot, value: Option<&'a [u8]>) {
        self.slots[slot as usize] = value;
    }

    /// A column as it is: `-` is no value.
    #[inline]
    pub fn plain(&mut self, slot: Slot, column: &'a [u8]) {
        self.set(slot, (column != b"-").then_some(column));
    }

    /// An HTTP status: `-` is no value.
    #[inline]
    pub fn status(&mut self, slot: Slot, column: &'a [u8]) -> Result<(), Reject> {
        match column {
            b"-" => Ok(()),
            digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                self.set(slot, Some(column));
                Ok(())
            }
            _ => Err(Reject::from("expected a status, as `200`, or `-`")),
        }
    }

    /// A duration in seconds: `-1` is no value.
    #[inline]
    pub fn seconds(&mut self, slot: Slot, column: &'a [u8]) {
        self.set(slot, (column != b"-1" && column != b"-").then_some(column));
    }

    /// `address:port`, parted at the last colon: an IPv6 address has no brackets around it.
    #[inline]
    pub fn endpoint(&mut self, slots: [Slot; 3], column: &'a [u8]) -> Result<(), Reject> {
        if column == b"-" {
            return Ok(());
        }
        let [whole, ip, port] = slots;
        let Some(colon) = memchr::memrchr(b':', column) else {
            return Err(Reject::from("expected an address and a port, as `192.0.2.10:51000`"));
        };
        self.set(whole, Some(column));
        self.set(ip, Some(&column[..colon]));
        self.set(port, Some(&column[colon + 1..]));
        Ok(())
    }

    /// A time: ISO 8601, in UTC.
    #[inline]
    pub fn time(&mut self, slot: Slot, column: &'a [u8]) -> Result<(), Reject> {
        if !is_timestamp(column) {
            return Err(Reject::from("expected a time, as `2026-10-05T08:15:30.120450Z`"));
        }
        self.set(slot, Some(column));
        Ok(())
    }

    /// A request line: `method url version`. The method ends at the first space, the version begins after the last if it
    /// is one, and what is between is the URL, raw spaces included. Each part may be `-`.
    pub fn request(&mut self, column: &'a [u8]) {
        let line = column.trim_ascii_end();
        self.set(Slot::Request, (line != b"- - -" && line != b"-").then_some(column));
        let Some((method, rest)) = split_at_byte(line, memchr::memchr(b' ', line)) else {
            // One word is the most that a client may have sent before the load balancer gave up: not a method for sure.
            return self.url(line);
        };
        self.plain(Slot::Method, method);
        let (url, version) = match split_at_byte(rest, memchr::memrchr(b' ', rest)) {
            Some((url, version)) if version.starts_with(b"HTTP/") => (url, Some(&version[b"HTTP/".len()..])),
            // ALB writes `- http://host:80- -`: the missing path as a `-` that clings to the port.
            Some((url, b"-")) => (url.strip_suffix(b"-").unwrap_or(url), None),
            _ => (rest, None),
        };
        self.set(Slot::HttpVersion, version);
        self.url(url);
    }

    fn url(&mut self, url: &'a [u8]) {
        let url = url.trim_ascii_end();
        if url.is_empty() || url == b"-" {
            return;
        }
        self.set(Slot::Url, Some(url));
        let after_authority = match memchr::memmem::find(url, b"://") {
            // Not the `://` in a query, say.
            Some(end) if url[..end].iter().all(u8::is_ascii_alphanumeric) => {
                self.set(Slot::UrlScheme, Some(&url[..end]));
                let rest = &url[end + b"://".len()..];
                let authority_end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
                let (authority, rest) = rest.split_at(authority_end.unwrap_or(rest.len()));
                self.authority(authority);
                rest
            }
            _ if url[0] == b'/' => url,
            // `CONNECT host:443`, `OPTIONS *`, or nonsense: the URL as a whole is all there is to say.
            _ => return,
        };
        let (before_fragment, _) = cut_at(after_authority, b'#');
        let (path, query) = cut_at(before_fragment, b'?');
        self.set(Slot::UrlPath, (!path.is_empty()).then_some(path));
        self.set(Slot::UrlQuery, query);
    }

    fn authority(&mut self, authority: &'a [u8]) {
        let port_colon = memchr::memrchr(b':', authority)
            .filter(|colon| !authority.ends_with(b"]") && *colon + 1 < authority.len())
            .filter(|colon| authority[colon + 1..].iter().all(u8::is_ascii_digit));
        let (host, port) = match split_at_byte(authority, port_colon) {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let unbracketed = host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]"));
        let host = unbracketed.unwrap_or(host);
        self.set(Slot::UrlHost, (!host.is_empty()).then_some(host));
        self.set(Slot::UrlPort, port);
    }

    /// A TLS protocol such as `TLSv1.3`, and its name and version on their own.
    pub fn tls_protocol(&mut self, column: &'a [u8]) {
        self.plain(Slot::TlsProtocol, column);
        if let Some(version) = column.strip_prefix(b"TLSv") {
            self.set(Slot::TlsName, Some(b"tls"));
            self.set(Slot::TlsVersion, Some(version));
        }
    }

    /// `success` for a status below 400, `failure` from there on.
    pub fn outcome(&mut self) {
        let outcome = self.get(Slot::ElbStatus).map(|status| match status {
            [b'1'..=b'3', _, _] => &b"success"[..],
            _ => &b"failure"[..],
        });
        self.set(Slot::Outcome, outcome);
    }
}

/// Hands the columns of a line to `parse`, each with its index in `names`, and answers what is behind the last that has a
/// name. An error names the column. `what` is the format in words, for a line that has too few columns.
#[inline]
pub fn columns<'a>(
    line: &'a [u8],
    names: &[&str],
    min: usize,
    what: &str,
    values: &mut Values<'a>,
    parse: impl Fn(usize, &'a [u8], &mut Values<'a>) -> Result<(), Reject>,
) -> Result<&'a [u8], Reject> {
    let mut fields = Fields::new(line);
    for (index, name) in names.iter().enumerate() {
        let Some(column) = fields.next() else {
            if index >= min {
                break;
            }
            return Err(Reject::from(format!("expected {what} line of at least {min} columns, found {index}")));
        };
        parse(index, column, values)
            .map_err(|Reject(reason)| Reject::from(format!("column {}, {name}: {reason}", index + 1)))?;
    }
    Ok(fields.rest())
}

/// `YYYY-MM-DDTHH:MM:SS` with any or no fraction, and `Z` or nothing after it.
#[inline]
pub fn is_timestamp(text: &[u8]) -> bool {
    const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
    let Some((seconds, rest)) = text.split_first_chunk::<19>() else {
        return false;
    };
    // Without a branch for each byte, which this would be for every line.
    let mismatches = seconds.iter().zip(SHAPE).fold(0, |sum, (byte, shape)| {
        sum | u8::from(if *shape == b'0' { !byte.is_ascii_digit() } else { byte != shape })
    });
    let fraction = rest.strip_suffix(b"Z").unwrap_or(rest);
    let fraction_is_right = match fraction {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    mismatches == 0 && fraction_is_right
}

/// The parts before and after the byte at this position, if there is one.
#[inline]
fn split_at_byte(text: &[u8], position: Option<usize>) -> Option<(&[u8], &[u8])> {
    position.map(|position| (&text[..position], &text[position + 1..]))
}

#[inline]
fn cut_at(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match split_at_byte(text, memchr::memchr(byte, text)) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, URL, scheme, host, port, path, query, version.
    fn request(line: &str) -> [Option<&str>; 8] {
        let mut values = Values::new(b"");
        values.request(line.as_bytes());
        [
            Slot::Method,
            Slot::Url,
            Slot::UrlScheme,
            Slot::UrlHost,
            Slot::UrlPort,
            Slot::UrlPath,
            Slot::UrlQuery,
            Slot::HttpVersion,
        ]
        .map(|slot| values.get(slot).map(|v| std::str::from_utf8(v).unwrap()))
    }

    #[test]
    fn a_request_line_is_parted_from_both_ends() {
        let host = |url, path, query| {
            [Some("GET"), Some(url), Some("http"), Some("www.example.com"), Some("80"), Some(path), query, Some("1.1")]
        };
        let url = "http://www.example.com:80/a b";
        assert_eq!(request(&format!("GET {url} HTTP/1.1")), host(url, "/a b", None));
        let url = "http://www.example.com:80/x HTTP/1.1";
        assert_eq!(request(&format!("GET {url} HTTP/1.1")), host(url, "/x HTTP/1.1", None));
        let url = "http://www.example.com:80/p?q=http://x/?y#z";
        assert_eq!(request(&format!("GET {url} HTTP/1.1")), host(url, "/p", Some("q=http://x/?y")));
    }

    #[test]
    fn a_dash_is_no_part_of_a_request() {
        assert_eq!(request("- - -"), [None; 8]);
        assert_eq!(request("- - - "), [None; 8]);
        assert_eq!(request("-"), [None; 8]);
        assert_eq!(
            request("- http://demo.example.com:80- -"),
            [
                None,
                Some("http://demo.example.com:80"),
                Some("http"),
                Some("demo.example.com"),
                Some("80"),
                None,
                None,
                None
            ]
        );
    }

    #[test]
    fn a_url_need_not_be_absolute() {
        assert_eq!(
            request("GET /a?b HTTP/2.0")[1..],
            [Some("/a?b"), None, None, None, Some("/a"), Some("b"), Some("2.0")]
        );
        assert_eq!(request("OPTIONS * HTTP/1.1")[1..], [Some("*"), None, None, None, None, None, Some("1.1")]);
        assert_eq!(
            request("GET https://[::ffff:c000:20a]:443/ HTTP/1.1")[3..6],
            [Some("::ffff:c000:20a"), Some("443"), Some("/")]
        );
        assert_eq!(request("GET https://[2001:db8::1]/ HTTP/1.1")[3..6], [Some("2001:db8::1"), None, Some("/")]);
    }

    #[test]
    fn a_timestamp_has_up_to_nine_digits_of_fraction() {
        for text in
            ["2026-10-05T08:15:30Z", "2026-10-05T08:15:30", "2026-10-05T08:15:30.1Z", "2026-10-05T08:15:30.123456789Z"]
        {
            assert!(is_timestamp(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "2026-10-05",
            "2026-10-05 08:15:30Z",
            "2026-10-05T08:15:30.Z",
            "2026-10-05T08:15:30.1234567890Z",
            "2026-10-05T08:15:30+01:00",
        ] {
            assert!(!is_timestamp(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn an_endpoint_is_parted_at_the_last_colon() {
        let mut values = Values::new(b"");
        values.endpoint([Slot::Client, Slot::ClientIp, Slot::ClientPort], b"2001:db8::10:51000").unwrap();
        assert_eq!(values.get(Slot::ClientIp), Some(&b"2001:db8::10"[..]));
        assert_eq!(values.get(Slot::ClientPort), Some(&b"51000"[..]));
        assert!(values.endpoint([Slot::Client, Slot::ClientIp, Slot::ClientPort], b"nowhere").is_err());
    }
}
