//! Bounds: what is too large or too deep fails where it came from, and nothing else.

use headwater_core::Json;
use headwater_core::run::ReportOutcome;
use serde_json::json;

use crate::world::{World, chain};

#[test]
fn a_result_that_cannot_be_kept_fails_its_attempt() {
    for text in [format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), r#"{"a":"\u0000"}"#.to_owned()] {
        let mut world = World::with(&chain(&["a"]));
        let run = world.start("chain", json!({}));
        let task = world.tasks().remove(0);
        let output = Json::from_text(text).unwrap();
        world.report(&task, ReportOutcome::Succeeded { output, assets: Vec::new() }).unwrap();
        let code = "output_invalid";
        let expected = format!("started a:try1 a:failed({code}) a:dead({code}) FAILED({code})");
        assert_eq!(world.timeline(run), expected);
    }
}
