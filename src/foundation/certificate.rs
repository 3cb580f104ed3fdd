//! What a certificate says: when it ends (RFC 5280 section 4.1.2.5), and whom it is for. Whether it is to be trusted
//! is for TLS to say, not for this.

use std::time::Duration;

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::clock::Timestamp;
use super::finding::Finding;

/// A certificate that ends within this time should be renewed now.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is to be said of how long a certificate is good. `whose` begins the sentence.
pub fn examine(whose: &str, certificate: &[u8], now: Timestamp) -> Finding {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Finding::failed("certificate_unreadable", format!("{whose} can't be read"))
            .mend("have it made anew");
    };
    let validity = parsed.validity();
    let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or_default();
    let (from, until) = (
        Timestamp::from_secs(seconds(validity.not_before)),
        Timestamp::from_secs(seconds(validity.not_after)),
    );
    let day = |time: x509_parser::time::ASN1Time| time.to_datetime().date().to_string();
    let mend = "renew it before that day; an expired certificate stops every sign-in";
    if until <= now {
        let text = format!("{whose} ended on {}", day(validity.not_after));
        Finding::failed("certificate_expired", text).mend("renew it")
    } else if from > now {
        let text = format!("{whose} is good only from {} on", day(validity.not_before));
        Finding::failed("certificate_not_yet", text).mend("check this machine's clock, or have it made anew")
    } else if until.since(now) < SOON {
        let days = until.since(now).as_secs() / (24 * 60 * 60);
        let text = format!("{whose} ends on {}, in {days} days", day(validity.not_after));
        Finding::warning("certificate_expires", text).mend(mend)
    } else {
        Finding::ok("certificate", format!("{whose} is good until {}", day(validity.not_after)))
    }
}

/// Whom a certificate is for, as RFC 4514 writes it: `CN=lms,O=School`. `None` where it can't be read, or has no name
/// that can be written so.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    // Section 2.1: the last part of the name first.
    let mut parts: Vec<String> = parsed
        .subject()
        .iter_rdn()
        .map(|part| {
            let attributes = part.iter().map(|attribute| {
                let name = oid2abbrev(attribute.attr_type(), oid_registry()).ok()?;
                Some(format!("{name}={}", escaped(attribute.as_str().ok()?)))
            });
            Some(attributes.collect::<Option<Vec<_>>>()?.join("+"))
        })
        .collect::<Option<_>>()?;
    parts.reverse();
    Some(parts.join(",")).filter(|name| !name.is_empty())
}

/// RFC 4514 section 2.4
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        let special = matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || at == 0 && character == '#'
            || (at == 0 || at == last) && character == ' ';
        if special {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::finding::Verdict;

    #[test]
    fn a_subject_is_written_last_part_first_with_what_would_be_misread_escaped() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Школа, № 7 ");
        params.distinguished_name.push(rcgen::DnType::CommonName, "#lms");
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        assert_eq!(subject(certificate.der()).unwrap(), "CN=\\#lms,O=Школа\\, № 7\\ ");
        assert_eq!(subject(b"no certificate"), None);
    }

    #[test]
    fn the_end_of_a_certificate_is_told_thirty_days_before() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["id.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 3, 1);
        let certificate = params.self_signed(&key).unwrap();
        // 2026-01-01 00:00:00 UTC
        let first = Timestamp::from_secs(1_767_225_600);
        let day = |number: u64| first.plus(Duration::from_secs(number * 24 * 60 * 60));
        for (now, verdict, code) in [
            (first.minus(Duration::from_secs(1)), Verdict::Failed, "certificate_not_yet"),
            (first, Verdict::Ok, "certificate"),
            (day(29), Verdict::Ok, "certificate"),
            (day(30), Verdict::Warning, "certificate_expires"),
            (day(59), Verdict::Failed, "certificate_expired"),
        ] {
            let found = examine("its certificate", certificate.der(), now);
            assert_eq!((found.verdict, found.code), (verdict, code), "{found:?}");
            assert_eq!(found.mend.is_none(), verdict == Verdict::Ok);
        }
        assert_eq!(examine("it", b"no certificate", first).code, "certificate_unreadable");
    }
}
