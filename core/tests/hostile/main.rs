//! What a tenant can write to make the engine work: each ends at a limit that names itself, whatever the input.

mod data;
mod expressions;
mod others;
mod schemas;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headwater_core::Json;
use headwater_core::definition::Schema;
use headwater_core::expr::{Expression, Work};
use serde_json::{Value, json};

use expressions::{everything, with};
use schemas::schemas;

fn numbers(count: usize) -> Value {
    (0..count).collect()
}

fn keys(count: usize) -> Value {
    (0..count).map(|n| (format!("{}{n}", "k".repeat(20)), json!(1))).collect::<serde_json::Map<_, _>>().into()
}

/// Run with `--release -- --ignored --nocapture` to see how long the worst of them take.
#[test]
#[ignore = "prints figures"]
fn how_long_what_is_counted_takes() {
    let mut worst = Duration::ZERO;
    let mut print = |name: &str, spent: u64, took: Duration, end: String| {
        worst = worst.max(took);
        let each = took.as_nanos() as f64 / spent.max(1) as f64;
        println!("{took:>10.1?} {spent:>8} units {each:>6.1} ns each  {end:<18} {name}");
    };
    for (source, input) in everything() {
        let input = Json::of(&input);
        let expression = Expression::parse(source).unwrap();
        let work = Work::of_a_decision();
        let started = Instant::now();
        let result = with(&input, &BTreeMap::new(), |scope| expression.evaluate_within(scope, &work));
        let took = started.elapsed();
        print(source, work.spent(), took, result.map_or_else(|error| error.code().to_owned(), |_| "ok".to_owned()));
    }
    for (name, schema, value) in schemas() {
        let started = Instant::now();
        let compiled = Schema::compile(&schema);
        let compiling = started.elapsed();
        let Ok(compiled) = compiled else {
            println!("{compiling:>10.1?} refused {name}");
            continue;
        };
        let value = Json::of(&value);
        let work = Work::of_a_decision();
        let started = Instant::now();
        let kept = compiled.check_within(&value, &work);
        let took = started.elapsed();
        let end = kept.map_or_else(|e| e.to_string().chars().take(18).collect(), |()| "ok".to_owned());
        print(&format!("schema: {name} (compiled in {compiling:.1?})"), work.spent(), took, end);
    }
    println!("worst {worst:.1?}");
}
