//! Looks at 64 bytes at a time for a few byte values: what reads whole trees must not ask byte by byte.
//!
//! It knows nothing of what the bytes mean. `memchr` does this for values that are rare; here they come every 20 bytes,
//! and each start of a search would cost more than the search.

use wide::u8x16;

/// Bytes that are looked at together.
pub const BLOCK: usize = 64;

/// A bit for each byte that has one of the values, the first byte in the lowest bit.
pub fn which<const N: usize>(block: &[u8; BLOCK], values: [u8; N]) -> u64 {
    let (parts, _) = block.as_chunks::<16>();
    let mut found = 0;
    for (i, part) in parts.iter().enumerate() {
        let bytes = u8x16::new(*part);
        let mut any = u8x16::ZERO;
        for v in values {
            any |= bytes.simd_eq(u8x16::splat(v));
        }
        found |= u64::from(any.to_bitmask()) << (16 * i);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bit_a_byte(bytes in proptest::collection::vec(0u8..6, BLOCK)) {
            let block: &[u8; BLOCK] = bytes.as_slice().try_into().unwrap();
            let found = which(block, [1, 4]);
            for (i, b) in bytes.iter().enumerate() {
                prop_assert_eq!(found >> i & 1 == 1, matches!(b, 1 | 4));
            }
        }
    }
}
