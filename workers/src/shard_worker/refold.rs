//! The history of one quarantined aggregate, read from its journal for a release.

use headwater_core::shard::{AggregateId, Bundle, Compiler, RefoldOrder, Refolded, Refolding, ShardMap};
use headwater_core::{Sequence, ShardId};
use headwater_streams::journals::{Entry, Journals, Stretch};
use headwater_streams::values::Values;

use super::recover::aside;
use super::values::{fill, next_piece};

/// Folds the history anew.
///
/// # Errors
/// Why it cannot be: in words for whoever asked for the release.
pub(super) async fn refold<J: Journals>(
    journals: &J,
    values: &impl Values,
    shard: ShardId,
    order: RefoldOrder,
    map: ShardMap,
    compiler: &Compiler,
) -> Result<Refolded, String> {
    let info = journals.describe(shard).await.map_err(|error| format!("the journal cannot be read: {error}"))?;
    let info = info.ok_or_else(|| "the journal is gone".to_owned())?;
    if info.first > Sequence::FIRST {
        return Err(format!("the journal begins at entry {}, so its history is not whole", info.first));
    }
    let mut stretch = Stretch::new(journals, shard, Sequence::FIRST, order.through.in_stream());
    let of = order.aggregate.clone();
    let mut refolding = Refolding::new(order, shard, map)?.compiling(compiler);
    loop {
        let entries = stretch.next().await.map_err(|error| format!("the journal cannot be read: {error}"))?;
        if entries.is_empty() {
            break;
        }
        let of = of.clone();
        let reading = aside(move || entries.iter().map(|entry| read(entry, &of)).collect::<Result<Vec<_>, _>>());
        let mut bundles = reading.await.map_err(|panic| panic.to_string()).flatten()?;
        while !bundles.is_empty() {
            let mut piece = next_piece(&mut bundles, |(_, bundle)| bundle);
            let filled = fill(values, piece.iter_mut().map(|(_, bundle)| bundle)).await;
            filled.map_err(|error| format!("a value cannot be read: {error}"))?;
            let folding = aside(move || {
                piece.iter().for_each(|(sequence, bundle)| refolding.fold(*sequence, bundle));
                refolding
            });
            refolding = folding.await.map_err(|panic| panic.to_string())?;
        }
    }
    let finishing = aside(move || refolding.finish());
    finishing.await.map_err(|panic| panic.to_string()).flatten()
}

/// Reads what a bundle says of an aggregate, and of definitions: the values of others are not looked for.
fn read(Entry { sequence, bytes, .. }: &Entry, of: &AggregateId) -> Result<(Sequence, Bundle), String> {
    let mut bundle = Bundle::read(bytes).map_err(|error| format!("entry {sequence}: {error}"))?;
    bundle.commits.retain(|commit| commit.aggregate == *of || matches!(commit.aggregate, AggregateId::Definition(..)));
    Ok((*sequence, bundle))
}
