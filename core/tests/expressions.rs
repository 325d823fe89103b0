//! What expressions and templates are worth, and what is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::expr::{ConsumedAsset, Expression, NodeStanding, Scope, Template};
use headwater_core::{Json, RunFailure, Timestamp, Version};
use serde_json::{Value, json};

/// A run with something behind every variable.
struct World {
    input: Json,
    state: BTreeMap<Arc<str>, Json>,
    outputs: BTreeMap<String, Json>,
    assets: Vec<ConsumedAsset>,
    error: RunFailure,
    facts: (Json, Json),
}

impl World {
    fn new() -> Self {
        let input = json!({
            "n": 3, "big": 18446744073709551615u64, "f": 2.5, "whole": 1.0, "text": "a\"ü", "none": null, "yes": true,
            "list": [1, 2, 3], "deep": {"a": [{"b": "x"}], "in": 1}, "sp ace": 1, "z": 1, "a": 2,
        });
        Self {
            input: Json::of(&input),
            state: BTreeMap::from([("k".into(), Json::of(&json!({"l": [10, 20]})))]),
            outputs: BTreeMap::from([
                ("x".to_owned(), Json::of(&json!({"y": 1}))),
                ("zip-report".to_owned(), Json::of(&json!({"path": "/tmp/a"}))),
            ]),
            assets: vec![ConsumedAsset {
                asset: "d.report".parse().unwrap(),
                partition: None,
                version: Version::new(4),
                payload: Json::of(&json!({"rows": 7})),
            }],
            error: RunFailure::new("timeout", "too slow"),
            facts: (Json::of(&json!({"id": "r1"})), Json::of(&json!({"manual": {}}))),
        }
    }

    fn with<T>(&self, use_scope: impl FnOnce(&Scope<'_>) -> T) -> T {
        let output = |id: &str| self.outputs.get(id);
        let standing = |id: &str| match id {
            "x" => Some(NodeStanding { status: "succeeded", attempts: 2, error: None }),
            "y" => Some(NodeStanding { status: "skipped", attempts: 0, error: None }),
            _ => None,
        };
        use_scope(&Scope {
            input: &self.input,
            state: &self.state,
            output: &output,
            standing: &standing,
            assets: &self.assets,
            error: Some(&self.error),
            facts: &self.facts,
            bound: &[],
            now: Timestamp::from_micros(1_764_158_400_500_000),
        })
    }
}

fn evaluate(source: &str) -> Result<Value, String> {
    let expression = Expression::parse(source).map_err(|e| format!("parse: {e}"))?;
    World::new().with(|scope| expression.evaluate(scope).map(|v| v.to_value()).map_err(|e| e.reason))
}

fn refusal(source: &str) -> String {
    Expression::parse(source).expect_err(source).to_string()
}

#[test]
fn expressions_are_worth_what_they_say() {
    let cases = [
        ("input.n", json!(3)),
        ("input.n + 1", json!(4)),
        ("input.f * 2.0", json!(5.0)),
        ("input.whole", json!(1.0)),
        ("input.whole + 1.0", json!(2.0)),
        ("input.big", json!(18446744073709551615u64)),
        ("input.big > 1u", json!(true)),
        ("input[\"sp ace\"]", json!(1)),
        ("input.deep.a[0].b", json!("x")),
        ("input.deep[\"in\"]", json!(1)),
        ("input.list[1] + input.list[size(input.list) - 1]", json!(5)),
        ("state.k.l[1]", json!(20)),
        ("state", json!({"k": {"l": [10, 20]}})),
        ("nodes.x.output.y", json!(1)),
        ("nodes.x.status", json!("succeeded")),
        ("nodes.x.status == 'succeeded' && nodes.x.attempts > 1 && nodes['y'].attempts == 0", json!(true)),
        ("nodes.y.status in ['skipped', 'cancelled'] && !has(nodes.y.output)", json!(true)),
        ("has(nodes.y.status) && !has(nodes.nobody.status)", json!(true)),
        ("nodes[\"zip-report\"].output.path + '!'", json!("/tmp/a!")),
        ("assets[\"d.report\"].payload.rows", json!(7)),
        ("assets[\"D.Report\"].version", json!(4)),
        ("'d.report' in assets", json!(true)),
        ("error.code", json!("timeout")),
        ("run.id + error.message", json!("r1too slow")),
        ("has(input.n) && !has(input.missing)", json!(true)),
        ("has(input.missing.deeper)", json!(false)),
        ("has(nodes.y.output)", json!(false)),
        ("has(nodes.x.output) ? nodes.x.output.y : 0", json!(1)),
        ("has(nodes.y.output) ? nodes.y.output.z : 0", json!(0)),
        ("input.missing == 1 || input.yes", json!(true)),
        ("input.list.map(x, x * input.n)", json!([3, 6, 9])),
        ("input.list.filter(input, input > 1)", json!([2, 3])),
        ("input.list.exists(x, x == 2) && input.list.all(x, x > 0)", json!(true)),
        ("{'b': 1, 'a': input.none}", json!({"a": null, "b": 1})),
        ("[input.text, string(input.n)]", json!(["a\"ü", "3"])),
        ("input.?missing.orValue(5)", json!(5)),
        ("type(input.text) == string", json!(true)),
        ("'a,b'.split(',').join('-').upperAscii()", json!("A-B")),
        ("math.greatest(1, 2, input.n)", json!(3)),
        ("input == input", json!(true)),
        ("'aXbX'.replace('X', '-', 1) + ['a', 'b'].join()", json!("a-bXab")),
        ("[1] + input.list + [input.n]", json!([1, 1, 2, 3, 3])),
        ("double(input.n) / 2.0", json!(1.5)),
        ("now", json!("2025-11-26T12:00:00.5Z")),
        ("now + duration('1d') > now && !has(input.now)", json!(true)),
    ];
    for (source, expected) in cases {
        assert_eq!(evaluate(source), Ok(expected), "{source}");
    }
}

#[test]
fn loops_over_maps_go_by_sorted_keys() {
    let keys = ["a", "big", "deep", "f", "list", "n", "none", "sp ace", "text", "whole", "yes", "z"];
    for _ in 0..10 {
        assert_eq!(evaluate("input.map(k, k)"), Ok(json!(keys)));
    }
}

#[test]
fn a_value_that_is_not_there_is_named() {
    let cases = [
        ("input.nope", "there is no key `nope` in `input`"),
        ("input.deep.nope + 1", "there is no key `nope` in `input.deep`"),
        ("input.n.x", "`input.n` is a number: it has no key `x`"),
        ("input.list[9]", "`input.list` has no item 9"),
        ("input.list[input.n]", "there is no item 3"),
        ("input.none.x", "`input.none` is null: it has no key `x`"),
        ("input.list.x", "`input.list` is an array: it has no key `x`"),
        ("state.q", "there is no key `q` in `state`"),
        ("nodes.y.output", "node `y` has no output here"),
        ("nodes.nobody.attempts", "there is no node `nobody`"),
        ("nodes.y.output.z + 1", "node `y` has no output here"),
        ("assets.other.payload", "asset `other` has no version here"),
        ("input.n + input.text", "`+` cannot take (int, string)"),
        ("input.n / 0", "division by zero"),
        ("9223372036854775807 + input.n", "leaves the range"),
        ("b'abc'", "the result is of the type bytes, which JSON cannot hold"),
        ("1.0 / 0.0", "the result is inf, which JSON has no number for"),
        ("input.list.map(x, x.y)", "cannot take"),
    ];
    for (source, part) in cases {
        let reason = evaluate(source).expect_err(source);
        assert!(reason.contains(part), "{source}: {reason}");
    }
}

#[test]
fn what_no_run_could_evaluate_is_refused_when_parsed() {
    let cases = [
        ("", "empty"),
        ("input.", "not an expression"),
        ("inptu.x", "there is no variable `inptu`"),
        ("parameters.x", "write `input`"),
        ("steps.a.output", "write `nodes.<id>.output`"),
        ("nodes.zip-report.output", "`nodes[\"zip-report\"]`"),
        ("input.scan-dir", "`input[\"scan-dir\"]`"),
        ("nodes.a", "there are `.output`, `.status`, `.attempts` and `.error`"),
        ("nodes.a.result", "`.attempts` and `.error`"),
        ("nodes.a.status.x", "`.attempts` and `.error`"),
        ("nodes.a.attempts[0]", "`.attempts` and `.error`"),
        ("nodes", "needs the id"),
        ("nodes[input.x].output", "needs the id"),
        ("now()", "there is no function `now`"),
        ("time.now()", "there is no function `time.now`"),
        ("lists.concat([1], [2])", "there is no function `lists.concat`"),
        ("item.x", "bound in the body of a `forEach`"),
        ("Foo{a: 1}", "no type `Foo`"),
        ("input.list.map(a, input.list.map(b, input.list.map(c, input.list.map(d, d))))", "deeper than 3"),
    ];
    for (source, part) in cases {
        let reason = refusal(source);
        assert!(reason.contains(part), "{source}: {reason}");
    }
}

/// Everything the limits let through must fit well into the two megabytes of an ordinary thread, even unoptimised.
#[test]
fn nothing_within_the_limits_overflows_the_stack() {
    let chains = [
        format!("1{}", " + 1".repeat(38)),
        format!("1{}", " == 1".repeat(38)),
        format!("1{}", " in 1".repeat(38)),
        format!("'a'{}", ".trim()".repeat(19)),
        format!("[1]{}", ".map(x, x)".repeat(19)),
        format!("[1]{}", ".filter(x, [x].exists(y, y == x))".repeat(15)),
        format!("{}[1]{}", "[1]+[".repeat(19), "]".repeat(19)),
        format!("{}1", "true ? 1 : ".repeat(38)),
        format!("1{}", " + 1".repeat(512)),
        format!("true{}", " && true".repeat(256)),
        format!("input{}", ".a".repeat(512)),
        format!("{}true", "!".repeat(512)),
        format!("{}1", "-".repeat(512)),
        format!("{}1{}", "(".repeat(32), ")".repeat(32)),
        format!("{}1{}", "[".repeat(32), "]".repeat(32)),
        format!("{}1{}", "{1:".repeat(32), "}".repeat(32)),
        format!("{}1{}", "size(".repeat(32), ")".repeat(32)),
        format!("{}1", "true ? 1 : ".repeat(512)),
        format!("{}1{}", "true ? ".repeat(500), " : 1".repeat(500)),
        format!("1{}", " == 1".repeat(256)),
        format!("1{}", " in 1".repeat(32)),
        format!("{}1{}", "(-1+".repeat(32), ")".repeat(32)),
        format!("{}1 + 1{}", "[1,2].map(x, ".repeat(3), ")".repeat(3)),
        format!("input{}", "[0]".repeat(500)),
        format!("'a'{}", ".trim()".repeat(250)),
        format!("{}1", "1?".repeat(512)),
        "(((((((".repeat(500),
        "!".repeat(4096),
        "a".repeat(4096),
        "'".repeat(4096),
    ];
    for source in chains {
        let run = move || drop(evaluate(&source));
        std::thread::Builder::new().stack_size(3 << 19).spawn(run).unwrap().join().unwrap();
    }
}

#[test]
fn a_loop_stops_at_its_budget() {
    let many = "[0,1,2,3,4,5,6,7,8,9]";
    let source = format!("{many}.map(a, {many}.map(b, {many}.map(c, a * b * c)))");
    assert!(evaluate(&source).is_ok());
    let wide = format!("[{}]", vec!["1"; 100].join(","));
    let reason = evaluate(&format!("{wide}.map(a, {wide}.map(b, {wide}.map(c, 1)))")).unwrap_err();
    assert!(reason.contains("more than 100000 items"), "{reason}");
}

#[test]
fn a_result_cannot_outgrow_its_budget() {
    let long = format!("'{}'", "x".repeat(1000));
    let bombs = [
        format!("[{long}].map(a, a.replace('x', a)).map(a, a.replace('x', a))"),
        format!("[{long}].map(a, a.replace('x', a)).map(a, [a,a,a,a,a,a,a,a,a,a].map(b, [b,b,b,b,b,b,b,b]))"),
        format!("{long}.split('').join({long}).split('').join({long})"),
        "[[1,2,3,4,5,6,7,8,9]].map(a,a+a+a+a+a+a).map(a,a+a+a+a+a+a).map(a,a+a+a+a+a+a).map(a,a+a+a+a+a+a)\
            .map(a,a+a+a+a+a+a).map(a,a+a+a+a+a+a).map(a,a+a+a+a+a+a).map(a,a+a+a+a+a+a)"
            .to_owned(),
    ];
    for bomb in bombs {
        let reason = evaluate(&bomb).unwrap_err();
        assert!(reason.contains("bytes") || reason.contains("units of work"), "{reason}");
    }
}

fn render(value: Value) -> Result<Value, String> {
    let template = Template::parse(&value).map_err(|problems| format!("{problems:?}"))?;
    World::new().with(|scope| template.render(scope).map(|v| v.to_value()).map_err(|e| e.to_string()))
}

#[test]
fn a_template_keeps_types_and_interpolates_texts() {
    let cases = [
        (json!("${{ input.n }}"), json!(3)),
        (json!("${{input.list}}"), json!([1, 2, 3])),
        (json!(" ${{ input.n }}"), json!(" 3")),
        (json!("n=${{ input.n }}, t=${{ input.text }}, l=${{ input.list }}"), json!("n=3, t=a\"ü, l=[1,2,3]")),
        (json!("[${{ input.none }}]"), json!("[]")),
        (json!("$${{ input.n }}"), json!("${{ input.n }}")),
        (json!("a $${{ b }} ${{ input.n }}"), json!("a ${{ b }} 3")),
        (
            json!({"a": ["${{ nodes.x.output }}", 1, "x"], "b": {"c": null}}),
            json!({"a": [{"y": 1}, 1, "x"], "b": {"c": null}}),
        ),
        (json!({"a/b~": "${{ {'k': {'j': 1}} }}"}), json!({"a/b~": {"k": {"j": 1}}})),
        (json!({"plain": "$5 {{ }}"}), json!({"plain": "$5 {{ }}"})),
        (json!("${{ '}}' }}"), json!("}}")),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template.clone()), Ok(expected), "{template}");
    }
}

#[test]
fn every_problem_of_a_template_has_its_place() {
    let value = json!({"a": ["${{ nope }}", "ok", "${{ input.x"], "b/c": {"d": "x ${{ input. }} y"}, "${{ k }}": 1});
    let problems = Template::parse(&value).unwrap_err();
    let mut paths: Vec<&str> = problems.iter().map(|(path, _)| path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/${{ k }}", "/a/0", "/a/2", "/b~1c/d"]);
}

#[test]
fn references_are_listed_once() {
    let value = json!(["${{ nodes.a.output.x }}", {"b": "${{ nodes['b-c'].output }} ${{ nodes.a.output + 1 }}"}]);
    assert_eq!(Template::parse(&value).unwrap().node_references(), ["a", "b-c"]);
    let expression = Expression::parse("nodes.a.output == state.k && has(nodes.b.output) || assets['q.r'].version > 1");
    let expression = expression.unwrap();
    assert_eq!(expression.node_references(), ["a", "b"]);
    assert_eq!(expression.state_references(), ["k"]);
    assert_eq!(expression.asset_references(), ["q.r"]);
}

/// A chain of nodes may embed value in value; what comes out must stay something a parser takes.
#[test]
fn values_made_of_values_stay_within_bounds() {
    let chains = [
        (json!({"a": "${{ input }}"}), "deeper than 64"),
        (json!(["${{ input }}", "${{ input }}"]), "larger than 16777216"),
        (json!("${{ [input] }}"), "deeper than 64"),
        (json!("${{ [input, input] }}"), "units of work"),
        (json!("x ${{ input }} ${{ input }}"), "larger than 16777216"),
    ];
    for (value, part) in chains {
        let template = Template::parse(&value).unwrap();
        let mut world = World::new();
        let ended = (0..200).find_map(|_| match world.with(|scope| template.render(scope)) {
            Ok(made) => {
                made.to_value();
                world.input = made;
                None
            }
            Err(error) => Some(error.reason),
        });
        assert!(ended.as_ref().is_some_and(|reason| reason.contains(part)), "{value}: {ended:?}");
    }
    let mut world = World::new();
    let template = Template::parse(&json!("${{ state }}")).unwrap();
    let ended = (0..200).find_map(|_| match world.with(|scope| template.render(scope)) {
        Ok(made) => world.state.insert("k".into(), made).and(None),
        Err(error) => Some(error.reason),
    });
    assert!(ended.unwrap().contains("deeper than 64"));
}

#[test]
fn whole_values_are_shared_not_copied() {
    let world = World::new();
    let plain = Template::parse(&json!({"a": 1})).unwrap();
    let path = Template::parse(&json!("${{ input }}")).unwrap();
    world.with(|scope| {
        let address = |json: &Json| json.as_str().as_ptr();
        assert_eq!(address(&plain.render(scope).unwrap()), address(&plain.render(scope).unwrap()));
        assert_eq!(address(&path.render(scope).unwrap()), address(scope.input));
    });
}

/// Run with `--ignored --nocapture` to see what an evaluation costs.
#[test]
#[ignore = "prints figures"]
fn what_an_evaluation_costs() {
    let mut world = World::new();
    let rows: Vec<Value> = (0..2000).map(|n| json!({"path": format!("dir/{n}"), "size": n})).collect();
    let scan = Json::of(&json!({"directories": rows, "summary": {"totalFiles": 9}}));
    println!("scan output: {} bytes", scan.len_bytes());
    world.outputs.insert("scan".to_owned(), scan);
    let cases = [
        json!({"constant": [1, 2, 3]}),
        json!("${{ input }}"),
        json!("${{ input.deep.a[0].b }}"),
        json!("${{ nodes.scan.output }}"),
        json!("${{ nodes.scan.output.summary.totalFiles }}"),
        json!({"dir": "${{ input.text }}", "scan": "${{ nodes.scan.output.summary }}", "n": 1}),
        json!("${{ input.n + 1 }}"),
        json!("${{ input.n > 2 && input.text != 'x' }}"),
        json!("${{ nodes.scan.output.summary.totalFiles > 3 }}"),
        json!("${{ size(nodes.scan.output.directories) }}"),
        json!("${{ nodes.scan.output.directories.filter(d, d.size > 1990).map(d, d.path) }}"),
        json!("report for ${{ input.text }} of ${{ input.n }}"),
    ];
    world.with(|scope| {
        for case in cases {
            let template = Template::parse(&case).unwrap();
            let started = std::time::Instant::now();
            let mut rounds = 0_u32;
            while rounds < 10 || (started.elapsed().as_millis() < 100) {
                std::hint::black_box(template.render(scope).unwrap());
                rounds += 1;
            }
            println!("{:>12.2?}  {case}", started.elapsed() / rounds);
        }
        let started = std::time::Instant::now();
        for _ in 0..200 {
            Expression::parse("input.n > 2 && input.text != 'x'").unwrap();
        }
        println!("{:>12.2?}  to parse one", started.elapsed() / 200);
    });
}
