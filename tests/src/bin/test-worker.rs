//! A worker process for tests: its job writes down that it begins, takes as long as it is told, and then says what it was
//! told.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::Json;
use headwater_workers::connection;
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() {
    let slots = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(16);
    let begun = std::env::args().nth(2).expect("where to write down what begins");
    let begun = File::options().append(true).create(true).open(begun).expect("the test's folder is there");
    let begun = Arc::new(begun);
    let worker = Worker::builder()
        .workspace("default".parse().expect("a name"))
        .broker(connection::from_environment().expect("the test says where the broker is"))
        .slots(slots)
        .heartbeat_every(Duration::from_millis(400))
        .handler("echo".parse().expect("a name"), move |context, input| echo(begun.clone(), context, input))
        .build()
        .expect("everything is given");
    println!("ready");
    let mut asked = signal(SignalKind::terminate()).expect("signals can be heard");
    worker
        .run(async move {
            let _ = asked.recv().await;
        })
        .await
        .expect("the worker runs");
}

async fn echo(begun: Arc<File>, context: Context, input: Json) -> Result<Outcome, HandlerError> {
    // One short write at the end of a file is not torn.
    let line = format!("{}/{}/{}\n", context.run(), context.node(), context.attempt());
    (&*begun).write_all(line.as_bytes())?;
    let value = input.to_value();
    let millis = value["millis"].as_u64().unwrap_or(0);
    if millis > 0 {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(millis)) => {}
            () = context.cancelled() => return Err(HandlerError::new("cancelled", "told to stop")),
        }
    }
    Ok(Outcome::from(input))
}
