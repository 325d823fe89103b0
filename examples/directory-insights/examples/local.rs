//! Runs the jobs one after the other without the engine: `local <scanDir> <outputDir> [archiveDir]`.

use std::time::Instant;

use directory_insights::Attempt;
use directory_insights::handlers::HANDLERS;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(scan_dir), Some(output_dir)) = (args.next(), args.next()) else {
        return Err("usage: local <scanDir> <outputDir> [archiveDir]".into());
    };
    let [(_, scan), (_, report), (_, archive)] = HANDLERS;
    let attempt = Attempt::unwatched();
    let started = Instant::now();
    let timed = |what: &str, output: Value| {
        println!("{what}: {} bytes after {:.2?}", output.to_string().len(), started.elapsed());
        output
    };
    let scanned = timed("scan", scan(&json!({"scanDir": scan_dir, "maxEntries": 200_000}), &attempt)?);
    let title = format!("What is in {scan_dir}");
    let input = json!({"outputDir": output_dir, "reportTitle": title, "scan": scanned});
    let reported = timed("report", report(&input, &attempt)?);
    println!("{}", reported["files"]);
    if let Some(archive_dir) = args.next() {
        let input = json!({"report": reported["assets"][0]["payload"], "archiveDir": archive_dir});
        println!("{}", timed("archive", archive(&input, &attempt)?)["archivePath"]);
    }
    Ok(())
}
