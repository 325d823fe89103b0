//! What got into journals before the reader was strict, and everything the reader accepts: folded, reacted on, rendered.

use headwater_core::Json;
use headwater_core::run::ReportOutcome;
use headwater_core::shard::{Bundle, Effect};
use serde_json::{Value, json};

use crate::world::{World, empty};

/// Stands in the journal where an old one has what follows.
const MARK: &str = "\"what follows\"";

/// A run whose output and asset hold a value, then one that consumes it, with templates over both.
fn documents() -> [Value; 2] {
    [
        json!({"slug": "make", "steps": [
            {"id": "a", "jobSlug": "work", "produces": [{"assetId": "x.y"}]},
            {"id": "b", "dependsOn": ["a"], "jobSlug": "work", "input": {"whole": "${{ nodes.a.output }}",
                "text": "it is ${{ nodes.a.output.v }}", "kind": "${{ type(nodes.a.output.v) == string }}"}}]}),
        json!({"slug": "use", "steps": [{"id": "c", "jobSlug": "work", "consumes": [{"assetId": "x.y"}],
            "input": "${{ assets[\"x.y\"].payload.v }}"}]}),
    ]
}

/// Writes the journal of a run that reported and produced `{"v": …}`.
fn journal(written: &str) -> String {
    let mut world = World::new();
    for document in documents() {
        world.apply(&document);
    }
    world.start("make", json!({"v": 1}));
    let task = world.tasks().remove(0);
    let produced = format!(
        r#"{{"succeeded":{{"output":{{"v":{MARK}}},"assets":[{{"assetId":"x.y","payload":{{"v":{MARK}}},"producedAt":1700000000000000}}]}}}}"#
    );
    let outcome: ReportOutcome = serde_json::from_str(&produced).unwrap();
    world.report(&task, outcome).unwrap();
    world.deliver_submissions();
    let bundles = serde_json::to_string(&world.bundles(3)).unwrap();
    assert!(bundles.contains(MARK));
    bundles.replace(MARK, written)
}

/// Folds a journal and goes on with it: every effect is written, a consumer renders, a checkpoint is made.
fn go_on(journal: &str, seed: &str) {
    let bundles: Vec<Bundle> = serde_json::from_str(journal).unwrap_or_else(|error| panic!("{seed}: {error}"));
    let mut shard = empty();
    let mut effects = Vec::new();
    for bundle in &bundles {
        let corrupt = shard.fold(bundle, Some(&mut effects));
        assert!(corrupt.is_empty(), "{seed}: {corrupt:?}");
    }
    let mut world = World::new();
    world.shard = shard;
    // Past the ids that the journal has.
    (0..1_000).for_each(|_| _ = world.fresh_id());
    world.now = bundles.last().unwrap().commits.last().unwrap().time;
    world.effects = effects;
    world.deliver_submissions();
    world.start("use", json!({}));
    world.deliver_submissions();
    let tasks = world.tasks();
    assert!(tasks.iter().any(|task| task.node.text() == "c"), "{seed}");
    for task in tasks {
        task.input.to_value();
        serde_json::to_value(&task).unwrap();
    }
    let notices = world.effects.iter().filter(|effect| matches!(effect, Effect::PublishAsset(_)));
    notices.for_each(|notice| assert!(!format!("{notice:?}").is_empty()));
    for timer in world.shard.due(world.now, usize::MAX) {
        world.decide(timer).unwrap();
    }
    for commit in &world.commits {
        serde_json::to_value(commit).unwrap();
    }
}

/// What 0.1.0 took from workers at first, one of each kind. Only ever added to.
const ONCE_TAKEN: [&str; 10] = [
    r#""\ud83d""#,
    r#""\ude00 tail""#,
    r#"{"\ud83d":1}"#,
    "1e400",
    "-1e999",
    "1e-400",
    "123456789012345678901234567890",
    "1234567890123456789012345678901234567890e300",
    r#"{"s":1,"s":2}"#,
    r#"["\ud83d\ud83d\ude00",[1e999]]"#,
];

#[test]
fn a_journal_that_holds_what_is_refused_today_is_folded_and_gone_on_with() {
    for written in ONCE_TAKEN {
        go_on(&journal(written), written);
        assert!(Json::check(&format!("[{written}]")).is_err(), "{written} is refused today");
    }
    let nanoseconds = journal("1").replace("1700000000000000", "1764100000000000000");
    assert!(nanoseconds.contains("1764100000000000000"));
    go_on(&nanoseconds, "nanoseconds");
}

#[test]
fn what_the_reader_accepts_is_folded_and_gone_on_with() {
    let edges = [
        "0.1",
        "1e20",
        "-0",
        "5e-324",
        "1.7976931348623157e308",
        "18446744073709551615",
        "-9223372036854775808",
        "\"\"",
        "null",
        "[]",
        "{}",
        r#""\ud83d\ude00\u001f\u2028\uffff""#,
        r#"{"":{"\"\\/":[[[[]]]]}}"#,
        r#""${{ input }} }}""#,
        r#"{"a":1,"A":2,"__proto__":3}"#,
    ];
    let deep = format!("{}{}", "[".repeat(62), "]".repeat(62));
    for written in edges.into_iter().chain([deep.as_str()]) {
        Json::parse_strict(&format!(r#"{{"v":{written}}}"#)).unwrap_or_else(|error| panic!("{written}: {error}"));
        go_on(&journal(written), written);
    }
}
