//! How a process is, and what its codes mean: for people who run it, and for what watches it.

mod codes;
mod health;
pub mod metrics;

use axum::routing::get;

use super::openapi;
use super::routes::{Route, reads};

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        reads("/problems", get(codes::list)),
        reads("/problems/{area}/{name}", get(codes::one)),
        reads("/openapi.json", get(openapi::serve)),
        reads("/metrics", get(metrics::serve)),
        reads("/livez", get(health::live)),
        reads("/readyz", get(health::ready)),
    ]
}
