//! Handlers of many types behind one.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use headwater_core::JobSlug;
use headwater_core::definition::BuiltIn;
use headwater_core::protocol::{Task, Work};
use serde::de::DeserializeOwned;

use super::{Context, HandlerError, Outcome};

/// A handler at work. A panic comes out as the failure `panic`.
pub(crate) type Attempted = BoxFuture<'static, Result<Outcome, HandlerError>>;

/// A handler.
pub(crate) struct Handle {
    call: Box<dyn Fn(Context) -> Attempted + Send + Sync>,
    /// Whether it once kept the thread for so long that it gets a task of its own from the start.
    heavy: AtomicBool,
}

impl Handle {
    pub(crate) fn new<I, O, F, Fut>(handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Into<Outcome>,
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, HandlerError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |context: Context| {
            let handler = handler.clone();
            let attempted = async move {
                let input = serde_json::from_str(context.input().as_str())
                    .map_err(|error| HandlerError::new("input_invalid", error.to_string()).permanent())?;
                handler(context, input).await.map(Into::into)
            };
            let outcome = |ended: Result<_, Box<dyn Any + Send>>| ended.unwrap_or_else(|panic| Err(panicked(&*panic)));
            AssertUnwindSafe(attempted).catch_unwind().map(outcome).boxed()
        };
        Self { call: Box::new(call), heavy: AtomicBool::new(false) }
    }

    pub(crate) fn call(&self, context: Context) -> Attempted {
        (self.call)(context)
    }

    pub(crate) fn is_heavy(&self) -> bool {
        self.heavy.load(Ordering::Relaxed)
    }

    pub(crate) fn is_heavy_from_now_on(&self) {
        self.heavy.store(true, Ordering::Relaxed);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HandlerError::new("panic", text.unwrap_or("the handler panicked"))
}

/// The handlers of a worker.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) jobs: HashMap<JobSlug, Arc<Handle>>,
    pub(crate) built_in: HashMap<BuiltIn, Arc<Handle>>,
}

impl Handlers {
    pub(crate) fn of(&self, task: &Task) -> Option<&Arc<Handle>> {
        match &task.work {
            Work::Job(job) => self.jobs.get(job),
            Work::BuiltIn(built_in) => self.built_in.get(built_in),
        }
    }
}
