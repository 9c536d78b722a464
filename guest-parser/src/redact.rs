//! `redact_query`: values of query parameters that are nobody's business.

use std::borrow::Cow;

use elbow_guest::scan::Span;

use crate::search::find;
use crate::table::Encoding;
use crate::write::decode;

/// Which parameters are redacted.
pub struct Redact {
    names: Vec<String>,
    /// For each byte, whether it ends one of the names.
    ends: [bool; 256],
}

/// What stands in place of a value.
const REDACTED: &[u8] = b"REDACTED";

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

    /// Whether a part may have a parameter that is redacted: quickly `false` for most. If so, [`apply`](Self::apply) knows.
    #[inline(always)]
    pub fn touches(&self, batch: &[u8], span: Span) -> bool {
        if span.is_none() {
            return false;
        }
        let (mut at, end) = (span.start as usize, span.end());
        while let Some(equals) = find(batch, at, end, b'=') {
            if self.may_end_in_name(&batch[at..equals]) {
                return true;
            }
            at = equals + 1;
        }
        false
    }

    /// Whether the last of these bytes may be those of a name, plain or encoded.
    #[inline(never)]
    fn may_end_in_name(&self, text: &[u8]) -> bool {
        let last = &text[text.len().saturating_sub(LONGEST_CHARACTER)..];
        let is_last = last.last().is_some_and(|byte| self.ends[usize::from(*byte)]);
        let ends_in = |name: &String| {
            let end = text.len().checked_sub(name.len()).map(|start| &text[start..]);
            end.is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
        };
        last.contains(&b'%') || is_last && (self.names.iter().any(ends_in) || text.contains(&b'%'))
    }

    /// The text with the values of these parameters replaced, wherever it has a query. `is_query` says that it is one from
    /// its first byte on.
    ///
    /// A name is compared without regard to case, and decoded, or `%74oken` would give away what `token` hides.
    pub fn apply<'a>(&self, text: &'a [u8], is_query: bool) -> Cow<'a, [u8]> {
        let mut redacted: Option<Vec<u8>> = None;
        let mut copied = 0;
        let mut at = if is_query { Some(0) } else { next_parameter(text, 0) };
        while let Some(start) = at {
            let end = text[start..].iter().position(|byte| ends_parameter(*byte)).map_or(text.len(), |len| start + len);
            if let Some(equals) = memchr::memchr(b'=', &text[start..end])
                && self.has(&text[start..start + equals])
            {
                let redacted = redacted.get_or_insert_default();
                redacted.extend_from_slice(&text[copied..start + equals + 1]);
                redacted.extend_from_slice(REDACTED);
                copied = end;
            }
            at = next_parameter(text, end);
        }
        match redacted {
            None => Cow::Borrowed(text),
            Some(mut redacted) => {
                redacted.extend_from_slice(&text[copied..]);
                Cow::Owned(redacted)
            }
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

/// Where the next parameter begins: behind a `?` or a `&`; and where a query stands alone in a record, behind the tab or the
/// quote before it.
fn next_parameter(text: &[u8], from: usize) -> Option<usize> {
    let begins = |byte: &u8| matches!(byte, b'?' | b'&' | b'\t' | b'"');
    text[from..].iter().position(begins).map(|position| from + position + 1)
}

/// What a parameter cannot go on behind, in a URL or in the line around it.
fn ends_parameter(byte: u8) -> bool {
    matches!(byte, b'&' | b'#' | b' ' | b'"' | b'\t' | b'?' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str, is_query: bool) -> String {
        let redact = Redact::new(&["token".into(), "sig".into()]).unwrap();
        let redacted = String::from_utf8(redact.apply(text.as_bytes(), is_query).into_owned()).unwrap();
        assert!(redacted == text || redact.touches(text.as_bytes(), Span::between(0, text.len())), "{text}");
        redacted
    }

    #[test]
    fn values_are_replaced_wherever_there_is_a_query() {
        for (text, expected) in [
            ("/a?token=1&b=2", "/a?token=REDACTED&b=2"),
            ("http://h/a?b=2&Token=1#f", "http://h/a?b=2&Token=REDACTED#f"),
            (
                "\"GET /a?x=1&sig=abc== HTTP/1.1\" \"/b?token=2\"",
                "\"GET /a?x=1&sig=REDACTED HTTP/1.1\" \"/b?token=REDACTED\"",
            ),
            ("/a?%74oken=1", "/a?%74oken=REDACTED"),
            ("/a?toke%6E=1", "/a?toke%6E=REDACTED"),
            ("/a?toke%25%36%65=1", "/a?toke%25%36%65=REDACTED"),
            ("/a\t%2574oken=1&b=2\t-", "/a\t%2574oken=REDACTED&b=2\t-"),
            (r#"{"args":"token=1&b=2"}"#, r#"{"args":"token=REDACTED&b=2"}"#),
            ("/a?token", "/a?token"),
            ("/a?mytoken=1&tokens=2", "/a?mytoken=1&tokens=2"),
            ("/token=1/b", "/token=1/b"),
            ("/a?token=", "/a?token=REDACTED"),
        ] {
            assert_eq!(redact(text, false), expected);
        }
        assert_eq!(redact("token=1&a=2", true), "token=REDACTED&a=2");
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
            redact(&text, true);
        }
    }

    #[test]
    fn without_names_there_is_nothing_to_do() {
        assert!(Redact::new(&[]).is_none());
    }
}
