//! Comparisons of many bytes at a time: bit *n* of a mask speaks of byte *n*.

use wide::{i8x16, u8x16};

/// 16 bytes.
#[derive(Clone, Copy)]
pub struct Bytes16(u8x16);

impl Bytes16 {
    /// Loads them.
    #[inline(always)]
    pub fn load(bytes: &[u8; 16]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// Which bytes are this one.
    #[inline(always)]
    pub fn equal(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }

    /// Which bytes are those of the other.
    #[inline(always)]
    pub fn equal_each(self, other: &[u8; 16]) -> u32 {
        self.0.simd_eq(u8x16::new(*other)).to_bitmask()
    }

    /// Which bytes are decimal digits.
    #[inline(always)]
    pub fn digits(self) -> u32 {
        // Moved to where the digits are the lowest of signed numbers, so that it is one comparison.
        let moved = (self.0 - u8x16::splat(b'0' ^ 0x80)).cast_signed();
        moved.simd_lt(i8x16::splat(i8::MIN + 10)).to_bitmask()
    }

    /// Which bytes cannot stand in a JSON string as they are, or are this one.
    #[inline(always)]
    pub fn special(self, escape: u8) -> u32 {
        let within = self.0.simd_eq(u8x16::splat(b'"')) | self.0.simd_eq(u8x16::splat(escape));
        (self.never_plain() | within).to_bitmask()
    }

    /// The same but for quotes, which may enclose a column, and for what parts columns.
    #[inline(always)]
    fn special_in_columns(self, escape: u8, separator: u8) -> u8x16 {
        let mut special = self.never_plain();
        // Where these are known, the compiler leaves out what is not needed.
        if separator < b' ' {
            special &= !self.0.simd_eq(u8x16::splat(separator));
        }
        if escape != b'\\' {
            special |= self.0.simd_eq(u8x16::splat(escape));
        }
        special
    }

    /// Control characters, backslashes, and what is not ASCII: as a signed number, that is less than 0.
    #[inline(always)]
    fn never_plain(self) -> u8x16 {
        let not_printable = self.0.cast_signed().simd_lt(i8x16::splat(0x20)).cast_unsigned();
        not_printable | self.0.simd_eq(u8x16::splat(b'\\'))
    }
}

/// 64 bytes.
#[derive(Clone, Copy)]
pub(super) struct Block([Bytes16; 4]);

impl Block {
    #[inline(always)]
    pub(super) fn load(bytes: &[u8; 64]) -> Self {
        let (parts, _) = bytes.as_chunks::<16>();
        Self(std::array::from_fn(|part| Bytes16::load(&parts[part])))
    }

    /// Which bytes are this one.
    #[inline(always)]
    pub(super) fn equal(self, byte: u8) -> u64 {
        self.mask(|part| part.equal(byte))
    }

    /// Whether any byte may have to be unescaped or escaped; newlines among them.
    #[inline(always)]
    pub(super) fn has_special(self, escape: u8, separator: u8) -> bool {
        let [a, b, c, d] = self.0.map(|part| part.special_in_columns(escape, separator));
        (a | b | c | d).to_bitmask() != 0
    }

    /// Which bytes may.
    #[inline(always)]
    pub(super) fn special(self, escape: u8, separator: u8) -> u64 {
        self.mask(|part| part.special_in_columns(escape, separator).to_bitmask())
    }

    #[inline(always)]
    fn mask(self, compare: impl Fn(Bytes16) -> u32) -> u64 {
        let [a, b, c, d] = self.0.map(|part| u64::from(compare(part)));
        a | b << 16 | c << 32 | d << 48
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(bytes: &[u8; 16], is_so: impl Fn(u8) -> bool) -> u32 {
        bytes.iter().rev().fold(0, |mask, byte| mask << 1 | u32::from(is_so(*byte)))
    }

    proptest! {
        #[test]
        fn vectors_see_what_a_plain_loop_sees(bytes: [u8; 16], byte: u8) {
            let fast = Bytes16::load(&bytes);
            for byte in [byte, bytes[5]] {
                prop_assert_eq!(fast.equal(byte), plainly(&bytes, |b| b == byte));
            }
            let mut other = bytes;
            other[usize::from(byte % 16)] ^= byte;
            let same = bytes.iter().zip(&other).rev().fold(0, |mask, (a, b)| mask << 1 | u32::from(a == b));
            prop_assert_eq!(fast.equal_each(&other), same);
            prop_assert_eq!(fast.digits(), plainly(&bytes, |b| b.is_ascii_digit()));
            for (escape, separator) in [(b'\\', b' '), (b'%', b'\t'), (byte, bytes[7])] {
                let special = plainly(&bytes, |b| {
                    (b < 0x20 && b != separator) || b >= 0x80 || b == b'\\' || b == escape
                });
                prop_assert_eq!(fast.special_in_columns(escape, separator).to_bitmask(), special);
                let special = |b| !(0x20..0x80).contains(&b) || matches!(b, b'"' | b'\\') || b == escape;
                prop_assert_eq!(fast.special(escape), plainly(&bytes, special));
            }
        }
    }
}
