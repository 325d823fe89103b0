//! Random expressions, evaluated by us and by the interpreter of the library whose parser we use.
//!
//! A failure prints the expression and proptest's seed.

use std::sync::{Arc, LazyLock};

use cel::objects::OptionalValue;
use cel::{Context, Env};
use proptest::prelude::*;
use serde_json::{Value, json};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_extension(cel::extensions::strings).unwrap();
    env.add_extension(cel::extensions::math).unwrap();
    Arc::new(env)
});

/// What the library makes of it; nothing where it has no value, or none that JSON could hold.
fn theirs(source: &str, input: &Value) -> Option<Value> {
    let mut context = Context::with_env(ENV.clone());
    context.add_variable_from_value("input", from_json(input));
    ENV.compile(source).ok()?.execute(&context).ok().and_then(|value| to_json(&value))
}

/// As the engine reads JSON: whole numbers are `int`, whatever the library's own conversion says.
fn from_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => cel::Value::Int(number),
            None => cel::Value::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(from_json).collect())),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.clone(), from_json(value)));
            cel::Value::from(entries.collect::<std::collections::HashMap<_, _>>())
        }
    }
}

fn to_json(value: &cel::Value) -> Option<Value> {
    Some(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(truth) => json!(truth),
        cel::Value::Int(number) => json!(number),
        cel::Value::UInt(number) => json!(number),
        cel::Value::Float(number) if number.is_finite() => json!(number),
        cel::Value::String(text) => json!(text.as_str()),
        cel::Value::List(items) => Value::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        cel::Value::Map(map) => {
            let mut entries = serde_json::Map::new();
            for (key, value) in map.map.iter() {
                let key = match key {
                    cel::objects::Key::String(key) => key.to_string(),
                    cel::objects::Key::Int(key) => key.to_string(),
                    cel::objects::Key::Uint(key) => key.to_string(),
                    cel::objects::Key::Bool(key) => key.to_string(),
                };
                if entries.insert(key, to_json(value)?).is_some() {
                    return None;
                }
            }
            Value::Object(entries)
        }
        cel::Value::Opaque(held) => match held.downcast_ref::<OptionalValue>()?.value() {
            Some(value) => to_json(value)?,
            None => Value::Null,
        },
        _ => return None,
    })
}

fn leaf() -> BoxedStrategy<String> {
    let sources = [
        "0",
        "1",
        "2",
        "-3",
        "9223372036854775807",
        "1u",
        "3u",
        "0.5",
        "2.0",
        "-1.5",
        "true",
        "false",
        "null",
        "''",
        "'a'",
        "'ab'",
        "'größe'",
        "'a,b,,c'",
        "b'ab'",
        "[]",
        "[1, 2, 3]",
        "['a', 'b']",
        "[1, 1u, 1.0, 'x']",
        "{}",
        "{'a': 1}",
        "{1: 'x', true: 2}",
        "{'a': {'b': [1]}}",
        "input.n",
        "input.f",
        "input.s",
        "input.l",
        "input.m",
        "input.none",
        "input.missing",
        "input.m.k",
        "input.l[0]",
        "input.rows[1].v",
        "x",
        "y",
        "(type(x) == int)",
        "(type(y) == list)",
        "optional.none()",
        "optional.of(1)",
        "input.?s",
        "input.?missing",
        "input.m[?'k']",
    ];
    proptest::sample::select(sources.map(str::to_owned).to_vec()).boxed()
}

fn expression() -> BoxedStrategy<String> {
    leaf()
        .prop_recursive(4, 24, 3, |inner| {
            let binary = proptest::sample::select(vec![
                "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in",
            ]);
            let member = proptest::sample::select(vec![
                "contains",
                "startsWith",
                "endsWith",
                "indexOf",
                "lastIndexOf",
                "split",
                "join",
                "charAt",
                "substring",
                "matches",
                "or",
                "orValue",
            ]);
            let plain =
                proptest::sample::select(vec!["size", "trim", "lowerAscii", "upperAscii", "join", "hasValue", "value"]);
            // `reverse` is not among them: the library reverses texts only.
            let free = proptest::sample::select(vec![
                "size",
                "string",
                "int",
                "uint",
                "double",
                "bool",
                "bytes",
                "dyn",
                "math.abs",
                "math.sign",
                "math.ceil",
                "math.sqrt",
                "math.bitNot",
                "math.greatest",
                "math.least",
                "optional.of",
                "optional.ofNonZeroValue",
            ]);
            let more = proptest::sample::select(vec![
                "math.greatest",
                "math.least",
                "math.bitAnd",
                "math.bitOr",
                "math.bitXor",
                "math.bitShiftLeft",
                "math.bitShiftRight",
                "matches",
            ]);
            let macros = proptest::sample::select(vec!["all", "exists", "exists_one", "map", "filter", "optMap"]);
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
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[?{a}, {b}]")),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{{{a}: {b}, 'z': {c}}}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{?{a}: {b}}}")),
                (inner.clone(), member, inner.clone()).prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
                (inner.clone(), plain).prop_map(|(a, f)| format!("{a}.{f}()")),
                (inner.clone(), free).prop_map(|(a, f)| format!("{f}({a})")),
                (inner.clone(), more, inner.clone()).prop_map(|(a, f, b)| format!("{f}({a}, {b})")),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a}.replace({b}, {c})")),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a}.substring({b}, {c})")),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a}.split({b}, {c})")),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a}.indexOf({b}, {c})")),
                (inner.clone(), inner.clone(), inner.clone())
                    .prop_map(|(a, b, c)| format!("{a}.lastIndexOf({b}, {c})")),
                (inner.clone(), macros, proptest::sample::select(vec!["x", "y"]), inner.clone())
                    .prop_map(|(a, m, v, b)| format!("{a}.{m}({v}, {b})")),
                (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("{a}.map(x, {b}, {c})")),
            ]
        })
        // What an expression names outside of loops is named by the leaf as well.
        .prop_map(|source| format!("[1, 'k'].map(x, [2.0, [x]].map(y, {source}))"))
        .boxed()
}

fn input() -> Value {
    json!({
        "n": 3, "f": 2.5, "s": "a-b-c", "l": [3, 1, 2], "none": null, "m": {"k": "v", "a": 1},
        "rows": [{"k": "x", "v": 1}, {"k": "y", "v": 2}],
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// Where one has a value the other has the same. Of errors only that there is one is compared.
    #[test]
    fn both_evaluators_find_the_same(source in expression()) {
        let ours = super::evaluate(&source, &input());
        if let Err(reason) = &ours {
            // What we refuse to parse (loops too deep, sources too deep) cannot be compared.
            prop_assume!(!reason.starts_with("parse: "));
            // The library adds the keys of a map to a list; CEL has no such sum.
            prop_assume!(!reason.contains("`+` cannot take (list, map)"));
        }
        let expected = theirs(&source, &input());
        if ours.as_ref().ok() != expected.as_ref() {
            // The library walks a map in an order that differs from one map to the next, ours by key: where it does not
            // agree with itself, there is nothing to hold ours to.
            let agrees = (0..32).all(|_| theirs(&source, &input()) == expected);
            prop_assert!(!agrees, "{}\nours: {:?}\ntheirs: {:?}", source, ours, expected);
        }
    }
}

/// Run with `--release -- --ignored --nocapture` to see what an evaluation costs, beside the library's.
#[test]
#[ignore = "prints figures"]
fn what_an_evaluation_costs_beside_the_library() {
    let input = json!({"n": 5, "ok": true, "name": "report", "l": (0..1000).collect::<Vec<_>>()});
    let cases = [
        "input.n > 3 && input.ok",
        "input.name + '-' + string(input.n)",
        "input.l.filter(x, x > 990).map(x, x * 2)",
        "input.l.exists(x, x == 999)",
        "input.name.matches('^[a-z]+$')",
        "{'a': input.n, 'b': input.name, 'c': [input.ok, 1, 2]}",
    ];
    let timed = |round: &mut dyn FnMut()| {
        let started = std::time::Instant::now();
        let mut rounds = 0_u32;
        while rounds < 10 || started.elapsed().as_millis() < 100 {
            round();
            rounds += 1;
        }
        started.elapsed() / rounds
    };
    let text = headwater_core::Json::of(&input);
    let nothing = headwater_core::Json::empty_object();
    let state = std::collections::BTreeMap::new();
    for source in cases {
        let program = ENV.compile(source).unwrap();
        let library = timed(&mut || {
            let read: Value = serde_json::from_str(text.as_str()).unwrap();
            let mut context = Context::with_env(ENV.clone());
            context.add_variable_from_value("input", from_json(&read));
            std::hint::black_box(program.execute(&context).unwrap());
        });
        let expression = headwater_core::expr::Expression::parse(source).unwrap();
        let facts = (nothing.clone(), nothing.clone());
        let scope = headwater_core::expr::Scope {
            input: &text,
            state: &state,
            output: &|_| None,
            standing: &|_| None,
            assets: &[],
            error: None,
            facts: &facts,
            bound: &[],
            now: headwater_core::Timestamp::default(),
        };
        let ours = timed(&mut || {
            std::hint::black_box(expression.evaluate(&scope).unwrap());
        });
        println!("{library:>12.2?} {ours:>12.2?}  {source}");
    }
}
