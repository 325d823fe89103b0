//! How large a definition may be, and that none within the limits takes long.

use std::time::Instant;

use headwater_core::definition::compile;
use serde_json::{Value, json};

const NODES: usize = 20_000;
const EDGES: usize = 200_000;

fn noop(n: usize) -> Value {
    json!({"id": format!("n{n}"), "action": "noop"})
}

fn steps(count: usize, before: impl Fn(usize) -> Vec<usize>) -> Value {
    let step = |n: usize| {
        let before: Vec<String> = before(n).into_iter().map(|m| format!("n{m}")).collect();
        json!({"id": format!("n{n}"), "action": "noop", "dependsOn": before})
    };
    json!({"slug": "w", "steps": (0..count).map(step).collect::<Vec<_>>()})
}

fn nodes(count: usize, ways: impl Iterator<Item = (usize, usize)>) -> Value {
    let way = |(from, to): (usize, usize)| json!({"from": format!("n{from}"), "to": format!("n{to}")});
    json!({"slug": "w", "nodes": (0..count).map(noop).collect::<Vec<_>>(), "transitions": ways.map(way).collect::<Vec<_>>()})
}

/// Each node depends on `ways` of the layer of 100 before it.
fn layered(ways: usize) -> impl Fn(usize) -> Vec<usize> {
    move |n| if n < 100 { Vec::new() } else { (0..ways).map(|way| (n / 100 - 1) * 100 + (n + way * 7) % 100).collect() }
}

fn layers(count: usize, ways: usize) -> Value {
    let before = layered(ways);
    nodes(count, (0..count).flat_map(|to| before(to).into_iter().map(move |from| (from, to)).collect::<Vec<_>>()))
}

/// Every node has an output that the next of its column names, and stores something that it reads.
fn named() -> Value {
    let step = |n: usize| {
        let output = if n < 100 {
            json!(n)
        } else {
            json!(format!("${{{{ nodes.n{}.output + state.k{} }}}}", n - 100, (n - 100) % 7))
        };
        let before: Vec<String> = if n < 100 {
            Vec::new()
        } else {
            (0..5).map(|way| format!("n{}", (n / 100 - 1) * 100 + (n + way * 7) % 100)).collect()
        };
        let mut before = before;
        if n >= 100 && !before.contains(&format!("n{}", n - 100)) {
            before.push(format!("n{}", n - 100));
        }
        json!({"id": format!("n{n}"), "action": {"kind": "transform", "output": output}, "dependsOn": before, "storeResultAs": format!("k{}", n % 7)})
    };
    json!({"slug": "w", "steps": (0..NODES).map(step).collect::<Vec<_>>()})
}

/// A loop of so many nodes, and as many ways out of it.
fn left_everywhere() -> Value {
    let half = NODES / 2;
    let mut document = nodes(NODES, (1..half).map(|n| (n - 1, n)).chain((0..half).map(|n| (n, half + n))));
    document["transitions"]
        .as_array_mut()
        .unwrap()
        .push(json!({"from": format!("n{}", half - 1), "to": "n0", "maxIterations": 3}));
    document
}

/// So many bodies with a node, beside one another.
fn bodies() -> Value {
    let each = |n: usize| json!({"id": format!("e{n}"), "forEach": {"items": [1], "body": noop(n)}});
    json!({"slug": "w", "steps": (0..NODES / 2).map(each).collect::<Vec<_>>()})
}

fn fits(name: &str, document: &Value, (nodes, ways): (usize, usize)) {
    let started = Instant::now();
    let (definition, _) = compile(document).unwrap_or_else(|problems| panic!("{name}: {problems:.200}"));
    let took = started.elapsed();
    println!("{took:>10.1?} {:>9} bytes: {name}", definition.source.len_bytes());
    assert_eq!((definition.nodes.len(), definition.transitions.len()), (nodes, ways), "{name}");
}

#[test]
fn as_many_nodes_and_transitions_as_there_may_be_compile_in_either_form() {
    fits("10,000 steps, 50,000 dependencies", &steps(10_000, layered(5)), (10_000, 49_500));
    fits("10,000 nodes, 50,000 transitions", &layers(10_000, 5), (10_000, 49_500));
    fits("20,000 steps, 200,000 dependencies", &steps(NODES, layered(10)), (NODES, EDGES - 1_000));
    fits("20,000 nodes, 200,000 transitions", &layers(NODES, 10), (NODES, EDGES - 1_000));
    fits("a chain", &steps(NODES, |n| n.checked_sub(1).into_iter().collect()), (NODES, NODES - 1));
    fits(
        "all into one",
        &steps(NODES, |n| if n == NODES - 1 { (0..n).collect() } else { Vec::new() }),
        (NODES, NODES - 1),
    );
    let all_with_all = (0..632).flat_map(|to| (0..to).map(move |from| (from, to)));
    fits("200,000 transitions between 632 nodes", &nodes(632, all_with_all), (632, 632 * 631 / 2));
    fits(
        "everything named",
        &named(),
        (
            NODES,
            named()["steps"].as_array().unwrap().iter().map(|step| step["dependsOn"].as_array().unwrap().len()).sum(),
        ),
    );
    fits("a loop left everywhere", &left_everywhere(), (NODES, NODES));
    fits("10,000 bodies", &bodies(), (NODES, 0));
}

/// One more than there may be, wherever it stands.
#[test]
fn more_is_refused_wherever_it_stands() {
    let body = |count: usize| json!({"steps": (0..count).map(noop).collect::<Vec<_>>()});
    let each = |id: &str, body: Value| json!({"id": id, "forEach": {"items": [1], "body": body}});
    let doubled = (0..=NODES).map(|_| noop(1)).collect::<Vec<_>>();
    let nested = vec![each("e", body(NODES - 1)), each("f", json!({"id": "g", "action": "noop"}))];
    let mut single: Vec<Value> = (0..NODES - 1).map(noop).collect();
    single.push(each("e", json!({"id": "g", "action": "noop"})));
    for (name, steps, path) in [
        ("twice", doubled, "/steps"),
        ("in two bodies", nested, "/steps/0/forEach/body/steps"),
        ("a body that is a node", single, "/steps/19999/forEach/body"),
    ] {
        let started = Instant::now();
        let problems = compile(&json!({"slug": "w", "steps": steps})).unwrap_err().0;
        println!("{:>10.1?} refused: {name}", started.elapsed());
        let is_said = problems.iter().any(|p| p.path == path && p.code.to_string() == "too_large");
        assert!(is_said, "{name}: {:?}", problems.first());
    }
    let many = nodes(NODES, (0..=EDGES).map(|n| (n % NODES, (n + 1 + n / NODES) % NODES)));
    let problems = compile(&many).unwrap_err().0;
    assert_eq!((problems[0].path.as_str(), problems[0].code.to_string().as_str()), ("/transitions", "too_large"));
}

/// What is wrong everywhere is told a thousand times at most, and takes no longer.
#[test]
fn what_is_wrong_everywhere_takes_no_longer() {
    let name = "x".repeat(60);
    let dangling = |n: usize| {
        let before: Vec<String> = (0..10).map(|m| format!("{name}{m}{n}")).collect();
        json!({"id": format!("{name}{n}"), "action": "noop", "dependsOn": before})
    };
    let circle = nodes(NODES, (0..NODES).flat_map(|n| (1..10).map(move |k| (n, (n + k) % NODES))));
    let writers: Vec<Value> = (0..NODES).map(|n| json!({"id": format!("n{n}"), "action": {"kind": "transform", "output": "${{ state.k }}"}, "storeResultAs": "k"})).collect();
    for (name, document) in [
        ("200,000 that are not there", json!({"slug": "w", "steps": (0..NODES).map(dangling).collect::<Vec<_>>()})),
        ("a circle", circle),
        ("nobody before", json!({"slug": "w", "steps": writers})),
        ("each on itself", steps(NODES, |n| vec![n])),
    ] {
        let started = Instant::now();
        let problems = compile(&document).unwrap_err();
        println!("{:>10.1?} {:>4} problems: {name}", started.elapsed(), problems.0.len());
        assert!(problems.0.len() <= 1_000);
    }
}
