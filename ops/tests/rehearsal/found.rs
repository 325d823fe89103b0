//! Which mistakes come to light: each beside the same without the mistake.

use serde_json::json;

use crate::Desk;

/// An order that is paid by its amount, and refunded where it cannot be sent.
fn order(route: &str, catch: &str, retry: &str) -> String {
    format!(
        "slug: order
nodes:
  - {{id: pay, jobSlug: charge-card, retry: {{{retry}}}}}
  - {{id: check, jobSlug: ask-somebody}}
  - {{id: send, jobSlug: send-parcel, retry: {{maxAttempts: 2}}}}
  - {{id: refund, jobSlug: refund-card}}
transitions:
  - {{from: pay, to: check, when: \"{route}\", priority: 1}}
  - {{from: pay, to: send, priority: 2}}
  - {{from: check, to: send}}
  - {{from: check, to: refund, on: failure}}
  {catch}
"
    )
}

const CATCH: &str = "- {from: send, to: refund, on: failure}";
const RIGHT: &str = "input.amount > 1000";
const THRICE: &str = "maxAttempts: 3, backoff: none";

fn test(case: &str) -> String {
    format!(
        "definitions: [flow.yaml]
cases:
  - name: the case
    input: {{amount: 5000}}
    mocks:
      nodes:
        check: {{output: {{}}, delay: 2h}}
      jobs:
        charge-card: {{output: {{receipt: r1}}, effects: once}}
        refund-card: {{output: {{}}}}
        send-parcel: {{output: {{}}}}
    {case}
"
    )
}

#[test]
fn a_route_that_is_wrong_is_found() {
    let test = test("expect: {status: succeeded, path: [pay, check, send], elapsed: 2h}");
    assert_eq!(Desk::of(&order(RIGHT, CATCH, THRICE), &test).test(&[]).code, 0);
    let said = Desk::of(&order("input.amount < 1000", CATCH, THRICE), &test).test(&[]);
    assert_eq!(said.code, 1);
    for line in [
        "FAIL  the case  (succeeded, 2 nodes, 0s of virtual time)",
        "path\n          expected  [\"pay\",\"check\",\"send\"]\n          actual    [\"pay\",\"send\"]",
        "elapsed\n          expected  2h\n          actual    0s",
        "timeline\n          +0s",
        "check nodeSkipped",
        "0 passed, 1 failed",
    ] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
}

#[test]
fn a_catch_that_is_missing_is_found() {
    let mocks = "mocks:\n      nodes:\n        pay: {output: {}}\n        check: {output: {}}\n        refund: {output: {}}\n        \
                 send: {failure: {code: no_address, message: nobody lives there, permanent: true, details: {zip: 1}}}";
    let test = format!(
        "definitions: [flow.yaml]\ncases:\n  - name: it is refunded\n    input: {{amount: 1}}\n    {mocks}\n    \
         expect: {{status: succeeded, path: {{contains: [refund]}}, failed: {{send: no_address}}}}\n"
    );
    assert_eq!(Desk::of(&order(RIGHT, CATCH, THRICE), &test).test(&[]).code, 0);
    let said = Desk::of(&order(RIGHT, "", THRICE), &test).test(&[]);
    assert_eq!(said.code, 1, "{}", said.err);
    let actual = "actual    failed (no_address at send: nobody lives there)";
    assert!(said.out.contains(&format!("expected  succeeded\n          {actual}")), "{}", said.out);
}

#[test]
fn an_effect_that_is_not_idempotent_is_found_where_deliveries_are_duplicated() {
    let flow = order(RIGHT, CATCH, THRICE);
    let calm = test("expect: {status: succeeded}");
    assert_eq!(Desk::of(&flow, &calm).test(&[]).code, 0, "it is charged once where nothing goes wrong");
    for fault in ["duplicateDeliveries", "failAfter"] {
        let test = test(&format!("faults: {{seed: 3, {fault}: 1}}\n    expect: {{status: succeeded}}"));
        let said = Desk::of(&flow, &test).test(&["--json"]);
        assert_eq!(said.code, 1, "{fault}");
        let case = said.case();
        let differences = case["differences"].as_array().unwrap();
        assert_eq!(differences.len(), 1, "{fault}: {case}");
        assert_eq!([&differences[0]["what"], &differences[0]["expected"]], ["effects of pay", "once"]);
        let actual = differences[0]["actual"].as_str().unwrap();
        assert!(
            actual.starts_with("the handler of `pay` in `order` had its effect 2 times under the key "),
            "{actual}"
        );
        assert!(actual.ends_with(&format!("/pay: in attempt 1 ({fault}), in attempt 2")), "{actual}");
    }
    // A handler that did nothing before it was lost did nothing twice.
    let before = test("faults: {seed: 3, failBefore: 1}\n    expect: {status: succeeded, attempts: {pay: 2}}");
    assert_eq!(Desk::of(&flow, &before).test(&[]).code, 0);
    // One that is never begun again is not charged twice, and that it may not be charged at all is seen.
    let once = order(RIGHT, CATCH, "maxAttempts: 1");
    let lost = test("faults: {seed: 3, failAfter: 1}\n    expect: {status: failed, error: worker_lost}");
    let said = Desk::of(&once, &lost).test(&[]);
    assert_eq!(said.code, 0, "{}", said.out);
    // One that goes by the key may be begun as often as it likes.
    let idempotent = test("faults: {seed: 3, duplicateDeliveries: 1}\n    expect: {status: succeeded}");
    assert_eq!(Desk::of(&flow, &idempotent.replace("effects: once", "effects: any")).test(&[]).code, 0);
}

#[test]
fn a_mock_that_is_missing_is_named() {
    let flow = "slug: two\nsteps:\n  - {id: first, jobSlug: work}\n  - {id: page, dependsOn: [first], action: {kind: http_request, method: GET, url: 'http://x.example/'}}\n";
    let test = |mocks: &str| {
        format!("definitions: [flow.yaml]\ncases:\n  - {{name: a, mocks: {mocks}, expect: {{status: succeeded}}}}\n")
    };
    let said = Desk::of(flow, &test("{}")).test(&[]);
    assert_eq!(said.code, 1);
    let line = "there is no mock for the node `first` of `two`: it runs the job `work`; say in mocks.nodes.first or mocks.jobs.work what it answers";
    assert!(said.out.contains(line), "{}", said.out);
    let said = Desk::of(flow, &test("{jobs: {work: {output: 1}}}")).test(&[]);
    assert!(
        said.out.contains("it is `http_request`, which is not carried out here; say in mocks.nodes.page"),
        "{}",
        said.out
    );
    assert_eq!(Desk::of(flow, &test("{jobs: {work: {output: 1}}, nodes: {page: {output: 2}}}")).test(&[]).code, 0);
}

#[test]
fn a_run_that_does_not_end_is_ended() {
    let flow = "slug: waits\nsteps:\n  - {id: wait, jobSlug: work, consumes: [{assetId: a.b, onMiss: wait}]}\n";
    let test =
        "definitions: [flow.yaml]\ncases:\n  - {name: a, mocks: {nodes: {wait: {output: 1}}}, expect: {output: {}}}\n";
    let said = Desk::of(flow, test).test(&[]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("actual    nothing is left that could happen: wait is waiting"), "{}", said.out);
    // Who expects that says so.
    assert_eq!(Desk::of(flow, &test.replace("output: {}", "status: running")).test(&[]).code, 0);

    let flow = "slug: long\nnodes:\n  - {id: turn, action: {kind: sleep, duration: 1d}}\ntransitions:\n  - {from: turn, to: turn, maxIterations: 5000}\n";
    let test = |limits: &str| {
        format!("definitions: [flow.yaml]\ncases:\n  - {{name: a, limits: {limits}, expect: {{error: no_route}}}}\n")
    };
    let said = Desk::of(flow, &test("{decisions: 100}")).test(&[]);
    assert!(said.out.contains("it took more than 100 decisions (limits.decisions)"), "{}", said.out);
    let said = Desk::of(flow, &test("{time: 36h}")).test(&[]);
    assert!(said.out.contains("it would take longer than 1d 12h of virtual time (limits.time)"), "{}", said.out);
}

#[test]
fn items_have_answers_of_their_own() {
    let flow = "slug: each\nsteps:\n  - id: all\n    forEach:\n      items: [a, b, c]\n      onItemFailure: continue\n      body: {id: one, jobSlug: work, retry: {maxAttempts: 1}}\n";
    let test = "definitions: [flow.yaml]
cases:
  - name: by position
    mocks:
      nodes:
        one: {output: rest, items: {\"1\": {failure: {code: bad}}}}
    expect: {status: succeeded, output: {all: [rest, rest]}, failed: {one: bad}, attempts: {one: 3}}
  - name: by address
    mocks:
      nodes:
        one@1: {output: first}
        one: {items: [null, {output: second}, {output: third}]}
    expect: {output: {all: [first, second, third]}, path: [one@1, one, one, all]}
";
    let said = Desk::of(flow, test).test(&["--json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(said.case()["status"], json!("succeeded"));
}

#[test]
fn a_timeline_has_so_many_lines() {
    let flow = "slug: wide\nsteps:\n  - id: all\n    forEach: {items: \"${{ lists.range(1500) }}\", maxItems: 2000, body: {id: one, action: noop}}\n";
    let test = "definitions: [flow.yaml]\ncases:\n  - {name: a, expect: {status: failed}}\n";
    let case = Desk::of(flow, test).test(&["--json"]).case();
    assert_eq!(case["timeline"].as_array().unwrap().len(), 2_000);
    assert!(case["linesLeftOut"].as_u64().unwrap() > 0);
    let said = Desk::of(flow, test).test(&[]);
    assert!(said.out.lines().count() < 80 && said.out.contains(" more\n"), "{}", said.out);
}

#[test]
fn the_most_particular_mock_answers_also_in_runs_that_are_called() {
    let flow = "slug: outer
steps:
  - {id: work, jobSlug: work}
  - {id: call, dependsOn: [work], action: {kind: workflow_call, workflow: inner}}
output: {own: \"${{ nodes.work.output }}\", called: \"${{ nodes.call.output }}\"}
---
slug: inner
steps: [{id: work, jobSlug: work}, {id: rest, jobSlug: other}]
";
    let test = |nodes: &str| {
        format!(
            "definitions: [flow.yaml]\ncases:\n  - name: a\n    workflow: outer\n    mocks:\n      nodes: {nodes}\n      \
             jobs: {{work: {{output: by job}}, other: {{output: other}}}}\n    expect: {{output: {{own: x, called: {{}}}}}}\n"
        )
    };
    for (nodes, own, called) in [
        ("{}", "by job", "by job"),
        ("{work: {output: by node}}", "by node", "by node"),
        ("{work: {output: by node}, inner/work: {output: inner}}", "by node", "inner"),
    ] {
        let case = Desk::of(flow, &test(nodes)).test(&["--json"]).case();
        let actual = &case["differences"][0]["actual"];
        assert_eq!((&actual["own"], &actual["called"]["work"]), (&json!(own), &json!(called)), "{case}");
    }
}

#[test]
fn a_handler_that_fails_is_taken_to_have_done_nothing() {
    let attempts = "attempts: [{failure: {code: busy}}, {output: {}}], effects: once";
    let test = test("expect: {status: succeeded, attempts: {pay: 2}}")
        .replace("output: {receipt: r1}, effects: once", attempts);
    let said = Desk::of(&order(RIGHT, CATCH, THRICE), &test).test(&[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn a_call_that_is_refused_fails_its_node() {
    let flow = "slug: outer
steps: [{id: call, action: {kind: workflow_call, workflow: inner, input: {n: text}}}]
---
slug: inner
inputSchema: {type: object, properties: {n: {type: integer}}}
steps: [{id: work, action: noop}]
";
    let test = "definitions: [flow.yaml]\ncases:\n  - {name: a, workflow: outer, expect: {status: failed, failed: {call: input_invalid}}}\n";
    let said = Desk::of(flow, test).test(&[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}
