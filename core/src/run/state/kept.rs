//! What has succeeded in a run and can be undone.

use rustc_hash::FxHashSet;

use super::Place;
use crate::Json;
use crate::failure::RunFailure;

/// How often in a run nodes may succeed that say what undoes them.
pub(in crate::run) const KEPT_MAX: usize = 10_000;
/// How many bytes what undoes them is given, together.
pub(in crate::run) const KEPT_BYTES_MAX: usize = 16 << 20;

/// A node that has succeeded, and what is given to whatever undoes it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) struct Kept {
    pub place: Place,
    pub input: Json,
}

/// All of them, in the order in which they have succeeded.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::run) struct KeptAll {
    order: Vec<Kept>,
    places: FxHashSet<Place>,
    bytes: usize,
}

impl KeptAll {
    pub fn keep(&mut self, place: Place, input: Json) {
        self.places.insert(place);
        self.bytes += input.len_bytes();
        self.order.push(Kept { place, input });
    }

    /// Takes the one that has succeeded last.
    pub fn take_last(&mut self) -> Option<Kept> {
        let kept = self.order.pop()?;
        self.places.remove(&kept.place);
        self.bytes -= kept.input.len_bytes();
        Some(kept)
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns whether this is one of them.
    pub fn holds(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        self.order.iter()
    }

    /// Says why one more, of so many bytes, cannot be kept.
    pub fn refuses(&self, bytes: usize, bytes_of_one_max: usize) -> Option<RunFailure> {
        let failure = |message: String| Some(RunFailure::new("compensation_limit", message));
        if self.order.len() >= KEPT_MAX {
            return failure(format!("{KEPT_MAX} nodes have succeeded that the run would undo, and no run undoes more"));
        }
        if bytes > bytes_of_one_max {
            return failure(format!(
                "what undoes the node would be given {bytes} bytes, and {bytes_of_one_max} are the most"
            ));
        }
        let all = self.bytes + bytes;
        let message = || {
            format!("what undoes the nodes of the run would be given {all} bytes, and {KEPT_BYTES_MAX} are the most")
        };
        if all > KEPT_BYTES_MAX { failure(message()) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::NodeIx;

    #[test]
    fn what_a_run_undoes_is_bounded_in_number_and_in_bytes() {
        let mut kept = KeptAll::default();
        let code = |failure: Option<RunFailure>| failure.map(|failure| failure.code);
        let limit = Some("compensation_limit".to_owned());
        assert_eq!(code(kept.refuses(100, 100)), None);
        assert_eq!(code(kept.refuses(101, 100)), limit);
        let large = Json::of(&"x".repeat(1 << 20));
        (0..15).for_each(|number| kept.keep(Place::root(NodeIx(number)), large.clone()));
        assert_eq!(code(kept.refuses(large.len_bytes(), 1 << 30)), limit);
        (0..15).for_each(|_| assert!(kept.take_last().is_some()));
        assert_eq!(kept, KeptAll::default());
        (0..KEPT_MAX as u32).for_each(|number| kept.keep(Place::root(NodeIx(number)), Json::null()));
        assert_eq!(code(kept.refuses(0, 100)), limit);
    }
}
