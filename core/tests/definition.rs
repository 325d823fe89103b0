//! Documents and what they compile to.

use headwater_core::definition::{Action, compile};
use serde_json::json;

#[test]
fn the_everyday_step_is_accepted_as_it_stands() {
    let document = json!({
        "slug": "directory-insights-report",
        "steps": [
            {"id": "scan", "jobSlug": "scan-directory", "parameters": {"dir": "${{ input.scanDir }}"}},
            {"id":"report","jobSlug":"generate-visualizations","dependsOn":["scan"],
             "produces":[{"assetId":"directory.insights.report","schema":{"type": "object"}}]},
        ],
    });
    let (definition, warnings) = compile(&document).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(definition.nodes.len(), 2);
    assert!(matches!(definition.nodes[1].action, Action::Job { .. }));
    assert_eq!(definition.nodes[1].queue.as_str(), "generate-visualizations");
    let again = compile(&definition.source.to_value()).unwrap().0;
    assert_eq!(again.content_hash, definition.content_hash);
}
