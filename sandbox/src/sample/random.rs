//! Repeatable pseudo-random numbers: the same seed and place give the same number on every machine and thread.
//!
//! SplitMix64, from Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014). Used as a
//! stateless mixer, it lets any block of rows be generated without the blocks before it.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Mixes one word into another.
pub fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(GOLDEN);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A number that depends on the seed and every coordinate.
pub fn at(seed: u64, place: &[u64]) -> u64 {
    place
        .iter()
        .fold(mix(seed), |word, part| mix(word ^ part.wrapping_mul(GOLDEN)))
}

/// A number in `0.0..1.0` from a random word.
pub fn unit(word: u64) -> f64 {
    // 53 bits fill a double's mantissa, so every value is exact.
    (word >> 11) as f64 / (1u64 << 53) as f64
}

/// A number in `0..bound` from a random word.
pub fn below(word: u64, bound: u64) -> u64 {
    ((u128::from(word) * u128::from(bound)) >> 64) as u64
}

/// A stream of numbers.
pub struct Stream(u64);

impl Stream {
    /// A stream that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        let word = mix(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        word
    }
}

/// `length` characters of `alphabet` that depend on `seed`.
pub fn text(seed: u64, length: usize, alphabet: &[u8]) -> String {
    let mut stream = Stream::new(seed);
    (0..length)
        .map(|_| char::from(alphabet[below(stream.next(), alphabet.len() as u64) as usize]))
        .collect()
}

/// Lower-case hexadecimal digits.
pub const HEX: &[u8] = b"0123456789abcdef";
/// Capital letters and digits, as in SKUs.
pub const UPPER: &[u8] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// Digits.
pub const DIGITS: &[u8] = b"0123456789";

/// A version 4 UUID that depends on `seed`.
pub fn uuid(seed: u64) -> String {
    let bits = (u128::from(mix(seed)) << 64) | u128::from(mix(seed ^ GOLDEN));
    uuid::Builder::from_random_bytes(bits.to_be_bytes())
        .into_uuid()
        .to_string()
}
