//! Handlers of many types behind one.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

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
    weight: Weight,
}

/// Whether a handler keeps the thread when it is first polled, so that it needs a task of its own. Once is no sign:
/// the machine may have been busy, the code cold.
#[derive(Debug, Default)]
struct Weight(AtomicU32);

impl Weight {
    /// A first poll that takes longer is slow.
    const SLOW: Duration = Duration::from_millis(1);
    /// What a slow poll adds; a quick one takes 1 away.
    const STEP: u32 = 16;
    const MAX: u32 = 2 * Self::STEP;

    fn note(&self, polled: Duration) {
        let before = self.0.load(Ordering::Relaxed);
        let after = if polled > Self::SLOW { (before + Self::STEP).min(Self::MAX) } else { before.saturating_sub(1) };
        // Two that note at once may forget one of them; it is an estimate.
        if after != before {
            self.0.store(after, Ordering::Relaxed);
        }
    }

    fn is_heavy(&self) -> bool {
        self.0.load(Ordering::Relaxed) > Self::STEP
    }
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
        Self { call: Box::new(call), weight: Weight::default() }
    }

    pub(crate) fn call(&self, context: Context) -> Attempted {
        (self.call)(context)
    }

    /// Returns whether an attempt is better polled in a task of its own.
    pub(crate) fn is_heavy(&self) -> bool {
        self.weight.is_heavy()
    }

    /// Polls an attempt for the first time: what comes out if it gets to its end without waiting.
    pub(crate) fn first_poll(&self, attempted: &mut Attempted) -> Option<Result<Outcome, HandlerError>> {
        let began = Instant::now();
        let ready = attempted.as_mut().now_or_never();
        self.weight.note(began.elapsed());
        ready
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_heavy_while_it_often_keeps_the_thread() {
        let weight = Weight::default();
        let (quick, slow) = (Duration::ZERO, Weight::SLOW * 2);
        weight.note(slow);
        assert!(!weight.is_heavy(), "once is no sign");
        weight.note(slow);
        assert!(weight.is_heavy());
        (0..Weight::STEP).for_each(|_| weight.note(quick));
        assert!(!weight.is_heavy(), "it has been quick for long enough");
        for _ in 0..Weight::STEP {
            weight.note(quick);
        }
        weight.note(slow);
        assert!(!weight.is_heavy(), "what was long ago does not count");
    }
}
