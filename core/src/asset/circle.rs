//! Whether the first versions of assets would wait for each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::definition::{Definition, OnMiss, Require};
use crate::{AssetId, NodeId, Slug};

/// A workflow that makes an asset, and what its runs may have made for them before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    pub workflow: Slug,
    pub needs: Vec<AssetId>,
}

/// Returns the assets whose producer a run of this definition may start and wait for, with the node that would.
/// What the workflow itself produces is not among them: its runs have it by then, or fail on their own account.
pub fn awaited(definition: &Definition) -> Vec<(NodeId, AssetId)> {
    let own: BTreeSet<_> = definition.nodes.iter().flat_map(|node| &node.produces).map(|p| &p.asset).collect();
    let mut awaited = Vec::new();
    for node in &definition.nodes {
        for consumes in &node.consumes {
            let starts = matches!(consumes.on_miss, None | Some(OnMiss::Materialize));
            let by_number = matches!(consumes.require, Require::Version(_));
            if starts && !by_number && !own.contains(&consumes.asset) {
                awaited.push((node.id.clone(), consumes.asset.clone()));
            }
        }
    }
    awaited
}

/// Finds the shortest way from an asset that a workflow waits for back to one it makes: who makes which asset, in
/// order; the last needs the asset that is returned beside them.
pub fn circle(
    wanted: &AssetId,
    made: &BTreeSet<AssetId>,
    makers: &BTreeMap<AssetId, Vec<Maker>>,
) -> Option<(Vec<(Slug, AssetId)>, AssetId)> {
    let mut seen = BTreeSet::from([wanted.clone()]);
    let mut ways = VecDeque::from([(Vec::new(), wanted.clone())]);
    while let Some((way, asset)) = ways.pop_front() {
        for maker in makers.get(&asset).into_iter().flatten() {
            let mut way: Vec<(Slug, AssetId)> = way.clone();
            way.push((maker.workflow.clone(), asset.clone()));
            if let Some(back) = maker.needs.iter().find(|need| made.contains(need)) {
                return Some((way, back.clone()));
            }
            for need in &maker.needs {
                if seen.insert(need.clone()) {
                    ways.push_back((way.clone(), need.clone()));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::compile;

    fn asset(id: &str) -> AssetId {
        id.parse().unwrap()
    }

    fn maker(workflow: &str, needs: &[&str]) -> Maker {
        Maker { workflow: workflow.parse().unwrap(), needs: needs.iter().map(|id| asset(id)).collect() }
    }

    #[test]
    fn the_shortest_circle_is_found_and_nothing_else() {
        let makers = BTreeMap::from([
            (asset("a"), vec![maker("far", &["b"]), maker("near", &["c"])]),
            (asset("b"), vec![maker("b-maker", &["a", "c"])]),
            (asset("c"), vec![maker("c-maker", &["end"])]),
            (asset("x"), vec![maker("x-maker", &["y"])]),
            (asset("y"), vec![maker("y-maker", &["x"])]),
        ]);
        let made = BTreeSet::from([asset("End")]);
        let (way, back) = circle(&asset("a"), &made, &makers).unwrap();
        let told: Vec<_> = way.iter().map(|(workflow, asset)| format!("{workflow} makes {asset}")).collect();
        assert_eq!((told.join(", ").as_str(), back), ("near makes a, c-maker makes c", asset("end")));
        assert_eq!(circle(&asset("x"), &made, &makers), None, "a circle of others is theirs");
        assert_eq!(circle(&asset("unknown"), &made, &makers), None);
    }

    #[test]
    fn a_run_waits_only_for_what_it_may_have_made() {
        let consumes = |id: &str, more: serde_json::Value| {
            let mut entry = json!({"assetId": id});
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            entry
        };
        let document = json!({"slug": "w", "steps": [
            {"id": "a", "jobSlug": "a", "produces": [{"assetId": "own"}], "consumes": [
                consumes("default", json!({})), consumes("made", json!({"onMiss": "materialize"})),
                consumes("waited", json!({"onMiss": "wait"})), consumes("numbered", json!({"version": 3})),
            ]},
            {"id": "b", "jobSlug": "b", "dependsOn": ["a"], "consumes": [consumes("own", json!({}))]},
        ]});
        let (definition, _) = compile(&document).unwrap();
        let awaited: Vec<_> = awaited(&definition).into_iter().map(|(node, asset)| format!("{node} {asset}")).collect();
        assert_eq!(awaited, ["a default", "a made"]);
    }
}
