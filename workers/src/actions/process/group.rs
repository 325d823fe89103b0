//! A control group (cgroup v2) for each command, where this process may make one: what is in it ends in one stroke, however fast
//! it multiplies and whoever it runs as. It helps and is never needed: without one the children are killed one by one, and
//! with one, too, it is having no child left that proves that nothing is.
//!
//! The supervisor enters the group, starts the command, and goes back: so nothing of the command is ever outside.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a group is called, before the number of its supervisor.
const NAME: &str = "headwater-command-";
/// How often removing a group is tried: what was in it is gone a moment after it has ended.
const REMOVE_TRIES: usize = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(2);

/// The group of one command. It is removed when this is dropped, unless something is left in it.
#[derive(Debug)]
pub(super) struct Group {
    /// Where its supervisor is.
    above: PathBuf,
    folder: PathBuf,
}

impl Group {
    /// Makes a group below that of this process. `None`: there is no such thing here, or it is not ours to divide.
    pub fn make() -> Option<Self> {
        Self::make_below(&own_folder()?, std::process::id())
    }

    fn make_below(above: &Path, supervisor: u32) -> Option<Self> {
        // The root of all groups has no such file, and a kernel before 5.14 neither.
        if !above.join("cgroup.kill").exists() {
            return None;
        }
        // Who may not move a process to where it is may not move it back, either.
        enter(above).ok()?;
        remove_left(above);
        let folder = above.join(format!("{NAME}{supervisor}"));
        fs::create_dir(&folder).ok()?;
        Some(Self { above: above.to_owned(), folder })
    }

    /// Does something in the group; what that starts stays in it. `None` beside it: the group cannot be used.
    pub fn within<T>(self, start: impl FnOnce() -> T) -> (T, Option<Self>) {
        if enter(&self.folder).is_err() {
            return (start(), None);
        }
        let started = start();
        // Whoever cannot go back would kill itself.
        let is_back = enter(&self.above).is_ok();
        (started, Some(self).filter(|_| is_back))
    }

    /// Kills what is in it, and below it.
    pub fn kill(&self) {
        let _ = write(&self.folder.join("cgroup.kill"), "1");
    }

    /// Kills what a supervisor left behind that was killed itself.
    pub fn kill_left_by(supervisor: u32) {
        let Some(above) = own_folder() else { return };
        let folder = above.join(format!("{NAME}{supervisor}"));
        if folder.exists() {
            Self { above, folder }.kill();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..REMOVE_TRIES {
            if !self.folder.exists() || remove(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(REMOVE_PAUSE);
        }
    }
}

/// Moves this process into a group.
fn enter(folder: &Path) -> io::Result<()> {
    write(&folder.join("cgroup.procs"), "0")
}

/// Writes to a file that is there.
fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Removes a group and those that the command has made below it.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

/// Removes the empty groups of supervisors that are gone.
fn remove_left(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let supervisor = name.to_str().and_then(|name| name.strip_prefix(NAME)?.parse::<u32>().ok());
        if supervisor.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = remove(&entry.path());
        }
    }
}

/// Returns the folder of the group that this process is in.
fn own_folder() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    folder_of(&groups, &mounts)
}

/// Reads `0::<group>`, and `… <root> <where> … - cgroup2 …`.
fn folder_of(groups: &str, mounts: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let fields: Vec<&str> = mount.split(' ').collect();
        let (root, place) = (*fields.get(3)?, *fields.get(4)?);
        let below = Path::new(group).strip_prefix(root).ok()?;
        // A name with what would have to be escaped is nobody's.
        (kind.starts_with("cgroup2 ") && !place.contains('\\')).then(|| Path::new(place).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_where_it_is_mounted() {
        const HYBRID: &str = "9:name=systemd:/a\n4:memory:/b\n0::/system.slice/headwater.service\n";
        const MIXED: &str = "30 1 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        const UNIFIED: &str = "29 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        const PART: &str = "29 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let of = |groups, mounts| folder_of(groups, mounts).map(|path| path.display().to_string());
        let service = "/sys/fs/cgroup/system.slice/headwater.service";
        assert_eq!(of(HYBRID, UNIFIED).as_deref(), Some(service));
        assert_eq!(of(HYBRID, MIXED).as_deref(), Some("/sys/fs/cgroup/unified/system.slice/headwater.service"));
        assert_eq!(of("0::/docker/abc/d\n", PART).as_deref(), Some("/sys/fs/cgroup/d"));
        // Outside of what is mounted, with the first version only, and where nothing is mounted.
        assert_eq!(of("0::/../other\n", PART), None);
        assert_eq!(of("4:memory:/b\n", UNIFIED), None);
        assert_eq!(of(HYBRID, ""), None);
    }

    #[test]
    fn a_group_is_made_only_where_it_can_be_killed_and_left_again() {
        let made = |has_kill: bool, may_move: bool| {
            let above = tempfile::tempdir().unwrap();
            if has_kill {
                fs::write(above.path().join("cgroup.kill"), "").unwrap();
            }
            if may_move {
                fs::write(above.path().join("cgroup.procs"), "").unwrap();
            }
            let group = Group::make_below(above.path(), 7);
            let folder = above.path().join("headwater-command-7");
            assert_eq!(group.is_some(), folder.exists());
            // What is not the kernel's has no list of processes: whoever cannot enter does without.
            let (started, group) = match group {
                Some(group) => group.within(|| true),
                None => return false,
            };
            assert!(started && group.is_none() && !folder.exists());
            true
        };
        assert!(made(true, true));
        assert!(!made(true, false) && !made(false, true) && !made(false, false));
    }

    #[test]
    fn groups_of_supervisors_that_are_gone_are_removed_and_others_are_not() {
        let above = tempfile::tempdir().unwrap();
        let own = std::process::id();
        for name in [format!("{NAME}4194305"), format!("{NAME}{own}"), format!("{NAME}x"), "other".to_owned()] {
            fs::create_dir_all(above.path().join(name).join("below")).unwrap();
        }
        remove_left(above.path());
        let mut left: Vec<_> = fs::read_dir(above.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [format!("{NAME}{own}").as_str(), &format!("{NAME}x"), "other"]);
    }
}
