//! A JSON writer that cannot produce invalid JSON.
//!
//! Text is escaped, bytes that are not UTF-8 become U+FFFD, a number is written only if it is one, and braces close with
//! the closure that opened them. Repeating a name in one object is the caller's mistake: it is valid JSON, and no
//! receiver will read it twice.
//!
//! ```
//! let mut out = Vec::new();
//! elbow_guest::json::object(&mut out, |event| {
//!     event.text("user_agent", "curl \"8\"");
//!     event.object("http", |http| {
//!         http.number("status", b"200");
//!     });
//!     event.texts("actions", ["waf", "forward"]);
//! });
//! assert_eq!(out, br#"{"user_agent":"curl \"8\"","http":{"status":200},"actions":["waf","forward"]}"#);
//! ```

/// Appends one JSON object to `out`, which the closure fills.
#[inline]
pub fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    let start = out.len();
    fill(&mut Object { out, start });
    out.push(b'}');
}

/// An object that is being written.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// Where the first member begins: at any later place, a comma is due.
    start: usize,
}

impl Object<'_> {
    /// A string.
    #[inline]
    pub fn text(&mut self, name: &str, value: &str) {
        self.bytes(name, value.as_bytes());
    }

    /// A string from bytes that ought to be UTF-8; where they are not, U+FFFD.
    #[inline]
    pub fn bytes(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        string(self.out, value);
    }

    /// A string in two parts.
    #[inline]
    pub fn joined(&mut self, name: &str, first: &[u8], second: &[u8]) {
        self.name(name);
        self.out.push(b'"');
        escaped(self.out, first);
        escaped(self.out, second);
        self.out.push(b'"');
    }

    /// A number, with the very digits of `digits`, less leading zeros. Writes nothing and answers `false` if it is no
    /// JSON number, or one that readers do not take: longer than [`MAX_NUMBER`] bytes, or too large for a double.
    #[inline]
    pub fn number(&mut self, name: &str, digits: &[u8]) -> bool {
        let Some(digits) = as_number(digits) else {
            return false;
        };
        self.name(name);
        self.out.extend_from_slice(digits);
        true
    }

    /// A whole number from 0.
    pub fn unsigned(&mut self, name: &str, value: u64) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A whole number.
    pub fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A number; `null` if it is not finite, for which JSON has no word.
    pub fn float(&mut self, name: &str, value: f64) {
        self.name(name);
        if value.is_finite() {
            self.out.extend_from_slice(value.to_string().as_bytes());
        } else {
            self.out.extend_from_slice(b"null");
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.out.extend_from_slice(word);
    }

    /// An array of strings.
    pub fn texts<T: AsRef<[u8]>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        self.array(name, values, |out, value| string(out, value.as_ref()));
    }

    /// An array of numbers. What is no number becomes a string, so that the positions of the others keep their meaning.
    pub fn numbers<T: AsRef<[u8]>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        self.array(name, values, |out, value| match as_number(value.as_ref()) {
            Some(digits) => out.extend_from_slice(digits),
            None => string(out, value.as_ref()),
        });
    }

    /// An object within this one.
    #[inline]
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.out, fill);
    }

    /// An object within this one, left out if the closure writes nothing into it.
    #[inline]
    pub fn object_unless_empty(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let before = self.out.len();
        self.name(name);
        let opened = self.out.len();
        object(self.out, fill);
        if self.out.len() == opened + "{}".len() {
            self.out.truncate(before);
        }
    }

    /// Any JSON value, such as a static field from the settings.
    pub fn value(&mut self, name: &str, value: &serde_json::Value) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    fn array<T>(&mut self, name: &str, values: impl IntoIterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
        self.name(name);
        self.out.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(self.out, value);
        }
        self.out.push(b']');
    }

    #[inline]
    fn name(&mut self, name: &str) {
        if self.out.len() > self.start {
            self.out.push(b',');
        }
        string(self.out, name.as_bytes());
        self.out.push(b':');
    }
}

/// The longest number that is written as one.
pub const MAX_NUMBER: usize = 64;

/// The digits of a JSON number (RFC 8259, section 6) without leading zeros; `None` if it is none, or too large.
#[inline]
pub fn as_number(text: &[u8]) -> Option<&[u8]> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = unsigned.iter().take_while(|b| b.is_ascii_digit()).count();
    if whole == 0 || text.len() > MAX_NUMBER {
        return None;
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = after_digits(fraction)?;
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let sign_taken = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+"));
        rest = after_digits(sign_taken.unwrap_or(exponent))?;
        // `1e999` is a number by its grammar, and an error to most readers.
        let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        if !value.is_finite() {
            return None;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let leading = unsigned[..whole - 1].iter().take_while(|b| **b == b'0').count();
    match (leading, unsigned.len() == text.len()) {
        (0, _) => Some(text),
        (_, true) => Some(&text[leading..]),
        // A negative number with leading zeros has no contiguous digits to hand out, and no log writes one.
        (_, false) => None,
    }
}

fn after_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

/// Appends a JSON string.
#[inline]
pub fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    escaped(out, value);
    out.push(b'"');
}

/// Appends the inside of a JSON string, without its quotes.
#[inline]
pub fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    let plain = plain_prefix(value);
    out.extend_from_slice(&value[..plain]);
    if plain < value.len() {
        escaped_from(out, &value[plain..]);
    }
}

/// The same for text that begins with something to escape: from one such place to the next.
#[cold]
fn escaped_from(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(&first) = rest.first() {
        let taken = match first {
            ..0x80 => {
                escaped_byte(out, first);
                1
            }
            // Up to the next ASCII byte, which is never the middle of a character.
            _ => {
                let run = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
                for chunk in rest[..run].utf8_chunks() {
                    out.extend_from_slice(chunk.valid().as_bytes());
                    if !chunk.invalid().is_empty() {
                        out.extend_from_slice("\u{FFFD}".as_bytes());
                    }
                }
                run
            }
        };
        rest = &rest[taken..];
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
    }
}

fn escaped_byte(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// How many bytes from the start need no escape and are ASCII, looked at eight at a time: a loop over single bytes would
/// pay the sandbox's epoch check for each.
#[inline]
pub fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // The borrow of a subtraction can only mark bytes above the first true mark, so the lowest mark is right.
        let marks =
            (word.wrapping_sub(ONES * 0x20) | quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES) | word) & HIGH;
        if marks != 0 {
            return index * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let plain = |byte: &&u8| !matches!(**byte, 0..0x20 | b'"' | b'\\' | 0x80..);
    words.len() * 8 + tail.iter().take_while(plain).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        object(&mut out, fill);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn any_bytes_become_the_string_that_lossy_decoding_gives(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x20_u8..0x7F, Just(b'"'), Just(0xC3), Just(0xA9)], 0..200),
            name: String,
        ) {
            let json = written(|o| o.bytes(&name, &bytes));
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(value[name].as_str().unwrap(), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn the_plain_prefix_is_that_of_a_plain_loop(bytes in proptest::collection::vec(prop_oneof![0u8..=255, 0x20u8..0x7f], 0..80)) {
            let expected = bytes.iter().take_while(|b| !matches!(b, 0..0x20 | b'"' | b'\\' | 0x80..)).count();
            prop_assert_eq!(plain_prefix(&bytes), expected);
        }

        #[test]
        fn a_number_is_written_only_if_it_is_one(text in "-?[0-9]{0,4}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,2})?x?") {
            if let Some(digits) = as_number(text.as_bytes()) {
                let digits = std::str::from_utf8(digits).unwrap();
                prop_assert!(serde_json::from_str::<serde_json::Value>(digits).unwrap().is_number());
                prop_assert_eq!(digits.parse::<f64>().unwrap(), text.parse::<f64>().unwrap());
            } else {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
            }
        }
    }

    #[test]
    fn digits_are_kept_and_leading_zeros_are_not() {
        for (text, digits) in [("0.000051", "0.000051"), ("000", "0"), ("007", "7"), ("1.50", "1.50"), ("-1", "-1")] {
            assert_eq!(as_number(text.as_bytes()), Some(digits.as_bytes()), "{text}");
        }
        for text in ["", "-", "1.", ".5", "1e", "0x1", "1 ", "NaN", "-007", "1e999", "-1E+400"] {
            assert_eq!(as_number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_empty_object_can_be_left_out() {
        let json = written(|o| {
            o.unsigned("a", 1);
            o.object_unless_empty("b", |_| {});
            o.object_unless_empty("c", |c| c.boolean("d", true));
            o.object("e", |_| {});
        });
        assert_eq!(json, r#"{"a":1,"c":{"d":true},"e":{}}"#);
    }

    #[test]
    fn a_number_that_json_has_no_word_for_is_null() {
        assert_eq!(written(|o| o.float("x", f64::NAN)), r#"{"x":null}"#);
    }
}
