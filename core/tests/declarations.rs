//! What a definition declares of assets and what is not in effect yet: read, held to its form, and kept as it stands.

use std::time::Duration;

use headwater_core::Json;
use headwater_core::definition::{
    Automation, Declared, Definition, Freshness, Granularity, Mode, Partitioning, Severity, TimeWindow, Wait, compile,
    refused_at_the_door,
};
use serde_json::{Value, json};

fn document(side: &str, declared: &Value) -> Value {
    let mut declared = declared.clone();
    declared["assetId"] = json!("a.b");
    json!({"slug": "w", "steps": [{"id": "first", "action": "noop"}, {"id": "a", "jobSlug": "x", side: [declared]}]})
}

fn compiled(side: &str, declared: &Value) -> Definition {
    compile(&document(side, declared)).unwrap_or_else(|problems| panic!("{declared}: {problems:?}")).0
}

/// What is refused of it where it comes in, as `path code`.
fn refused(side: &str, declared: &Value) -> Vec<String> {
    let problems = refused_at_the_door(&compiled(side, declared));
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error), "{problems:?}");
    let prefix = format!("/steps/1/{side}/0/");
    let below = |path: &str| path.strip_prefix(&prefix).unwrap_or_else(|| panic!("{path}")).to_owned();
    problems.iter().map(|problem| format!("{} {}", below(&problem.path), problem.code)).collect()
}

fn partitioning(value: Value) -> Option<Partitioning> {
    Declared::<Partitioning>::of(Json::of(&value)).meaning().cloned()
}

fn automation(value: Value) -> Option<Automation> {
    Declared::<Automation>::of(Json::of(&value)).meaning().cloned()
}

#[test]
fn what_nodes_of_bodies_declare_is_looked_at_too() {
    let declared = json!([{"assetId": "a.b", "partitioning": {"type": "yearly"}}]);
    let one = json!({"id": "one", "jobSlug": "work", "produces": declared});
    let two = json!({"id": "two", "forEach": {"items": 2, "body": {"nodes": [
        {"id": "three", "forEach": {"items": 1, "body": {"id": "four", "jobSlug": "work", "produces": declared}}}]}}});
    let document = json!({"slug": "w", "steps": [two, {"id": "each", "forEach": {"items": 1, "body": one}}]});
    let (definition, _) = compile(&document).unwrap_or_else(|problems| panic!("{problems:?}"));
    let paths: Vec<_> = refused_at_the_door(&definition).into_iter().map(|problem| problem.path).collect();
    let inner = "/steps/0/forEach/body/nodes/0/forEach/body/produces/0/partitioning/type";
    assert_eq!(paths, [inner, "/steps/1/forEach/body/produces/0/partitioning/type"]);
    let asset = "a.b".parse().unwrap();
    let place = definition.place_of(&"four".parse().unwrap(), "produces", &asset);
    assert_eq!(place, "/steps/0/forEach/body/nodes/0/forEach/body/produces/0");
}

#[test]
fn what_is_declared_carries_its_meaning() {
    let declared = json!({"freshness": {"ttl": "1d", "cadence": "1h", "maxAgeMs": 5000},
        "partitioning": {"type": "static", "keys": ["2025-01-31", "a b"]},
        "autoMaterialize": {"onUpstreamUpdate": true, "when": "${{ input.n > 1 }}", "debounce": "5s", "maxInFlight": 2,
            "wait": "any", "mode": "each", "priority": 7, "parameterDefaults": {"n": 1}}});
    assert_eq!(refused("produces", &declared), [""; 0]);
    let definition = compiled("produces", &declared);
    let produced = &definition.nodes[1].produces[0];
    let hour = Duration::from_secs(3600);
    let fresh = produced.freshness.as_ref().and_then(|declared| declared.meaning());
    let max_age = Duration::from_secs(5);
    assert_eq!(fresh, Some(&Freshness { ttl: Some(24 * hour), cadence: Some(hour), max_age: Some(max_age) }));
    assert_eq!(fresh.and_then(Freshness::age), Some(max_age));
    let keys = ["2025-01-31", "a b"].map(|key| key.parse().unwrap()).to_vec();
    let partitions = produced.partitioning.as_ref().and_then(|declared| declared.meaning());
    assert_eq!(partitions, Some(&Partitioning::Static { keys }));
    let Value::Object(parameter_defaults) = json!({"n": 1}) else { unreachable!("it is written as one") };
    let automation = produced.auto_materialize.as_ref().and_then(|declared| declared.meaning());
    let wanted = Automation {
        on_upstream_update: true,
        on_expiry: false,
        when: Some("input.n > 1".to_owned()),
        debounce: Some(Duration::from_secs(5)),
        in_flight_max: Some(2),
        wait: Wait::Any,
        mode: Mode::Each,
        priority: 7,
        parameter_defaults,
    };
    assert_eq!(automation, Some(&wanted));
}

#[test]
fn windows_have_a_long_and_a_short_form() {
    let window = |granularity| {
        let (timezone, format, lookback) = (None, None, None);
        Partitioning::TimeWindow(TimeWindow { granularity, timezone, format, lookback })
    };
    assert_eq!(partitioning(json!({"type": "timeWindow", "granularity": "day"})), Some(window(Granularity::Day)));
    assert_eq!(partitioning(json!({"kind": "daily"})), Some(window(Granularity::Day)));
    let long = json!({"type": "timeWindow", "granularity": "week", "timezone": "America/Argentina/Buenos_Aires",
        "format": "%G-W%V", "lookbackWindows": 8});
    assert_eq!(refused("consumes", &json!({ "partitioning": long })), [""; 0]);
    let Some(Partitioning::TimeWindow(window)) = partitioning(long) else { panic!("it is a time window") };
    let texts = (window.timezone.as_deref(), window.format.as_deref());
    assert_eq!(texts, (Some("America/Argentina/Buenos_Aires"), Some("%G-W%V")));
    assert_eq!((window.granularity, window.lookback), (Granularity::Week, Some(8)));
    let month = Some(Duration::from_secs(30 * 24 * 3600));
    let dynamic = |keys_max, retention| Some(Partitioning::Dynamic { keys_max, retention });
    assert_eq!(partitioning(json!({"type": "dynamic", "maxKeys": 10, "retention": "30d"})), dynamic(Some(10), month));
    assert_eq!(partitioning(json!({"type": "dynamic", "retentionDays": 30})), dynamic(None, month));
    assert_eq!(partitioning(json!({})), None);
}

#[test]
fn what_is_malformed_is_refused_at_the_door_with_its_place() {
    let partitioning = |value: Value| json!({ "partitioning": value });
    let automation = |value: Value| json!({ "autoMaterialize": value });
    let cases: [(Value, &[&str]); 25] = [
        (json!({"schema": {"items": {"pattern": "(?i-u)x"}}}), &["schema bad_schema"]),
        (partitioning(json!({"keys": ["a"]})), &["partitioning/type missing_field"]),
        (partitioning(json!({"type": "yearly"})), &["partitioning/type invalid_value"]),
        (partitioning(json!({"kind": 3})), &["partitioning/kind invalid_value"]),
        (partitioning(json!({"type": "static", "kind": "static", "keys": ["a"]})), &["partitioning/kind duplicate"]),
        (partitioning(json!({"type": "static"})), &["partitioning/keys missing_field"]),
        (partitioning(json!({"type": "static", "keys": []})), &["partitioning/keys invalid_value"]),
        (partitioning(json!({"type": "static", "keys": "a"})), &["partitioning/keys invalid_value"]),
        (
            partitioning(json!({"type": "static", "keys": ["a", "b*", "a", 7]})),
            &["partitioning/keys/1 invalid_name", "partitioning/keys/2 duplicate", "partitioning/keys/3 invalid_value"],
        ),
        (partitioning(json!({"type": "static", "keys": ["a"], "key": 1})), &["partitioning/key unknown_field"]),
        (partitioning(json!({"type": "timeWindow"})), &["partitioning/granularity missing_field"]),
        (
            partitioning(json!({"type": "timeWindow", "granularity": "days", "timezone": "+02:00", "format": "",
                "lookback": 0})),
            &[
                "partitioning/format invalid_value",
                "partitioning/granularity invalid_value",
                "partitioning/lookback invalid_value",
                "partitioning/timezone invalid_value",
            ],
        ),
        (partitioning(json!({"kind": "daily", "granularity": "hour"})), &["partitioning/granularity unknown_field"]),
        (
            partitioning(json!({"type": "dynamic", "maxKeys": -1, "retention": "soon"})),
            &["partitioning/maxKeys invalid_value", "partitioning/retention invalid_value"],
        ),
        (
            partitioning(json!({"type": "dynamic", "retention": "1d", "retentionDays": 1})),
            &["partitioning/retentionDays duplicate"],
        ),
        (partitioning(json!({"type": "dynamic", "retentionDays": 1e9})), &["partitioning/retentionDays invalid_value"]),
        (automation(json!({"onUpstreamUpdte": true})), &["autoMaterialize/onUpstreamUpdte unknown_field"]),
        (
            automation(json!({"onExpiry": "yes", "onUpstreamUpdate": 1})),
            &["autoMaterialize/onExpiry invalid_value", "autoMaterialize/onUpstreamUpdate invalid_value"],
        ),
        (automation(json!({"when": "a +"})), &["autoMaterialize/when bad_expression"]),
        (automation(json!({"when": ["true"]})), &["autoMaterialize/when invalid_value"]),
        (automation(json!({"debounce": "soon"})), &["autoMaterialize/debounce invalid_value"]),
        (automation(json!({"maxInFlight": 0})), &["autoMaterialize/maxInFlight invalid_value"]),
        (
            automation(json!({"wait": "all", "mode": "every"})),
            &["autoMaterialize/mode invalid_value", "autoMaterialize/wait invalid_value"],
        ),
        (automation(json!({"priority": "high"})), &["autoMaterialize/priority invalid_value"]),
        (automation(json!({"parameterDefaults": [1]})), &["autoMaterialize/parameterDefaults invalid_value"]),
    ];
    for (declared, wanted) in &cases {
        for side in ["produces", "consumes"] {
            let mut wanted = wanted.to_vec();
            wanted.sort_unstable();
            let mut refused = refused(side, declared);
            refused.sort_unstable();
            assert_eq!(refused, wanted, "{side} {declared}");
        }
    }
    let many: Vec<String> = (0..10_001).map(|n| format!("k{n}")).collect();
    let many = partitioning(json!({"type": "static", "keys": many}));
    assert_eq!(refused("produces", &many), ["partitioning/keys too_large"]);
}

#[test]
fn every_entry_of_either_form_is_looked_at() {
    let bad = json!({"assetId": "b.b", "partitioning": {"type": "nope"}});
    let entries = json!([{"assetId": "a.b", "partitioning": {}}, bad]);
    for list in ["steps", "nodes"] {
        let document = json!({"slug": "w", list: [{"id": "z", "jobSlug": "x", "consumes": entries},
            {"id": "a", "jobSlug": "x", "produces": entries, "queue": "q"}]});
        let (definition, _) = compile(&document).unwrap();
        let paths: Vec<_> = refused_at_the_door(&definition).into_iter().map(|problem| problem.path).collect();
        let wanted = ["0/consumes", "1/produces"].map(|side| format!("/{list}/{side}/1/partitioning/type"));
        assert_eq!(paths, wanted);
    }
}

#[test]
fn what_is_malformed_is_told_beside_everything_else() {
    let document = json!({"slug": "w", "steps": [{"id": "a", "jobSlug": "x", "dependsOn": ["b"], "produces": [
        {"assetId": "a.b", "partitioning": {"type": "nope"}, "autoMaterialize": []}]}]});
    let problems = compile(&document).unwrap_err().0;
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let mut paths: Vec<_> = errors.map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    let produced = "/steps/0/produces/0";
    let [automation, kind] = ["autoMaterialize", "partitioning/type"].map(|field| format!("{produced}/{field}"));
    assert_eq!(paths, ["/steps/0/dependsOn/0", &automation, &kind], "each once");
}

#[test]
fn what_journals_hold_goes_on_whatever_it_says() {
    let old = json!({"partitioning": {"type": "by moon", "keys": 3}, "autoMaterialize": {"onExpiry": 1, "later": {},
        "parameterDefaults": {"n": 1}}});
    let definition = compiled("produces", &old);
    let produced = &definition.nodes[1].produces[0];
    let partitions = produced.partitioning.as_ref().unwrap();
    assert_eq!((partitions.source().to_value(), partitions.meaning()), (old["partitioning"].clone(), None));
    let read = automation(old["autoMaterialize"].clone()).expect("what it says is read");
    assert_eq!(Value::Object(read.parameter_defaults), json!({"n": 1}));
    assert!(!read.on_expiry);
    for text in [r#"{"type":"by moon"}"#, r#"{ "keys": [1] }"#, "[]", "7", r#""daily""#] {
        let declared: Declared<Partitioning> = serde_json::from_str(text).unwrap();
        assert_eq!(declared.meaning(), None, "{text}");
        assert_eq!(serde_json::to_string(&declared).unwrap(), text);
        let declared: Declared<Freshness> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&declared).unwrap(), text);
        let declared: Declared<Automation> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&declared).unwrap(), text);
    }
}
