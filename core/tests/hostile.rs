//! What a tenant can write to make the engine work: each ends at a limit that names itself, whatever the input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::credit::Hands;
use headwater_core::definition::{Schema, SchemaRefusal};
use headwater_core::expr::{
    DECISION_WORK_MAX, EXPRESSION_WORK_MAX, EvaluationError, Expression, Scope, Template, Work,
};
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{Command, Owner, Shard, ShardMap, Submission, WorkflowKey};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Json, RunId, ShardId, Timestamp};
use serde_json::{Value, json};

fn with<T>(input: &Json, state: &BTreeMap<Arc<str>, Json>, look: impl FnOnce(&Scope<'_>) -> T) -> T {
    let nothing = Json::empty_object();
    let output = |_: &str| None;
    look(&Scope { input, state, output: &output, assets: &[], error: None, run: &nothing, trigger: &nothing })
}

fn evaluate(source: &str, input: &Json, work: &Work) -> Result<Json, EvaluationError> {
    let expression = Expression::parse(source).unwrap_or_else(|problem| panic!("{source}: {problem}"));
    with(input, &BTreeMap::new(), |scope| expression.evaluate_within(scope, work))
}

fn numbers(count: usize) -> Value {
    (0..count).collect()
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

fn keys(count: usize) -> Value {
    (0..count).map(|n| (format!("{}{n}", "k".repeat(20)), json!(1))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn whatever_an_expression_does_is_counted() {
    for (source, input) in hostile() {
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
    for (source, input) in hostile() {
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

/// Schemas that could be tried for ever, and values for them.
fn schemas() -> Vec<(&'static str, Value, Value)> {
    let mut fork = serde_json::Map::new();
    for n in 0..40 {
        let next = json!({"$ref": format!("#/$defs/s{}", n + 1)});
        fork.insert(format!("s{n}"), json!({"anyOf": [next, next]}));
    }
    fork.insert("s40".to_owned(), json!({"type": "string"}));
    let tree = json!({"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [
        {"properties": {"a": {"$ref": "#/$defs/t"}}, "required": ["b"]},
        {"properties": {"a": {"$ref": "#/$defs/t"}}, "required": ["c"]},
        {"type": "string"},
    ]}}});
    let deep = (0..60).fold(json!(1), |inner, _| json!({"a": inner, "b": 1}));
    let words = json!((0..2000).map(|n| format!("word{n}")).collect::<Vec<_>>());
    let ab = "ab".repeat(200_000);
    let circle = chain(40);
    vec![
        ("alternatives of alternatives", json!({"$ref": "#/$defs/s0", "$defs": fork}), json!(1)),
        ("a tree of alternatives", tree, deep.clone()),
        ("a list of words", json!({"items": {"enum": words}}), json!(vec!["no"; 100_000])),
        ("patterns", json!({"items": {"pattern": "(a?){60}a{60}"}}), json!(vec!["a".repeat(59); 5000])),
        ("a long text", json!({"pattern": "^[ab]*a[ab]{300}c"}), json!(ab)),
        ("two patterns", json!({"pattern": "^(a+)+$"}), json!("a".repeat(400_000) + "b")),
        ("look-around", json!({"items": {"pattern": "^(?=(a+)+$)"}}), json!(vec!["a".repeat(40) + "b"; 5000])),
        ("patterns of keys", json!({"patternProperties": {"(k?){20}x": {}, "k{10}y": {}}}), keys(20_000)),
        ("names", json!({"additionalProperties": false}), keys(20_000)),
        ("unique items", json!({"uniqueItems": true}), json!((0..60_000).map(|n| json!([n])).collect::<Vec<_>>())),
        ("regex formats", json!({"items": {"format": "regex"}}), json!(vec!["(a{1,50}){1,50}\\w\\pL"; 3000])),
        ("a fork", json!({"$ref": "#/$defs/s28", "$defs": fork}), json!(1)),
        ("a chain", json!({"$ref": "#/$defs/c0", "$defs": chain(20_000)}), json!(1)),
        ("a long circle", json!({"$ref": "#/$defs/c0", "$defs": circle}), deep),
        ("itself", json!({"$ref": "#"}), json!(1)),
        ("itself among others", json!({"anyOf": [{"$ref": "#"}, {"type": "string"}]}), json!(1)),
        ("unevaluated", json!({"$ref": "#/$defs/s0", "unevaluatedProperties": false, "$defs": fork}), json!({"a": 1})),
    ]
}

fn chain(length: usize) -> Value {
    let links = (0..length).map(|n| (format!("c{n}"), json!({"allOf": [{"$ref": format!("#/$defs/c{}", n + 1)}]})));
    let mut links: serde_json::Map<String, Value> = links.collect();
    links.insert(format!("c{length}"), json!({"properties": {"a": {"$ref": "#/$defs/c0"}}}));
    links.into()
}

#[test]
fn a_schema_that_unfolds_without_end_is_refused() {
    let mut refused = Vec::new();
    for (name, schema, _) in schemas() {
        if let Err(reason) = Schema::compile(&schema) {
            assert!(reason.contains("references"), "{name}: {reason}");
            refused.push(name);
        }
    }
    assert_eq!(refused, ["alternatives of alternatives", "a chain", "unevaluated"]);
}

#[test]
fn whatever_a_schema_does_is_counted() {
    for (name, schema, value) in schemas() {
        let Ok(schema) = Schema::compile(&schema) else { continue };
        let work = Work::of_a_decision();
        let value = Json::of(&value);
        let kept = schema.check_within(&value, &work);
        assert!(work.spent() > 0, "{name}");
        if let Err(SchemaRefusal::Breach(breaches)) = kept {
            assert!(breaches.to_string().len() < 8000, "{name}");
        }
    }
}

#[test]
fn a_schema_of_an_older_definition_may_look_around() {
    let schema = Schema::compile(&json!({"type": "string", "pattern": "^(?!no).*$"})).unwrap();
    assert_eq!(schema.check(&Json::of(&"yes")), Ok(()));
    assert!(schema.check(&Json::of(&"no")).is_err());
    let breach = Schema::compile(&json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}));
    let breach = breach.unwrap().check(&Json::of(&json!({"a": 1, "b": "x"}))).unwrap_err();
    let SchemaRefusal::Breach(breaches) = breach else { panic!("{breach}") };
    assert_eq!(breaches.iter().map(|breach| &*breach.path).collect::<Vec<_>>(), ["/a", "/b"]);
    let told = breaches.to_string();
    assert!(told.contains("\"string\"") && told.contains("\"integer\""), "{told}");
}

/// Run with `--release -- --ignored --nocapture` to see how long the worst of them take.
#[test]
#[ignore = "prints figures"]
fn how_long_what_is_counted_takes() {
    let mut worst = Duration::ZERO;
    let mut print = |name: &str, spent: u64, took: Duration, end: String| {
        worst = worst.max(took);
        let each = took.as_nanos() as f64 / spent.max(1) as f64;
        println!("{took:>10.1?} {spent:>8} units {each:>6.1} ns each  {end:<18} {name}");
    };
    for (source, input) in hostile() {
        let input = Json::of(&input);
        let expression = Expression::parse(source).unwrap();
        let work = Work::of_a_decision();
        let started = Instant::now();
        let result = with(&input, &BTreeMap::new(), |scope| expression.evaluate_within(scope, &work));
        let took = started.elapsed();
        print(source, work.spent(), took, result.map_or_else(|error| error.code().to_owned(), |_| "ok".to_owned()));
    }
    for (name, schema, value) in schemas() {
        let started = Instant::now();
        let compiled = Schema::compile(&schema);
        let compiling = started.elapsed();
        let Ok(compiled) = compiled else {
            println!("{compiling:>10.1?} refused {name}");
            continue;
        };
        let value = Json::of(&value);
        let work = Work::of_a_decision();
        let started = Instant::now();
        let kept = compiled.check_within(&value, &work);
        let took = started.elapsed();
        let end = kept.map_or_else(|e| e.to_string().chars().take(18).collect(), |()| "ok".to_owned());
        print(&format!("schema: {name} (compiled in {compiling:.1?})"), work.spent(), took, end);
    }
    println!("worst {worst:.1?}");
}

/// So many pure nodes side by side, whose failures are caught.
fn swarm(count: usize, output: &str) -> Value {
    let transform = |n: usize| json!({"id": format!("t{n:04}"), "action": {"kind": "transform", "output": output}});
    let mut nodes: Vec<_> = (0..count).map(transform).collect();
    nodes.push(json!({"id": "end", "action": "noop", "join": "any"}));
    let edge = |n: usize| {
        let from = format!("t{n:04}");
        [json!({"from": from, "to": "end"}), json!({"from": from, "to": "end", "on": "failure"})]
    };
    let edges: Vec<_> = (0..count).flat_map(edge).collect();
    json!({"slug": "hostile", "nodes": nodes, "transitions": edges, "output": {"done": true}})
}

fn crowd(count: usize, node: &Value) -> Value {
    let nodes = (0..count).map(|n| {
        let mut node = node.clone();
        node["id"] = json!(format!("n{n:04}"));
        node
    });
    json!({"slug": "hostile", "nodes": nodes.collect::<Vec<_>>(), "output": {"done": true}})
}

/// Definitions that keep a shard busy, and inputs for them.
fn busy() -> Vec<(&'static str, Value, Value)> {
    let l = numbers(1000);
    let long = "x".repeat(900_000);
    let route = |n: usize| {
        let when = format!("size(input.l.map(a, input.l.map(b, a * b))) < {n}");
        json!({"from": "a", "to": format!("b{n}"), "when": when})
    };
    let routes: Vec<_> = (0..8).map(route).collect();
    let mut targets: Vec<_> = (0..8).map(|n| json!({"id": format!("b{n}"), "action": "noop"})).collect();
    targets.push(json!({"id": "a", "action": "noop", "onNoRoute": "end"}));
    vec![
        ("100 products", swarm(100, "${{ size(input.l.map(a, input.l.map(b, a * b))) }}"), json!({"l": numbers(300)})),
        (
            "100 loops of patterns",
            swarm(100, r#"${{ input.l.all(x, !"a".matches("(?i)[\\w\\s]{1,60}b" + string(x))) }}"#),
            json!({"l": l}),
        ),
        ("100 splits", swarm(100, r#"${{ input.l.all(x, size(input.s.split("")) > 0) }}"#), json!({"l": l, "s": long})),
        (
            "100 comparisons",
            swarm(100, "${{ input.l.all(x, input.o == input.o) }}"),
            json!({"l": numbers(2000), "o": numbers(100_000)}),
        ),
        ("25 outputs of 900 KB", swarm(25, "${{ input.s }}"), json!({"s": long})),
        (
            "8 conditions",
            json!({"slug": "hostile", "nodes": targets, "transitions": routes}),
            json!({"l": numbers(300)}),
        ),
        ("2,000 nodes that do nothing", crowd(2_000, &json!({"action": "noop"})), json!({})),
        ("2,000 jobs", crowd(2_000, &json!({"action": {"kind": "job", "jobSlug": "work"}})), json!({})),
        (
            "1,000 jobs of 100 KB",
            crowd(1_000, &json!({"action": {"kind": "job", "jobSlug": "work"}, "input": {"s": "${{ input.s }}"}})),
            json!({"s": "x".repeat(100_000)}),
        ),
    ]
}

/// Run with `--release -- --ignored --nocapture` to see how long a shard is at one decision at most, its bundle written:
/// so long do other runs wait before they are looked at.
#[test]
#[ignore = "prints figures"]
fn how_long_other_runs_wait_meanwhile() {
    let shard = ShardId::new(0).unwrap();
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let workspace: headwater_core::WorkspaceId = "default".parse().unwrap();
    let version = DefinitionVersion::FIRST;
    let mut worst = Duration::ZERO;
    for (name, document, input) in busy() {
        let (definition, _) =
            headwater_core::definition::compile(&document).unwrap_or_else(|p| panic!("{name}: {p:?}"));
        let workflow = definition.slug.clone();
        let key = WorkflowKey { workspace: workspace.clone(), workflow: workflow.clone() };
        let mut owner: Owner<()> = Owner::new(Shard::new(shard, ShardMap::even(1).unwrap()));
        let mut ids = 0_u128;
        let mut decide = |owner: &mut Owner<()>, command| {
            ids += 1;
            let started = Instant::now();
            let submission = Submission::new(CommandId::from_uuid(uuid::Uuid::from_u128(ids)), command);
            owner.submit((), submission, now, &mut Hands::default());
            let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(ids)));
            let took = started.elapsed();
            owner.appended(append.unwrap().expected.next());
            took
        };
        decide(&mut owner, Command::AdoptDefinition { key, version, document: definition.source });
        let run = RunId::new(shard, now, 1 << 20);
        let (workspace, input) = (workspace.clone(), Json::of(&input));
        let start = StartRun { workspace, workflow, version, input, trigger: Trigger::Manual {}, keyed: false };
        let first = decide(&mut owner, Command::Run { run, command: RunCommand::StartRun(start) });
        let (mut turns, mut longest, mut total) = (0, first, first);
        while let Some(run) = owner.next_unfinished() {
            let took = decide(&mut owner, Command::Run { run, command: RunCommand::Continue {} });
            (turns, longest, total) = (turns + 1, longest.max(took), total + took);
        }
        let reason = "enough".to_owned();
        let cancel = Command::Run { run, command: RunCommand::CancelRun { workspace: None, reason } };
        let cancelled = decide(&mut owner, cancel);
        worst = worst.max(longest).max(cancelled);
        println!(
            "{longest:>10.1?} at most, {first:>10.1?} to start, {cancelled:>10.1?} to cancel, {total:>10.1?} in {turns:>3} turns: {name}"
        );
    }
    println!("worst {worst:.1?}");
}
