//! Lines that are no records, and those among them that name columns.

use std::collections::HashSet;

/// Which lines are no records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// None.
    None,
    /// The first, and each later one that is the same, or that begins with one of these words and has more of them than
    /// others.
    FirstLine(Vec<String>),
    /// Directives of the W3C extended log file format: those that begin with `#`.
    W3c,
    /// Those that begin with this.
    Prefix(Vec<u8>),
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Record,
    HeaderLine,
    /// A header line that names other columns than the one before.
    NewHeader,
}

/// The header lines of a text, as far as it was cut.
pub(super) struct Headers {
    header: Header,
    /// The words that later headers consist of.
    words: HashSet<Vec<u8>>,
    /// With which bytes a header line may begin.
    first_bytes: [bool; 256],
    is_first_line: bool,
    /// The line that names the columns, for now.
    names: Option<Vec<u8>>,
}

impl Headers {
    pub(super) fn new(header: Header) -> Self {
        let mut first_bytes = [false; 256];
        let mut words = HashSet::new();
        match &header {
            Header::None => {}
            Header::FirstLine(names) => {
                words.extend(names.iter().filter(|name| !name.is_empty()).map(|name| name.clone().into_bytes()));
            }
            Header::W3c => first_bytes[usize::from(b'#')] = true,
            Header::Prefix(prefix) => match prefix.first() {
                Some(byte) => first_bytes[usize::from(*byte)] = true,
                None => first_bytes = [true; 256],
            },
        }
        for byte in words.iter().filter_map(|word| word.first()) {
            first_bytes[usize::from(*byte)] = true;
        }
        Self { header, words, first_bytes, is_first_line: true, names: None }
    }

    /// Whether the line that begins with this byte is a record for certain.
    #[inline]
    pub(super) fn is_record(&self, first_byte: u8) -> bool {
        let may_be_first = self.is_first_line && matches!(self.header, Header::FirstLine(_));
        !may_be_first && !self.first_bytes[usize::from(first_byte)]
    }

    /// Passes over lines that are records.
    pub(super) fn skip(&mut self) {
        self.is_first_line = false;
    }

    /// What a line is, and remembers it.
    pub(super) fn look(&mut self, line: &[u8]) -> Kind {
        let is_first = std::mem::take(&mut self.is_first_line);
        match &self.header {
            Header::None => Kind::Record,
            Header::Prefix(prefix) if line.starts_with(prefix) => Kind::HeaderLine,
            Header::Prefix(_) => Kind::Record,
            Header::W3c if line.starts_with(b"#Fields:") => self.names(line, self.names.is_none()),
            Header::W3c if line.starts_with(b"#") => Kind::HeaderLine,
            Header::W3c => Kind::Record,
            Header::FirstLine(_) => {
                let is_names = is_first || self.is_same(line) || self.has_words(line);
                if is_names { self.names(line, is_first) } else { Kind::Record }
            }
        }
    }

    /// A line that names columns. The mapping has seen the first of a text.
    fn names(&mut self, line: &[u8], is_first: bool) -> Kind {
        if self.is_same(line) {
            return Kind::HeaderLine;
        }
        let line = line.trim_ascii_end();
        if let Some(byte) = line.first() {
            self.first_bytes[usize::from(*byte)] = true;
        }
        self.names = Some(line.to_vec());
        if is_first { Kind::HeaderLine } else { Kind::NewHeader }
    }

    fn is_same(&self, line: &[u8]) -> bool {
        let line = line.trim_ascii_end();
        !line.is_empty() && self.names.as_deref() == Some(line)
    }

    fn has_words(&self, line: &[u8]) -> bool {
        let words = line.split(u8::is_ascii_whitespace);
        if !words.clone().next().is_some_and(|first| self.words.contains(first)) {
            return false;
        }
        let count = words.clone().filter(|word| !word.is_empty()).count();
        let known = words.filter(|word| self.words.contains(*word)).count();
        known * 2 > count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds<const N: usize>(header: Header, lines: [&str; N]) -> [Kind; N] {
        let mut headers = Headers::new(header);
        lines.map(|line| {
            let may_be_header = line.bytes().next().is_some_and(|byte| !headers.is_record(byte));
            let kind = headers.look(line.as_bytes());
            assert!(may_be_header || kind == Kind::Record, "{line}");
            kind
        })
    }

    #[test]
    fn a_later_line_of_names_is_a_header() {
        use Kind::{HeaderLine, NewHeader, Record};
        let names = ["version", "start", "end"].map(str::to_owned).to_vec();
        let lines = [
            "x-new version",
            "2 1",
            "x-new version\r",
            "x-old version",
            "version start x-new",
            "version start x-new",
            "start x y",
            "end",
            "",
        ];
        let expected = [HeaderLine, Record, HeaderLine, Record, NewHeader, HeaderLine, Record, NewHeader, Record];
        assert_eq!(kinds(Header::FirstLine(names), lines), expected);
    }

    #[test]
    fn only_fields_name_columns_in_w3c() {
        use Kind::{HeaderLine, NewHeader, Record};
        let lines = ["#Version: 1.0", "#Fields: a b", "1 2", "#Remark: x", "#Fields: a b", "#Fields: a", "#Fields: a "];
        let expected = [HeaderLine, HeaderLine, Record, HeaderLine, HeaderLine, NewHeader, HeaderLine];
        assert_eq!(kinds(Header::W3c, lines), expected);
    }
}
