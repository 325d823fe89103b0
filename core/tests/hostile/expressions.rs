//! Expressions over inputs as large as they may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::Json;
use headwater_core::expr::{
    DECISION_WORK_MAX, EXPRESSION_WORK_MAX, EvaluationError, Expression, Scope, Template, Work,
};
use serde_json::{Value, json};

use crate::{data, keys, numbers};

pub fn with<T>(input: &Json, state: &BTreeMap<Arc<str>, Json>, look: impl FnOnce(&Scope<'_>) -> T) -> T {
    let facts = (Json::empty_object(), Json::empty_object());
    let output = |_: &str| None;
    look(&Scope {
        input,
        state,
        output: &output,
        standing: &|_| None,
        assets: &[],
        error: None,
        facts: &facts,
        bound: &[],
        now: headwater_core::Timestamp::default(),
    })
}

fn evaluate(source: &str, input: &Json, work: &Work) -> Result<Json, EvaluationError> {
    let expression = Expression::parse(source).unwrap_or_else(|problem| panic!("{source}: {problem}"));
    with(input, &BTreeMap::new(), |scope| expression.evaluate_within(scope, work))
}

/// Expressions over inputs as large as they may be, of every kind of work.
fn hostile() -> Vec<(&'static str, Value)> {
    let long = "x".repeat(900_000);
    let words = "ab ".repeat(300_000);
    let umlauts = "äö ".repeat(180_000);
    let l = numbers(1000);
    let big = json!({"l": numbers(90_000), "s": "x".repeat(300_000)});
    vec![
        (r#"input.l.all(x, !"a".matches("(?i)[\\w\\s]{1,60}b" + string(x)))"#, json!({"l": l})),
        (r#"input.l.all(x, !"a".matches("(?i)[\\w\\s]{1,5}b" + string(x)))"#, json!({"l": l})),
        (r#"input.l.all(x, !"a".matches("\\pL\\pN\\w\\d" + string(x)))"#, json!({"l": l})),
        (r#"input.l.all(x, !"a".matches("((a{1,30}){1,30}){1,30}" + string(x)))"#, json!({"l": l})),
        (r#"input.l.all(x, !"a".matches("(" + string(x)) || true)"#, json!({"l": l})),
        (r#"input.l.all(x, !input.s.matches("(x+x+)+y"))"#, json!({"l": l, "s": long})),
        (r#"input.s.matches("[ab ]*a[ab ]{200}c")"#, json!({"s": words})),
        (r#"input.l.all(x, !input.s.matches("[ab ]*a[ab ]{12}c"))"#, json!({"l": l, "s": words})),
        (r#"input.s.matches("\\b\\w+\\b!")"#, json!({"s": umlauts})),
        (r#"input.l.all(x, !input.s.matches("\\bx\\b"))"#, json!({"l": l, "s": umlauts})),
        (r#"input.s.matches("(?-u:\\B)|\\bq")"#, json!({"s": format!("{}aä", "a-".repeat(400_000))})),
        (r#"input.l.all(x, size(input.s.split("")) > 0)"#, json!({"l": numbers(500), "s": long})),
        (r#"input.l.all(x, size(input.s.split("x")) > 0)"#, json!({"l": numbers(500), "s": long})),
        (r#"input.l.all(x, size(input.s.replace("x", "")) >= 0)"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s.reverse() != "")"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s.upperAscii().trim() != "")"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s.indexOf("xy") < 0)"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s.lastIndexOf("yx", 800000) < 0)"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s.charAt(899999) == "x")"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s.substring(x) != "")"#, json!({"l": l, "s": umlauts})),
        (r#"input.l.all(x, !input.s.contains("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy"))"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, size(bytes(input.s)) > 0)"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, size(string(bytes(input.s))) > 0)"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s + "a" != input.s)"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, input.s == input.t)"#, json!({"l": l, "s": "x".repeat(400_000), "t": "x".repeat(400_000)})),
        (r#"input.l.all(x, input.s <= input.t)"#, json!({"l": l, "s": "x".repeat(400_000), "t": "x".repeat(400_000)})),
        (r#"input.l.all(x, input.o == input.o)"#, json!({"l": numbers(2000), "o": numbers(100_000)})),
        (r#"input.l.all(x, !(-1 in input.o))"#, json!({"l": numbers(2000), "o": numbers(100_000)})),
        (r#"input.l.all(x, size(input.o + input.o) > 0)"#, json!({"l": numbers(2000), "o": numbers(100_000)})),
        (r#"input.l.all(x, math.greatest(input.o) > 0)"#, json!({"l": numbers(2000), "o": numbers(100_000)})),
        (r#"input.l.all(x, input.o.map(k, k).join() == "")"#, json!({"l": l, "o": {"a": 1, "b": 2}})),
        ("size(input.l.map(a, input.l.map(b, a * b)))", json!({"l": numbers(300)})),
        ("input.l.map(a, a)", big.clone()),
        ("input.l.exists(x, x.nothing == 1) || true", big.clone()),
        ("input.l.all(x, x.nothing || true)", big.clone()),
        ("input.l.map(x, {string(x): [x, x, x], 'b': x})", big.clone()),
        ("input.l.map(x, string(x) + string(x)).join(',')", big.clone()),
        ("input.l.filter(x, input.s.startsWith(string(x) + 'xxxxxxxxxxxxxxxxxxxxxxxxxxx'))", big.clone()),
        ("input.l.all(x, has(input.a.b.c) || true)", json!({"s": long, "l": l, "a": {"b": 1}})),
        ("input.l.all(x, type(double(input.s)) == double || true)", json!({"l": l, "s": "1".repeat(900_000)})),
        ("input.l.map(x, input.l).map(x, x == input.l)", json!({"l": numbers(5000)})),
        ("input.m.all(k, input.m[k] == 1)", json!({"m": keys(30_000)})),
        ("[input].map(x, [x,x,x,x]).map(x, [x,x,x,x]).map(x, [x,x,x,x]).map(x, [x,x,x,x]) == []", big),
    ]
}

pub fn everything() -> impl Iterator<Item = (&'static str, Value)> {
    hostile()
        .into_iter()
        .chain(data::lists())
        .chain(data::encodings())
        .chain(data::patterns())
        .chain(data::times())
        .chain(data::reductions())
}

#[test]
fn whatever_an_expression_does_is_counted() {
    for (source, input) in everything() {
        let work = Work::of_a_decision();
        let result = evaluate(source, &Json::of(&input), &work);
        assert!(work.spent() > 100, "{source}: {}", work.spent());
        assert!(work.spent() <= EXPRESSION_WORK_MAX, "{source}");
        if let Err(error) = result {
            assert_eq!(error.code(), "expression_limit", "{source}: {error}");
        }
    }
}

#[test]
fn the_same_work_is_counted_every_time() {
    for (source, input) in everything() {
        let input = Json::of(&input);
        let spent: Vec<u64> = (0..2)
            .map(|_| {
                let work = Work::of_a_decision();
                let _ = evaluate(source, &input, &work);
                work.spent()
            })
            .collect();
        assert_eq!(spent[0], spent[1], "{source}");
    }
}

#[test]
fn what_was_seen_to_stall_a_shard_ends_at_its_limit() {
    let long = "x".repeat(900_000);
    let cases = [
        (r#"input.l.all(x, !"a".matches("(?i)[\\w\\s]{1,60}b" + string(x)))"#, json!({"l": numbers(1000)})),
        (r#"input.l.all(x, size(input.s.split("")) > 0)"#, json!({"l": numbers(500), "s": long})),
        ("input.l.all(x, input.o == input.o)", json!({"l": numbers(2000), "o": numbers(100_000)})),
    ];
    for (source, input) in cases {
        let error = evaluate(source, &Json::of(&input), &Work::of_a_decision()).expect_err(source);
        assert_eq!(error.code(), "expression_limit", "{source}: {error}");
    }
}

#[test]
fn a_limit_is_absorbed_by_nothing() {
    let input = Json::of(&json!({"l": numbers(1000), "o": numbers(100_000)}));
    let too_much = "input.l.all(x, input.o == input.o)";
    let sources = [
        format!("true || {too_much}"),
        format!("{too_much} || true"),
        format!("{too_much} && false"),
        format!("[1].exists(y, {too_much} || true)"),
        format!("[1, 2].exists(y, y == 2 || {too_much})"),
        format!("{{'a': 1}}[?{too_much}].orValue(1) == 1"),
        format!("has({{'a': {too_much}}}.b) || true"),
    ];
    for source in &sources[1..] {
        let error = evaluate(source, &input, &Work::of_a_decision()).expect_err(source);
        assert_eq!(error.code(), "expression_limit", "{source}: {error}");
    }
    assert_eq!(evaluate(&sources[0], &input, &Work::of_a_decision()).unwrap().as_str(), "true");
}

#[test]
fn all_evaluations_of_a_decision_draw_on_one_budget() {
    let input = Json::of(&json!({"l": numbers(300)}));
    let source = "size(input.l.map(a, input.l.map(b, a * b)))";
    let work = Work::of_a_decision();
    let ended = (0..100).find_map(|_| evaluate(source, &input, &work).err());
    assert_eq!(ended.expect("a hundred are too many").code(), "decision_limit");
    assert!(work.spent() <= DECISION_WORK_MAX);
    assert!(work.is_half_spent());
}

#[test]
fn a_template_is_counted_for_its_paths_and_for_what_it_writes() {
    let filler: Vec<Value> = (0..90_000).map(|n| json!(n)).collect();
    let input = Json::of(&json!({"a": filler, "z": {"last": "x".repeat(100_000)}}));
    let fields: Vec<String> = (0..5000).map(|_| "${{ input.z.missing }} ${{ input.z.last }}".to_owned()).collect();
    let many: Vec<String> = (0..5000).map(|_| "${{ input.z.last }}".to_owned()).collect();
    for template in [json!(fields), json!(many), json!(["${{ state }}", "${{ state }}"])] {
        let template = Template::parse(&template).unwrap();
        let work = Work::of_a_decision();
        let state = BTreeMap::from([("k".into(), input.clone())]);
        let _ = with(&input, &state, |scope| template.render_within(scope, &work));
        assert!(work.spent() > 20_000, "{}", work.spent());
    }
}

#[test]
fn patterns_are_found_as_they_were() {
    let cases = [
        ("'abc'.matches('^a.c$')", true),
        ("'abc'.matches('b')", true),
        ("'abc'.matches('^b')", false),
        ("'abc'.matches('')", true),
        ("''.matches('^$')", true),
        ("'ab\\nc'.matches('^c$')", false),
        ("'ab\\nc'.matches('(?m)^c$')", true),
        ("'größe'.matches('^\\\\w+$')", true),
        ("'die größe'.matches('\\\\bgröße\\\\b')", true),
        ("'diegröße'.matches('\\\\bgröße\\\\b')", false),
        ("'äx x'.matches('\\\\bx\\\\b')", true),
        ("'x'.matches('(?i)X')", true),
        ("matches('aaa', 'a{3}')", true),
        ("'aa'.matches('a{3}')", false),
        ("['a1', 'b2'].all(x, x.matches('[ab]\\\\d'))", true),
    ];
    for (source, expected) in cases {
        let found = evaluate(source, &Json::empty_object(), &Work::of_a_decision());
        assert_eq!(found.map(|json| json.as_str().to_owned()), Ok(expected.to_string()), "{source}");
    }
    for source in ["'a'.matches('(')", "'a'.matches('(?=a)')", "'a'.matches('\\\\1')"] {
        let error = evaluate(source, &Json::empty_object(), &Work::of_a_decision()).expect_err(source);
        assert!(error.reason.starts_with("`matches`: not a regular expression"), "{error}");
        assert_eq!(error.code(), "expression_error");
    }
}
