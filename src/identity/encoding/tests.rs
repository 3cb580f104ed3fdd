//! Encodings: what stands in the header, and that a reader gets the text back.

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const NAME: &str = "Иван \"Ваня\" O'Neil";

#[test]
fn each_encoding_writes_what_its_specification_says() {
    let cases: [(Encoding, &str, &[u8]); 17] = [
        (Encoding::Utf8, " Иван ", "Иван".as_bytes()),
        (Encoding::Utf8, "a, b", b"a, b"),
        (Encoding::Latin1, "José ÿ", b"Jos\xe9 \xff"),
        (Encoding::Percent, "Ян-1_.~ /+%", "%D0%AF%D0%BD-1_.~%20%2F%2B%25".as_bytes()),
        (Encoding::Base64, "Иван", b"0JjQstCw0L0="),
        (Encoding::Rfc2047, "Иван", b"=?UTF-8?B?0JjQstCw0L0=?="),
        (Encoding::Rfc2047, "Ivan Petrov", b"Ivan Petrov"),
        (Encoding::Rfc2047, "a =?b", b"=?UTF-8?B?YSA9P2I=?="),
        (Encoding::Rfc2047, " a", b"=?UTF-8?B?IGE=?="),
        (Encoding::Rfc2047Q, "José Ñ_?=.", b"=?UTF-8?Q?Jos=C3=A9_=C3=91=5F=3F=3D=2E?="),
        (Encoding::Rfc2047Q, "Ivan (7)", b"Ivan (7)"),
        (Encoding::Rfc8187, "€ rates!", b"UTF-8''%E2%82%AC%20rates!"),
        (Encoding::Rfc8187, "it's*", b"UTF-8''it%27s%2A"),
        (Encoding::Json, "Я\u{7f}\n\u{80}😀\"", br#""\u042f\u007f\n\u0080\ud83d\ude00\"""#),
        (Encoding::Json, "", b"\"\""),
        (Encoding::Utf8, "", b""),
        (Encoding::Rfc2047, "", b""),
    ];
    for (encoding, text, expected) in cases {
        let value = encoding.encode(text).unwrap();
        assert_eq!(value.as_bytes(), expected, "{encoding:?} {text:?}: {value:?}");
    }
    let value = json(&json!(["Группа 1", { "id": 7, "ok": true, "x": null }])).unwrap();
    assert_eq!(value, r#"["\u0413\u0440\u0443\u043f\u043f\u0430 1",{"id":7,"ok":true,"x":null}]"#);
}

#[test]
fn a_control_character_is_sent_in_json_alone() {
    for control in ["\r", "\n", "\0", "\t", "\u{7f}", "\u{80}", "\u{85}", "\u{9f}", "a\r\nX-Admin: 1"] {
        for encoding in Encoding::ALL {
            let encoded = encoding.encode(&format!("a{control}b"));
            match encoding {
                Encoding::Json => {
                    assert!(encoded.unwrap().to_str().unwrap().chars().all(|c| matches!(c, ' '..='~')))
                }
                _ => assert_eq!(encoded, Err(Unfit::Control), "{encoding:?} {control:?}"),
            }
        }
    }
}

#[test]
fn what_an_encoding_lacks_or_is_too_long_is_unfit() {
    assert_eq!(Encoding::Latin1.encode("Иван"), Err(Unfit::NotLatin1));
    for encoding in Encoding::ALL {
        assert_eq!(encoding.encode(&"é".repeat(MAX_VALUE + 1)), Err(Unfit::TooLong), "{encoding:?}");
        assert!(encoding.encode(&"a".repeat(MAX_VALUE / 2)).is_ok(), "{encoding:?}");
        assert_eq!(Encoding::from_name(encoding.name()), Some(encoding));
    }
    assert_eq!(json(&json!(["x".repeat(MAX_VALUE)])), Err(Unfit::TooLong));
    assert_eq!(Encoding::from_name("UTF8"), None);
}

/// A reader of each encoding, written apart from the writer.
fn decode(encoding: Encoding, value: &[u8]) -> String {
    let ascii = || std::str::from_utf8(value).unwrap();
    match encoding {
        Encoding::Utf8 => ascii().to_owned(),
        Encoding::Latin1 => value.iter().map(|byte| char::from(*byte)).collect(),
        Encoding::Percent => percent_decode_str(ascii()).decode_utf8().unwrap().into_owned(),
        Encoding::Base64 => String::from_utf8(STANDARD.decode(value).unwrap()).unwrap(),
        Encoding::Rfc2047 | Encoding::Rfc2047Q if !ascii().starts_with("=?") => ascii().to_owned(),
        Encoding::Rfc2047 | Encoding::Rfc2047Q => ascii().split(' ').map(decode_word).collect(),
        Encoding::Rfc8187 => {
            let (charset, rest) = ascii().split_once('\'').unwrap();
            let (language, rest) = rest.split_once('\'').unwrap();
            assert_eq!((charset, language), ("UTF-8", ""));
            percent_decode_str(rest).decode_utf8().unwrap().into_owned()
        }
        Encoding::Json => serde_json::from_slice(value).unwrap(),
    }
}

fn decode_word(word: &str) -> String {
    assert!(word.len() <= 75, "{word}");
    let inner = word.strip_prefix("=?UTF-8?").unwrap().strip_suffix("?=").unwrap();
    let (letter, payload) = inner.split_once('?').unwrap();
    let bytes = match letter {
        "B" => STANDARD.decode(payload).unwrap(),
        "Q" => percent_decode_str(&payload.replace('%', "=25").replace('=', "%").replace('_', " ")).collect(),
        other => panic!("{other}"),
    };
    // Each word alone is valid: no character is split.
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_long_name_becomes_several_words() {
    for encoding in [Encoding::Rfc2047, Encoding::Rfc2047Q] {
        let text = format!("{NAME} ").repeat(20);
        let value = encoding.encode(&text).unwrap();
        assert!(value.to_str().unwrap().split(' ').count() > 5);
        assert_eq!(decode(encoding, value.as_bytes()), text);
    }
}

proptest! {
    #[test]
    fn every_text_comes_back_from_every_encoding(text in "\\PC{0,200}") {
        for encoding in Encoding::ALL {
            let expected = match encoding {
                Encoding::Utf8 => text.trim(),
                Encoding::Latin1 if text.chars().any(|c| c > 'ÿ') => {
                    prop_assert_eq!(encoding.encode(&text), Err(Unfit::NotLatin1));
                    continue;
                }
                Encoding::Latin1 => text.trim(),
                _ => text.as_str(),
            };
            let value = encoding.encode(&text).unwrap();
            prop_assert_eq!(decode(encoding, value.as_bytes()), expected);
            if !matches!(encoding, Encoding::Utf8 | Encoding::Latin1) {
                prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')));
            }
        }
    }

    #[test]
    fn any_text_at_all_comes_back_from_json_and_never_breaks_a_header(text in any::<String>()) {
        let value = Encoding::Json.encode(&text).unwrap();
        prop_assert_eq!(decode(Encoding::Json, value.as_bytes()), text.as_str());
        for encoding in Encoding::ALL {
            if let Ok(value) = encoding.encode(&text) {
                prop_assert!(!value.as_bytes().iter().any(|byte| byte.is_ascii_control()));
            }
        }
    }
}
