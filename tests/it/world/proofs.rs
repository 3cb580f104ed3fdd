//! DPoP proofs as a server judges them (RFC 9449 section 4.3).

use std::collections::HashSet;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::keys::hash;
use super::rogue::now;
use super::server::{Answer, Received};

/// How a server treats proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proofs {
    /// It wants none.
    NotWanted,
    /// Each request needs one.
    Wanted,
    /// Each needs a nonce in it, which changes with each answer.
    WithNonce,
    /// It wants another nonce each time.
    NeverContent,
}

/// What a server remembers of proofs.
#[derive(Default)]
pub struct Seen {
    used: HashSet<String>,
    nonce: u32,
}

impl Seen {
    /// The name of the key that a good proof was made with, or the answer that a bad one gets.
    pub fn check(
        &mut self,
        proofs: Proofs,
        request: &Received,
        origin: &str,
        access_token: Option<&str>,
    ) -> Result<String, Answer> {
        let proof = request.header("dpop").ok_or_else(|| refuse("invalid_dpop_proof", "no proof"))?;
        let wrong = |what: &str| refuse("invalid_dpop_proof", what);
        let (signed, signature) = proof.rsplit_once('.').ok_or_else(|| wrong("three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| wrong("three parts"))?;
        let read = |part: &str| -> Value { serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap() };
        let (header, claims) = (read(header), read(claims));
        let jwk = &header["jwk"];
        let coordinate = |name: &str| BASE64.decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let address = format!("{origin}{}", request.path());
        let jti = claims["jti"].as_str().unwrap_or_default().to_owned();
        let ath = access_token.map(hash);
        for (what, good) in [
            ("typ", header["typ"] == "dpop+jwt" && header["alg"] == "ES256"),
            ("a private key", jwk.get("d").is_none() && jwk["crv"] == "P-256"),
            ("signature", key.verify(signed.as_bytes(), &BASE64.decode(signature).unwrap()).is_ok()),
            ("htm", claims["htm"] == request.method()),
            ("htu", claims["htu"] == address),
            ("iat", claims["iat"].as_u64().is_some_and(|iat| iat.abs_diff(now()) < 60)),
            ("ath", claims.get("ath").map_or(ath.is_none(), |found| ath.as_deref() == found.as_str())),
            ("used before", jti.len() > 20 && self.used.insert(jti)),
        ] {
            if !good {
                return Err(wrong(what));
            }
        }
        let current = format!("nonce-{}", self.nonce);
        if proofs == Proofs::NeverContent
            || proofs == Proofs::WithNonce && claims.get("nonce") != Some(&json!(current))
        {
            return Err(self.with_nonce(proofs, refuse("use_dpop_nonce", "another nonce")));
        }
        let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
        Ok(hash(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)))
    }

    /// The answer with the nonce for the next request.
    pub fn with_nonce(&mut self, proofs: Proofs, answer: Answer) -> Answer {
        match proofs {
            Proofs::NotWanted | Proofs::Wanted => answer,
            Proofs::WithNonce | Proofs::NeverContent => {
                self.nonce += 1;
                answer.with("DPoP-Nonce", &format!("nonce-{}", self.nonce))
            }
        }
    }
}

fn refuse(error: &str, description: &str) -> Answer {
    let body = json!({"error": error, "error_description": description}).to_string();
    Answer::of(400, "application/json", body)
        .with("WWW-Authenticate", &format!("DPoP error=\"{error}\", algs=\"ES256\""))
}
