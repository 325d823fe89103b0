//! What of a journal can be read, and what becomes of the rest.

use bytes::Bytes;
use headwater_core::definition::{INLINE_BYTES_MAX, StoredDocument};
use headwater_core::{Json, Sequence, ShardId};
use headwater_projector::{Batch, Cursor, Discontinuity};
use headwater_streams::journals::Entry;
use serde_json::{Value, json};

use crate::{COMMAND, RUN, bundle, fold, run, scheduled, started, succeeded};

#[test]
fn a_commit_that_cannot_be_read_is_buried_and_its_neighbours_are_not() {
    let good = json!([started()]);
    let unknown = json!([run(json!({"runAscended": {}}))]);
    let misplaced = json!([{"workflow": {"versionSelected": {"version": 1}}}]);
    let name = format!("run/{RUN}");
    let entry = bundle(&[
        ("run/not-a-uuid", 1, good.clone()),
        (&name, 1, unknown),
        (&name, 1, misplaced),
        (&name, 1, json!([])),
        (&name, 1, good),
    ]);
    let changes = fold(&[entry]);
    let mut dead: Vec<_> = changes.dead.iter().map(|row| row.ordinal).collect();
    dead.sort();
    assert_eq!(dead, [0, 1, 2, 3]);
    assert_eq!(changes.commits.len(), 1);
    assert_eq!(changes.runs.rows().len(), 1);

    for bytes in
        [&b"\xff"[..], b"", b"{}", br#"{"shard":1,"epoch":1,"id":"x","previous":"","effectsDone":0,"commits":[]}"#]
    {
        let entry = Entry { sequence: Sequence::new(1), bytes: Bytes::copy_from_slice(bytes) };
        let changes = fold(&[entry]);
        assert_eq!((changes.dead.len(), changes.commits.len()), (1, 0));
        assert_eq!(changes.dead[0].ordinal, -1);
    }
}

/// An older process during an upgrade: what it cannot read is not its to bury.
#[test]
fn a_bundle_that_needs_a_later_release_stops_the_shard_and_is_not_buried() {
    let shard = ShardId::new(0).unwrap();
    let known = bundle(&[(&format!("run/{RUN}"), 1, json!([started()]))]);
    let head = format!(r#""shard":0,"epoch":1,"id":"{COMMAND}","previous":"","effectsDone":0,"needs":99"#);
    let later = [
        // Today's words with another meaning, words nobody knows, and another form of the whole.
        String::from_utf8(known.bytes.to_vec()).unwrap().replacen('{', r#"{"needs":99,"#, 1),
        format!(r#"{{{head},"commits":[{{"aggregate":"robot/1","events":[]}}]}}"#),
        format!(r#"{{{head},"groups":{{}}}}"#),
    ];
    for text in later {
        let (mut batch, cursor) = (Batch::default(), Cursor::start(shard));
        let at = |sequence, bytes: Bytes| Entry { sequence: Sequence::new(sequence), bytes };
        batch.push(&cursor, at(1, known.bytes.clone())).unwrap();
        let stopped = batch.push(&cursor, at(2, text.clone().into())).unwrap_err();
        assert_eq!(stopped, Discontinuity::Newer { shard, found: Sequence::new(2), needs: 99 }, "{text}");
        assert!(stopped.to_string().contains("needs a release that knows format 99"), "{stopped}");
        assert_eq!((batch.changes().commits.len(), batch.changes().dead.len()), (1, 0), "{text}");
    }
}

/// What is stored elsewhere was fetched before, and stands where the journal names it; what is lost costs its commit.
#[test]
fn a_definition_that_the_journal_names_by_digest_is_projected_whole_or_buried() {
    let (shard, workspace) = (ShardId::new(0).unwrap(), "default".parse().unwrap());
    let filler = "x".repeat(INLINE_BYTES_MAX);
    let document =
        Json::of(&json!({"slug": "flow", "metadata": {"filler": filler}, "nodes": [{"id": "a", "action": "noop"}]}));
    let stored = StoredDocument::instead_of(&workspace, &document).unwrap();
    let applied =
        json!([{"workflow": {"workflowApplied": {"version": 1, "contentHash": "x", "document": stored.to_json()}}}]);
    let entry = |commits| Entry { sequence: Sequence::new(1), ..bundle(commits) };
    let entry = entry(&[("workflow/default/flow", 1, applied), (&format!("run/{RUN}"), 1, json!([started()]))]);
    for is_there in [true, false] {
        let mut batch = Batch::default();
        batch.bring(is_there.then(|| (stored.digest, document.clone())).into_iter().collect());
        batch.push(&Cursor::start(shard), entry.clone()).unwrap();
        let changes = batch.changes();
        let documents: Vec<_> = changes.definitions.iter().map(|row| row.document.clone()).collect();
        let reasons: Vec<_> = changes.dead.iter().map(|row| row.reason.as_str()).collect();
        if is_there {
            assert_eq!((documents, reasons.len()), (vec![document.clone()], 0));
        } else {
            assert_eq!((documents.len(), reasons.len(), changes.runs.rows().len()), (0, 1, 1));
            assert!(reasons[0].contains("the store of values has no"), "{reasons:?}");
        }
    }
}

#[test]
fn every_event_that_was_ever_written_is_projected() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/golden");
    let mut count = 0;
    for file in std::fs::read_dir(golden).unwrap() {
        let event: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let run = format!("run/{RUN}");
        let aggregate = match event.as_object().unwrap().keys().next().unwrap().as_str() {
            "run" => run.as_str(),
            "asset" => "asset/default/site.report",
            "workflow" => "workflow/default/flow",
            "memo" => "memo/7",
            "action" => "action/default/fetch",
            "definitionAdopted" => "definition/default/flow/1",
            "released" => match event["released"]["record"].as_object().unwrap().keys().next().unwrap().as_str() {
                "run" | "ended" => run.as_str(),
                "asset" => "asset/default/site.report",
                "workflow" => "workflow/default/flow",
                "memo" => "memo/7",
                "action" => "action/default/fetch",
                "definition" | "unknown" => "definition/default/flow/1",
                other => panic!("{other}"),
            },
            other => panic!("{other}"),
        };
        // Where the record of a release stands for any: it is the aggregate's to read.
        // Of memos nothing is shown, and so nothing read.
        let is_memo = aggregate.starts_with("memo/");
        let is_record = is_memo || !event.to_string().contains(r#""record":{"its":"record"}"#);
        // Some follow from the event before.
        let outcome = &event["run"]["branchEnded"]["outcome"]["succeededAs"];
        let before = outcome.is_object().then(|| super::succeeded("score@7", 1));
        let events: Vec<Value> = before.into_iter().chain([event.clone()]).collect();
        let changes = fold(&[bundle(&[(aggregate, 1, json!(events))])]);
        let behind = changes.parts.iter().map(|(_, then)| then.commits.len()).sum::<usize>();
        let written = (changes.commits.len() + behind, changes.dead.len());
        assert_eq!(written, if is_record { (1, 0) } else { (0, 1) }, "{:?}", changes.dead);
        count += 1;
    }
    assert!(count >= 27);
}

#[test]
fn what_was_taken_from_workers_before_the_reader_was_strict_is_projected_and_can_be_shown() {
    for written in
        [r#""\ud83d""#, "1e400", r#"{"s":1,"s":2}"#, "123456789012345678901234567890", r#"{"\ude00":[-1e999]}"#]
    {
        let produced = r#"{"assetId":"x.y","payload":"what follows","producedAt":1764100000000000000}"#;
        let record = json!({"run": RUN, "workflow": "flow", "definition": 1, "node": "a", "attempt": 1, "partition": null,
            "payload": "what follows", "schema": null, "freshness": null, "producedAt": 1_764_100_000_000_000_000_u64,
            "runStartedAt": 1, "runInput": {}, "inputs": []});
        let mut succeeded = succeeded("a", 1);
        succeeded["run"]["nodeSucceeded"]["output"] = json!("what follows");
        succeeded["run"]["nodeSucceeded"]["startedAt"] = json!(u64::MAX);
        succeeded["run"]["nodeSucceeded"]["assets"] = json!([serde_json::from_str::<Value>(produced).unwrap()]);
        let materialized = json!({"asset": {"assetMaterialized": {"version": 1, "record": record}}});
        let name = format!("run/{RUN}");
        let entry = bundle(&[
            (name.as_str(), 1, json!([started(), scheduled("a", 1), succeeded])),
            ("asset/default/x.y", 2, json!([materialized])),
        ]);
        let text = String::from_utf8(entry.bytes.to_vec()).unwrap().replace(r#""what follows""#, written);
        let changes = fold(&[Entry { bytes: text.into(), ..entry }]);
        assert!(changes.dead.is_empty(), "{written}: {:?}", changes.dead);
        let trace = changes.traces.rows().next().unwrap();
        assert_eq!(trace.started_at.unwrap().to_string(), "9999-12-30T21:59:59.999999Z");
        let [version] = &changes.versions[..] else { panic!("one version") };
        serde_json::to_value(&version.payload).unwrap();
        for commit in &changes.commits {
            let events: Vec<Json> = serde_json::from_str(std::str::from_utf8(commit.events.as_ref()).unwrap()).unwrap();
            events.iter().for_each(|event| drop(serde_json::to_value(event).unwrap()));
        }
    }
}
