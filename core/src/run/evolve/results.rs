//! What it means that a node has made something, or has got what it needs.

use super::{Fold, Place};
use crate::definition::Outcome;
use crate::dialogue::InputVersion;
use crate::expr::ConsumedAsset;
use crate::run::state::Phase;
use crate::run::{RunEvent, landing, recall};

/// Notes what a node has consumed.
pub(super) fn consume(run: &mut Fold<'_>, place: Place, consumed: ConsumedAsset) {
    let ConsumedAsset { asset, partition, version, .. } = &consumed;
    let input = InputVersion { asset: asset.clone(), partition: partition.clone(), version: *version };
    run.assets.consume(input);
    run.node_mut(place).consumed.push(consumed);
}

/// Learns that a node has succeeded.
pub(super) fn succeed(run: &mut Fold<'_>, event: &RunEvent) {
    let RunEvent::NodeSucceeded { node, output, assets, taken, landed, reused, .. } = event else { return };
    let place = run.place(node);
    for consumed in recall::take(run, place, reused.as_deref()) {
        consume(run, place, consumed);
    }
    run.enter(place, Phase::Succeeded);
    run.node_mut(place).asked = None;
    run.node_mut(place).output = Some(output.clone());
    if let Some(key) = run.origin.definition().node(place.node).store_as.clone() {
        run.store(place.branch, key, output.clone());
    }
    // A sandbox publishes nothing.
    let published = if recall::is_sandbox(run) { &[][..] } else { assets };
    for made in published {
        run.assets.produce(place, (made.asset_id.clone(), made.partition_key.clone()));
    }
    if let (Some(digest), None) = (landed, reused) {
        landing::begin(run, place, output, digest);
    }
    match taken {
        Some(taken) => run.leave_over(place, taken),
        None => run.leave(place, |definition, transition| definition.transition(transition).on == Outcome::Success),
    }
}
