//! What people are asked: the list of what is open, and how it is answered. An answer is decided by its run's shard.
//!
//! | module | question it answers |
//! |---|---|
//! | here | what is open, and what one task asks |
//! | `answer` | how somebody answers, and how others are asked instead |

mod answer;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use headwater_projector::queries::{self, TaskFilter, TaskId, TasksAfter};

use super::routes::{Route, reads, writes};
use super::{Api, Problem, run};
use crate::api::reading::Reading;
use crate::codes::Code;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        reads("/tasks", get(list)),
        reads("/tasks/{taskId}", get(one)),
        writes("/runs/{runId}/tasks/{node}/answers", post(answer::answer)),
        writes("/runs/{runId}/tasks/{node}/reassign", post(answer::reassign)),
    ]
}

const LIMIT: u32 = 50;

/// `GET /tasks`
async fn list(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let filter = TaskFilter {
        assignee: reading.parameter("assignee")?,
        workflow: reading.parameter("workflow")?,
        run: reading.parameter("run")?,
    };
    let (limit, after) = (reading.limit(LIMIT)?, reading.cursor::<TasksAfter>("cursor")?);
    let workspace = reading.begin(&api).await?;
    Ok(api.read(queries::tasks(&api.reads, &workspace, &filter, after.as_ref(), limit).await?))
}

/// `GET /tasks/{taskId}`
async fn one(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let id: TaskId = reading.name("taskId")?;
    let workspace = reading.begin(&api).await?;
    let task = queries::task(&api.reads, &workspace, &id).await?;
    let not_found = || Problem::new(Code::TaskNotFound, format!("there is no task {id} in this workspace"));
    Ok(api.read(task.ok_or_else(not_found)?))
}
