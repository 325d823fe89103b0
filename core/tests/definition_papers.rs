//! Whether the definitions that the papers show are definitions.

use headwater_core::definition::{compile, refused_at_the_door};
use serde_json::Value;

#[test]
fn every_definition_that_is_shown_compiles() {
    let page = include_str!("../../docs/definitions.md");
    let blocks = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let shown: Vec<Value> =
        blocks.map(|block| serde_json::from_str(block).unwrap_or_else(|e| panic!("{e}: {block}"))).collect();
    let definitions: Vec<&Value> = shown.iter().filter(|value| value.get("slug").is_some()).collect();
    assert!(definitions.len() >= 4, "{}", definitions.len());
    for document in definitions {
        let (definition, warnings) = compile(document).unwrap_or_else(|problems| panic!("{document}: {problems:?}"));
        assert_eq!(warnings, [], "{document}");
        assert_eq!(refused_at_the_door(&definition), [], "{document}");
    }
}
