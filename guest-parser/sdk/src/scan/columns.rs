//! Stage two: from the index to the columns of each line.

use super::Fields;
use super::index::{BLOCK, Index, Syntax};

/// A part of a batch, by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: u32,
    /// How many bytes it has.
    pub len: u32,
}

impl Span {
    /// No value: not even an empty one.
    pub const NONE: Self = Self { start: 0, len: u32::MAX };

    /// From a position up to before another.
    #[inline(always)]
    pub fn between(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: (end - start) as u32 }
    }

    /// Whether it is no value.
    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.len == u32::MAX
    }

    /// The position after its last byte.
    #[inline(always)]
    pub fn end(self) -> usize {
        (self.start + self.len) as usize
    }

    /// Its bytes. Of no value, none.
    #[inline(always)]
    pub fn of(self, batch: &[u8]) -> &[u8] {
        let start = self.start as usize;
        batch.get(start..start.wrapping_add(self.len as usize)).unwrap_or_default()
    }
}

/// A line of a batch, split into columns.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    batch: &'a [u8],
    start: usize,
    end: usize,
    /// Where its columns end, by the index.
    ends: &'a [u32],
    is_odd: bool,
    is_special: bool,
    syntax: Syntax,
}

impl<'a> Line<'a> {
    /// The line without its newline and without a carriage return before it.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        &self.batch[self.start..self.end]
    }

    /// The same, as a place in the batch.
    #[inline(always)]
    pub fn span(&self) -> Span {
        Span::between(self.start, self.end)
    }

    /// The batch that the line is in, and that the spans of its columns speak of.
    #[inline(always)]
    pub fn batch(&self) -> &'a [u8] {
        self.batch
    }

    /// Whether quotes or separators stand, or may stand, where the format does not put them, so that it was looked at closely.
    #[inline(always)]
    pub fn is_odd(&self) -> bool {
        self.is_odd
    }

    /// Whether a text in it may have to be unescaped, or escaped for JSON. If not, none needs to be.
    #[inline(always)]
    pub fn is_special(&self) -> bool {
        self.is_special
    }

    /// Finds the columns, without their quotes, as far as there is room for them, and answers how many the line has. One
    /// that holds no more than the syntax's `null` is [`Span::NONE`].
    #[inline(always)]
    pub fn columns(&self, columns: &mut [Span]) -> usize {
        if self.is_odd {
            return self.columns_closely(columns);
        }
        let mut start = self.start;
        let room = columns.len().min(self.ends.len());
        let (fours, rest) = columns[..room].as_chunks_mut::<4>();
        let (ends, last_ends) = self.ends[..room].as_chunks::<4>();
        // Four for each turn, since in the sandbox a turn costs as much as a column.
        for (four, ends) in fours.iter_mut().zip(ends) {
            four[0] = self.column(&mut start, ends[0]);
            four[1] = self.column(&mut start, ends[1]);
            four[2] = self.column(&mut start, ends[2]);
            four[3] = self.column(&mut start, ends[3]);
        }
        for (column, end) in rest.iter_mut().zip(last_ends) {
            *column = self.column(&mut start, *end);
        }
        self.ends.len()
    }

    /// The column that begins and ends here. In a line that is not odd, a quote at the beginning has its fellow at the end.
    #[inline(always)]
    fn column(&self, start: &mut usize, end: u32) -> Span {
        // The last ends before a carriage return, where there is one.
        let end = (end as usize).min(self.end);
        let at = |position: usize| self.batch.get(position).copied().unwrap_or_default();
        let quote = usize::from(self.syntax.quotes && at(*start) == b'"');
        let begin = *start + quote;
        let column = Span::between(begin, (end - quote).max(begin));
        *start = end + 1;
        match column.len == 1 && at(begin) == self.syntax.null {
            true => Span::NONE,
            false => column,
        }
    }

    #[cold]
    fn columns_closely(&self, columns: &mut [Span]) -> usize {
        let line = self.bytes();
        let mut fields = Fields::with(line, self.syntax);
        let mut count = 0;
        let mut before = line.len() - fields.rest().len();
        while let Some(field) = fields.next() {
            if let Some(column) = columns.get_mut(count) {
                let quote = usize::from(self.syntax.quotes && line.get(before) == Some(&b'"'));
                let start = self.start + before + quote;
                *column = match field == [self.syntax.null] {
                    true => Span::NONE,
                    false => Span::between(start, start + field.len()),
                };
            }
            before = line.len() - fields.rest().len();
            count += 1;
        }
        count
    }

    /// What stands behind so many columns, raw.
    pub fn rest_after(&self, columns: usize) -> Span {
        if !self.is_odd {
            return match columns.checked_sub(1).map(|last| self.ends.get(last)) {
                None => self.span(),
                Some(Some(end)) => Span::between((*end as usize + 1).min(self.end), self.end),
                Some(None) => Span::between(self.end, self.end),
            };
        }
        let mut fields = Fields::with(self.bytes(), self.syntax);
        fields.by_ref().take(columns).for_each(drop);
        Span::between(self.end - fields.rest().len(), self.end)
    }
}

/// The lines of a batch with its index, in their order.
pub(crate) struct Lines<'a> {
    batch: &'a [u8],
    index: &'a Index,
    ends: &'a [u32],
    syntax: Syntax,
    start: usize,
    line: usize,
    column: usize,
    odd: usize,
    special: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(batch: &'a [u8], index: &'a Index, syntax: Syntax) -> Self {
        Self { batch, index, ends: index.ends(), syntax, start: 0, line: 0, column: 0, odd: 0, special: 0 }
    }

    /// Whether one of these blocks reaches into the line. What lies before the line is not looked at again.
    #[inline(always)]
    fn touches(blocks: &[u32], at: &mut usize, start: usize, end: usize) -> bool {
        while let Some(block) = blocks.get(*at) {
            let block = *block as usize;
            if block + BLOCK > start {
                return block <= end;
            }
            *at += 1;
        }
        false
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Line<'a>> {
        let last = *self.index.lines.get(self.line)? as usize;
        let ends = self.ends.get(self.column..last)?;
        let start = self.start;
        let newline = *ends.last()? as usize;
        let mut is_odd = Self::touches(&self.index.odd, &mut self.odd, start, newline);
        let is_special = Self::touches(&self.index.special, &mut self.special, start, newline);
        let has_return = newline > start && self.batch[newline - 1] == b'\r';
        if has_return && let [.., before, _] = ends {
            // A space before the carriage return parts nothing.
            is_odd |= self.syntax.separator == b' ' && *before as usize + 2 == newline;
        }
        self.start = newline + 1;
        self.line += 1;
        self.column = last;
        Some(Line {
            batch: self.batch,
            start,
            end: newline - usize::from(has_return),
            ends,
            is_odd,
            is_special: is_special || is_odd,
            syntax: self.syntax,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SYNTAXES: [Syntax; 4] = [
        Syntax::SPACES,
        Syntax { escape: b'%', ..Syntax::SPACES },
        Syntax { separator: b'\t', ..Syntax::SPACES },
        Syntax::TABS,
    ];

    fn batches() -> impl Strategy<Value = (Vec<u8>, Syntax)> {
        let word = prop_oneof![
            4 => Just("word"), 2 => Just("-"), 3 => Just("\"in quotes\""), 1 => Just("\"\""), 1 => Just("a\"b"), 1 => Just("\\x22"),
            1 => Just("\""), 1 => Just("\"a \"b\" c\""), 1 => Just(""), 1 => Just("\r"), 1 => Just("\"a\\\" b\""), 1 => Just("é"),
            1 => Just("\"a\\\""), 1 => Just("\\\""), 1 => Just("\"a\tb\""), 1 => Just("%22"),
        ];
        let line = proptest::collection::vec(word, 0..40);
        (proptest::collection::vec(line, 0..12), proptest::sample::select(&SYNTAXES[..])).prop_map(|(lines, syntax)| {
            let separator = char::from(syntax.separator).to_string();
            (lines.iter().flat_map(|line| [line.join(&separator), "\n".into()]).collect::<String>().into(), syntax)
        })
    }

    proptest! {
        /// Each line by itself, and among its neighbours.
        #[test]
        fn columns_are_those_that_a_close_look_finds((batch, syntax) in batches()) {
            let mut index = Index::default();
            index.build(&batch, syntax);
            let expected: Vec<&[u8]> = batch.split_inclusive(|byte| *byte == b'\n').collect();
            prop_assert_eq!(Lines::new(&batch, &index, syntax).count(), expected.len());
            for (line, text) in Lines::new(&batch, &index, syntax).zip(expected) {
                compare(&line, text, syntax)?;
                let mut alone = Index::default();
                alone.build(text, syntax);
                for line in Lines::new(text, &alone, syntax) {
                    compare(&line, text, syntax)?;
                }
            }
        }
    }

    fn compare(line: &Line<'_>, text: &[u8], syntax: Syntax) -> Result<(), TestCaseError> {
        let text = text.strip_suffix(b"\n").unwrap();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        prop_assert_eq!(line.bytes(), text);
        let fields: Vec<&[u8]> = Fields::with(text, syntax).collect();
        let mut columns = [Span::NONE; 30];
        let count = line.columns(&mut columns);
        // An empty line has one empty column by the index, and with spaces none by a close look.
        prop_assert!(count == fields.len() || (text.is_empty() && count == 1), "{count} {fields:?}");
        for (column, field) in columns.iter().zip(&fields) {
            match *field {
                b"-" => prop_assert_eq!(*column, Span::NONE),
                field => prop_assert_eq!(column.of(line.batch()), field),
            }
        }
        for behind in 0..3.min(fields.len()) {
            let rest: Vec<&[u8]> = Fields::with(line.rest_after(behind).of(line.batch()), syntax).collect();
            prop_assert_eq!(&rest[..], &fields[behind..]);
        }
        if !line.is_special() {
            let plain = |byte: &u8| ((0x20..0x80).contains(byte) && *byte != b'\\') || *byte == syntax.separator;
            prop_assert!(text.iter().all(plain));
            let within = [b'"', b'\t', syntax.escape];
            prop_assert!(fields.iter().all(|field| !field.iter().any(|byte| within.contains(byte))));
        }
        Ok(())
    }
}
