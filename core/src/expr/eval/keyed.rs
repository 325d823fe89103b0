//! Macros that find a key for each item and do something with both: `sortBy`, `groupBy`, `minBy`, `maxBy`, `sum`.

use std::cmp::Ordering;
use std::rc::Rc;

use super::data;
use super::fault::Fault;
use super::value::{ENTRY_BYTES, ITEM_BYTES, Key, Map, Text, Value};
use crate::expr::work::Meter;

/// What is done with items and their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum By {
    /// A map of lists.
    Group,
    /// The items, in the order of their keys.
    Sort,
    /// The item with the least key.
    Min,
    /// The item with the greatest.
    Max,
    /// The keys added up.
    Sum,
}

impl By {
    const ALL: [(&'static str, Self); 5] = [
        ("groupBy", Self::Group),
        ("sortBy", Self::Sort),
        ("minBy", Self::Min),
        ("maxBy", Self::Max),
        ("sum", Self::Sum),
    ];

    pub(in super::super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, by)| *by)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, by)| *by == self).map_or("", |(name, _)| name)
    }

    /// Does it. There are as many keys as items.
    pub(super) fn apply<'a>(
        self,
        items: &[Value<'a>],
        keys: Vec<Value<'a>>,
        meter: &Meter<'_>,
    ) -> Result<Value<'a>, Fault> {
        match self {
            Self::Group => self.group(items, keys, meter),
            Self::Sort => self.sort(items, keys, meter),
            Self::Min => self.extreme(items, keys, Ordering::Less, meter),
            Self::Max => self.extreme(items, keys, Ordering::Greater, meter),
            Self::Sum => data::sum(self.name(), &keys, meter),
        }
    }

    fn sort<'a>(self, items: &[Value<'a>], keys: Vec<Value<'a>>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
        let bytes = data::check_order(self.name(), &keys, meter)?;
        data::charge_order(keys.len(), bytes, meter)?;
        meter.keep(2 * ITEM_BYTES * items.len())?;
        let mut pairs: Vec<_> = keys.into_iter().zip(items).collect();
        pairs.sort_by(|(left, _), (right, _)| data::order(left, right));
        Value::list(pairs.into_iter().map(|(_, item)| item.clone()).collect(), meter)
    }

    fn group<'a>(self, items: &[Value<'a>], keys: Vec<Value<'a>>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
        let mut pairs: Vec<(Text<'a>, &Value<'a>)> = Vec::with_capacity(items.len());
        for (key, item) in keys.into_iter().zip(items) {
            match key {
                Value::Text(key) => pairs.push((key, item)),
                other => {
                    let reason = format!("takes texts as keys, not {}: write string(…)", other.kind().name());
                    return Err(Fault::of_function(self.name(), reason));
                }
            }
        }
        let bytes = pairs.iter().fold(0_usize, |bytes, (key, _)| bytes.saturating_add(key.as_str().len()));
        data::charge_order(pairs.len(), bytes, meter)?;
        meter.keep(2 * ITEM_BYTES * pairs.len())?;
        pairs.sort_by(|(left, _), (right, _)| left.as_str().cmp(right.as_str()));
        let mut groups = Vec::new();
        for group in pairs.chunk_by(|(left, _), (right, _)| left.as_str() == right.as_str()) {
            let [(key, _), ..] = group else { continue };
            meter.keep(ENTRY_BYTES)?;
            let items = group.iter().map(|(_, item)| (*item).clone()).collect();
            groups.push((Key::Text(key.clone()), Value::list(items, meter)?));
        }
        Ok(Value::Map(Rc::new(Map::of(groups)?)))
    }

    /// Finds the first item whose key no other comes before.
    fn extreme<'a>(
        self,
        items: &[Value<'a>],
        keys: Vec<Value<'a>>,
        wanted: Ordering,
        meter: &Meter<'_>,
    ) -> Result<Value<'a>, Fault> {
        let bytes = data::check_order(self.name(), &keys, meter)?;
        meter.scan(bytes)?;
        let pairs = keys.iter().zip(items);
        let extreme = pairs.reduce(|best, pair| if data::order(pair.0, best.0) == wanted { pair } else { best });
        let (_, item) = extreme.ok_or_else(|| Fault::of_function(self.name(), "the list is empty"))?;
        Ok(item.clone())
    }
}
