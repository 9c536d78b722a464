//! From a part of a line to a JSON value.
//!
//! Below the SDK's writer for speed; what it keeps of that one's promise, valid JSON whatever the bytes, is tested against
//! `serde_json` for arbitrary lines.

use std::borrow::Cow;

use elbow_guest::scan::{Bytes16, Fields, Span, Syntax, unescape};
use elbow_guest::{Buffer, json};

use crate::search::{PART, begins, specials};
use crate::table::Encoding;

/// What a text in this encoding stands for.
pub fn decode(text: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
    match encoding {
        Encoding::Plain => Cow::Borrowed(text),
        Encoding::Backslash => unescape(text),
        Encoding::Percent => percent_decoded(text),
        Encoding::PercentUserAgent => {
            let once = percent_decoded(text);
            let is_still_encoded = !once.contains(&b' ') && memchr::memmem::find(&once, b"%20").is_some();
            match is_still_encoded {
                true => Cow::Owned(percent_decoded(&once).into_owned()),
                false => once,
            }
        }
    }
}

/// The inside of a text, decoded, and escaped for JSON: what is plain is copied from one place that is not to the next.
/// Where that is more than an escape of ASCII, a closer look is taken at the whole.
pub fn text(out: &mut Buffer, batch: &[u8], span: Span, encoding: Encoding) {
    let begin = out.len();
    let (start, end) = (span.start as usize, span.end());
    // What has not been copied yet begins here.
    let mut rest = start;
    for part in (start..end).step_by(PART) {
        let mut special = specials(batch, part, end, encoding.escape());
        while special != 0 {
            let at = part + special.trailing_zeros() as usize;
            special &= special - 1;
            // Within an escape that begins before it.
            if at < rest {
                continue;
            }
            let Some((byte, taken)) = unescaped_ascii(&batch[at..end], encoding) else {
                out.truncate(begin);
                return json::escaped(out.bytes(), &decode(span.of(batch), encoding));
            };
            out.put(batch, Span::between(rest, at));
            rest = at + taken;
            match byte {
                b'\t' => {
                    out.push(b'\\');
                    out.push(b't');
                    continue;
                }
                b'"' | b'\\' => out.push(b'\\'),
                _ => {}
            }
            match taken {
                // It is copied with what follows.
                1 => rest = at,
                _ => out.push(byte),
            }
        }
    }
    out.put(batch, Span::between(rest, end));
}

/// The character of ASCII with which a text begins, as an escape or as it is, and how many bytes of the text it is; `None` if
/// it is something else, or if what it means depends on the rest.
#[inline(always)]
fn unescaped_ascii(text: &[u8], encoding: Encoding) -> Option<(u8, usize)> {
    let (byte, taken) = match (encoding, text) {
        (Encoding::Backslash, [b'\\', b'x', high, low, ..]) if let Some(byte) = hex(*high, *low) => (byte, 4),
        (Encoding::Backslash, [b'\\', b'"', ..]) => (b'"', 2),
        (Encoding::Percent | Encoding::PercentUserAgent, [b'%', high, low, ..])
            if let Some(byte) = hex(*high, *low) =>
        {
            (byte, 3)
        }
        (_, [byte, ..]) => (*byte, 1),
        (_, []) => return None,
    };
    let is_encoded_twice = encoding == Encoding::PercentUserAgent && byte == b'%';
    (matches!(byte, b'\t' | 0x20..0x80) && !is_encoded_twice).then_some((byte, taken))
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    Some(digit(high)? << 4 | digit(low)?)
}

/// The key of an object in S3: `+` for a space and `%HH` for a byte, once more than the request has it. Only where the path
/// of the request, decoded, ends with what a second decoding gives, there was one.
pub fn s3_key(text: &[u8], path: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let once = percent_decoded(&spaced).into_owned();
    let twice = percent_decoded(&once).into_owned();
    let path = percent_decoded(path);
    match path.strip_suffix(twice.as_slice()).is_some_and(|before| before.ends_with(b"/")) {
        true => twice,
        false => once,
    }
}

fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = memchr::memchr(b'%', rest) {
        decoded.extend_from_slice(&rest[..position]);
        rest = &rest[position..];
        let byte = match rest {
            [_, high, low, ..] => hex(*high, *low),
            _ => None,
        };
        decoded.push(byte.unwrap_or(b'%'));
        rest = &rest[if byte.is_some() { 3 } else { 1 }..];
    }
    decoded.extend_from_slice(rest);
    Cow::Owned(decoded)
}

/// A number with the digits of the line; `false`, and nothing is written, if it is none.
#[inline(always)]
pub fn number(out: &mut Buffer, batch: &[u8], span: Span) -> bool {
    if is_plain_number(batch, span) {
        out.put(batch, span);
        return true;
    }
    odd_number(out, span.of(batch))
}

/// A number that may be none of the plain ones; `false`, and nothing is written, if it is none at all.
#[inline(never)]
pub fn odd_number(out: &mut Buffer, text: &[u8]) -> bool {
    let digits = json::as_number(text);
    out.bytes().extend_from_slice(digits.unwrap_or_default());
    digits.is_some()
}

/// Whether a part is up to 16 digits, perhaps with a point between two of them, and without a zero too many in front. Such
/// numbers are JSON as they are.
#[inline(always)]
pub fn is_plain_number(batch: &[u8], span: Span) -> bool {
    let start = span.start as usize;
    let Some(bytes) = batch.get(start..).and_then(<[u8]>::first_chunk::<16>) else {
        return false;
    };
    if span.len == 0 || span.len > 16 {
        return false;
    }
    let all = u32::MAX >> (32 - span.len);
    let others = !Bytes16::load(bytes).digits() & all;
    // With a point in second place, a zero may be in front of it.
    let has_zero = bytes[0] == b'0' && span.len > 1 && others != 0b10;
    if has_zero {
        return false;
    }
    let is_one_point = others.is_power_of_two() && others != 1 && others != all ^ (all >> 1);
    others == 0 || (is_one_point && bytes[others.trailing_zeros() as usize % 16] == b'.')
}

/// Whether a part is `TLSv1.` and a digit.
#[inline(always)]
pub fn is_tls_version(batch: &[u8], span: Span) -> bool {
    let is_so = span.len as usize == "TLSv1.3".len() && begins(batch, span.start as usize, "TLSv1.");
    is_so && batch.get(span.end() - 1).is_some_and(u8::is_ascii_digit)
}

/// What these bytes part.
pub fn parted<'a>(text: &'a [u8], by: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let at = memchr::memmem::find(text, by);
        rest = at.map(|at| &text[at + by.len()..]);
        Some(at.map_or(text, |at| &text[..at]))
    })
}

/// The columns that no table knows.
pub fn columns(out: &mut Buffer, raw: &[u8], syntax: Syntax) {
    list(out, Fields::with(raw, syntax), |out, item| json::string(out.bytes(), item));
}

/// A list behind its bracket. Nothing between two separators is no item.
fn list<'a>(out: &mut Buffer, items: impl Iterator<Item = &'a [u8]>, write: impl Fn(&mut Buffer, &'a [u8])) {
    for (index, item) in items.filter(|item| !item.is_empty()).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Seconds with any number of decimals as whole milliseconds, rounded half up.
pub fn milliseconds(seconds: &[u8]) -> Option<u64> {
    let (whole, fraction) = parts_of_number(seconds)?;
    let place = |index: usize| fraction.get(index).map_or(0, |digit| u64::from(digit - b'0'));
    let thousandths = place(0) * 100 + place(1) * 10 + place(2);
    whole.checked_mul(1000)?.checked_add(thousandths + u64::from(place(3) >= 5))
}

/// A number as a whole number of so many decimal places further, those beyond cut off.
pub fn scaled(text: &[u8], places: u8) -> Option<u64> {
    let (whole, fraction) = parts_of_number(text)?;
    (0..usize::from(places)).try_fold(whole, |sum, index| {
        sum.checked_mul(10)?.checked_add(fraction.get(index).map_or(0, |digit| u64::from(digit - b'0')))
    })
}

/// Digits before the point, and those behind it.
fn parts_of_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (whole, fraction) = match memchr::memchr(b'.', text) {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &b""[..]),
    };
    let is_number = !whole.is_empty() && text.last() != Some(&b'.') && fraction.iter().all(u8::is_ascii_digit);
    let whole = std::str::from_utf8(whole).ok().filter(|_| is_number && whole[0].is_ascii_digit())?;
    Some((whole.parse().ok()?, fraction))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_become_whole_milliseconds_rounded_half_up() {
        for (seconds, expected) in [
            ("0", Some(0)),
            ("0.000051", Some(0)),
            ("0.0005", Some(1)),
            ("0.0004999", Some(0)),
            ("1.0015", Some(1002)),
            ("12.3", Some(12300)),
            ("x", None),
            ("-1", None),
            ("1e3", None),
            ("1.", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(milliseconds(seconds.as_bytes()), expected, "{seconds}");
        }
        assert_eq!(scaled(b"0.0120009", 9), Some(12_000_900));
        assert_eq!(scaled(b"7", 6), Some(7_000_000));
    }

    #[test]
    fn percent_is_decoded_once_or_twice() {
        assert_eq!(&*decode(b"a%20b%zz%2", Encoding::Percent), b"a b%zz%2");
        assert_eq!(&*decode(b"Demo%2520Agent/1.0%2520(x)", Encoding::PercentUserAgent), b"Demo Agent/1.0 (x)");
        assert_eq!(&*decode(b"Demo%20Agent%2520", Encoding::PercentUserAgent), b"Demo Agent%20");
        assert_eq!(s3_key(b"dir/a%2522b+c.txt", b"/bucket/dir/a%22b%20c.txt"), b"dir/a\"b c.txt");
        assert_eq!(s3_key(b"a%2522b", b"/bucket/other"), b"a%22b");
    }

    proptest! {
        #[test]
        fn a_text_is_written_as_it_is_decoded(
            text in "([a-z ]{0,20}|[\"\\\\%\t\n\x7Fé]|\\\\x[0-9A-F]{2}|%[0-9a-f]{2}|%25|%20|\\\\\"){0,30}", behind in "[ -~]{0,40}",
        ) {
            let batch = format!("{text}{behind}");
            for encoding in [Encoding::Plain, Encoding::Backslash, Encoding::Percent, Encoding::PercentUserAgent] {
                let mut out = Buffer::default();
                super::text(&mut out, batch.as_bytes(), Span::between(0, text.len()), encoding);
                let mut expected = Vec::new();
                json::escaped(&mut expected, &decode(text.as_bytes(), encoding));
                prop_assert_eq!(out.into_bytes(), expected);
            }
        }

        #[test]
        fn a_plain_number_is_one(text in "-?[0-9]{0,6}(\\.[0-9]{0,12})?x?", behind in "[ -~]{0,20}") {
            let batch = format!("{text}{behind}");
            let span = Span::between(0, text.len());
            if is_plain_number(batch.as_bytes(), span) {
                prop_assert_eq!(json::as_number(text.as_bytes()), Some(text.as_bytes()));
            }
            let mut out = Buffer::default();
            let is_number = number(&mut out, batch.as_bytes(), span);
            prop_assert_eq!(is_number, json::as_number(text.as_bytes()).is_some());
        }
    }
}
