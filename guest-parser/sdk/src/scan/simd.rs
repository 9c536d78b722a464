//! Comparisons of many bytes at a time: bit *n* of a mask speaks of byte *n*.

use wide::u8x16;

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
        (self.0 - u8x16::splat(b'0')).simd_lt(u8x16::splat(10)).to_bitmask()
    }

    /// Which bytes cannot stand in a JSON string as they are, but for quotes.
    #[inline(always)]
    fn special(self) -> u32 {
        // Of a byte that is not ASCII the highest bit is set, and that is the one which goes into the mask.
        (self.0.simd_lt(u8x16::splat(0x20)) | self.0.simd_eq(u8x16::splat(b'\\')) | self.0).to_bitmask()
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

    /// Which bytes cannot stand in a JSON string as they are, but for quotes.
    #[inline(always)]
    pub(super) fn special(self) -> u64 {
        self.mask(Bytes16::special)
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
            prop_assert_eq!(fast.special(), plainly(&bytes, |b| !(0x20..0x80).contains(&b) || b == b'\\'));
        }
    }
}
