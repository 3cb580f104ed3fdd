//! Expressions: what they see, what they may hold, and that nothing about them panics.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn evaluate(source: &str, claims: Value) -> Result<Value, EvaluationError> {
    let claims: Claims = serde_json::from_value(claims).unwrap();
    Expression::compile(source)
        .unwrap_or_else(|error| panic!("{source}: {error}"))
        .evaluate(&Facts::new(&claims))
}

#[test]
fn an_expression_gives_what_the_claims_say() {
    let person = json!({
        "email": "Ivan@Example.org", "email_verified": "True", "phone_number_verified": "no", "groups": ["students", "7б"],
        "имя": "Иван", "age": 17, "big": u64::MAX, "rate": 0.5, "level": 0, "address": { "city": "Тверь" },
        "iat": 1_700_000_000, "https://example.org/role": "teacher", "nothing": null,
    });
    let cases = [
        (r#"claims.groups.exists(g, g == "teachers") ? "teacher" : "student""#, json!("student")),
        (r#""students" in claims.groups && claims.email_verified"#, json!(true)),
        (r#"claims.phone_number_verified == "no""#, json!(true)),
        (r#"claims.email.lowerAscii().split("@")[1]"#, json!("example.org")),
        (r#"claims["https://example.org/role"]"#, json!("teacher")),
        (r#"claims["имя"] + " из " + claims.address.city"#, json!("Иван из Тверь")),
        (r#"strings.quote("x") + string(claims.age)"#, json!("\"x\"17")),
        ("claims.age + 1", json!(18)),
        ("claims.age - 20 < 0", json!(true)),
        ("claims.big > 1.0", json!(true)),
        ("claims.rate * 2.0", json!(1.0)),
        ("claims.level == 0", json!(true)),
        ("timestamp(claims.iat) < timestamp(\"2030-01-01T00:00:00Z\")", json!(true)),
        ("has(claims.groups) && !has(claims.roles)", json!(true)),
        ("claims.groups.map(g, g + \"!\")", json!(["students!", "7б!"])),
        ("{\"b\": 1, \"a\": [claims.age]}", json!({ "a": [17], "b": 1 })),
        ("claims.nothing", Value::Null),
        ("size(claims) > 3 && type(claims.age) == int", json!(true)),
        ("true", json!(true)),
    ];
    for (source, expected) in cases {
        assert_eq!(evaluate(source, person.clone()), Ok(expected), "{source}");
    }
}

#[test]
fn an_evaluation_that_fails_says_why_without_the_contents_of_a_claim() {
    let person = json!({ "email": "secret@example.org", "age": 5, "groups": ["secret"], "zero": 0 });
    let cases = [
        ("claims.roles", "claim or member roles is absent"),
        ("claims[claims.email]", "by a computed name is absent"),
        ("claims.email + claims.age", "does not take"),
        ("claims.email > claims.age", "does not take"),
        ("int(claims.email)", "failed"),
        ("timestamp(claims.email)", "failed"),
        ("claims.age / claims.zero", "division by zero"),
        ("claims.groups[7]", "beyond the end"),
        ("claims.email.matches(\"(\")", "failed"),
        ("duration(\"1h\")", "the result is a duration"),
        ("9223372036854775807 + claims.age", "too large"),
        ("0.0 / 0.0", "without a value"),
        ("!claims.email", ""),
        ("claims.email && true", ""),
    ];
    for (source, expected) in cases {
        let error = evaluate(source, person.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{source}: {error}");
        assert!(!error.contains("secret"), "{source}: {error}");
    }
}

#[test]
fn an_expression_that_can_t_work_is_refused_when_it_is_compiled() {
    let cases = [
        ("claims.email ==", "line 1, character 16"),
        ("claims.a &&\n  == 1", "line 2, character 3"),
        ("", "can't be read"),
        ("claim.email == \"x\"", "claim is not known (character 1)"),
        ("has(claims.a) || email_verified", "email_verified is not known (character 18)"),
        ("claims.groups.exists(g, h == g)", "h is not known"),
        ("claims.groups.exist(g, g == \"x\")", "no function exist"),
        ("claims.email.lower()", "no function lower"),
        ("Person{name: \"x\"}", "Person is not known"),
        ("\"x\" == \"я", "can't be read"),
    ];
    for (source, expected) in cases {
        let error = Expression::compile(source).unwrap_err().to_string();
        assert!(error.contains(expected), "{source}: {error}");
    }
    assert_eq!(Expression::compile(&"1".repeat(5000)).unwrap_err(), ExpressionError::TooLong);
    for deep in [
        vec!["1"; 1000].join("+"),
        format!("claims{}", ".a".repeat(500)),
        format!("claims{}", "[0]".repeat(300)),
    ] {
        assert_eq!(Expression::compile(&deep).unwrap_err(), ExpressionError::TooComplex);
    }
    assert!(Expression::compile(&"[".repeat(4096)).is_err());
}

#[test]
fn claims_without_end_are_refused_and_deep_expressions_fit_a_worker_s_stack() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert_eq!(evaluate("claims.x == 1", json!({ "x": deep })), Err(EvaluationError::TooDeep));
    let longest = vec!["1"; check::MAX_TREE].join("+");
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let result = small.spawn(move || evaluate(&longest, json!({}))).unwrap().join().unwrap();
    assert_eq!(result, Ok(json!(check::MAX_TREE)));
}

#[test]
fn compiled_expressions_can_be_shared_by_workers() {
    fn shared<T: Send + Sync>() {}
    shared::<Expression>();
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "claims",
        ".",
        "a",
        "b",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "\"x\"",
        "'я'",
        "1",
        "-1",
        "2.5",
        "0u",
        "b'\\xff'",
        "null",
        "true",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "<",
        "&&",
        "||",
        "!",
        "?",
        ":",
        ",",
        " in ",
        "has(",
        ".exists(x,",
        ".map(x,",
        "x",
        "size(",
        "timestamp(",
        "duration(",
        "'1h'",
        ".matches(",
        "type(",
        "int(",
        "string(",
        "dyn(",
        "@",
        "\\",
        "`",
        "\"",
        "'''",
        "//",
        "\n",
        ".?",
        "[?",
        "optional.none()",
        ".split(",
        ".format([",
        "'%d'",
        ".substring(",
        "9223372036854775807",
        "1e999",
        "$",
        ";",
        "{1:",
    ])
}

proptest! {
    #[test]
    fn no_text_makes_compiling_or_evaluating_panic(tokens in prop::collection::vec(token(), 1..12)) {
        let source = tokens.concat();
        // The guards themselves are tested from outside: nothing may reach the caller but a value.
        if let Ok(expression) = Expression::compile(&source) {
            let claims = json!({ "a": [1, "x", { "b": 2.5 }], "b": { "a": "2000-01-01T00:00:00Z" }, "x": null });
            let claims: Claims = serde_json::from_value(claims).unwrap();
            let _evaluated = expression.evaluate(&Facts::new(&claims));
        }
    }
}
