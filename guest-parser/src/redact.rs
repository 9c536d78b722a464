//! `redact_query`: values of query parameters that are nobody's business.

use std::borrow::Cow;

use elbow_guest::json::escaped;
use elbow_guest::scan::{Bytes16, Span, Syntax};

use crate::table::Encoding;
use crate::write::decode;

/// Which parameters are redacted.
pub struct Redact {
    names: Vec<String>,
    /// For each byte, whether it ends one of the names.
    ends: [bool; 256],
}

/// What is wrong with these names.
pub fn mistake(names: &[String]) -> Option<String> {
    let wrong = names.iter().find(|name| name.is_empty() || name.contains(['=', '&', '?', '#']))?;
    Some(format!("redact_query: expected the names of query parameters, as `token`, found `{wrong}`"))
}

/// What stands in place of a value.
pub const REDACTED: &[u8] = b"REDACTED";

/// How many bytes the last character of a name can take, encoded twice.
const LONGEST_CHARACTER: usize = "%25%36%65".len();

impl Redact {
    /// `None` if there are no names.
    pub fn new(names: &[String]) -> Option<Self> {
        let mut ends = [false; 256];
        for last in names.iter().filter_map(|name| name.as_bytes().last()) {
            ends[usize::from(last.to_ascii_lowercase())] = true;
            ends[usize::from(last.to_ascii_uppercase())] = true;
        }
        (!names.is_empty()).then(|| Self { names: names.to_vec(), ends })
    }

    /// Whether a part of a line may have a parameter that is redacted: quickly `false` for most. If so,
    /// [`apply`](Self::apply) knows.
    #[inline(always)]
    pub fn touches(&self, batch: &[u8], span: Span) -> bool {
        let text = span.of(batch);
        memchr::memchr_iter(b'=', text).any(|equals| self.may_end_in_name(&text[..equals]))
    }

    /// Whether the last of these bytes may be those of a name, plain or encoded.
    #[inline(always)]
    fn may_end_in_name(&self, text: &[u8]) -> bool {
        let is_encoded = match text.last_chunk::<16>() {
            Some(last) => Bytes16::load(last).equal(b'%') >> (16 - LONGEST_CHARACTER) != 0,
            None => text[text.len().saturating_sub(LONGEST_CHARACTER)..].contains(&b'%'),
        };
        let is_last = text.last().is_some_and(|byte| self.ends[usize::from(*byte)]);
        is_encoded || is_last && self.ends_in_name(text)
    }

    #[inline(never)]
    fn ends_in_name(&self, text: &[u8]) -> bool {
        let ends_in = |name: &String| {
            let end = text.len().checked_sub(name.len()).map(|start| &text[start..]);
            end.is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
        };
        self.names.iter().any(ends_in) || text.contains(&b'%')
    }

    /// The text with the values of these parameters replaced, wherever it has a query.
    ///
    /// A name is compared without regard to case, and decoded, or `%74oken` would give away what `token` hides.
    pub fn apply<'a>(&self, text: &'a [u8], scope: Scope) -> Cow<'a, [u8]> {
        if scope == Scope::Json {
            return self.json(text);
        }
        let mut redacted = Vec::new();
        let mut copied = 0;
        self.values(text, scope, |start, end| {
            redacted.extend_from_slice(&text[copied..start]);
            redacted.extend_from_slice(REDACTED);
            copied = end;
        });
        match redacted.is_empty() {
            true => Cow::Borrowed(text),
            false => {
                redacted.extend_from_slice(&text[copied..]);
                Cow::Owned(redacted)
            }
        }
    }

    /// The same of JSON: each of its texts is a query, or may hold a URL, but for names.
    fn json<'a>(&self, json: &'a [u8]) -> Cow<'a, [u8]> {
        let mut redacted = Vec::new();
        let mut copied = 0;
        json_texts(json, |start, end| {
            let quoted = &json[start - 1..(end + 1).min(json.len())];
            let text = serde_json::from_slice::<Cow<'_, str>>(quoted);
            let text = text.or_else(|_| serde_json::from_slice(&without_surrogates(quoted)).map(Cow::Owned));
            let Ok(text) = text else { return };
            if let Cow::Owned(text) = self.apply(text.as_bytes(), Scope::Query) {
                redacted.extend_from_slice(&json[copied..start]);
                escaped(&mut redacted, &text);
                copied = end;
            }
        });
        match copied {
            0 => Cow::Borrowed(json),
            _ => {
                redacted.extend_from_slice(&json[copied..]);
                Cow::Owned(redacted)
            }
        }
    }

    /// Tells where the values of these parameters are.
    fn values(&self, text: &[u8], scope: Scope, mut tell: impl FnMut(usize, usize)) {
        let next = |from: usize| text[from..].iter().position(|byte| scope.begins(*byte)).map(|at| from + at + 1);
        let mut at = if scope == Scope::Url { next(0) } else { Some(0) };
        while let Some(start) = at {
            let rest = &text[start..];
            let name = rest.iter().position(|byte| *byte == b'=' || *byte == b'#' || scope.begins(*byte));
            let name = name.filter(|end| rest[*end] == b'=').map(|end| &rest[..end]);
            at = match name.filter(|name| self.has(name)) {
                Some(name) => {
                    let value = start + name.len() + 1;
                    let end = scope.end(text, value);
                    tell(value, end);
                    next(end)
                }
                None => next(start),
            };
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        let mut decoded = Cow::Borrowed(name);
        // A client may encode a name, and CloudFront encodes once more what it writes.
        for _ in 0..3 {
            if self.names.iter().any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(&decoded)) {
                return true;
            }
            decoded = Cow::Owned(decode(&decoded, Encoding::Percent).into_owned());
        }
        false
    }
}

/// What a text is, and so what begins and ends a parameter in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A query, without its question mark.
    Query,
    /// A URL, or a text that may hold one.
    Url,
    /// A line as it is, or columns of it. A query may be a column by itself.
    Line(Syntax),
    /// JSON as it is. A query may be a text by itself.
    Json,
}

impl Scope {
    /// Whether a parameter may begin behind this byte.
    fn begins(self, byte: u8) -> bool {
        matches!(byte, b'?' | b'&') || matches!(self, Self::Line(syntax) if byte == syntax.separator || byte == b'"')
    }

    /// Where the value that begins here ends.
    fn end(self, text: &[u8], start: usize) -> usize {
        let Self::Line(syntax) = self else {
            let end = text[start..].iter().position(|byte| matches!(byte, b'&' | b'#'));
            return end.map_or(text.len(), |len| start + len);
        };
        let is_quoted = syntax.quotes && is_within_quotes(&text[..start], syntax.separator);
        let ends = |at: usize| {
            let rest = &text[at..];
            match rest[0] {
                b'&' | b'#' | b'\n' => true,
                b'"' => is_last(rest.get(1), syntax.separator) && !ends_in_backslash(&text[..at], syntax),
                b' ' if is_quoted => is_version(rest, syntax.separator),
                byte => !is_quoted && byte == syntax.separator,
            }
        };
        (start..text.len()).find(|at| ends(*at)).unwrap_or(text.len())
    }
}

/// A JSON text with `\uFFFD` for each surrogate that it escapes: half of one is no character, which few readers accept.
fn without_surrogates(quoted: &[u8]) -> Vec<u8> {
    let mut text = quoted.to_vec();
    let mut rest = &mut text[..];
    while let Some(at) = memchr::memchr(b'\\', rest) {
        rest = &mut rest[at + 1..];
        if let [b'u', digits @ ..] = rest
            && let Some(digits @ [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) =
                digits.first_chunk_mut::<4>()
        {
            *digits = *b"FFFD";
        }
        // A backslash that is escaped escapes nothing.
        rest = rest.get_mut(1..).unwrap_or_default();
    }
    text
}

/// Whether a byte behind a quote lets that close a column.
fn is_last(next: Option<&u8>, separator: u8) -> bool {
    next.is_none_or(|next| *next == separator || matches!(next, b'\r' | b'\n'))
}

/// Whether the last quote at the edge of a column opens one.
fn is_within_quotes(text: &[u8], separator: u8) -> bool {
    let edge = memchr::memrchr_iter(b'"', text).find_map(|at| {
        let opens = at.checked_sub(1).is_none_or(|before| text[before] == separator);
        let closes = is_last(text.get(at + 1), separator);
        (opens || closes).then_some(opens)
    });
    edge.unwrap_or(false)
}

fn ends_in_backslash(text: &[u8], syntax: Syntax) -> bool {
    let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
    syntax.escape == b'\\' && backslashes % 2 == 1
}

/// Whether this is the end of a request line: ` HTTP/1.1"`.
fn is_version(rest: &[u8], separator: u8) -> bool {
    let Some(version) = rest.strip_prefix(b" HTTP/") else { return false };
    let quote = memchr::memchr2(b'"', b' ', version);
    quote.is_some_and(|at| version[at] == b'"' && is_last(version.get(at + 1), separator))
}

/// Tells where the texts of a JSON value are, without their quotes; not the names.
fn json_texts(json: &[u8], mut tell: impl FnMut(usize, usize)) {
    let mut at = 0;
    while let Some(quote) = memchr::memchr(b'"', &json[at..]) {
        let start = at + quote + 1;
        let mut end = start;
        while end < json.len() && json[end] != b'"' {
            end += if json[end] == b'\\' { 2 } else { 1 };
        }
        let end = end.min(json.len());
        at = (end + 1).min(json.len());
        let is_name = json[at..].trim_ascii_start().starts_with(b":");
        if !is_name {
            tell(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str, scope: Scope) -> String {
        let redact = Redact::new(&["token".into(), "sig".into()]).unwrap();
        let redacted = String::from_utf8(redact.apply(text.as_bytes(), scope).into_owned()).unwrap();
        let touches = scope == Scope::Json || redact.touches(text.as_bytes(), Span::between(0, text.len()));
        assert!(redacted == text || touches, "{text}");
        redacted
    }

    #[test]
    fn values_are_replaced_wherever_there_is_a_query() {
        let tabs = Scope::Line(Syntax::TABS);
        let spaces = Scope::Line(Syntax::SPACES);
        let pipes = Scope::Line(Syntax { separator: b'|', ..Syntax::TABS });
        let s3 = Scope::Line(Syntax { escape: b'%', ..Syntax::SPACES });
        for (scope, text, expected) in [
            (Scope::Url, "/a?token=1&b=2", "/a?token=REDACTED&b=2"),
            (Scope::Url, "http://h/a?b=2&Token=1#f", "http://h/a?b=2&Token=REDACTED#f"),
            (Scope::Url, "/a?%74oken=1", "/a?%74oken=REDACTED"),
            (Scope::Url, "/a?toke%6E=1", "/a?toke%6E=REDACTED"),
            (Scope::Url, "/a?toke%25%36%65=1", "/a?toke%25%36%65=REDACTED"),
            (Scope::Url, "/a/path/of/some/length?toke%256E=1", "/a/path/of/some/length?toke%256E=REDACTED"),
            (Scope::Url, "/a/path/of/some/length?toke%25%36%65=1", "/a/path/of/some/length?toke%25%36%65=REDACTED"),
            (Scope::Url, "/a?token=1?2 3\"4&b", "/a?token=REDACTED&b"),
            (Scope::Url, "/a?to=http://h/?token=1&b", "/a?to=http://h/?token=REDACTED&b"),
            (Scope::Url, "/a?token", "/a?token"),
            (Scope::Url, "/a?mytoken=1&tokens=2", "/a?mytoken=1&tokens=2"),
            (Scope::Url, "/token=1/b", "/token=1/b"),
            (Scope::Url, "/a?token=", "/a?token=REDACTED"),
            (Scope::Query, "token=1&a=2", "token=REDACTED&a=2"),
            (Scope::Json, r#"{"u":"/?token=1\ud800&b"}"#, r#"{"u":"/?token=REDACTED&b"}"#),
            (
                Scope::Json,
                r#"{"u":"\\ud800\udBff/\u003fto\u006ben\u003d1\u0026b"}"#,
                "{\"u\":\"\\\\ud800\u{fffd}/?token=REDACTED&b\"}",
            ),
            (
                spaces,
                "\"GET /a?x=1&sig=abc== HTTP/1.1\" \"/b?token=2\" \"a=1\"",
                "\"GET /a?x=1&sig=REDACTED HTTP/1.1\" \"/b?token=REDACTED\" \"a=1\"",
            ),
            (spaces, "\"GET /a?token=1 2\\\"3 HTTP/1.1\" -", "\"GET /a?token=REDACTED HTTP/1.1\" -"),
            (spaces, "\"GET /?token=a HTTP/b HTTP/1.1\" \"x\"", "\"GET /?token=REDACTED HTTP/1.1\" \"x\""),
            (
                spaces,
                "\"bad\\\"ua\" - \"https://h/?token=se cret\" -",
                "\"bad\\\"ua\" - \"https://h/?token=REDACTED\" -",
            ),
            (s3, "\"GET /?token=se\"cret HTTP/1.1\" 200", "\"GET /?token=REDACTED HTTP/1.1\" 200"),
            (s3, "\"/?token=abc\\\" \"UA\"", "\"/?token=REDACTED\" \"UA\""),
            (tabs, "a\"b\t/p\ttoken=x\tHit", "a\"b\t/p\ttoken=REDACTED\tHit"),
            (tabs, "/a\t%2574oken=1&b=2\t-", "/a\t%2574oken=REDACTED&b=2\t-"),
            (pipes, "token=1|/a?token=2|200", "token=REDACTED|/a?token=REDACTED|200"),
            (Scope::Json, r#"{"args":"token=1&b=2","n":1}"#, r#"{"args":"token=REDACTED&b=2","n":1}"#),
            (
                Scope::Json,
                r#"{"a": "/b?token=1\"2", "?token=1" : "x"}"#,
                r#"{"a": "/b?token=REDACTED", "?token=1" : "x"}"#,
            ),
            (Scope::Json, r#"["token=\\","b"]"#, r#"["token=REDACTED","b"]"#),
            (Scope::Json, r#"{"u":"/?a=\"1\u0026to\u006ben\u003ds"}"#, r#"{"u":"/?a=\"1&token=REDACTED"}"#),
        ] {
            assert_eq!(redact(text, scope), expected);
        }
    }

    #[test]
    fn most_texts_are_not_touched() {
        let redact = Redact::new(&["token".into()]).unwrap();
        for (text, touches) in [
            ("https://h/a?page=1&sort=newest&version=3", false),
            ("/%20a/b?page=1", false),
            ("/a?token", false),
            ("/a?b=2&TOKEN=1", true),
            // May be, and is not.
            ("/a?mytoken=1", true),
        ] {
            assert_eq!(redact.touches(text.as_bytes(), Span::between(0, text.len())), touches, "{text}");
        }
        assert!(!redact.touches(b"token=1", Span::NONE));
    }

    proptest::proptest! {
        #[test]
        fn what_is_redacted_is_touched(text in "([?&tTokeEn=%2567 \\x22/]|token|%25|%36|%65|%6e){0,24}") {
            for scope in [Scope::Query, Scope::Url, Scope::Line(Syntax::SPACES)] {
                redact(&text, scope);
            }
        }
    }

    #[test]
    fn without_names_there_is_nothing_to_do() {
        assert!(Redact::new(&[]).is_none());
    }
}
