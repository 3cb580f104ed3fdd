//! Which hosts belong together: by the Public Suffix List, as browsers have it.
//!
//! The list is the one that this program was built with; browsers have one of their own age. So what it says
//! serves to refuse what can't work, and to be less strict among hosts of one site, never to let anybody in.

use super::origin::fold_domain;

/// Whether names below this one belong to different people (`org`, `co.uk`, `github.io`): browsers take no cookie
/// for all of it. The name is folded.
pub fn is_public_suffix(domain: &str) -> bool {
    psl::suffix_str(domain) == Some(domain)
}

/// The registrable domain of a folded host; `None` for an address, a single label and a public suffix.
pub fn site_of(host: &str) -> Option<&str> {
    fold_domain(host)?;
    psl::domain_str(host)
}

/// Whether a host is this domain or below it, both folded.
pub fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_suffixes_are_known_whoever_keeps_them() {
        for suffix in [
            "org",
            "ru",
            "co.uk",
            "com.ru",
            "github.io",
            "xn--p1ai",
            "school.kawasaki.jp",
            "localhost",
            "internal",
        ] {
            assert!(is_public_suffix(suffix), "{suffix}");
        }
        for domain in
            ["example.org", "school.co.uk", "people.github.io", "xn--80atdl2c.xn--p1ai", "school.localhost"]
        {
            assert!(!is_public_suffix(domain), "{domain}");
        }
    }

    #[test]
    fn a_site_is_what_somebody_registered() {
        for (host, site) in [
            ("lms.example.org", Some("example.org")),
            ("a.b.school.co.uk", Some("school.co.uk")),
            ("example.org", Some("example.org")),
            ("people.github.io", Some("people.github.io")),
            ("lms.school.localhost", Some("school.localhost")),
            ("github.io", None),
            ("localhost", None),
            ("127.0.0.1", None),
            ("[::1]", None),
        ] {
            assert_eq!(site_of(host), site, "{host}");
        }
    }

    #[test]
    fn a_host_is_below_a_domain_label_by_label() {
        for (host, domain, below) in [
            ("lms.example.org", "example.org", true),
            ("example.org", "example.org", true),
            ("badexample.org", "example.org", false),
            ("example.org.evil.net", "example.org", false),
            ("org", "example.org", false),
        ] {
            assert_eq!(is_below(host, domain), below, "{host} {domain}");
        }
    }
}
