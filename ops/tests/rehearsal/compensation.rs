//! What undoes nodes, played like any other node.

use crate::Desk;

const FLOW: &str = "slug: flow
steps:
  - {id: flight, jobSlug: book, compensate: {jobSlug: cancel, retry: {maxAttempts: 2, backoff: none}}}
  - {id: room, dependsOn: [flight], jobSlug: book, compensate: {jobSlug: cancel}}
  - {id: pay, dependsOn: [room], jobSlug: pay, retry: {maxAttempts: 1}}
";
const TEST: &str = "definitions: [flow.yaml]
cases:
  - name: what cannot be given back is shown
    mocks:
      jobs: {book: {output: 1}, pay: {failure: {code: refused}}, cancel: {output: 2}}
      nodes: {flight~undo: {failure: {code: stuck}}}
    expect:
      status: failed
      error: refused
      path: [flight, room, room~undo]
      failed: {pay: refused, flight~undo: stuck, compensation: compensation_failed}
      attempts: {flight~undo: 2}
";

#[test]
fn what_undoes_a_node_is_mocked_and_expected_by_its_id() {
    let desk = Desk::of(FLOW, TEST);
    let said = desk.test(&[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = Desk::of(FLOW, &TEST.replace("flight~undo: {", "flight~undone: {")).test(&[]);
    assert!(said.code == 2 && said.err.contains("no definition has a node `flight~undone`"), "{}", said.err);
}
