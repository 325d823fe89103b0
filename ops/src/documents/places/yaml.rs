//! The places in YAML that was read before: it is known to be right.

use std::collections::HashMap;

use granit_parser::{Event, Parser, Span};

use super::{At, Place, Sought};

/// Goes through the documents of a text, and tells of the places that are sought.
pub(super) fn walk(text: &str, sought: &mut Sought<'_>) {
    let mut walk = Walk { documents: 0, open: Vec::new(), names: HashMap::new() };
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let Ok((event, span)) = event else { return };
        walk.see(&event, &span, sought);
    }
}

/// A sequence or a mapping that is open.
struct Open {
    spot: At,
    mapping: bool,
    /// How many nodes it has, keys too.
    nodes: usize,
    /// Of the key before: where its value is sought.
    field: At,
}

struct Walk {
    documents: usize,
    open: Vec<Open>,
    /// The texts that have an anchor, which can be keys by an alias.
    names: HashMap<usize, String>,
}

impl Walk {
    fn see(&mut self, event: &Event<'_>, span: &Span, sought: &mut Sought<'_>) {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                if *anchor > 0 {
                    self.names.insert(*anchor, text.to_string());
                }
                self.node(Some(text), span, sought);
            }
            Event::Alias(anchor) => {
                let name = self.names.get(anchor).cloned();
                self.node(name.as_deref(), span, sought);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let spot = self.node(None, span, sought);
                let mapping = matches!(event, Event::MappingStart(..));
                self.open.push(Open { spot, mapping, nodes: 0, field: None });
            }
            Event::SequenceEnd | Event::MappingEnd => drop(self.open.pop()),
            Event::DocumentEnd => self.documents += 1,
            // Theirs, and open to additions.
            _ => {}
        }
    }

    /// A node begins: returns where it is sought. A key is its text.
    fn node(&mut self, text: Option<&str>, span: &Span, sought: &mut Sought<'_>) -> At {
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        let spot = match self.open.last_mut() {
            None => sought.item(Some(Sought::WHOLE), self.documents),
            Some(open) => {
                open.nodes += 1;
                if open.mapping && open.nodes % 2 == 1 {
                    open.field = text.and_then(|name| sought.field(open.spot, name));
                    if let Some(spot) = open.field {
                        sought.see_name(spot, place);
                    }
                    return None;
                }
                if open.mapping { open.field } else { sought.item(open.spot, open.nodes - 1) }
            }
        };
        // Where nothing is written the parser is at what follows.
        if let Some(spot) = spot.filter(|_| text.is_none() || !span.is_empty()) {
            sought.see_value(spot, place);
        }
        spot
    }
}
