//! Random expressions over random inputs that keep a schema: what has a value is not refused.

use std::sync::LazyLock;

use headwater_core::Json;
use headwater_core::definition::Schema;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::evaluate;
use super::typing::{is_refused, schema};

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        Just(json!(1.0)),
        Just(json!(0.5)),
        Just(json!(u64::MAX)),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map(proptest::sample::select(vec!["k", "n", "q"]), inner, 0..3).prop_map(
                |map| {
                    map.into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                }
            ),
        ]
    })
    .boxed()
}

/// An input that keeps the schema, with some of its keys.
fn input() -> BoxedStrategy<Value> {
    let whole = || prop_oneof![(-3_i64..4).prop_map(Value::from), Just(json!(1.0)), Just(json!(u64::MAX))].boxed();
    let text = || prop_oneof!["[ab]{0,2}", Just("2025-11-26T12:00:00Z".to_owned())].prop_map(Value::from).boxed();
    let list = |of: BoxedStrategy<Value>| proptest::collection::vec(of, 0..3).prop_map(Value::from).boxed();
    let truth = || any::<bool>().prop_map(Value::from).boxed();
    let map = |members: Vec<(&'static str, BoxedStrategy<Value>)>| {
        let each =
            members.into_iter().map(|(key, of)| proptest::option::weighted(0.8, of).prop_map(move |of| (key, of)));
        let made = each.collect::<Vec<_>>().prop_map(|all| {
            let there = all.into_iter().filter_map(|(key, of)| of.map(|of| (key.to_owned(), of)));
            Value::from(there.collect::<serde_json::Map<_, _>>())
        });
        made.boxed()
    };
    map(vec![
        ("n", whole()),
        ("x", prop_oneof![whole(), Just(json!(0.5))].boxed()),
        ("t", text()),
        ("b", truth()),
        ("l", list(text())),
        ("u", prop_oneof![text(), Just(Value::Null)].boxed()),
        ("o", map(vec![("k", text()), ("n", whole())])),
        ("m", map(vec![("k", truth()), ("q", truth())])),
        ("e", prop_oneof![Just(json!("a")), Just(json!("b"))].boxed()),
        ("a", value()),
        (
            "p",
            (whole(), list(text()))
                .prop_map(|(first, rest)| {
                    Value::from([vec![first], rest.as_array().cloned().unwrap_or_default()].concat())
                })
                .boxed(),
        ),
        ("g", text()),
    ])
}

fn expression() -> BoxedStrategy<String> {
    let leaves = [
        "input.n",
        "input.x",
        "input.t",
        "input.b",
        "input.l",
        "input.l[0]",
        "input.u",
        "input.o",
        "input.o.k",
        "input.o.n",
        "input.m",
        "input.m.k",
        "input.e",
        "input.a",
        "input.a.k",
        "input.r",
        "input.p[0]",
        "input.p",
        "input.g",
        "input",
        "1",
        "2u",
        "0.5",
        "'a'",
        "true",
        "null",
        "[]",
        "[1, 'a']",
        "{'k': 1}",
        "now",
        "duration('1s')",
        "optional.of('a')",
        "input.?t",
        "b'a'",
        "int",
    ];
    let leaf = proptest::sample::select(leaves.map(str::to_owned).to_vec());
    leaf.prop_recursive(3, 12, 3, |inner| {
        let binary =
            proptest::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"]);
        let free = proptest::sample::select(vec![
            "size",
            "string",
            "int",
            "uint",
            "double",
            "bool",
            "bytes",
            "type",
            "dyn",
            "timestamp",
            "duration",
            "math.abs",
            "math.ceil",
            "math.isNaN",
            "math.sqrt",
            "math.sign",
            "lists.range",
            "json.encode",
            "json.decode",
            "base64.encode",
            "base64.decode",
            "hash.sha256",
            "url.encode",
            "optional.of",
            "math.greatest",
        ]);
        let plain = proptest::sample::select(vec![
            "size",
            "trim",
            "lowerAscii",
            "join",
            "reverse",
            "sort",
            "distinct",
            "flatten",
            "sum",
            "min",
            "max",
            "keys",
            "values",
            "hasValue",
            "value",
            "getHours",
            "getFullYear",
            "getMilliseconds",
            "split",
        ]);
        let member = proptest::sample::select(vec![
            "contains",
            "startsWith",
            "matches",
            "indexOf",
            "split",
            "join",
            "charAt",
            "substring",
            "merge",
            "format",
            "or",
            "orValue",
            "getHours",
            "getDate",
            "flatten",
        ]);
        let free2 = proptest::sample::select(vec![
            "time.format",
            "time.parse",
            "time.truncate",
            "regex.extract",
            "regex.extractAll",
            "math.greatest",
            "matches",
        ]);
        let macros = proptest::sample::select(vec![
            "all",
            "exists",
            "exists_one",
            "map",
            "filter",
            "optMap",
            "sortBy",
            "groupBy",
            "minBy",
            "sum",
        ]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.clone().prop_map(|a| format!("(!{a})")),
            inner.clone().prop_map(|a| format!("(-({a}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[?{b}]")),
            inner.clone().prop_map(|a| format!("{a}.k")),
            inner.clone().prop_map(|a| format!("{a}.?k")),
            inner.clone().prop_map(|a| format!("has(dyn({a}).k)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            (inner.clone(), free).prop_map(|(a, f)| format!("{f}({a})")),
            (inner.clone(), plain).prop_map(|(a, f)| format!("{a}.{f}()")),
            (inner.clone(), member, inner.clone()).prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
            (inner.clone(), free2, inner.clone()).prop_map(|(a, f, b)| format!("{f}({a}, {b})")),
            (inner.clone(), macros, inner.clone()).prop_map(|(a, m, b)| format!("{a}.{m}(y, {b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("{a}.fold(acc, {b}, y, {c})")),
        ]
    })
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// Whatever has a value for some input that keeps the schema is not refused.
    #[test]
    fn nothing_is_refused_that_could_succeed(source in expression(), inputs in proptest::collection::vec(input(), 6)) {
        static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::compile(&schema()).unwrap());
        for input in &inputs {
            prop_assert!(SCHEMA.check(&Json::of(input)).is_ok(), "{}", input);
        }
        if let Some(input) = inputs.iter().find(|input| evaluate(&source, input).is_ok()) {
            prop_assert!(!is_refused(&source), "{} is refused and has a value for {}", source, input);
        }
    }
}
