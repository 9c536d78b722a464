//! Splits log lines into columns.
//!
//! The rules that AWS's space-separated formats share: columns are parted by one or more spaces; a column in double quotes
//! may hold spaces, and a quote in it is written as `\"` or `\x22`; `-` stands for no value. Where another separator parts
//! them, two of them in a row have an empty column between them. A [`Syntax`] says which it is.
//!
//! There are two ways to the same columns. [`Fields`] looks closely, at one line, and copes with whatever stands in it. For
//! speed, a whole batch is split in two stages: the first makes an index of where columns end, 64 bytes at a time
//! (`index.rs`); the second walks through the index and answers the columns of a [`Line`] as [`Span`]s of the batch. A line
//! that the index cannot read is left to `Fields`. A mapping asks for this with [`Mapping::syntax`](crate::Mapping::syntax).

mod columns;
mod index;
mod simd;

use std::borrow::Cow;

pub(crate) use columns::Lines;
pub use columns::{Line, Span};
pub(crate) use index::Index;
pub use index::Syntax;
pub use simd::Bytes16;

/// The fields of a line, one after the other.
///
/// ```
/// use elbow_guest::scan::Fields;
///
/// let mut fields = Fields::new(br#"200 "GET / HTTP/1.1" - "#);
/// assert_eq!(fields.next(), Some(&b"200"[..]));
/// assert_eq!(fields.next(), Some(&b"GET / HTTP/1.1"[..]));
/// assert_eq!(fields.rest(), b"- ");
/// assert_eq!(fields.next(), Some(&b"-"[..]));
/// assert_eq!(fields.next(), None);
/// ```
pub struct Fields<'a> {
    /// `None` behind the last field.
    rest: Option<&'a [u8]>,
    syntax: Syntax,
    has_gaps: bool,
}

impl<'a> Fields<'a> {
    /// The fields of a line that comes without its newline, parted by spaces.
    #[inline]
    pub fn new(line: &'a [u8]) -> Self {
        Self::with(line, Syntax::SPACES)
    }

    /// The fields of a line that comes without its newline.
    #[inline]
    pub fn with(line: &'a [u8], syntax: Syntax) -> Self {
        let mut fields = Self { rest: None, syntax, has_gaps: false };
        fields.go_on(line, false);
        fields
    }

    /// Whether any two of the fields that were taken so far have more than one space between them.
    pub fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    /// What follows the fields that were taken so far.
    pub fn rest(&self) -> &'a [u8] {
        self.rest.unwrap_or_default()
    }

    /// A run of spaces parts two fields once, and at the beginning or the end of a line nothing.
    #[inline]
    fn go_on(&mut self, rest: &'a [u8], is_behind: bool) {
        let spaces = match self.syntax.separator {
            b' ' => rest.iter().take_while(|b| **b == b' ').count(),
            _ => 0,
        };
        let rest = &rest[spaces..];
        self.has_gaps |= is_behind && spaces > 0 && !rest.is_empty();
        self.rest = (!rest.is_empty() || self.syntax.separator != b' ').then_some(rest);
    }

    /// The position of the quote that ends a quoted field: the first that is not escaped by a backslash, is followed by a
    /// separator or by the end of the line, and leaves a next field that can be one. Some writers do not escape the quotes
    /// of a user agent: in `"a "b" c" -` the field cannot end before ` c"`, since a bare word has no quote in it. Without
    /// any such quote the field is all the rest.
    #[inline]
    fn closing_quote(&self, field: &[u8]) -> usize {
        for position in memchr::memchr_iter(b'"', field) {
            let ends = match &field[position + 1..] {
                [] => true,
                [separator, next @ ..] => *separator == self.syntax.separator && self.can_be_field(next),
            };
            if ends && !(self.syntax.escapes_quotes() && is_escaped(field, position)) {
                return position;
            }
        }
        field.len()
    }

    /// Whether what begins here is a quoted field, or a word without a quote in it.
    #[inline]
    fn can_be_field(&self, next: &[u8]) -> bool {
        match memchr::memchr2(self.syntax.separator, b'"', next) {
            Some(0) | None => true,
            Some(position) => next[position] == self.syntax.separator,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let (field, behind) = match rest {
            [b'"', quoted @ ..] if self.syntax.quotes => {
                let (field, behind) = quoted.split_at(self.closing_quote(quoted));
                (field, behind.get(1..).unwrap_or_default())
            }
            _ => rest.split_at(memchr::memchr(self.syntax.separator, rest).unwrap_or(rest.len())),
        };
        // What is behind is a separator, or the end of the line.
        if let Some(next) = behind.get(1..) {
            self.go_on(next, true);
        }
        Some(field)
    }
}

#[inline]
fn is_escaped(field: &[u8], position: usize) -> bool {
    let backslashes = field[..position].iter().rev().take_while(|b| **b == b'\\').count();
    backslashes % 2 == 1
}

/// The text that a field stands for: AWS writes a quote and each byte outside of printable ASCII as `\xHH`, some writers
/// a quote as `\"`. An escape that is cut off, or is none of these, stays as it is.
///
/// ```
/// use elbow_guest::scan::unescape;
///
/// assert_eq!(unescape(br"\x22\xE6\x97\xA5\x22 \x9"), "\"日\" \\x9".as_bytes());
/// ```
pub fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', field).is_none() {
        return Cow::Borrowed(field);
    }
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some(position) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..position]);
        rest = &rest[position..];
        let (byte, taken) = match rest {
            [_, b'x', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            [_, b'"', ..] => (b'"', 2),
            _ => (b'\\', 1),
        };
        text.push(byte);
        rest = &rest[taken..];
    }
    text.extend_from_slice(rest);
    Cow::Owned(text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_escapes_are_decoded() {
        for (field, text) in [
            (r"plain", "plain"),
            (r"a\x22b", "a\"b"),
            (r#"\"Demo\""#, "\"Demo\""),
            (r"cut \xE", r"cut \xE"),
            (r"not \xZZ \n \", r"not \xZZ \n \"),
        ] {
            assert_eq!(&*unescape(field.as_bytes()), text.as_bytes(), "{field}");
        }
    }

    fn fields(line: &str) -> Vec<&str> {
        Fields::new(line.as_bytes()).map(|f| std::str::from_utf8(f).unwrap()).collect()
    }

    #[test]
    fn a_run_of_spaces_parts_two_fields_once() {
        assert_eq!(fields("a  b \"c d\"   \"\" e "), ["a", "b", "c d", "", "e"]);
    }

    #[test]
    fn a_quote_ends_a_field_only_before_a_space_or_the_end() {
        assert_eq!(fields(r#""a "b"c" d"#), [r#"a "b"c"#, "d"]);
        assert_eq!(fields(r#""a "b" c" - "d""#), [r#"a "b" c"#, "-", "d"]);
        assert_eq!(fields(r#""a\" b" c"#), [r#"a\" b"#, "c"]);
        assert_eq!(fields(r#""a\\" b"#), [r"a\\", "b"]);
        assert_eq!(fields(r#""a\x22 b" c"#), [r"a\x22 b", "c"]);
    }

    #[test]
    fn a_backslash_escapes_a_quote_only_where_it_begins_an_escape() {
        let percent = Syntax { escape: b'%', ..Syntax::SPACES };
        let line = br#""a\" "b""#;
        assert_eq!(Fields::new(line).collect::<Vec<_>>(), [br#"a\" "b"#]);
        assert_eq!(Fields::with(line, percent).collect::<Vec<_>>(), [&br"a\"[..], b"b"]);
    }

    #[test]
    fn two_tabs_have_an_empty_field_between_them() {
        let quoted = Syntax { separator: b'\t', ..Syntax::SPACES };
        let fields = |line: &'static str, syntax| Fields::with(line.as_bytes(), syntax).collect::<Vec<_>>();
        assert_eq!(fields("a\t\t\"b\tc\"\t", quoted), [&b"a"[..], b"", b"b\tc", b""]);
        assert_eq!(fields("a b\t\"c\td\"", Syntax::TABS), [&b"a b"[..], b"\"c", b"d\""]);
    }

    #[test]
    fn a_gap_is_more_than_one_space_between_fields() {
        for (line, has_gaps) in
            [("a  b", true), ("a \"b\"   c", true), ("  a b  ", false), ("a \"b  c\" d", false), ("a", false)]
        {
            let mut fields = Fields::new(line.as_bytes());
            fields.by_ref().for_each(drop);
            assert_eq!(fields.has_gaps(), has_gaps, "{line}");
        }
    }

    #[test]
    fn an_unclosed_quote_takes_the_rest() {
        assert_eq!(fields("a \"b c"), ["a", "b c"]);
        assert_eq!(fields("\""), [""]);
        assert_eq!(fields(""), [""; 0]);
    }
}
