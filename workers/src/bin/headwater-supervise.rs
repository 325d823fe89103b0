//! The supervisor of one command, as a program of its own: for worker programs that serve `process` and cannot begin
//! with [`headwater_workers::actions::supervise_if_asked`] themselves. `headwater` needs it not.

fn main() {
    headwater_workers::actions::supervise_if_asked();
    eprintln!("headwater-supervise: a worker starts this program for a command; it does nothing by itself");
    std::process::exit(2);
}
