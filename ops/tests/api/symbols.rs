//! What is shipped is stripped, and its lines are found all the same.

use std::path::Path;
use std::process::Command;

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_stripped_program_has_its_lines_in_the_file_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("headwater");
    std::fs::copy(env!("CARGO_BIN_EXE_headwater"), &program).unwrap();
    let size = || std::fs::metadata(&program).unwrap().len();
    let linked = size();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup/strip.sh");
    // The second time there is nothing left to take out, and nothing is lost.
    for _ in 0..2 {
        said(Command::new(&script).arg(&program));
    }
    assert!(size() < linked * 2 / 3, "{} of {linked}", size());
    said(Command::new(&program).arg("--version"));

    let symbols = folder.path().join("headwater.debug");
    let listed = said(Command::new("nm").arg(&symbols));
    let main = listed.lines().find(|line| line.contains("9headwater4main")).expect("the symbol of main");
    let address = main.split_whitespace().next().unwrap();
    // As a backtrace does, by the link in the program.
    let line = || said(Command::new("addr2line").arg("-e").arg(&program).arg(address));
    assert!(line().contains("main.rs:"), "{}", line());
    std::fs::remove_file(symbols).unwrap();
    assert!(!line().contains("main.rs:"), "{}", line());
}
