//! Where events are written: bytes that grow at their end.
//!
//! A copy of a few bytes by `memory.copy` is, in the sandbox, a call out of it, and costs more than the bytes. So of
//! what is appended 32 bytes are copied, or a multiple of 64: bytes behind the source's part that exist, into room that
//! exists, and that the next part is written over.
//!
//! A function that is called, rather than inlined, finds the buffer in memory, and then each step of a mapping would wait
//! for the length that the step before it has stored there. So what most steps do is inlined, and what others call is given
//! the buffer by [`Buffer::lend`].

use crate::scan::{Bytes16, Span};

/// The events of a batch, as they are written.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
}

/// What is copied of most parts, whatever their length: more than most have.
const SHORT: usize = 32;

/// What each turn of a loop copies of a longer part. A turn has its price: in the sandbox it checks the deadline.
const TURN: usize = 2 * SHORT;

impl Buffer {
    /// With room for so many bytes before it must grow.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// How many bytes there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The last byte.
    #[inline(always)]
    pub fn last(&self) -> Option<u8> {
        self.bytes.last().copied()
    }

    /// Takes back what was written since there were so many bytes.
    #[inline(always)]
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Lets a function write that is called rather than inlined, so that only while it does the buffer has a place in memory.
    #[inline(always)]
    pub fn lend<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let mut lent = std::mem::take(self);
        let written = write(&mut lent);
        *self = lent;
        written
    }

    /// Replaces a byte that was written.
    #[inline(always)]
    pub fn set(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    /// Appends a byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        if self.room() == 0 {
            self.lend(Self::grow);
        }
        // SAFETY: there is room for a byte, which is written before it is in the vector's length.
        #[allow(unsafe_code, reason = "`Vec::push` calls a function with the vector")]
        unsafe {
            self.end().write(byte);
            self.bytes.set_len(self.bytes.len() + 1);
        }
    }

    /// Appends a part of a source. It is fast where the source goes on for some bytes behind the part.
    #[inline(always)]
    pub fn put(&mut self, source: &[u8], span: Span) {
        if span.len as usize > SHORT || !reaches(source, span) || self.room() < SHORT {
            return self.put_long(source, span);
        }
        // SAFETY: the source has `SHORT` bytes from the part's start on, and the vector has room for as many, as was just
        // checked. Of what is copied, the part's own bytes are in the vector's new length, and all of those are initialised.
        #[allow(unsafe_code, reason = "copies into room that is not initialised")]
        unsafe {
            copy_short(source.as_ptr().add(span.start as usize), self.end());
            self.bytes.set_len(self.bytes.len() + span.len as usize);
        }
    }

    /// Appends a part of one source, a part of another, and a byte if there is one.
    #[inline(always)]
    pub fn put_both(&mut self, names: &[u8], name: Span, source: &[u8], span: Span, behind: Option<u8>) {
        let are_short = name.len as usize <= SHORT && span.len as usize <= SHORT;
        if !are_short || !reaches(names, name) || !reaches(source, span) || self.room() <= 2 * SHORT {
            self.put(names, name);
            self.put_long(source, span);
            return behind.into_iter().for_each(|byte| self.push(byte));
        }
        // SAFETY: as above, for both parts, and the byte behind them.
        #[allow(unsafe_code, reason = "copies into room that is not initialised")]
        unsafe {
            let end = self.end();
            copy_short(names.as_ptr().add(name.start as usize), end);
            let end = end.add(name.len as usize);
            copy_short(source.as_ptr().add(span.start as usize), end);
            end.add(span.len as usize).write(behind.unwrap_or_default());
            self.bytes.set_len(self.bytes.len() + (name.len + span.len) as usize + usize::from(behind.is_some()));
        }
    }

    /// A part that is longer than most, or at a place where only its own bytes can be copied.
    #[inline(always)]
    fn put_long(&mut self, source: &[u8], span: Span) {
        // In whole turns.
        let len = (span.len as usize).saturating_add(TURN - 1) & !(TURN - 1);
        if span.is_none() || (span.start as usize).saturating_add(len) > source.len() || self.room() < len {
            return self.lend(|lent| lent.put_exactly(source, span));
        }
        // SAFETY: as above, for `len` bytes.
        #[allow(unsafe_code, reason = "copies into room that is not initialised")]
        unsafe {
            copy_long(source.as_ptr().add(span.start as usize), self.end(), len);
            self.bytes.set_len(self.bytes.len() + span.len as usize);
        }
    }

    /// Appends a part with a backslash before each quote in it.
    #[inline(never)]
    pub fn put_quoted(&mut self, source: &[u8], span: Span) {
        let mut rest = span.of(source);
        // Each byte may become two, and a copy may reach further.
        self.bytes.reserve(2 * rest.len() + SHORT);
        let behind = source.len() - (span.start as usize + rest.len()).min(source.len());
        while !rest.is_empty() && rest.len() + behind >= 2 * SHORT {
            let len = rest.len().min(SHORT);
            let at = source.len() - behind - rest.len();
            let (halves, _) = source[at..at + SHORT].as_chunks::<16>();
            let [low, high] = [0, 1].map(|half| Bytes16::load(&halves[half]).equal(b'"'));
            let mut quotes = (low | high << 16) & (u32::MAX >> (SHORT - len));
            let mut copied = 0;
            loop {
                let next = if quotes == 0 { len } else { quotes.trailing_zeros() as usize };
                // SAFETY: `copied` is less than `SHORT`, and the source has twice as many bytes from `at` on. The room is two bytes
                // for each of the part, and `SHORT` more: of the bytes before `copied` two each are in use at most, and if
                // `copied` is a quote, its backslash, which is one of the two for the quote. The bytes up to `next` are
                // written here, and so is a backslash behind them.
                #[allow(unsafe_code, reason = "copies into room that is not initialised")]
                unsafe {
                    copy_short(source.as_ptr().add(at + copied), self.end());
                    self.end().add(next - copied).write(b'\\');
                    self.bytes.set_len(self.bytes.len() + next - copied + usize::from(quotes != 0));
                }
                copied = next;
                if quotes == 0 {
                    break;
                }
                quotes &= quotes - 1;
            }
            rest = &rest[len..];
        }
        for byte in rest {
            if *byte == b'"' {
                self.bytes.push(b'\\');
            }
            self.bytes.push(*byte);
        }
    }

    #[inline(always)]
    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Where the next byte goes.
    #[inline(always)]
    fn end(&mut self) -> *mut u8 {
        self.bytes.spare_capacity_mut().as_mut_ptr().cast()
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.bytes.reserve(1);
    }

    #[cold]
    #[inline(never)]
    fn put_exactly(&mut self, source: &[u8], span: Span) {
        let part = span.of(source);
        // More room than is needed, so that the next part is put fast.
        self.bytes.reserve(part.len() + 64);
        self.bytes.extend_from_slice(part);
    }

    /// The bytes, for whoever writes them without this page's speed.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Whether the source has [`SHORT`] bytes from the part's start on.
#[inline(always)]
fn reaches(source: &[u8], span: Span) -> bool {
    source.len().checked_sub(SHORT).is_some_and(|last| span.start as usize <= last)
}

/// Copies [`SHORT`] bytes.
///
/// # Safety
///
/// Both sides have that many, and do not overlap.
#[allow(unsafe_code, reason = "copies into room that is not initialised")]
#[inline(always)]
unsafe fn copy_short(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's.
    unsafe { to.cast::<[u8; SHORT]>().write_unaligned(from.cast::<[u8; SHORT]>().read_unaligned()) }
}

/// Copies so many bytes, a multiple of [`TURN`].
///
/// # Safety
///
/// As for [`copy_short`].
#[allow(unsafe_code, reason = "copies into room that is not initialised")]
#[inline(never)]
unsafe fn copy_long(from: *const u8, to: *mut u8, len: usize) {
    for at in (0..len).step_by(TURN) {
        // SAFETY: the caller's.
        unsafe {
            copy_short(from.add(at), to.add(at));
            copy_short(from.add(at + SHORT), to.add(at + SHORT));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_what_is_there(
            source in proptest::collection::vec(any::<u8>(), 0..200),
            parts in proptest::collection::vec((0_usize..220, 0_usize..220), 0..20),
            capacity in 0_usize..600,
        ) {
            let mut buffer = Buffer::with_capacity(capacity);
            let mut expected = Vec::new();
            for (start, end) in parts {
                let (start, end) = (start.min(source.len()), end.min(source.len()));
                if start <= end {
                    let span = Span::between(start, end);
                    buffer.put(&source, span);
                    buffer.put_both(b"a name, and more behind it", Span::between(2, 6), &source, span, Some(b'|'));
                    expected.extend_from_slice(&[&source[start..end], b"name", &source[start..end], b"|"].concat());
                }
            }
            prop_assert_eq!(buffer.into_bytes(), expected);
        }
    }

    proptest! {
        #[test]
        fn each_quote_has_a_backslash_before_it(
            before in ".{0,40}", text in "([a-z]{0,20}|\"){0,40}", behind in "[\"a]{0,40}", capacity in 0_usize..200,
        ) {
            let source = [&before[..], &text, &behind].concat();
            let span = Span::between(before.len(), before.len() + text.len());
            let mut buffer = Buffer::with_capacity(capacity);
            buffer.put_quoted(source.as_bytes(), span);
            prop_assert_eq!(String::from_utf8(buffer.into_bytes()).unwrap(), text.replace('"', "\\\""));
        }
    }

    #[test]
    fn no_value_is_nothing() {
        let mut buffer = Buffer::default();
        buffer.put(&[b'x'; 100], Span::NONE);
        buffer.put_quoted(&[b'x'; 100], Span::NONE);
        assert!(buffer.is_empty());
    }
}
