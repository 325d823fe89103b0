//! `process` where a worker may make control groups: each command has one of its own, which ends in one stroke.
//!
//! The test moves itself into a group that it makes, so it is alone in its program. Where it may not, it says so.

mod command;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_workers::actions::process::execute;
use headwater_workers::sdk::HandlerError;
use serde_json::json;

use command::{context, policy};

const DEADLINE: Duration = Duration::from_secs(120);

/// A group that this process is in until this is dropped.
struct Delegated {
    above: PathBuf,
    folder: PathBuf,
}

impl Delegated {
    fn enter() -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let group = groups.lines().find_map(|line| line.strip_prefix("0::")).ok_or("no cgroup v2")?.to_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).ok_or("cgroup v2 is not mounted")?;
        let place = mount.split(' ').nth(4).ok_or("an odd mount")?;
        let above = Path::new(place).join(group.trim_start_matches('/'));
        let folder = above.join(format!("headwater-test-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        if !folder.join("cgroup.kill").exists() {
            fs::remove_dir(&folder).map_err(|error| error.to_string())?;
            return Err("a kernel before 5.14".to_owned());
        }
        fs::write(folder.join("cgroup.procs"), "0").map_err(|error| error.to_string())?;
        Ok(Self { above, folder })
    }

    /// The groups of commands.
    fn commands(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap());
        entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()).collect()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::write(self.above.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&self.folder);
    }
}

async fn run(line: &str, pids: &Path) -> Result<serde_json::Value, HandlerError> {
    let request = json!({"command": line, "shell": true, "env": {"PIDS": pids}, "timeoutMs": 60_000});
    let (policy, context) = (policy(), context());
    let executed = execute(&policy, &context, serde_json::from_value(request).unwrap());
    let outcome = tokio::time::timeout(DEADLINE, executed).await.expect("it ends");
    outcome.map(|outcome| outcome.output().to_value())
}

/// Whether one of these runs still; numbers come round, and then mean somebody else.
fn any_runs(pids: &Path) -> bool {
    let mark = format!("PIDS={}", pids.display());
    let text = fs::read_to_string(pids).unwrap();
    text.split_ascii_whitespace().any(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&mark)
    })
}

#[tokio::test]
async fn a_command_has_a_group_of_its_own_where_there_are_such() {
    let delegated = match Delegated::enter() {
        Ok(delegated) => delegated,
        Err(why) => return println!("skipped, no group can be made here: {why}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");

    // Whatever it starts is in it, and gone with it; so are the groups that it makes itself.
    let line = "setsid sleep 600 & echo $! >> $PIDS; grep ^0:: /proc/self/cgroup; grep ^0:: /proc/$!/cgroup";
    let answer = run(line, &pids).await.unwrap();
    let said: Vec<_> = answer["stdout"].as_str().unwrap().lines().map(str::to_owned).collect();
    assert!(said[0].contains("/headwater-command-") && said[0] == said[1], "{said:?}");
    assert!(!any_runs(&pids));
    assert_eq!(delegated.commands(), Vec::<PathBuf>::new());
    let nested = format!(
        "g={}/$(grep -o 'headwater-command-.*' /proc/self/cgroup); mkdir $g/own && echo 0 > $g/own/cgroup.procs; \
         setsid sleep 600 & echo $! >> $PIDS; grep -c /own$ /proc/self/cgroup",
        delegated.folder.display()
    );
    assert_eq!(run(&nested, &pids).await.unwrap()["stdout"], "1\n");
    assert!(!any_runs(&pids));
    assert_eq!(delegated.commands(), Vec::<PathBuf>::new());

    // One that does not end by itself.
    let failure = run("trap '' TERM; setsid sleep 600 & echo $! $$ >> $PIDS; kill -9 $PPID; wait", &pids);
    assert_eq!(failure.await.unwrap_err().code(), "process_failed");
    // Its supervisor is gone; what it left ends all the same, and the next command tidies up.
    let gone = async {
        while any_runs(&pids) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("they are gone");
    assert_eq!(run("echo next", &pids).await.unwrap()["stdout"], "next\n");
    assert_eq!(delegated.commands(), Vec::<PathBuf>::new());
}
