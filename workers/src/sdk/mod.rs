//! What worker programs are written with: handlers in, results out.
//!
//! ```no_run
//! use headwater_streams::BrokerConfig;
//! use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker};
//!
//! async fn greet(context: Context, name: String) -> Result<Outcome, HandlerError> {
//!     context.log("greeting");
//!     Ok(Outcome::of(&format!("hello {name}")))
//! }
//!
//! # async fn program() -> Result<(), Box<dyn std::error::Error>> {
//! let worker = Worker::builder()
//!     .workspace("default".parse()?)
//!     .broker(BrokerConfig::new("nats://127.0.0.1:4222"))
//!     .handler("greet".parse()?, greet)
//!     .build()?;
//! worker.run(async { drop(tokio::signal::ctrl_c().await) }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A handler runs once for each attempt and may do anything: it is never replayed. What it returns is durable before
//! anything follows from it. An attempt that is lost (a crash, a cut cable) is tried again as another attempt, so
//! effects outside should be made under [`Context::idempotency_key`].

mod builder;
mod context;
mod handler;
mod outcome;
mod splitting;

pub use builder::{BuildError, Worker, WorkerBuilder, WorkerError};
pub use context::Context;
pub(crate) use handler::{Handle, Handlers};
pub use outcome::{HandlerError, JobResult, JobStatus, Outcome};
pub use splitting::{ResultError, split_result};
