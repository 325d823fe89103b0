//! How a run comes to be called what it is called: at its start, and by what its nodes make.

use std::collections::BTreeMap;

use super::decision::Decision;
use super::state::{Place, Run, WayOut};
use super::{Description, RunEvent, RunFailure};
use crate::definition::ATTRIBUTES_MAX;
use crate::dialogue::{StartWishes, invalid, text_of};
use crate::expr::{Scope, Template, Work};
use crate::{Json, Timestamp};

/// Says what a run is called that has just begun. What its definition makes of its input is made now, or the run fails.
pub(super) fn describe_start(decision: &mut Decision<'_>, wishes: Option<&StartWishes>) {
    let made = of_start(decision.run(), decision.now(), decision.turn.work());
    match made {
        Ok(mut description) => {
            if let Some(wishes) = wishes {
                description.learn(&wishes.description);
            }
            match description.check() {
                Ok(()) if description.is_empty() => {}
                Ok(()) => decision.emit(RunEvent::RunDescribed { description }),
                Err(why) => decision.fail(invalid(&why)),
            }
        }
        Err(failure) => decision.fail(failure),
    }
}

fn of_start(run: &Run, now: Timestamp, work: &Work) -> Result<Description, RunFailure> {
    let Some(naming) = &run.definition().naming else { return Ok(Description::default()) };
    run.with_scope_of_end(now, |scope| {
        let render = |template: &Template| template.render_within(scope, work).map_err(|error| error.into_failure());
        let name = naming.name.as_ref().map(|name| text_of(&render(name)?)).transpose()?;
        let label = |(key, template): (&String, &Template)| Ok((key.clone(), text_of(&render(template)?)?));
        let labels = naming.labels.iter().map(label).collect::<Result<_, RunFailure>>()?;
        Ok(Description { name, labels, attributes: rendered(&naming.attributes, scope, work)? })
    })
}

fn rendered(
    templates: &BTreeMap<String, Template>,
    scope: &Scope<'_>,
    work: &Work,
) -> Result<BTreeMap<String, Json>, RunFailure> {
    let one = |(key, template): (&String, &Template)| {
        let value = template.render_within(scope, work).map_err(|error| error.into_failure())?;
        Ok((key.clone(), value))
    };
    templates.iter().map(one).collect()
}

/// Makes the search attributes that a node sets which ends well with this output.
///
/// # Errors
/// What keeps one from having a value, or from being one.
pub(super) fn set_by(
    run: &Run,
    place: Place,
    output: &Json,
    now: Timestamp,
    work: &Work,
) -> Result<Option<RunEvent>, RunFailure> {
    let templates = &run.definition().node(place.node).set_attributes;
    if templates.is_empty() {
        return Ok(None);
    }
    let attributes =
        run.with_scope_after(place, WayOut::Succeeded(output), &[], now, |scope| rendered(templates, scope, work))?;
    let news = Description { attributes, ..Description::default() };
    news.check().map_err(|why| invalid(&why))?;
    let known = run.description.as_deref().map(|known| &known.attributes);
    let is_new = |key: &&String| !known.is_some_and(|known| known.contains_key(*key));
    let count = known.map_or(0, BTreeMap::len) + news.attributes.keys().filter(is_new).count();
    if count > ATTRIBUTES_MAX {
        return Err(invalid(&format!(
            "the run would have {count} search attributes, and {ATTRIBUTES_MAX} are the most"
        )));
    }
    Ok(Some(RunEvent::RunDescribed { description: news }))
}
