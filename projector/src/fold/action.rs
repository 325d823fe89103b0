//! What an action's events mean for `actions` and `action_defs`.

use headwater_core::action::ActionEvent;
use headwater_core::shard::ActionKey;

use super::document::text;
use super::{Changes, CommitHead};
use crate::tables::ActionRow;

impl Changes {
    pub(super) fn fold_action(&mut self, head: CommitHead<'_>, key: &ActionKey, events: Vec<ActionEvent>) {
        for event in events {
            let selected = match event {
                ActionEvent::ActionApplied { version, content_hash, document } => {
                    let said = document.to_value();
                    self.action_defs.push(ActionRow {
                        key: key.clone(),
                        version,
                        content_hash,
                        name: text(&said, "name"),
                        description: text(&said, "description"),
                        applied_at: head.time,
                        applied_by: head.by.cloned(),
                        document,
                    });
                    version
                }
                ActionEvent::ActionSelected { version } => version,
            };
            self.actions.select(key, selected, head.time);
        }
    }
}
