//! Randomness from the system, for identifiers, keys and nonces.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` random bytes.
///
/// A machine that cannot give randomness can keep nobody out, so the process ends rather than go on.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        // SECURITY: a predictable state, nonce or session identifier is worse than no service.
        std::process::abort();
    }
    bytes
}

/// A token of 256 random bits, as 43 characters of base64url.
pub fn token() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// A short reference for people to read out, 10 characters of Crockford's base 32 (50 bits).
pub fn reference() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    bytes::<10>()
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte & 31)))
        .map(|&letter| char::from(letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_references_have_their_length_and_differ() {
        assert_eq!(token().len(), 43);
        assert_eq!(reference().len(), 10);
        assert_ne!(token(), token());
        assert_ne!(reference(), reference());
    }
}
