//! Stage one: where the columns of a whole batch end, 64 bytes at a time.
//!
//! A loop that looks at one byte at a time pays for each: in the sandbox also the check of the deadline that every
//! iteration makes. So the batch is looked at in blocks of 64 bytes, each of which becomes a few masks of 64 bits: where
//! separators are, where quotes, where newlines. Which separators stand between quotes, the parity of the quotes before
//! them says, and that is a prefix sum of bits. What is left is listed.
//!
//! The index is right for lines whose quotes enclose whole columns. A block in which a quote stands elsewhere or may be
//! escaped, or a separator too many, is marked as *odd*; the lines that touch it are split by [`Fields`](super::Fields),
//! which looks closely. A block with anything that JSON or the format escapes is marked as *special*: text in the lines
//! that touch it must be looked at before it is written. Both are rare, and looking closely at a line that would not have
//! needed it costs time only.

use super::simd::Block;

/// How the columns of a line are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// What stands between two columns.
    pub separator: u8,
    /// Whether a column may stand in double quotes, with separators in it.
    pub quotes: bool,
    /// What begins an escape in a text: a backslash, which also escapes a quote, or another byte, as `%`.
    pub escape: u8,
    /// What a column holds that has no value.
    pub null: u8,
}

impl Syntax {
    /// Columns parted by spaces, some of them in quotes, with escapes that begin with a backslash.
    pub const SPACES: Self = Self { separator: b' ', quotes: true, escape: b'\\', null: b'-' };
    /// Columns parted by tabs, percent-encoded.
    pub const TABS: Self = Self { separator: b'\t', quotes: false, escape: b'%', null: b'-' };

    /// Whether a quote behind a backslash is part of the text.
    #[inline(always)]
    pub(super) fn escapes_quotes(self) -> bool {
        self.quotes && self.escape == b'\\'
    }
}

/// Where the columns of a batch end.
#[derive(Default)]
pub(crate) struct Index {
    /// The position after the last byte of each column: of a separator, or of a newline. Behind those that count, there is
    /// room for those of another block.
    ends: Vec<u32>,
    /// How many of them count.
    count: usize,
    /// For each line, how many columns end up to its newline.
    pub(crate) lines: Vec<u32>,
    /// The first positions of the blocks in which quotes or separators stand where the index cannot read them.
    pub(crate) odd: Vec<u32>,
    /// The first positions of the blocks in which something may have to be unescaped or escaped.
    pub(crate) special: Vec<u32>,
}

/// What a block leaves to the next.
#[derive(Default)]
struct Carry {
    /// All ones, if the block has ended between quotes.
    inside: u64,
    /// Bit 0: the last byte was a separator or a newline, outside of quotes.
    end: u64,
    /// Bit 0: the last byte was a newline.
    newline: u64,
    /// Bit 0: the last byte was a quote that closes.
    closing: u64,
    /// Bit 0: the last byte was a backslash.
    backslash: u64,
}

pub(crate) const BLOCK: usize = 64;

impl Index {
    /// Makes the index of a batch of whole lines.
    pub(crate) fn build(&mut self, batch: &[u8], syntax: Syntax) {
        // The same code three times, so that in two of them the compiler knows the bytes that it compares with.
        match syntax {
            Syntax { separator: b' ', quotes: true, escape: b'\\', .. } => self.walk(batch, Syntax::SPACES),
            Syntax { separator: b'\t', quotes: false, escape: b'%', .. } => self.walk(batch, Syntax::TABS),
            other => self.walk(batch, other),
        }
    }

    #[inline(always)]
    fn walk(&mut self, batch: &[u8], syntax: Syntax) {
        self.count = 0;
        self.lines.clear();
        self.odd.clear();
        self.special.clear();
        // What stands before the first line is like a newline.
        let mut carry = Carry { end: 1, newline: 1, ..Carry::default() };
        let (blocks, tail) = batch.as_chunks::<BLOCK>();
        for (number, block) in blocks.iter().enumerate() {
            self.add(Block::load(block), number * BLOCK, syntax, &mut carry);
        }
        if !tail.is_empty() {
            // Filled up with what is nothing special. Ends that may be found there belong to no line.
            let mut block = [b'.'; BLOCK];
            block[..tail.len()].copy_from_slice(tail);
            self.add(Block::load(&block), blocks.len() * BLOCK, syntax, &mut carry);
        }
    }

    /// Where columns end.
    pub(crate) fn ends(&self) -> &[u32] {
        &self.ends[..self.count]
    }

    #[inline(always)]
    fn add(&mut self, block: Block, base: usize, syntax: Syntax, carry: &mut Carry) {
        let separator = block.equal(syntax.separator);
        // Most blocks have neither newlines nor anything special.
        let (mut newline, mut special, mut backslash) = (0, 0, 0);
        if block.has_special(syntax.escape, syntax.separator) {
            newline = block.equal(b'\n');
            special = block.special(syntax.escape, syntax.separator) & !newline;
            backslash = if syntax.escapes_quotes() { block.equal(b'\\') } else { 0 };
        }
        let quote = block.equal(b'"');
        let mut odd = 0;
        let mut end = separator | newline;
        if syntax.quotes {
            let mut inside = quote_parity(quote) ^ carry.inside;
            // A quote that is not closed ends with its line.
            if newline & inside != 0 {
                odd = newline & inside;
                inside = closed_by_newlines(inside, newline);
            }
            end = separator & !inside | newline;
            if syntax.separator < b' ' {
                special |= separator & inside;
            }
            let (opening, closing) = (quote & inside, quote & !inside);
            odd |= opening & !(end << 1 | carry.end);
            odd |= (closing << 1 | carry.closing) & !end;
            odd |= quote & (backslash << 1 | carry.backslash);
            carry.inside = ((inside as i64) >> 63) as u64;
            carry.closing = closing >> 63;
            carry.backslash = backslash >> 63;
        } else {
            // Where quotes enclose columns, one within a text makes the line odd.
            special |= quote;
        }
        // Two spaces in a row are no column between them, but for the newlines of empty lines.
        if syntax.separator == b' ' {
            odd |= end & (end << 1 | carry.end) & !(newline & (newline << 1 | carry.newline));
            carry.newline = newline >> 63;
        }
        carry.end = end >> 63;
        if odd != 0 {
            self.odd.push(base as u32);
        }
        if special != 0 {
            self.special.push(base as u32);
        }
        let before = self.count as u32;
        self.push_ends(end, base as u32);
        while newline != 0 {
            let up_to = newline ^ (newline - 1);
            self.lines.push(before + (end & up_to).count_ones());
            newline &= newline - 1;
        }
    }

    /// Appends the positions of the bits. Eight at a time, of which some may be too many: that is cheaper than a loop over
    /// each, and those are written over.
    #[inline(always)]
    fn push_ends(&mut self, mut bits: u64, base: u32) {
        if self.ends.len() < self.count + BLOCK {
            self.ends.resize((self.count + BLOCK) * 2, 0);
        }
        let count = bits.count_ones() as usize;
        let mut at = self.count;
        self.count += count;
        bits = self.push_eight(bits, base, at);
        while bits != 0 {
            at += 8;
            bits = self.push_eight(bits, base, at);
        }
    }

    #[inline(always)]
    fn push_eight(&mut self, mut bits: u64, base: u32, at: usize) -> u64 {
        let mut eight = [0; 8];
        for position in &mut eight {
            *position = base.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
        self.ends[at..at + 8].copy_from_slice(&eight);
        bits
    }
}

/// Each bit: whether the number of bits up to it is odd. So it is set from an opening quote up to before the closing one.
#[inline(always)]
fn quote_parity(quotes: u64) -> u64 {
    let mut parity = quotes;
    for shift in [1, 2, 4, 8, 16, 32] {
        parity ^= parity << shift;
    }
    parity
}

/// What is inside of quotes, if a newline always closes them.
#[cold]
fn closed_by_newlines(mut inside: u64, newline: u64) -> u64 {
    let mut unclosed = newline & inside;
    while unclosed != 0 {
        let at = unclosed.trailing_zeros();
        inside ^= u64::MAX << at;
        // Only newlines behind this one are left.
        unclosed = newline & inside & (u64::MAX << at);
    }
    inside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ends and lines, one byte after the other.
    fn plainly(batch: &[u8], syntax: Syntax) -> (Vec<u32>, Vec<u32>) {
        let (mut ends, mut lines, mut inside) = (Vec::new(), Vec::new(), false);
        for (at, byte) in batch.iter().enumerate() {
            match *byte {
                b'\n' => {
                    ends.push(at as u32);
                    lines.push(ends.len() as u32);
                    inside = false;
                }
                b'"' if syntax.quotes => inside = !inside,
                byte if byte == syntax.separator && !inside => ends.push(at as u32),
                _ => {}
            }
        }
        (ends, lines)
    }

    fn batches() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => Just(b'a'), 2 => Just(b' '), 2 => Just(b'"'), 1 => Just(b'\n'), 1 => Just(b'\t'), 1 => any::<u8>()
        ];
        proptest::collection::vec(byte, 0..400).prop_map(|mut batch| {
            batch.push(b'\n');
            batch
        })
    }

    proptest! {
        #[test]
        fn columns_end_where_a_plain_loop_finds_it(batch in batches()) {
            for syntax in [Syntax::SPACES, Syntax::TABS] {
                let mut index = Index::default();
                index.build(&batch, syntax);
                let (ends, lines) = plainly(&batch, syntax);
                prop_assert_eq!(index.ends(), &ends[..]);
                prop_assert_eq!(&index.lines, &lines);
            }
        }

        #[test]
        fn nothing_special_is_missed(batch in batches()) {
            for syntax in [Syntax::SPACES, Syntax::TABS] {
                let mut index = Index::default();
                index.build(&batch, syntax);
                for (at, byte) in batch.iter().enumerate() {
                    let is_end = *byte == b'\n' || *byte == syntax.separator;
                    let is_special = !(0x20..0x80).contains(byte)
                        || *byte == b'\\'
                        || *byte == syntax.escape
                        || (*byte == b'"' && !syntax.quotes);
                    let is_marked = index.special.contains(&((at / BLOCK * BLOCK) as u32));
                    prop_assert!(!is_special || is_end || is_marked, "{at}");
                }
            }
        }
    }
}
