//! What goes wrong by a seed: the same again, and nothing that a run does not get over.

use serde_json::Value;

use crate::Desk;

const FLOW: &str = "slug: flow
nodes:
  - {id: a, jobSlug: work}
  - {id: b, jobSlug: work}
  - {id: c, jobSlug: work, produces: [{assetId: a.c}]}
transitions:
  - {from: a, to: c}
  - {from: b, to: c}
";
const TEST: &str = "definitions: [flow.yaml]
cases:
  - name: whatever happens
    mocks:
      jobs: {work: {output: 1, delay: 2s}}
      nodes: {c: {output: 2, delay: 1s, assets: [{assetId: a.c, payload: 3}]}}
    expect: {status: succeeded, output: {c: 2}, assets: {a.c: 3}}
";

fn case(seed: u64) -> Value {
    let seed = seed.to_string();
    let said = Desk::of(FLOW, TEST).test(&["--faults", &seed, "--json"]);
    assert_eq!(said.code, 0, "seed {seed}: {}{}", said.out, said.err);
    said.case()
}

#[test]
fn a_run_gets_over_what_goes_wrong_and_makes_one_version() {
    let mut met = std::collections::BTreeSet::new();
    for seed in 0..12 {
        let case = case(seed);
        for fault in case["faults"]["happened"].as_array().unwrap() {
            met.insert(fault["fault"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        met.into_iter().collect::<Vec<_>>(),
        ["delay", "drop", "duplicateDeliveries", "failAfter", "failBefore"]
    );
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let (first, again) = (case(5), case(5));
    assert_eq!(first, again);
    assert!((0..12).any(|seed| case(seed)["timeline"] != first["timeline"]));
}

#[test]
fn the_seed_is_printed_where_something_fails() {
    let said = Desk::of(FLOW, &TEST.replace("a.c: 3}}", "a.c: 4}}")).test(&["--faults", "5"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("the same again: --faults 5 --case \"whatever happens\""), "{}", said.out);
}

#[test]
fn a_report_that_comes_when_its_attempt_was_given_up_is_refused_and_told() {
    let faults = "    faults: {seed: 1, duplicateDeliveries: 1, delayMax: 0s}\n    expect:";
    let slow = TEST.replace("delay: 2s", "delay: 20s").replace("    expect:", faults);
    let said = Desk::of(FLOW, &slow).test(&["--json"]);
    assert_eq!(said.code, 0, "{}", said.out);
    let case = said.case();
    let told: Vec<_> = case["timeline"].as_array().unwrap().iter().filter_map(|line| line["text"].as_str()).collect();
    let refused = "a report of attempt 1 is refused: the attempt is no longer current: it was reported, lost, timed out or cancelled";
    assert!(told.contains(&refused), "{told:#?}");
    assert_eq!(told.iter().filter(|text| text.starts_with("made a.c@")).count(), 1, "{told:#?}");
}

#[test]
fn seeds_are_tried_until_one_fails_and_that_one_is_printed() {
    let once = TEST.replace("delay: 2s}", "delay: 2s, effects: once}");
    let desk = Desk::of(FLOW, &once);
    let said = desk.test(&["--seeds", "100"]);
    assert_eq!(said.code, 1, "{}", said.out);
    let seed = said.out.split("--faults ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let again = desk.test(&["--faults", seed]);
    assert_eq!(again.out, said.out, "the seed replays it");
    // Those before it passed.
    for before in 1..seed.parse().unwrap() {
        assert_eq!(desk.test(&["--faults", &u64::to_string(&before)]).code, 0, "{before}");
    }
    let said = Desk::of(FLOW, TEST).test(&["--seeds", "30"]);
    assert!(said.code == 0 && said.out.contains("faults 30"), "{}", said.out);
    assert_eq!(desk.test(&["--seeds", "0"]).code, 2);
}

#[test]
fn where_one_share_is_named_the_others_are_nothing() {
    let late = TEST.replace("    expect:", "    faults: {seed: 1, delay: 1, delayMax: 3s}\n    expect:");
    for seed in 1..9 {
        let said = Desk::of(FLOW, &late).test(&["--json", "--faults", &u32::to_string(&seed)]);
        assert_eq!(said.code, 0, "{}", said.out);
        let case = said.case();
        let happened = case["faults"]["happened"].as_array().unwrap();
        assert!(happened.len() == 3 && happened.iter().all(|fault| fault["fault"] == "delay"), "{happened:?}");
        let elapsed = case["elapsedMs"].as_u64().unwrap();
        assert!((3_000..=9_000).contains(&elapsed), "{elapsed}");
    }
}
