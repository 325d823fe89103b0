//! A worker process for tests: its job takes as long as it is told, and then says what it was told.

use std::time::Duration;

use headwater_core::Json;
use headwater_workers::connection;
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker};

#[tokio::main]
async fn main() {
    let slots = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(16);
    let worker = Worker::builder()
        .workspace("default".parse().expect("a name"))
        .broker(connection::from_environment().expect("the test says where the broker is"))
        .slots(slots)
        .heartbeat_every(Duration::from_millis(400))
        .handler("echo".parse().expect("a name"), echo)
        .build()
        .expect("everything is given");
    println!("ready");
    worker.run(std::future::pending()).await.expect("the worker runs");
}

async fn echo(context: Context, input: Json) -> Result<Outcome, HandlerError> {
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
