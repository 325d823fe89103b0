//! What a definition cannot ask people.

use headwater_core::definition::{FORM_BYTES_MAX, compile};
use serde_json::{Value, json};

fn said_of(more: &Value) -> String {
    let mut action = json!({"kind": "human_input", "title": "t", "form": {"type": "boolean"}});
    action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let document = json!({"slug": "w", "steps": [{"id": "a", "action": action}]});
    let problems = compile(&document).err().map(|problems| problems.0).unwrap_or_default();
    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn what_people_cannot_be_asked_is_refused_with_its_place() {
    let many: Vec<String> = (0..101).map(|n| format!("p{n}")).collect();
    for (more, expected) in [
        (json!({"title": null}), "/title"),
        (json!({"title": ""}), "one line of 1 to 300"),
        (json!({"title": "a\nb"}), "one line of 1 to 300"),
        (json!({"title": 7}), "a title is a text"),
        (json!({"description": "x".repeat(9_000)}), "at most 8192 bytes"),
        (json!({"form": null}), "/form"),
        (json!({"form": {"type": "nothing"}}), "/form"),
        (json!({"form": {"description": "x".repeat(FORM_BYTES_MAX)}}), "a form has at most"),
        (json!({"assignees": "ada"}), "a list of names"),
        (json!({"assignees": [" ada"]}), "actor"),
        (json!({"assignees": many}), "at most 100 people"),
        (json!({"due": "soon"}), "a span of time like `2d`"),
        (json!({"due": -1}), "a span of time like `2d`"),
        (json!({"quorum": 0}), "/quorum"),
        (json!({"quorum": 3, "assignees": ["ada", "bo", "ada"]}), "assigned to 2"),
        (json!({"onInvalid": "shrug"}), "/onInvalid"),
        (json!({"dueAt": "2d"}), "there is no field `dueAt`"),
    ] {
        let said = said_of(&more);
        assert!(said.contains(expected), "{more}: {said}");
    }
    for fine in [
        json!({"due": "2d", "quorum": 2, "assignees": ["ada", "bo"], "onInvalid": "fail"}),
        json!({"due": "2030-01-31T08:00:00Z", "title": "${{ input.t }}", "assignees": "${{ input.who }}", "quorum": 9}),
        json!({"due": 60_000, "form": true, "description": "${{ input.d }}", "assignees": []}),
    ] {
        assert_eq!(said_of(&fine), "", "{fine}");
    }
}
