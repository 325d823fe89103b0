//! How much of an explanation is told: what a run has very many of is counted.

use serde::Serialize;

/// About how many bytes one list of an explanation has at most.
pub const EXPLANATION_BYTES_MAX: usize = 256 << 10;

/// How many there are, and the first of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed<T> {
    pub total: u32,
    pub first: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { total: 0, first: Vec::new() }
    }
}

/// How much of a list is still told. Once something has no room, nothing after it is told either.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    pub fn of(entries_max: usize) -> Self {
        Self { entries: entries_max, bytes: EXPLANATION_BYTES_MAX }
    }

    /// Returns room for a list within an entry: so many entries, of the bytes that are left.
    pub fn within(self, entries_max: usize) -> Self {
        Self { entries: entries_max, ..self }
    }

    pub fn is_full(self) -> bool {
        self.entries == 0
    }
}

impl<T> Listed<T> {
    /// Counts an entry, and tells it where there is room for so many bytes; it is made only then.
    pub(super) fn count(&mut self, room: &mut Room, bytes: impl FnOnce(&T) -> usize, entry: impl FnOnce(Room) -> T) {
        self.total = self.total.saturating_add(1);
        if room.is_full() {
            return;
        }
        let entry = entry(*room);
        let bytes = bytes(&entry);
        if bytes > room.bytes {
            room.entries = 0;
            return;
        }
        (room.entries, room.bytes) = (room.entries - 1, room.bytes - bytes);
        self.first.push(entry);
    }
}

/// About how many bytes an entry has beside its texts.
pub(super) const ENTRY_BYTES: usize = 160;
/// How many characters of an expression are told.
const TEXT_CHARS_MAX: usize = 512;

/// Returns what is told of an expression.
pub(super) fn told(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted_and_nothing_after_it_is_told() {
        let (mut listed, mut room) = (Listed::default(), Room::of(3));
        for bytes in [10, EXPLANATION_BYTES_MAX, 10, 10] {
            listed.count(&mut room, |entry| *entry, |_| bytes);
        }
        assert_eq!(listed, Listed { total: 4, first: vec![10] });
        let (mut listed, mut room) = (Listed::default(), Room::of(2));
        (0..5).for_each(|entry| listed.count(&mut room, |_| 1, |_| entry));
        assert_eq!(listed, Listed { total: 5, first: vec![0, 1] });
        assert_eq!(told(&"x".repeat(600)).chars().count(), 513);
    }
}
