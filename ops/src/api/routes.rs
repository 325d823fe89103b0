//! Which paths there are: those of every resource. The OpenAPI document lists the same, and a test holds the two together.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::MethodRouter;

use super::{Api, action, asset, callback, hold, operations, projection, quarantine, queue, run, task, workflow};

/// A path, what answers there, and how long that may take until the answer begins.
pub struct Route {
    pub path: &'static str,
    /// In the order of the OpenAPI document.
    pub methods: &'static [&'static str],
    pub handler: MethodRouter<Arc<Api>>,
    pub patience: Duration,
    /// How long its body may take to arrive; absent: as long as any.
    pub body_wait: Option<Duration>,
}

/// How long an answer may take that waits for nothing.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Makes a route that is asked.
pub fn reads(path: &'static str, handler: MethodRouter<Arc<Api>>) -> Route {
    Route { path, methods: &["get"], handler, patience: PATIENCE, body_wait: None }
}

/// Makes a route that is told.
pub fn writes(path: &'static str, handler: MethodRouter<Arc<Api>>) -> Route {
    Route { path, methods: &["post"], handler, patience: PATIENCE, body_wait: None }
}

/// Every route.
pub fn all() -> Vec<Route> {
    let resources = [
        workflow::routes(),
        action::routes(),
        run::routes(),
        task::routes(),
        callback::routes(),
        asset::routes(),
        queue::routes(),
        quarantine::routes(),
        hold::routes(),
        projection::routes(),
        operations::routes(),
    ];
    resources.into_iter().flatten().collect()
}

/// Returns every path with its methods.
pub fn paths() -> Vec<(&'static str, &'static [&'static str])> {
    all().into_iter().map(|route| (route.path, route.methods)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let shipped = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path.file_name().unwrap().to_string_lossy().into_owned(), shipped));
            }
        }
    }

    #[test]
    fn every_answer_has_a_type() {
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api"), &mut found);
        assert!(found.len() > 25, "the sources are not read: {found:?}");
        // The document of OpenAPI is not an answer of ours.
        let untyped = found.iter().filter(|(name, text)| name != "openapi.rs" && text.contains("json!({"));
        assert_eq!(untyped.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [""; 0]);
    }
}
