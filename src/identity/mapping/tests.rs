//! The mapping: what each kind of header gives, what is left out, which names are refused and stripped.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::foundation::initials::Initials;
use crate::foundation::secret::Secret;
use crate::identity::encoding::{Encoding, MAX_VALUE};

fn claims(value: Value) -> Claims {
    serde_json::from_value(value).unwrap()
}

fn spec(source: Source) -> HeaderSpec {
    HeaderSpec { source, ..HeaderSpec::of_claim("X-User", "") }
}

fn claim(path: &str) -> HeaderSpec {
    HeaderSpec::of_claim("X-User", path)
}

fn joined(path: &str, separator: &str) -> HeaderSpec {
    HeaderSpec { join: Some(separator.to_owned()), ..claim(path) }
}

fn template(text: &str) -> HeaderSpec {
    spec(Source::Template(text.to_owned()))
}

fn expr(text: &str) -> HeaderSpec {
    spec(Source::Expression(text.to_owned()))
}

fn constant(text: &str) -> HeaderSpec {
    spec(Source::Constant(text.to_owned()))
}

fn encoded(spec: HeaderSpec, encoding: Encoding) -> HeaderSpec {
    HeaderSpec { encoding, ..spec }
}

fn or(spec: HeaderSpec, default: &str) -> HeaderSpec {
    HeaderSpec { default: Some(default.to_owned()), ..spec }
}

fn required(spec: HeaderSpec) -> HeaderSpec {
    HeaderSpec { required: true, ..spec }
}

fn render(spec: HeaderSpec, claims: &Claims, tokens: &Tokens) -> Rendered {
    HeaderMapping::new(vec![IdentityHeader::compile(spec).unwrap()]).render(claims, tokens)
}

fn person() -> Claims {
    claims(json!({
        "sub": "7", "name": " Иван ", "age": 17, "admin": false, "blank": " ", "none": null, "evil": "a\r\nX-Admin: 1",
        "address": { "locality": "Тверь" }, "one": ["7б"], "empty": [], "nested": [["x"]], "long": "x".repeat(9000),
        "groups": ["students", "a,b", " ", "7б", null, "x\n", 12, { "a": 1 }, ",", "staff"], "odd": ["a:", ":b", "c"],
    }))
}

fn strip(mapping: &HeaderMapping, headers: &mut HeaderMap) {
    let mut noted = Initials::default();
    headers.keys().for_each(|name| noted.note(name));
    mapping.strip(headers, noted);
}

#[test]
fn a_header_carries_what_its_source_gives() {
    let cases = [
        (claim("sub"), Some("7"), 0),
        (claim("name"), Some("Иван"), 0),
        (claim("age"), Some("17"), 0),
        (claim("admin"), Some("false"), 0),
        (claim("address.locality"), Some("Тверь"), 0),
        (claim("blank"), None, 0),
        (claim("none"), None, 0),
        (claim("absent"), None, 0),
        (claim("evil"), None, 1),
        (claim("address"), None, 1),
        (claim("groups"), None, 1),
        (claim("nested"), None, 1),
        (claim("long"), None, 1),
        (claim("one"), Some("7б"), 0),
        (claim("empty"), None, 0),
        (joined("groups", ","), Some("students,7б,12,staff"), 6),
        (joined("groups", ", "), Some("students, 7б, 12, staff"), 6),
        (joined("odd", "::"), Some("c"), 2),
        (joined("empty", ","), None, 0),
        (joined("sub", ","), Some("7"), 0),
        (encoded(joined("groups", ";"), Encoding::Latin1), Some("students;a,b;12;,;staff"), 5),
        (
            encoded(claim("groups"), Encoding::Json),
            Some(r#"["students","a,b"," ","7\u0431",null,"x\n",12,{"a":1},",","staff"]"#),
            0,
        ),
        (
            encoded(claim("address"), Encoding::Json),
            Some(r#"{"locality":"\u0422\u0432\u0435\u0440\u044c"}"#),
            0,
        ),
        (encoded(claim("empty"), Encoding::Json), Some("[]"), 0),
        (encoded(claim("blank"), Encoding::Json), None, 0),
        (encoded(claim("name"), Encoding::Percent), Some("%20%D0%98%D0%B2%D0%B0%D0%BD%20"), 0),
        (or(encoded(claim("absent"), Encoding::Json), "[\"я\"]"), Some(r#"["\u044f"]"#), 0),
        (or(claim("absent"), "гость"), Some("гость"), 0),
        (or(claim("blank"), "guest"), Some("guest"), 0),
        (or(claim("evil"), "guest"), Some("guest"), 1),
        (or(claim("sub"), "guest"), Some("7"), 0),
        (template("{name} ({address.locality}) <{email}>"), Some("Иван (Тверь)"), 0),
        (template("{evil} {email}"), None, 1),
        (encoded(template("{evil} {name}"), Encoding::Json), Some(r#""\u0418\u0432\u0430\u043d""#), 1),
        (
            HeaderSpec { join: Some("/".into()), ..template("{groups}: {sub}") },
            Some("students/a,b/7б/12/,/staff: 7"),
            4,
        ),
        (expr(r#"claims.age >= 18 ? "adult" : "minor""#), Some("minor"), 0),
        (expr("claims.age + 1"), Some("18"), 0),
        (expr("claims.admin"), Some("false"), 0),
        (expr("null"), None, 0),
        (expr("claims.absent"), None, 1),
        (or(expr("claims.absent"), "x"), Some("x"), 1),
        (expr("claims.one.map(g, g + g)"), Some("7б7б"), 0),
        (expr("[1, 2]"), None, 1),
        (HeaderSpec { join: Some("+".into()), ..expr("[1, 2, true]") }, Some("1+2+true"), 0),
        (encoded(expr("{'a': claims.one}"), Encoding::Json), Some(r#"{"a":["7\u0431"]}"#), 0),
        (expr("{'a': 1}"), None, 1),
        (expr("claims.evil"), None, 1),
        (constant("acme"), Some("acme"), 0),
        (encoded(constant("{\"a\": 1}"), Encoding::Json), Some(r#"{"a":1}"#), 0),
    ];
    for (spec, expected, omitted) in cases {
        let rendered = render(spec.clone(), &person(), &Tokens::default());
        let value = rendered.headers.first().map(|(_, value)| std::str::from_utf8(value.as_bytes()).unwrap());
        assert_eq!(value, expected, "{spec:?} {rendered:?}");
        assert_eq!(rendered.omitted.len(), omitted, "{spec:?} {rendered:?}");
        assert!(rendered.missing.is_empty(), "{spec:?}");
        // What was left out is named, and never shown.
        let reasons: String = rendered.omitted.iter().map(|omitted| omitted.reason.as_str()).collect();
        assert!(!reasons.contains("X-Admin") && !reasons.contains("a,b"), "{reasons}");
    }
}

#[test]
fn a_required_value_that_is_absent_or_left_out_is_missing() {
    for (spec, source) in [
        (claim("custom.snils"), "custom.snils"),
        (claim("evil"), "evil"),
        (claim("blank"), "blank"),
        (template("{email} {phone}"), "{email} {phone}"),
        (expr("claims.absent"), "claims.absent"),
        (spec(Source::Token(TokenKind::Id)), "ID token"),
    ] {
        let rendered = render(required(spec), &person(), &Tokens::default());
        assert!(rendered.headers.is_empty());
        assert_eq!(rendered.missing, [Missing { header: "X-User".into(), source: source.into() }]);
    }
    assert!(render(required(claim("sub")), &person(), &Tokens::default()).missing.is_empty());
}

#[test]
fn a_token_is_a_bearer_value_that_does_not_print_itself() {
    let tokens = Tokens {
        access: Some(Secret::new("abc.def-~+/=")),
        id: Some(Secret::new("a b")),
        refresh: None,
        proof_key: None,
    };
    let rendered = render(spec(Source::Token(TokenKind::Access)), &person(), &tokens);
    let (_, value) = rendered.headers.first().unwrap();
    assert_eq!(value, "Bearer abc.def-~+/=");
    assert!(!format!("{rendered:?}").contains("abc"));
    let rendered = render(spec(Source::Token(TokenKind::Id)), &person(), &tokens);
    assert_eq!((rendered.headers.len(), rendered.omitted.len()), (0, 1));
    assert!(render(spec(Source::Token(TokenKind::Access)), &person(), &Tokens::default()).headers.is_empty());
}

#[test]
fn a_description_that_contradicts_itself_is_refused_with_the_reason() {
    let token = || spec(Source::Token(TokenKind::Access));
    let cases = [
        (claim(""), "claim's name"),
        (claim("a\nb"), "claim's name"),
        (template("{a"), "lone {"),
        (expr("claims."), "line 1"),
        (constant(" "), "value is empty"),
        (constant("a\nb"), "control character"),
        (encoded(constant("Я"), Encoding::Latin1), "latin1"),
        (encoded(constant("acme"), Encoding::Json), "must be JSON"),
        (or(claim("a"), ""), "default is empty"),
        (or(encoded(claim("a"), Encoding::Json), "none"), "must be JSON"),
        (joined("a", ""), "join needs"),
        (joined("a", "\n"), "join needs"),
        (encoded(joined("a", ","), Encoding::Json), "contradict"),
        (required(or(claim("a"), "x")), "contradict"),
        (or(constant("a"), "x"), "no meaning"),
        (HeaderSpec { join: Some(",".into()), ..constant("a") }, "no meaning"),
        (or(token(), "x"), "no meaning"),
        (encoded(token(), Encoding::Base64), "no meaning"),
    ];
    for (spec, expected) in cases {
        let error = IdentityHeader::compile(spec.clone()).unwrap_err().0;
        assert!(error.contains(expected), "{spec:?}: {error}");
    }
}

#[test]
fn names_that_carry_something_else_are_refused_in_every_spelling() {
    for name in [
        "Connection",
        "keep_alive",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
        "Host",
        "content-length",
        "Content_Type",
        "Cookie",
        "Set-Cookie",
        "X-Forwarded-For",
        "x_forwarded_host",
        "X-Forwarded-Uri",
        "Forwarded",
        "X-Original-URL",
        "X-Real-IP",
        "X-HTTP-Method-Override",
        "Sec-WebSocket-Key",
        "Sec-Fetch-Mode",
        "Origin",
        "-",
        "",
        "X User",
        "X-Имя",
    ] {
        assert!(IdentityHeader::compile(HeaderSpec::of_claim(name, "sub")).is_err(), "{name}");
    }
    for name in ["Authorization", "X-Forwarded-User", "Remote-User", "X_User", "Secretary", "From"] {
        assert!(IdentityHeader::compile(HeaderSpec::of_claim(name, "sub")).is_ok(), "{name}");
    }
}

#[test]
fn the_default_set_is_six_headers_of_six_claims() {
    let mapping = HeaderMapping::default_set();
    assert_eq!(mapping.names().count(), 6);
    let rendered = mapping.render(&claims(json!({ "sub": "1", "given_name": "Иван" })), &Tokens::default());
    let names: Vec<_> = rendered.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-auth-sub", "x-auth-given-name"]);
    let complete: Vec<_> =
        mapping.complete(&rendered.headers).map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(complete.len(), 6);
    assert_eq!(complete[0], ("x-auth-sub", HeaderValue::from_static("1")));
    assert_eq!(complete[1], ("x-auth-email", HeaderValue::from_static("")));
    assert!(mapping.complete(&[]).all(|(_, value)| value.is_empty()));
}

#[test]
fn every_spelling_of_ours_is_stripped_and_nothing_else() {
    let specs = ["X-User-Email", "Authorization", "X-User-Id"].map(|name| HeaderSpec::of_claim(name, "sub"));
    let mapping = HeaderMapping::new(specs.map(|spec| IdentityHeader::compile(spec).unwrap()).into());
    let forged = [
        "X-User-Email",
        "x_user_email",
        "X.User.Email",
        "xuseremail",
        "-X-User--Email-",
        "X_User-Id",
        "authorization",
        "author_ization",
        "~x|user*id!",
    ];
    let kept = [
        "host",
        "accept",
        "x-user",
        "x-user-email2",
        "xx-user-email",
        "x-user-ld",
        "cookie",
        "x-user-idd",
        "_",
        "authorizatio-m",
    ];
    let mut headers = HeaderMap::new();
    for name in forged.iter().chain(&kept) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name.clone(), HeaderValue::from_static("1"));
        headers.append(name, HeaderValue::from_static("2"));
    }
    strip(&mapping, &mut headers);
    let left: BTreeSet<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, BTreeSet::from(kept));
    assert_eq!(headers.len(), 2 * kept.len());
    strip(&HeaderMapping::default(), &mut headers);
    assert_eq!(headers.len(), 2 * kept.len());
}

proptest! {
    #[test]
    fn a_name_is_stripped_exactly_when_its_letters_and_digits_are_ours(
        letters in "[xX][uU][sS]?[eE]?[rR]?", noise in prop::collection::vec("[-_.!~|+*'`^%$#&]{0,2}", 8), ours in "(x|X-U|x_us|X-User|xuse)",
    ) {
        let spelled: String = letters.chars().zip(&noise).map(|(letter, noise)| format!("{letter}{noise}")).collect();
        let mapping = HeaderMapping::new(vec![IdentityHeader::compile(HeaderSpec::of_claim(&ours, "sub")).unwrap()]);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_bytes(spelled.as_bytes()).unwrap(), HeaderValue::from_static("forged"));
        strip(&mapping, &mut headers);
        let fold = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "").to_lowercase();
        prop_assert_eq!(headers.is_empty(), fold(&spelled) == fold(&ours));
        prop_assert_eq!(same_name(&spelled, &ours), fold(&spelled) == fold(&ours));
    }

    #[test]
    fn no_claim_ever_becomes_two_headers_or_a_panic(text in any::<String>(), list in prop::collection::vec(any::<String>(), 0..4)) {
        let person = claims(json!({ "a": text, "list": list }));
        for encoding in Encoding::ALL {
            let mut specs = vec![claim("a"), template("{a} ({list.0}) <{a}>"), expr("claims.a + '-'"), claim("list")];
            if encoding != Encoding::Json {
                specs.push(joined("list", ","));
            }
            for spec in specs {
                let rendered = render(encoded(spec, encoding), &person, &Tokens::default());
                for (_, value) in &rendered.headers {
                    prop_assert!(!value.as_bytes().iter().any(u8::is_ascii_control));
                    prop_assert!(value.len() <= MAX_VALUE);
                }
            }
        }
    }

    #[test]
    fn what_was_joined_can_be_split_again(list in prop::collection::vec("[a:, ]{0,4}", 0..5), separator in "(,|::|, |:,:|,,|a)") {
        let rendered = render(joined("list", &separator), &claims(json!({ "list": list })), &Tokens::default());
        let value = rendered.headers.first().map_or("", |(_, value)| value.to_str().unwrap()).to_owned();
        let parts = value.split(separator.as_str()).filter(|part| !part.is_empty()).count();
        prop_assert_eq!(parts, list.len() - rendered.omitted.len());
    }
}
