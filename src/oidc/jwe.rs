//! Decryption of what a provider encrypts to us: compact JWE (RFC 7516), with RSA-OAEP-256 or ECDH-ES on P-256
//! (RFC 7518 sections 4.3 and 4.6) and A256GCM (section 5.3), and nothing else.
//!
//! Encryption proves nothing about who made a token: what comes out is verified like what comes plain.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use super::decryption_key::{Alg, DecryptionKey, Private};
use super::message::told;
use crate::foundation::random;

/// Longer tokens than any provider's.
const MOST_BYTES: usize = 256 * 1024;
/// The only content encryption: 256 bits of key, 96 of IV, 128 of tag.
const ENC: &str = "A256GCM";

/// Why something encrypted can't be read. What exactly failed in decrypting is not told: the difference would
/// help whoever tries tokens on us.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JweError {
    /// Not five parts of base64url, the first a JSON object with what the others need.
    #[error("its encryption's {0} can't be read")]
    Malformed(&'static str),
    /// `alg` is another than ours.
    #[error("it is encrypted with alg {0:?}, not RSA-OAEP-256 or ECDH-ES")]
    Algorithm(String),
    /// `enc` is another than ours.
    #[error("it is encrypted with enc {0:?}, not A256GCM")]
    Encryption(String),
    /// The header demands an extension or compression.
    #[error("its encryption's header has `{0}`, which we don't do")]
    Extension(&'static str),
    /// There is no decryption key for `alg`.
    #[error("it is encrypted with alg {0}, for which no `decryption_key` is set")]
    NoKey(&'static str),
    /// The key, the header or the content is not what was encrypted.
    #[error("it does not decrypt with the `decryption_key`")]
    Undecryptable,
}

/// Whether a token has the five parts of a JWE (RFC 7516 section 9).
pub(super) fn is_encrypted(token: &str) -> bool {
    token.bytes().filter(|&byte| byte == b'.').count() == 4
}

/// Decrypts `token`: RFC 7516 section 5.2.
pub(super) fn decrypt(token: &str, keys: &[DecryptionKey]) -> Result<Zeroizing<String>, JweError> {
    // SECURITY: what is decrypted is copied; an answer is capped, a token further.
    if token.len() > MOST_BYTES {
        return Err(JweError::Malformed("length"));
    }
    // RFC 7516 section 5.2 (1), (2): five parts
    let mut parts = token.split('.');
    let mut part = || parts.next().ok_or(JweError::Malformed("token"));
    let (protected, encrypted_key, iv, ciphertext, tag) = (part()?, part()?, part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(JweError::Malformed("token"));
    }
    // (3) to (5): the header, and what must be understood of it
    let header = bytes(protected, "header")?;
    let header: Map<String, Value> =
        serde_json::from_slice(&header).map_err(|_| JweError::Malformed("header"))?;
    let alg = check_header(&header)?;
    // (6) to (13): the content encryption key
    let encrypted_key = bytes(encrypted_key, "key")?;
    let iv: [u8; 12] = bytes(iv, "IV")?.try_into().map_err(|_| JweError::Malformed("IV"))?;
    let mut sealed = bytes(ciphertext, "content")?;
    let tag = bytes(tag, "tag")?;
    if tag.len() != AES_256_GCM.tag_len() {
        return Err(JweError::Malformed("tag"));
    }
    sealed.extend_from_slice(&tag);
    let mut fitting = fitting(keys, &header, alg).peekable();
    if fitting.peek().is_none() {
        return Err(JweError::NoKey(alg.name()));
    }
    // (14) to (16): the content, with the header as it came for additional data
    for key in fitting {
        let key = content_key(key, &header, &encrypted_key)?;
        if let Some(text) = open(&key, iv, protected, &sealed) {
            return Ok(text);
        }
    }
    Err(JweError::Undecryptable)
}

/// RFC 7516 section 4.1, RFC 8725 section 3.1: only what is allowed, whatever the header would like.
fn check_header(header: &Map<String, Value>) -> Result<Alg, JweError> {
    let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    // SECURITY: RSA1_5 is a padding oracle by design (RFC 8725 section 3.2), `dir` and key wrapping would take our
    // client secret for a key, PBES2 lets a stranger choose how long we count.
    let alg = Alg::from_name(text("alg")).ok_or_else(|| JweError::Algorithm(told(text("alg"))))?;
    if text("enc") != ENC {
        return Err(JweError::Encryption(told(text("enc"))));
    }
    // SECURITY: RFC 8725 section 3.6: a little compressed text can fill the memory, and tells of its plain text.
    for extension in ["zip", "crit"] {
        if header.contains_key(extension) {
            return Err(JweError::Extension(extension));
        }
    }
    Ok(alg)
}

/// The keys for `alg`; where one has the header's `kid`, that one alone. Providers that were given a bare key
/// name it as they like.
fn fitting<'k>(
    keys: &'k [DecryptionKey],
    header: &Map<String, Value>,
    alg: Alg,
) -> impl Iterator<Item = &'k DecryptionKey> {
    let fitting = move || keys.iter().filter(move |key| key.alg() == alg);
    let named =
        header.get("kid").and_then(Value::as_str).and_then(|kid| fitting().find(|key| key.id() == kid));
    fitting().filter(move |key| named.is_none_or(|named| named.id() == key.id()))
}

/// The content encryption key. One that does not unwrap is replaced by a random one.
fn content_key(
    key: &DecryptionKey,
    header: &Map<String, Value>,
    encrypted_key: &[u8],
) -> Result<Zeroizing<[u8; 32]>, JweError> {
    match key.private() {
        // RFC 7518 section 4.3
        Private::Rsa(private) => {
            let mut plain = Zeroizing::new(vec![0; private.min_output_size()]);
            let key = private.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted_key, &mut plain, None);
            let key = key.ok().and_then(|key| <[u8; 32]>::try_from(&*key).ok());
            // SECURITY: RFC 7516 section 11.5: a key that does not unwrap must look like a content that does not
            // open (Manger's attack).
            Ok(Zeroizing::new(key.unwrap_or_else(random::bytes)))
        }
        // RFC 7518 section 4.6, direct key agreement: there is no key to unwrap.
        Private::P256(_) if !encrypted_key.is_empty() => Err(JweError::Malformed("key")),
        Private::P256(private) => {
            let info = Info::read(header)?;
            // The library refuses a point that is not on the curve (invalid-curve attack).
            let peer = UnparsedPublicKey::new(&ECDH_P256, ephemeral(header)?);
            agreement::agree(private, peer, JweError::Undecryptable, |shared| Ok(info.derive(shared)))
        }
    }
}

/// RFC 7518 section 4.6.1.1: the sender's one-time public key, uncompressed.
fn ephemeral(header: &Map<String, Value>) -> Result<Vec<u8>, JweError> {
    const UNCOMPRESSED: u8 = 4;
    let unusable = JweError::Malformed("`epk`");
    let epk = header.get("epk").and_then(Value::as_object).ok_or(unusable.clone())?;
    let text = |name: &str| epk.get(name).and_then(Value::as_str).unwrap_or_default();
    if (text("kty"), text("crv")) != ("EC", "P-256") {
        return Err(unusable);
    }
    let mut point = vec![UNCOMPRESSED];
    for coordinate in [text("x"), text("y")] {
        let coordinate = bytes(coordinate, "`epk`")?;
        if coordinate.len() != 32 {
            return Err(unusable);
        }
        point.extend_from_slice(&coordinate);
    }
    Ok(point)
}

/// What goes into the key derivation besides the shared secret.
struct Info {
    apu: Vec<u8>,
    apv: Vec<u8>,
}

impl Info {
    /// RFC 7518 sections 4.6.1.2 and 4.6.1.3
    fn read(header: &Map<String, Value>) -> Result<Self, JweError> {
        let party = |name: &str, what| match header.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => bytes(text, what),
            Some(_) => Err(JweError::Malformed(what)),
        };
        Ok(Self { apu: party("apu", "`apu`")?, apv: party("apv", "`apv`")? })
    }

    /// RFC 7518 section 4.6.2: Concat KDF with SHA-256, whose one round gives the 256 bits that A256GCM needs.
    fn derive(&self, shared: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut input = Zeroizing::new(Vec::with_capacity(128));
        input.extend_from_slice(&1_u32.to_be_bytes());
        input.extend_from_slice(shared);
        for part in [ENC.as_bytes(), &self.apu, &self.apv] {
            // A token is shorter than 4 GiB.
            input.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            input.extend_from_slice(part);
        }
        input.extend_from_slice(&256_u32.to_be_bytes());
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(digest(&SHA256, &input).as_ref());
        key
    }
}

/// RFC 7518 section 5.3: content and tag opened together. Text, as all that is encrypted here is a JWT or JSON.
fn open(key: &[u8; 32], iv: [u8; 12], protected: &str, sealed: &[u8]) -> Option<Zeroizing<String>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut content = Zeroizing::new(sealed.to_vec());
    let aad = Aad::from(protected.as_bytes());
    let plain = key.open_in_place(Nonce::assume_unique_for_key(iv), aad, &mut content).ok()?;
    Some(Zeroizing::new(str::from_utf8(plain).ok()?.to_owned()))
}

/// RFC 7515 section 2: base64url without padding; trailing bits must be zero, so a token has one spelling.
fn bytes(text: &str, what: &'static str) -> Result<Vec<u8>, JweError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JweError::Malformed(what))
}

#[cfg(test)]
mod tests;
