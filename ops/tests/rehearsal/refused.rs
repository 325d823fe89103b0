//! What is wrong with a test file is said with its place, and nothing is played.

use crate::Desk;

const FLOW: &str = "slug: flow\nsteps:\n  - {id: one, jobSlug: work}\n";

#[test]
fn everything_that_is_wrong_is_named_with_line_and_column() {
    let test = "definitions: [flow.yaml]
cases:
  - name: a
    inputs: {}
    start: yesterday
    mocks:
      nodes:
        one: {outptu: 1}
    faults: {seed: 1, drop: 2}
    expect:
      status: done
      pth: []
  - name: a
    expect: {}
";
    let said = Desk::of(FLOW, test).test(&[]);
    assert_eq!(said.code, 2, "{}", said.out);
    for line in [
        "flow.test.yaml:4:5: error at \"/cases/0/inputs\" there is no field `inputs` here: did you mean `input`?",
        "flow.test.yaml:5:12: error at \"/cases/0/start\" \"yesterday\" is not an RFC 3339 time",
        "flow.test.yaml:8:15: error at \"/cases/0/mocks/nodes/one/outptu\" there is no field `outptu` here: did you mean `output`?",
        "flow.test.yaml:9:29: error at \"/cases/0/faults/drop\" is not a number from 0 to 1",
        "flow.test.yaml:11:15: error at \"/cases/0/expect/status\" is none of queued, running",
        "flow.test.yaml:12:7: error at \"/cases/0/expect/pth\" there is no field `pth` here: did you mean `path`?",
        "flow.test.yaml:13:11: error at \"/cases/1/name\" another case is named `a` too",
    ] {
        assert!(said.err.contains(line), "{line}\n{}", said.err);
    }
    assert!(said.out.is_empty(), "{}", said.out);
}

#[test]
fn mocks_of_what_is_not_there_are_refused() {
    let test = "definitions: [flow.yaml]
cases:
  - name: a
    workflow: flwo
    mocks: {nodes: {on: {output: 1}, other/one: {output: 1}}, jobs: {wrok: {output: 1}}}
    expect: {path: [one, tow], attempts: {onne: 0}}
";
    let said = Desk::of(FLOW, test).test(&[]);
    assert_eq!(said.code, 2);
    for line in [
        "flow.test.yaml:6:20: error at \"/cases/0/expect/path\" no definition has a node `tow`",
        "error at \"/cases/0/expect/attempts\" no definition has a node `onne`: did you mean `one`?",
        "flow.test.yaml:4:15: error at \"/cases/0/workflow\" no definition is named `flwo`: did you mean `flow`?",
        "flow.test.yaml:5:21: error at \"/cases/0/mocks/nodes/on\" no definition has a node `on`: did you mean `one`?",
        "no definition is named `other`",
        "no node runs the job `wrok`: did you mean `work`?",
    ] {
        assert!(said.err.contains(line), "{line}\n{}", said.err);
    }
}

#[test]
fn definitions_that_cannot_be_applied_are_refused_as_by_validate() {
    let test = "definitions: [flow.yaml]\ncases: [{name: a, expect: {}}]\n";
    let said = Desk::of("slug: flow\nsteps:\n  - {id: one}\n", test).test(&[]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("flow.yaml:3:"), "{}", said.err);
    let said = Desk::of(FLOW, "definitions: [none.yaml]\ncases: [{name: a, expect: {}}]\n").test(&[]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("none.yaml"), "{}", said.err);
}

#[test]
fn what_is_no_test_file_is_refused() {
    for (test, said) in [
        ("[]", "a test file holds one document"),
        ("definitions: [flow.yaml]\n", "`cases` is missing"),
        ("definitions: []\ncases: [{name: a, expect: {}}]\n", "names no definition"),
        ("definitions: [flow.yaml]\ncases: []\n", "has 0 cases: 1 to 1000 are read"),
        ("a: [", "[request/not_yaml]"),
        ("a: 1\na: 2\n", "[request/duplicate_key]"),
    ] {
        let answer = Desk::of(FLOW, test).test(&[]);
        assert_eq!(answer.code, 2, "{test}");
        assert!(answer.err.contains(said), "{test}: {}", answer.err);
    }
    let huge = format!("# {}\ndefinitions: [flow.yaml]\n", "x".repeat(4 << 20));
    assert!(Desk::of(FLOW, &huge).test(&[]).err.contains("bytes, and at most 4194304 are read"));
    let none = Desk::of(FLOW, "definitions: [flow.yaml]\ncases: [{name: a, expect: {}}]\n").test(&["--case", "b"]);
    assert_eq!(none.code, 4, "{}", none.err);
}
