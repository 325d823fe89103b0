//! `noop`: nothing, which is what joins and forks are made of. Its output is the node's input.

use super::{Input, Kind, Read, Said, keep};
use crate::definition::Execution;
use crate::definition::document::Fields;
use crate::definition::template::Use;

pub(super) static KIND: Kind = Kind { word: "noop", read, input: Input::Anything };

fn read(node: &mut Fields<'_>, said: Said<'_>, _uses: &mut Vec<Use>) -> Option<Read> {
    match said {
        Said::Word(_) => {}
        Said::Object(own) => drop(own.finish()),
    }
    keep(node, &KIND);
    Some(Execution::Inside { output: None }.into())
}
