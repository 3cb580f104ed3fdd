//! Sealing: AES-256-GCM under a ring of keys, for what leaves the process and must come back unread and
//! unchanged.
//!
//! What is sealed is bound to one [`Purpose`] (its own derived key) and one context (an origin, a record's
//! name), so that nothing sealed for one place opens in another. The first key of the ring seals, all of
//! them open: a key is replaced by putting the new one in front and dropping the old one when what it
//! sealed has expired. A [`RecordSecret`] seals one record for whoever holds the secret; no ring is involved.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::random;

const VERSION: u8 = 1;
const NONCE: usize = 12;
const KEY_ID: usize = 4;
const HEADER: usize = 1 + KEY_ID + NONCE;
const TAG: usize = 16;

/// How many bytes sealing adds to what is sealed.
pub const OVERHEAD: usize = HEADER + TAG;

/// What a sealed text is for. Each purpose has a key of its own, derived from the ring's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The cookie that names or holds a session.
    SessionCookie,
    /// The cookie that carries one login from redirect to callback.
    LoginCookie,
    /// What travels through a page's form or a provider and comes back (sign-out confirmation, logout state).
    Ticket,
    /// What operators are shown of a session.
    Card,
    /// The cookie of an operator who has signed in to the page of the admin listener.
    OperatorCookie,
}

const PURPOSES: [(Purpose, &str); 5] = [
    (Purpose::SessionCookie, "vestibule session cookie v1"),
    (Purpose::LoginCookie, "vestibule login cookie v1"),
    (Purpose::Ticket, "vestibule ticket v1"),
    (Purpose::Card, "vestibule card v1"),
    (Purpose::OperatorCookie, "vestibule operator cookie v1"),
];

/// A 256-bit key from which all others are derived.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey(Zeroizing<[u8; 32]>);

impl RootKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// Reads a key as it stands in the configuration: base64 of exactly 32 bytes.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// The key as [`RootKey::from_base64`] reads it.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.0, label)
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

/// The keys that seal and open: the first seals, all open.
pub struct KeyRing {
    first: Key,
    others: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID],
    ciphers: [Aes256Gcm; PURPOSES.len()],
    index: hmac::Key,
    /// What further secrets are derived from.
    source: Zeroizing<[u8; 32]>,
}

impl KeyRing {
    /// A ring of `first`, which seals, and `others`, which only open.
    pub fn new(first: &RootKey, others: &[RootKey]) -> Self {
        Self { first: Key::new(first), others: others.iter().map(Key::new).collect() }
    }

    /// Seals `plaintext` for one purpose and context.
    pub fn seal(&self, purpose: Purpose, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(OVERHEAD + plaintext.len());
        out.push(VERSION);
        out.extend_from_slice(&self.first.id);
        encrypt(self.first.cipher(purpose), context, plaintext, &mut out);
        out
    }

    /// Opens what [`KeyRing::seal`] made for the same purpose and context; `None` for anything else.
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (&version, rest) = sealed.split_first()?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID>()?;
        if version != VERSION {
            return None;
        }
        self.keys().filter(|key| key.id == *id).find_map(|key| decrypt(key.cipher(purpose), context, rest))
    }

    /// The secrets that follow from the ring's keys, the sealing key's first, for whatever `label` names.
    pub fn derive<'a>(&'a self, label: &'a str) -> impl Iterator<Item = Zeroizing<[u8; 32]>> + 'a {
        self.keys().map(move |key| derive(&key.source, label))
    }

    /// Names under which `value` may stand in an index without being readable there, the sealing key's
    /// first: write under the first, look up under all.
    pub fn index_names<'a>(&'a self, field: &'a str, value: &'a str) -> impl Iterator<Item = [u8; 32]> + 'a {
        self.keys().map(move |key| {
            let mut context = hmac::Context::with_key(&key.index);
            context.update(field.as_bytes());
            context.update(&[0]);
            context.update(value.as_bytes());
            let mut name = [0; 32];
            for (to, from) in name.iter_mut().zip(context.sign().as_ref()) {
                *to = *from;
            }
            name
        })
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Key {
    fn new(root: &RootKey) -> Self {
        let id = root.derive("vestibule key id v1");
        let [a, b, c, d, ..] = *id;
        Self {
            id: [a, b, c, d],
            ciphers: PURPOSES.map(|(_, label)| Aes256Gcm::new(&(*root.derive(label)).into())),
            index: hmac::Key::new(hmac::HMAC_SHA256, root.derive("vestibule index v1").as_slice()),
            source: root.derive("vestibule source v1"),
        }
    }

    fn cipher(&self, purpose: Purpose) -> &Aes256Gcm {
        let [session, login, ticket, card, operator] = &self.ciphers;
        match purpose {
            Purpose::SessionCookie => session,
            Purpose::LoginCookie => login,
            Purpose::Ticket => ticket,
            Purpose::Card => card,
            Purpose::OperatorCookie => operator,
        }
    }
}

/// A random 256-bit secret that names one record and opens it. Whoever keeps the record knows only its
/// name, from which neither the secret nor the record's key can be found.
#[derive(Clone)]
pub struct RecordSecret(Zeroizing<[u8; RecordSecret::LEN]>);

impl RecordSecret {
    /// The length of a secret, in bytes.
    pub const LEN: usize = 32;

    /// A new random secret.
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// A secret as [`RecordSecret::as_bytes`] gave it.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The secret itself; each caller answers for where it goes.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The name under which the record is kept.
    pub fn name(&self) -> [u8; 32] {
        *derive(&self.0, "vestibule record name v1")
    }

    /// Seals the record, bound to its name.
    pub fn seal(&self, record: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + NONCE + record.len() + TAG);
        out.push(VERSION);
        encrypt(&self.cipher(), &self.name(), record, &mut out);
        out
    }

    /// Opens what [`RecordSecret::seal`] made with the same secret; `None` for anything else.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (&version, rest) = sealed.split_first()?;
        if version != VERSION {
            return None;
        }
        decrypt(&self.cipher(), &self.name(), rest)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*derive(&self.0, "vestibule record key v1")).into())
    }
}

impl std::fmt::Debug for RecordSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The SHA-256 of a text, where something must be told apart without being kept.
pub fn fingerprint(text: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, text).as_ref()) {
        *to = *from;
    }
    out
}

fn derive(secret: &[u8; 32], label: &str) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule")
        .extract(secret)
        .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out.as_mut_slice()));
    if derived.is_err() {
        // SECURITY: 32 bytes is a length HKDF-SHA256 always gives; a zero key must never be used.
        std::process::abort();
    }
    out
}

/// Appends a fresh nonce and the ciphertext to `out`.
fn encrypt(cipher: &Aes256Gcm, context: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
    let nonce: [u8; NONCE] = random::bytes();
    let sealed =
        cipher.encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad: context }).unwrap_or_default(); // AES-GCM refuses only texts beyond 64 GiB; an empty one never opens.
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
}

/// Opens a nonce and the ciphertext behind it.
fn decrypt(cipher: &Aes256Gcm, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>()?;
    cipher.decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: context }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_first_key_seals_while_the_old_one_still_opens() {
        let (old, new) = (RootKey::generate(), RootKey::generate());
        let sealed = KeyRing::new(&old, &[]).seal(Purpose::Ticket, b"o", b"text");
        assert_eq!(KeyRing::new(&new, &[old]).open(Purpose::Ticket, b"o", &sealed).unwrap(), b"text");
        assert_eq!(KeyRing::new(&new, &[]).open(Purpose::Ticket, b"o", &sealed), None);
    }

    #[test]
    fn a_key_survives_its_base64_and_other_lengths_are_refused() {
        let key = RootKey::generate();
        assert_eq!(RootKey::from_base64(&key.to_base64()), Some(key));
        assert_eq!(RootKey::from_base64("c2hvcnQ="), None);
    }

    #[test]
    fn a_record_opens_with_its_own_secret_only_and_its_name_does_not_show_it() {
        let secret = RecordSecret::generate();
        let sealed = secret.seal(b"record");
        assert_eq!(RecordSecret::from_bytes(secret.as_bytes()).open(&sealed).unwrap(), b"record");
        assert_eq!(RecordSecret::generate().open(&sealed), None);
        assert_eq!(secret.open(&sealed[..sealed.len() - 1]), None);
        assert_ne!(secret.name(), *secret.as_bytes());
        assert_eq!(format!("{secret:?}"), "[secret]");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_for_its_purpose_and_context_only(text: Vec<u8>, context: Vec<u8>) {
            let ring = KeyRing::new(&RootKey::generate(), &[]);
            let sealed = ring.seal(Purpose::SessionCookie, &context, &text);
            prop_assert_eq!(sealed.len(), text.len() + OVERHEAD);
            prop_assert_eq!(ring.open(Purpose::SessionCookie, &context, &sealed), Some(text));
            prop_assert_eq!(ring.open(Purpose::LoginCookie, &context, &sealed), None);
            prop_assert_eq!(ring.open(Purpose::SessionCookie, b"another", &sealed), None);
        }

        #[test]
        fn a_sealed_text_with_any_byte_changed_is_refused(text: Vec<u8>, at: prop::sample::Index, by in 1u8..) {
            let ring = KeyRing::new(&RootKey::generate(), &[]);
            let mut sealed = ring.seal(Purpose::SessionCookie, b"o", &text);
            let at = at.index(sealed.len());
            sealed[at] ^= by;
            prop_assert_eq!(ring.open(Purpose::SessionCookie, b"o", &sealed), None);
        }
    }
}
