//! Which paths there are. The OpenAPI document lists the same, and a test holds the two together.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::{MethodRouter, get, post};

use super::{
    Api, apply, assets, batch, events, health, holds, metrics, openapi, operations, quarantine, runs, start, workflows,
};

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

const PATIENCE: Duration = Duration::from_secs(40);

fn reads(path: &'static str, handler: MethodRouter<Arc<Api>>) -> Route {
    Route { path, methods: &["get"], handler, patience: PATIENCE, body_wait: None }
}

fn writes(path: &'static str, handler: MethodRouter<Arc<Api>>) -> Route {
    Route { path, methods: &["post"], handler, patience: PATIENCE, body_wait: None }
}

/// Every route.
pub fn all() -> Vec<Route> {
    vec![
        Route {
            path: "/workflows",
            methods: &["get", "post"],
            handler: get(workflows::list).post(apply::apply),
            patience: PATIENCE,
            body_wait: None,
        },
        Route {
            patience: batch::PATIENCE,
            body_wait: Some(batch::BODY_WAIT),
            ..writes("/batches", post(batch::apply))
        },
        writes("/workflows/validate", post(apply::validate)),
        reads("/workflows/{slug}", get(workflows::current)),
        reads("/workflows/{slug}/versions", get(workflows::versions)),
        reads("/workflows/{slug}/versions/{version}", get(workflows::version)),
        reads("/workflows/{slug}/assets", get(assets::of_workflow)),
        reads("/workflows/{slug}/assets/{assetId}/history", get(assets::history_in_workflow)),
        Route { patience: PATIENCE + start::WAIT_MAX, ..writes("/workflows/{slug}/runs", post(start::start)) },
        reads("/runs", get(runs::list)),
        reads("/runs/{runId}", get(runs::one)),
        reads("/runs/{runId}/traces", get(runs::traces)),
        reads("/runs/{runId}/events", get(events::page)),
        reads("/runs/{runId}/events/stream", get(events::stream)),
        writes("/runs/{runId}/cancel", post(runs::cancel)),
        reads("/assets", get(assets::list)),
        reads("/assets/{assetId}", get(assets::one)),
        reads("/assets/{assetId}/history", get(assets::history)),
        reads("/queues/{queue}", get(operations::queue)),
        reads("/quarantine", get(quarantine::list)),
        reads("/quarantine/{aggregate}", get(quarantine::one)),
        Route {
            patience: quarantine::PATIENCE,
            ..writes("/quarantine/{aggregate}/release", post(quarantine::release))
        },
        reads("/holds", get(holds::list)),
        Route { patience: holds::PATIENCE, ..writes("/holds/{shard}/release", post(holds::release)) },
        reads("/projection", get(operations::projection)),
        reads("/problems", get(operations::problems)),
        reads("/problems/{area}/{name}", get(operations::problem)),
        reads("/openapi.json", get(openapi::serve)),
        reads("/metrics", get(metrics::serve)),
        reads("/livez", get(health::live)),
        reads("/readyz", get(health::ready)),
    ]
}

/// Returns every path with its methods.
pub fn paths() -> Vec<(&'static str, &'static [&'static str])> {
    all().into_iter().map(|route| (route.path, route.methods)).collect()
}
