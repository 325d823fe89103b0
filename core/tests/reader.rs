//! The one reader against the parser behind it: whatever it accepts, everything takes; what it refuses, it names.

use headwater_core::{Flaw, Json};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

/// Pieces of JSON and of what is nearly JSON.
const PIECES: [&str; 46] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    " ",
    "\n",
    "\"a\"",
    "\"a\":",
    "\"\\u0061\":",
    "{\"k\":",
    "[[[[",
    "]]]]",
    "0",
    "-0",
    "1",
    "12345678901234567890",
    "-9223372036854775809",
    "1e400",
    "-1e-400",
    "0.1",
    "1e20",
    "2.5e-324",
    "01",
    "+1",
    ".5",
    "1.",
    "e5",
    "true",
    "nul",
    "null",
    "\\ud83d",
    "\\ude00",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\\u0000",
    "\"\\u0000\"",
    "\\u12",
    "\u{0}",
    "\u{1f}",
    "ü",
    "\u{feff}",
    "🦀",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24).prop_map(|pieces| pieces.concat())
}

/// A value as text, with what breaks parsers among its leaves.
fn value() -> impl Strategy<Value = String> {
    let digits = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,4})?";
    let escaped = "\"(a|\\\\n|\\\\\"|\\\\\\\\|\\\\u[0-9a-fD][0-9a-f8-9]{3}|\\\\ud83d\\\\ude00|ü|/){0,12}\"";
    let leaf = prop_oneof![
        digits,
        escaped,
        prop::sample::select(&["true", "false", "null", "\"\"", "[]", "{}"][..]).prop_map(str::to_owned)
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        let key = prop_oneof!["\"[abc]\"", "\"\\\\u006[123]\"", "\"[a-z]{3,8}\""];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec((key, inner), 0..20).prop_map(|entries| {
                let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// Texts of either kind, and values with a byte too many, too few, or wrong.
fn texts() -> impl Strategy<Value = String> {
    let hurt = (value(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_u8).prop_map(
        |(text, at, piece, how)| {
            let at = text.floor_char_boundary(at.index(text.len() + 1));
            let (before, after) = text.split_at(at);
            let mut rest = after.chars();
            match how {
                0 => format!("{before}{}{after}", PIECES[piece.index(PIECES.len())]),
                1 => format!("{before}{}", {
                    rest.next();
                    rest.as_str()
                }),
                _ => format!("{before}{}{}", PIECES[piece.index(PIECES.len())], {
                    rest.next();
                    rest.as_str()
                }),
            }
        },
    );
    prop_oneof![pieces(), value(), hurt]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_reader_and_the_parser_agree(text in texts()) {
        let parsed = serde_json::from_str::<Value>(&text);
        match Json::parse_strict(&text) {
            Ok(json) => {
                prop_assert_eq!(json.as_str(), text.trim_ascii());
                let value = parsed.expect("what the reader accepts is JSON");
                prop_assert_eq!(&json.to_value(), &value);
                prop_assert_eq!(serde_json::to_value(&json).expect("it can be embedded"), value.clone());
                // What is made of it is accepted again.
                let again = Json::parse_strict(Json::of(&value).as_str()).expect("it is accepted again");
                prop_assert_eq!(again.to_value(), value);
            }
            Err(refused) => {
                prop_assert!(refused.to_string().len() < 1_200);
                match refused.flaw {
                    Flaw::Syntax(_) | Flaw::LoneSurrogate => prop_assert!(parsed.is_err(), "{}", refused),
                    // What only the reader refuses is nowhere a matter of taste: it would be lost or changed.
                    Flaw::DuplicateKey(_) | Flaw::NulCharacter | Flaw::NumberOutOfRange(_) | Flaw::NotADouble(_) | Flaw::TooDeep => {}
                    Flaw::NotUtf8(_) => prop_assert!(false, "a text is UTF-8"),
                }
            }
        }
    }

    #[test]
    fn whatever_was_journaled_can_be_read(text in texts()) {
        if serde_json::from_str::<&RawValue>(&text).is_ok() {
            let json: Json = serde_json::from_str(&text).expect("a journal that was written is read");
            let value = json.to_value();
            prop_assert_eq!(serde_json::to_value(&json).expect("it can be embedded"), value);
            let again: Json = serde_json::from_str(json.as_str()).expect("what is mended is JSON");
            prop_assert_eq!(again, json);
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let json = Json::parse_bytes(&bytes);
        prop_assert!(json.is_err() || std::str::from_utf8(&bytes).is_ok());
    }
}

/// Nanoseconds for each KiB of a text.
fn cost(bytes: usize, mut work: impl FnMut()) -> f64 {
    let rounds = (64 << 20) / bytes;
    let begun = std::time::Instant::now();
    (0..rounds).for_each(|_| work());
    begun.elapsed().as_nanos() as f64 / (rounds * bytes) as f64 * 1024.0
}

/// `cargo test --release -p headwater-core --test reader -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn what_reading_costs() {
    let rows = |n: u32| -> Value {
        (0..n).map(|n| serde_json::json!({"id": n, "name": format!("file-{n}.txt"), "size": n * 1_031, "ratio": 0.25, "tags": ["a", "b"], "ok": true})).collect()
    };
    let texts = [
        ("a small output", r#"{"rows":3,"path":"/tmp/report/index.html","ok":true}"#.to_owned()),
        ("rows of fields", rows(200).to_string()),
        ("one long text", serde_json::json!({"text": "x".repeat(64 << 10)}).to_string()),
        ("numbers", serde_json::to_string(&(0..4_000).map(|n| f64::from(n) * 1.1).collect::<Vec<_>>()).unwrap()),
        ("escapes", serde_json::json!({"text": "line\n\"é\" \u{1}".repeat(2_000)}).to_string()),
    ];
    println!("ns/KiB           the reader   kept as Json   parsed by serde_json   journal read as Json");
    for (name, text) in texts {
        let bytes = text.len();
        let check = cost(bytes, || Json::check(&text).unwrap());
        let strict = cost(bytes, || drop(Json::parse_strict(&text).unwrap()));
        let value = cost(bytes, || drop(serde_json::from_str::<Value>(&text).unwrap()));
        let lenient = cost(bytes, || drop(serde_json::from_str::<Json>(&text).unwrap()));
        println!("{name:<16} {check:>10.0} {strict:>14.0} {value:>22.0} {lenient:>22.0}");
    }
}
