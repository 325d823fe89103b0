use serde_json::Value;

use super::*;

fn refused(text: &str) -> (String, Flaw) {
    let InvalidJson { path, flaw } = Json::parse_strict(text).expect_err(text);
    (path, flaw)
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn what_a_part_further_down_could_not_keep_is_refused_with_its_place() {
    let many: String = (0..40).map(|n| format!("\"k{n}\":{n},")).collect();
    let cases = [
        (r#"{"a":1,"a":2}"#.to_owned(), "", Flaw::DuplicateKey("a".into())),
        (r#"{"x":[1,{"b":1,"\u0062":1}]}"#.to_owned(), "/x/1", Flaw::DuplicateKey("b".into())),
        (format!("[{{{many}\"k7\":1}}]"), "/0", Flaw::DuplicateKey("k7".into())),
        (r#""\u0000""#.to_owned(), "", Flaw::NulCharacter),
        (r#"{"a":{"\u0000":1}}"#.to_owned(), "/a", Flaw::NulCharacter),
        (r#"{"v":"\ud83d"}"#.to_owned(), "/v", Flaw::LoneSurrogate),
        (r#"["\ude00"]"#.to_owned(), "/0", Flaw::LoneSurrogate),
        (r#"["","\ud83d\ud83d\ude00"]"#.to_owned(), "/1", Flaw::LoneSurrogate),
        (r#"["\uD83D\n"]"#.to_owned(), "/0", Flaw::LoneSurrogate),
        ("18446744073709551616".to_owned(), "", Flaw::NumberOutOfRange("18446744073709551616".into())),
        ("-9223372036854775809".to_owned(), "", Flaw::NumberOutOfRange("-9223372036854775809".into())),
        (r#"{"a/b":[0,1e400]}"#.to_owned(), "/a~1b/1", Flaw::NotADouble("1e400".into())),
        ("-1e400".to_owned(), "", Flaw::NotADouble("-1e400".into())),
        ("1e-400".to_owned(), "", Flaw::NotADouble("1e-400".into())),
        ("1E+99999999999999999999".to_owned(), "", Flaw::NotADouble("1E+99999999999999999999".into())),
        (format!("0.{}1", "0".repeat(400)), "", Flaw::NotADouble(format!("0.{}…", "0".repeat(58)))),
    ];
    for (text, path, flaw) in cases {
        assert_eq!(refused(&text), (path.to_owned(), flaw), "{text}");
    }
    assert_eq!(refused(&nested(65)).1, Flaw::TooDeep);
    assert_eq!(refused(&nested(100_000)).1, Flaw::TooDeep);
    assert!(matches!(refused(&"9".repeat(400)).1, Flaw::NumberOutOfRange(_)));
    assert!(matches!(Json::parse_bytes(b"\"\xff\"").unwrap_err().flaw, Flaw::NotUtf8(1)));
}

#[test]
fn what_is_not_json_is_refused() {
    let texts = [
        "",
        " ",
        "{",
        "{} {}",
        "nul",
        "nulls",
        "{'a':1}",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "-01",
        "0x1",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "\"\t\"",
        "]",
        "}",
        "[}",
        "{]",
        "[1 2]",
        "true false",
        "\u{feff}1",
        "\u{a0}1",
        "[1]]",
        "\"\\u+123\"",
    ];
    for text in texts {
        assert!(matches!(refused(text).1, Flaw::Syntax(_)), "{text:?}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
    }
    assert_eq!(refused("{\n  \"a\": tru\n}").1.to_string(), "not valid JSON: a value is expected at line 2 column 8");
}

#[test]
fn what_is_accepted_keeps_its_text() {
    let texts = [
        r#"{"a":[1,2.50,"ü",null,true]}"#,
        "1e3",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "1e20",
        "1E+2",
        "-0",
        "0e999",
        "0.0e-999",
        "5e-324",
        "1.7976931348623157e308",
        "123456789012345678901234567890.5",
        "1e22",
        r#""\ud83d\ude00""#,
        r#""\\u0000""#,
        r#"{"a":1,"A":2}"#,
        "[]",
        "{}",
        r#"{"":{"":0}}"#,
        "[[],{}]",
        r#"{"a":{"b":1},"c":{"b":1}}"#,
        "\"\u{2028}\u{7f}\"",
    ];
    for text in texts {
        assert_eq!(Json::parse_strict(text).unwrap().as_str(), text);
        assert_eq!(Json::parse_strict(&format!(" \r\n\t{text} ")).unwrap().as_str(), text);
    }
    assert!(Json::parse_strict(&nested(64)).is_ok());
    assert_eq!(Json::parse_bytes(b"\xef\xbb\xbf[1]").unwrap().as_str(), "[1]");
}

#[test]
fn numbers_are_the_nearest_double() {
    for text in [
        "0.1",
        "1e20",
        "9007199254740993.0",
        "1.0000000000000000000001",
        "6.929001713869936e236",
        "2.4703282292062328e-324",
    ] {
        let nearest: f64 = text.parse().unwrap();
        assert_eq!(Json::parse_strict(text).unwrap().to_value().as_f64(), Some(nearest), "{text}");
    }
}

/// Every leniency ever released, and what is made of it.
#[test]
fn what_was_journaled_before_is_mended() {
    let cases = [
        (r#"{"v":"\ud83d"}"#, r#"{"v":"\ufffd"}"#),
        (r#"{"\ude00":"a\ud83d\ud83d\ude00\\ud83d"}"#, r#"{"\ufffd":"a\ufffd\ud83d\ude00\\ud83d"}"#),
        ("[1e400, -1e999]", "[1.7976931348623157e308, -1.7976931348623157e308]"),
        (r#"{"s":1,"s":2}"#, r#"{"s":1,"s":2}"#),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1e-400", "1e-400"),
        (r#""\u0000""#, r#""\u0000""#),
    ];
    for (text, mended) in cases {
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(json.as_str(), mended, "{text}");
        json.to_value();
        serde_json::to_value(&json).unwrap();
        assert_eq!(Json::from_text(text.to_owned()).unwrap(), json);
    }
    let long: Json = serde_json::from_str(&"9".repeat(400)).unwrap();
    assert_eq!(long.to_value().as_f64(), Some(f64::MAX));
    let deep: Json = serde_json::from_str(&format!("[{},\"]\",1]", nested(100_000))).unwrap();
    assert_eq!(deep.to_value().as_array().map(Vec::len), Some(3));
}

#[test]
fn how_deeply_a_text_is_nested_is_told_without_what_stands_in_its_strings() {
    for levels in [1, 2, 31] {
        let text = nested(levels);
        assert!(!Json::is_deeper_than(&text, levels) && Json::is_deeper_than(&text, levels - 1), "{text}");
    }
    for text in [r#"["[[","\"[{\\",{"[":"]"}]"#, r#"{"a":[],"b":[{}],"\\":"["}"#] {
        let deepest = if text.starts_with('{') { 3 } else { 2 };
        assert!(!Json::is_deeper_than(text, deepest) && Json::is_deeper_than(text, deepest - 1), "{text}");
    }
    assert!(
        !Json::is_deeper_than("\"[", 0) && !Json::is_deeper_than("\"\\", 0),
        "what has no end has one all the same"
    );
}
