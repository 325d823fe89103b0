//! A worker that runs the jobs of this package.

use directory_insights::handlers::HANDLERS;

fn main() {
    for (slug, _handler) in HANDLERS {
        println!("{slug}");
    }
}
