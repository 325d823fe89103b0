//! Who runs the server: Postgres refuses to run as root.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::ServerError;

/// An account of this machine to run the server as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Returns whom to become: nobody else unless this process is root, then `postgres`, or `nobody` without one.
    pub(super) fn for_server(own_uid: u32) -> Result<Option<Self>, ServerError> {
        if own_uid != 0 {
            return Ok(None);
        }
        let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = ["postgres", "nobody"].iter().find_map(|name| look_up(&table, name));
        found.map(Some).ok_or(ServerError::NoAccount)
    }

    /// Checks that the account can walk down to `folder`, which it is about to own.
    pub(super) fn check_reach(self, folder: &Path) -> Result<(), ServerError> {
        for above in folder.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            let about = std::fs::metadata(above).map_err(|source| ServerError::file(above, source))?;
            let mode = about.permissions().mode();
            let bit = if about.uid() == self.uid {
                0o100
            } else if about.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            if mode & bit == 0 {
                return Err(ServerError::FolderOutOfReach { folder: folder.to_owned(), closed: above.to_owned() });
            }
        }
        Ok(())
    }
}

fn look_up(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let table = "postgresql:x:7:7::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh";
        assert_eq!(look_up(table, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(look_up(table, "post"), None);
    }

    #[test]
    fn only_root_becomes_somebody_else() {
        assert_eq!(Account::for_server(1000).unwrap(), None);
    }
}
