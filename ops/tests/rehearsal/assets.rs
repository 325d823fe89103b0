//! Which versions there are before a run begins, and what of that its nodes get.

use crate::Desk;

const FLOW: &str = "slug: consume
steps:
  - id: use
    jobSlug: work
    consumes: [{assetId: raw.data, partition: \"${{ input.day }}\", require: fresh, freshness: {maxAge: 1h}}]
    input: {seen: \"${{ assets['raw.data'].payload }}\"}
---
slug: a-bystander
steps: [{id: see, action: noop, consumes: [{assetId: raw.data, partition: '2026-01-01'}]}]
---
slug: produce
inputSchema: {type: object, required: [source], properties: {source: {type: string}}}
steps: [{id: make, jobSlug: fetch, input: \"${{ input.source }}\", produces: [{assetId: raw.data}]}]
";

fn test(assets: &str, expect: &str) -> String {
    format!(
        "definitions: [flow.yaml]
cases:
  - name: a
    workflow: consume
    start: 2026-01-01T12:00:00Z
    input: {{day: '2026-01-01'}}
    assets: {assets}
    mocks:
      nodes: {{use: {{output: 1}}}}
      jobs: {{fetch: {{output: 2, delay: 1m, assets: [{{assetId: raw.data, partitionKey: '2026-01-01', payload: new}}]}}}}
    expect: {expect}
"
    )
}

#[test]
fn a_version_that_is_fresh_is_taken() {
    let fresh = "[{assetId: raw.data, partitionKey: '2026-01-01', payload: old, producedAt: 2026-01-01T11:30:00Z}]";
    let said = Desk::of(FLOW, &test(fresh, "{status: succeeded, elapsed: 0s, assets: {}}")).test(&["--json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let given = "use assetResolved";
    let timeline = said.case()["timeline"].to_string();
    assert!(timeline.contains(given) && timeline.contains(r#"{\"seen\":\"old\"}"#), "{timeline}");
}

#[test]
fn one_that_is_too_old_or_of_another_partition_is_made_anew_as_it_was_made_before() {
    let made =
        "{status: succeeded, elapsed: 1m, assets: [{assetId: raw.data, partitionKey: '2026-01-01', payload: new}]}";
    let old = "[{assetId: raw.data, partitionKey: '2026-01-01', payload: old, producedAt: 2026-01-01T10:00:00Z, runInput: {source: s}}]";
    let said = Desk::of(FLOW, &test(old, made)).test(&["--json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.case()["timeline"].to_string().contains("make attemptScheduled \\\"s\\\""), "{}", said.out);
    // Nobody knows with what it is made where it was never made, or by somebody else.
    let missing = "{status: failed, error: producer_input_missing}";
    let elsewhere =
        old.replace("producedAt: 2026-01-01T10:00:00Z", "workflow: a-bystander, producedAt: 2026-01-01T10:00:00Z");
    let other = old.replace("partitionKey: '2026-01-01'", "partitionKey: '2025-12-31'");
    for assets in ["[]", &elsewhere, &other] {
        let said = Desk::of(FLOW, &test(assets, missing)).test(&[]);
        assert_eq!(said.code, 0, "{assets}: {}{}", said.out, said.err);
    }
}

#[test]
fn an_asset_that_is_not_the_one_expected_is_shown_beside_it() {
    let fresh = "[{assetId: raw.data, partitionKey: '2026-01-01', payload: old, producedAt: 2026-01-01T11:30:00Z}]";
    let said = Desk::of(FLOW, &test(fresh, "{assets: {raw.data: other}}")).test(&[]);
    assert_eq!(said.code, 1);
    let shown =
        "assets\n          expected  [{\"assetId\":\"raw.data\",\"payload\":\"other\"}]\n          actual    []";
    assert!(said.out.contains(shown), "{}", said.out);
}

#[test]
fn what_is_made_beside_what_is_expected_is_shown_and_so_is_another_partition() {
    let old =
        "[{assetId: raw.data, partitionKey: '2026-01-01', producedAt: 2026-01-01T10:00:00Z, runInput: {source: s}}]";
    for (code, expected) in [
        (0, "[{assetId: raw.data, partitionKey: '2026-01-01', payload: new}]"),
        (0, "[{assetId: raw.data, partitionKey: '2026-01-01'}]"),
        (1, "[]"),
        (1, "[{assetId: raw.data, partitionKey: '2026-01-02'}]"),
        (1, "[{assetId: raw.data}]"),
        (1, "[{assetId: raw.data, partitionKey: '2026-01-01'}, {assetId: raw.data, partitionKey: '2026-01-01'}]"),
    ] {
        let said = Desk::of(FLOW, &test(old, &format!("{{assets: {expected}}}"))).test(&[]);
        assert_eq!(said.code, code, "{expected}: {}{}", said.out, said.err);
    }
}
