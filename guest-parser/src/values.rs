//! What a line says, before it has names: parts of the batch in numbered slots.
//!
//! Slot *n* is the line's column *n*, counted from 0 in the order of AWS's documentation; behind the columns come the parts
//! that are found within them: the address and the port of `address:port`, the parts of a request line. Nothing is copied or
//! converted here. `-` and `"-"` are no value; an empty pair of quotes is one.

use elbow_guest::Reject;
use elbow_guest::scan::{Line, Span};

use crate::search::{are_digits, begins, find, find_any, rfind};

/// Where a value has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u8);

/// How many slots there are: for the columns of the widest format, for those of a header that no table knows, and for parts.
pub const SLOTS: usize = 128;

/// Where the parts begin.
const PARTS: u8 = 109;

impl Slot {
    /// The first slot that no column can have.
    pub const FIRST_PART: usize = PARTS as usize;

    /// A column, counted from 0.
    pub const fn column(index: usize) -> Self {
        assert!(index < PARTS as usize, "so many columns have no place");
        Self(index as u8)
    }

    /// The line.
    pub const LINE: Self = Self(PARTS);
    /// What stands behind the last column that has a name.
    pub const EXTRA: Self = Self(PARTS + 1);
    /// The address in the first `address:port`, and its port.
    pub const IP: [Self; 2] = [Self(PARTS + 2), Self(PARTS + 4)];
    /// The port in an `address:port`.
    pub const PORT: [Self; 2] = [Self(PARTS + 3), Self(PARTS + 5)];
    /// HTTP method.
    pub const METHOD: Self = Self(PARTS + 6);
    /// URL, as the client sent it.
    pub const URL: Self = Self(PARTS + 7);
    /// Scheme of the URL.
    pub const SCHEME: Self = Self(PARTS + 8);
    /// Host of the URL, without brackets.
    pub const HOST: Self = Self(PARTS + 9);
    /// Port of the URL.
    pub const URL_PORT: Self = Self(PARTS + 10);
    /// Path of the URL.
    pub const PATH: Self = Self(PARTS + 11);
    /// Query of the URL, without the question mark.
    pub const QUERY: Self = Self(PARTS + 12);
    /// HTTP version, as `1.1`.
    pub const VERSION: Self = Self(PARTS + 13);
    /// Set where a line has fewer columns than its file's header.
    pub const SHORT: Self = Self(PARTS + 14);
    /// For what a format finds within its own columns.
    pub const OWN: [Self; 4] = [Self(PARTS + 15), Self(PARTS + 16), Self(PARTS + 17), Self(PARTS + 18)];
}

/// The values of one line. Used for one line after the other.
pub struct Values {
    spans: [Span; SLOTS],
}

impl Default for Values {
    fn default() -> Self {
        Self { spans: [Span::NONE; SLOTS] }
    }
}

impl Values {
    /// Takes the columns of a line, of which the format knows so many, and answers how many there are.
    #[inline(always)]
    pub fn take(&mut self, line: &Line<'_>, known: usize) -> usize {
        let count = line.columns(&mut self.spans[..known]);
        if count < known {
            self.spans[count..known].fill(Span::NONE);
        }
        self.set(Slot::LINE, line.span());
        count
    }

    /// Takes the columns of a line whose file has them in an order of its own: each goes to the slot that `order` says, the
    /// same for all lines.
    pub fn take_in_order(&mut self, line: &Line<'_>, order: &[Slot]) -> usize {
        let mut found = [Span::NONE; SLOTS];
        let count = line.columns(&mut found[..order.len().min(SLOTS)]);
        for (span, slot) in found.iter().zip(order) {
            self.set(*slot, *span);
        }
        self.set(Slot::LINE, line.span());
        count
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.spans.fill(Span::NONE);
    }

    /// The value in a slot.
    #[inline(always)]
    pub fn get(&self, slot: Slot) -> Span {
        self.spans[usize::from(slot.0) % SLOTS]
    }

    /// Puts a value into a slot.
    #[inline(always)]
    pub fn set(&mut self, slot: Slot, value: Span) {
        self.spans[usize::from(slot.0) % SLOTS] = value;
    }

    /// `address:port`, parted at the last colon: an IPv6 address has no brackets around it. An error names the column.
    #[inline(always)]
    pub fn endpoint(&mut self, batch: &[u8], slot: Slot, part: usize, column: &str) -> Result<(), Reject> {
        let whole = self.get(slot);
        let (mut ip, mut port) = (Span::NONE, Span::NONE);
        if !whole.is_none() {
            let colon = rfind(batch, whole, b':').ok_or_else(|| {
                Reject::from(format!("{column}: expected an address and a port, as `192.0.2.10:51000`"))
            })?;
            ip = Span::between(whole.start as usize, colon);
            port = Span::between(colon + 1, whole.end());
        }
        self.set(Slot::IP[part], ip);
        self.set(Slot::PORT[part], port);
        Ok(())
    }

    /// A request line: `method url version`. The method ends at the first space, the version begins after the last if it
    /// is one, and what is between is the URL, raw spaces included. Each part may be `-`.
    #[inline(always)]
    pub fn request(&mut self, batch: &[u8], slot: Slot) {
        let whole = self.get(slot);
        let (mut method, mut version, mut url) = (Span::NONE, Span::NONE, Span::NONE);
        if !whole.is_none() {
            let (start, end) = (whole.start as usize, trimmed(batch, whole));
            match find(batch, start, end, b' ') {
                // One word is the most that a client may have sent before the load balancer gave up: not a method for sure.
                None => url = Span::between(start, end),
                Some(space) => {
                    // A path is no method, though a client has sent nothing else before the version.
                    let has_method = batch[start] != b'/';
                    method = if has_method { Span::between(start, space) } else { Span::NONE };
                    let rest = Span::between(if has_method { space + 1 } else { start }, end);
                    url = rest;
                    if let Some(space) = rfind(batch, rest, b' ') {
                        match &batch[space + 1..end] {
                            [b'H', b'T', b'T', b'P', b'/', ..] => {
                                version = Span::between(space + 1 + "HTTP/".len(), end);
                                url = Span::between(rest.start as usize, space);
                            }
                            // ALB writes `- http://host:80- -`: the missing path as a `-` that clings to the port.
                            b"-" => {
                                let clings = space > rest.start as usize + 1 && batch[space - 1] == b'-';
                                url = Span::between(rest.start as usize, space - usize::from(clings));
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        self.set(Slot::METHOD, without_dash(batch, method));
        self.set(Slot::VERSION, without_dash(batch, version));
        self.url(batch, url);
    }

    /// A URL, absolute or not, and its parts.
    #[inline(always)]
    pub fn url(&mut self, batch: &[u8], url: Span) {
        let none = Span::NONE;
        let (mut scheme, mut host, mut port, mut path, mut query) = (none, none, none, none, none);
        let mut url = url;
        if !url.is_none() {
            url = without_dash(batch, Span::between(url.start as usize, trimmed(batch, url)));
        }
        if url.len == 0 {
            url = none;
        }
        if !url.is_none() {
            let (start, end) = (url.start as usize, url.end());
            let mut rest = start;
            let mut has_path = batch[start] == b'/';
            if let Some(colon) = scheme_end(batch, start, end) {
                scheme = Span::between(start, colon);
                let authority = colon + "://".len();
                rest = find_any(batch, authority, end, *b"/?#");
                (host, port) = parts_of_authority(batch, Span::between(authority, rest));
                has_path = true;
            }
            // Otherwise `CONNECT host:443`, `OPTIONS *`, or nonsense: the URL as a whole is all there is to say.
            if has_path {
                let mark = find_any(batch, rest, end, *b"?##");
                path = Span::between(rest, mark);
                if path.len == 0 {
                    path = none;
                }
                if mark < end && batch[mark] == b'?' {
                    query = Span::between(mark + 1, find(batch, mark + 1, end, b'#').unwrap_or(end));
                }
            }
        }
        self.set(Slot::URL, url);
        self.set(Slot::SCHEME, scheme);
        self.set(Slot::HOST, host);
        self.set(Slot::URL_PORT, port);
        self.set(Slot::PATH, path);
        self.set(Slot::QUERY, query);
    }
}

/// The end of a part, less white space there.
#[inline(always)]
fn trimmed(batch: &[u8], span: Span) -> usize {
    let mut end = span.end();
    while end > span.start as usize && batch[end - 1].is_ascii_whitespace() {
        end -= 1;
    }
    end
}

/// A part, but for `-`, which is no value.
#[inline(always)]
pub fn without_dash(batch: &[u8], span: Span) -> Span {
    match span.len == 1 && batch[span.start as usize] == b'-' {
        true => Span::NONE,
        false => span,
    }
}

/// Where the `://` of a URL begins, if it has a scheme. Not the `://` in a query, say.
#[inline(always)]
fn scheme_end(batch: &[u8], start: usize, end: usize) -> Option<usize> {
    for scheme in ["https://", "http://"] {
        if end - start >= scheme.len() && begins(batch, start, scheme) {
            return Some(start + scheme.len() - "://".len());
        }
    }
    let colon = find(batch, start, end, b':')?;
    let is_scheme = batch[colon..end].starts_with(b"://") && batch[start..colon].iter().all(u8::is_ascii_alphanumeric);
    (is_scheme && colon > start).then_some(colon)
}

/// The host, without brackets, and the port.
#[inline(always)]
fn parts_of_authority(batch: &[u8], authority: Span) -> (Span, Span) {
    let (start, end) = (authority.start as usize, authority.end());
    let colon = rfind(batch, authority, b':').filter(|colon| colon + 1 < end && are_digits(batch, colon + 1, end));
    let (host, port) = match colon {
        Some(colon) => (Span::between(start, colon), Span::between(colon + 1, end)),
        None => (authority, Span::NONE),
    };
    let host = match host.of(batch) {
        [b'[', .., b']'] => Span { start: host.start + 1, len: host.len - 2 },
        [] => Span::NONE,
        _ => host,
    };
    (host, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, URL, scheme, host, port, path, query, version.
    fn request(line: &str) -> [Option<String>; 8] {
        // As a batch has it: more behind the line.
        let batch = format!("{line}\n and more of it, some thirty bytes");
        let mut values = Values::default();
        values.set(Slot(0), Span::between(0, line.len()));
        values.request(batch.as_bytes(), Slot(0));
        [Slot::METHOD, Slot::URL, Slot::SCHEME, Slot::HOST, Slot::URL_PORT, Slot::PATH, Slot::QUERY, Slot::VERSION].map(
            |slot| {
                let span = values.get(slot);
                (!span.is_none()).then(|| String::from_utf8(span.of(batch.as_bytes()).to_vec()).unwrap())
            },
        )
    }

    fn parts(all: [Option<&str>; 8]) -> [Option<String>; 8] {
        all.map(|part| part.map(str::to_owned))
    }

    #[test]
    fn a_request_line_is_parted_from_both_ends() {
        let host = |url, path, query| {
            parts([
                Some("GET"),
                Some(url),
                Some("http"),
                Some("www.example.com"),
                Some("80"),
                Some(path),
                query,
                Some("1.1"),
            ])
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
        for line in ["- - -", "- - - ", "-"] {
            assert_eq!(request(line), parts([None; 8]), "{line}");
        }
        let url = Some("http://demo.example.com:80");
        assert_eq!(
            request("- http://demo.example.com:80- -"),
            parts([None, url, Some("http"), Some("demo.example.com"), Some("80"), None, None, None])
        );
    }

    #[test]
    fn a_url_need_not_be_absolute() {
        assert_eq!(
            request("GET /a?b HTTP/2.0")[1..],
            parts([None, Some("/a?b"), None, None, None, Some("/a"), Some("b"), Some("2.0")])[1..]
        );
        assert_eq!(
            request("OPTIONS * HTTP/1.1")[1..6],
            parts([None, Some("*"), None, None, None, None, None, None])[1..6]
        );
        let v6 = |host, port| parts([None, None, None, Some(host), port, Some("/"), None, None]);
        assert_eq!(
            request("GET https://[::ffff:c000:20a]:443/ HTTP/1.1")[3..6],
            v6("::ffff:c000:20a", Some("443"))[3..6]
        );
        assert_eq!(request("GET https://[2001:db8::1]/ HTTP/1.1")[3..6], v6("2001:db8::1", None)[3..6]);
    }

    #[test]
    fn an_endpoint_is_parted_at_the_last_colon() {
        let mut values = Values::default();
        let batch = b"2001:db8::10:51000 nowhere";
        values.set(Slot(0), Span::between(0, 18));
        values.endpoint(batch, Slot(0), 0, "").unwrap();
        assert_eq!(values.get(Slot::IP[0]).of(batch), b"2001:db8::10");
        assert_eq!(values.get(Slot::PORT[0]).of(batch), b"51000");
        values.set(Slot(0), Span::between(19, 26));
        assert!(values.endpoint(batch, Slot(0), 0, "").is_err());
    }
}
