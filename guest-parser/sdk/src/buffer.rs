//! Where events are written: bytes that grow at their end.
//!
//! A copy of a few bytes by `memory.copy` is, in the sandbox, a call out of it, and costs more than the bytes. So what is
//! appended is copied in steps of 16 bytes, with the last step copying too many: bytes behind the source's part that exist,
//! into room that exists, and that the next part is written over.

use crate::scan::Span;

/// The events of a batch, as they are written.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
}

const STEP: usize = 16;

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

    /// Replaces a byte that was written.
    #[inline(always)]
    pub fn set(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    /// Appends a byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends a part of a source. It is fast where the source goes on for some bytes behind the part.
    #[inline(always)]
    pub fn put(&mut self, source: &[u8], span: Span) {
        let stepped = stepped(span);
        if !fits(source, span, stepped) || self.bytes.capacity() - self.bytes.len() < stepped {
            return self.put_exactly(source, span);
        }
        // SAFETY: the source has `stepped` bytes from the part's start on, and the vector has room for as many, as was just
        // checked. Of what is copied, the part's own bytes are in the vector's new length, and all of those are initialised.
        #[allow(unsafe_code, reason = "copies into room that is not initialised")]
        unsafe {
            let end = self.bytes.as_mut_ptr().add(self.bytes.len());
            copy(source.as_ptr().add(span.start as usize), end, stepped);
            self.bytes.set_len(self.bytes.len() + span.len as usize);
        }
    }

    /// Appends a part of one source, a part of another, and a byte.
    #[inline(always)]
    pub fn put_both(&mut self, names: &[u8], name: Span, source: &[u8], span: Span, behind: u8) {
        let (first, second) = (stepped(name), stepped(span));
        let has_room = self.bytes.capacity() - self.bytes.len() > first + second;
        if !fits(names, name, first) || !fits(source, span, second) || !has_room {
            self.put_exactly(names, name);
            self.put_exactly(source, span);
            return self.bytes.push(behind);
        }
        // SAFETY: as above, for both parts, and the byte behind them.
        #[allow(unsafe_code, reason = "copies into room that is not initialised")]
        unsafe {
            let end = self.bytes.as_mut_ptr().add(self.bytes.len());
            copy(names.as_ptr().add(name.start as usize), end, first);
            let end = end.add(name.len as usize);
            copy(source.as_ptr().add(span.start as usize), end, second);
            end.add(span.len as usize).write(behind);
            self.bytes.set_len(self.bytes.len() + (name.len + span.len) as usize + 1);
        }
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

/// How many bytes are copied for a part. For one that is no value, zero, which no part fits into.
#[inline(always)]
fn stepped(span: Span) -> usize {
    let len = span.len as usize;
    match len <= STEP {
        true => STEP,
        // 16 and a multiple of 32.
        false => (len.wrapping_add(STEP - 1) & !(2 * STEP - 1)).wrapping_add(STEP),
    }
}

/// Whether so many bytes may be read from the part's start on, and the part is among them.
#[inline(always)]
fn fits(source: &[u8], span: Span, stepped: usize) -> bool {
    span.len as usize <= stepped && (span.start as usize).saturating_add(stepped) <= source.len()
}

/// Copies 16 bytes, and as many times 32 more.
///
/// # Safety
///
/// Both sides have that many bytes, and do not overlap.
#[allow(unsafe_code, reason = "copies into room that is not initialised")]
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, stepped: usize) {
    // SAFETY: the caller's.
    unsafe {
        step(from, to);
        let mut at = STEP;
        while at < stepped {
            step(from.add(at), to.add(at));
            step(from.add(at + STEP), to.add(at + STEP));
            at += 2 * STEP;
        }
    }
}

/// # Safety
///
/// As for `copy`, of 16 bytes.
#[allow(unsafe_code, reason = "copies into room that is not initialised")]
#[inline(always)]
unsafe fn step(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's.
    unsafe { to.cast::<[u8; STEP]>().write_unaligned(from.cast::<[u8; STEP]>().read_unaligned()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_what_is_there(
            source in proptest::collection::vec(any::<u8>(), 0..100),
            parts in proptest::collection::vec((0_usize..110, 0_usize..110), 0..20),
            capacity in 0_usize..300,
        ) {
            let mut buffer = Buffer::with_capacity(capacity);
            let mut expected = Vec::new();
            for (start, end) in parts {
                let (start, end) = (start.min(source.len()), end.min(source.len()));
                if start <= end {
                    let span = Span::between(start, end);
                    buffer.put(&source, span);
                    buffer.put_both(b"a name, and more behind it", Span::between(2, 6), &source, span, b'|');
                    expected.extend_from_slice(&[&source[start..end], b"name", &source[start..end], b"|"].concat());
                }
            }
            prop_assert_eq!(buffer.into_bytes(), expected);
        }
    }

    #[test]
    fn no_value_is_nothing() {
        let mut buffer = Buffer::default();
        buffer.put(&[b'x'; 100], Span::NONE);
        assert!(buffer.is_empty());
    }
}
