//! What the machine has.

#[cfg(any(target_os = "linux", test))]
use std::path::Path;

/// Bytes of memory that this process may use: those of the machine, or of a control group that it is in
/// if that has fewer. `None` where the system does not tell.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return bytes_under(Path::new("/"));
    #[cfg(not(target_os = "linux"))]
    None
}

/// [`memory_bytes`] by the files of Linux under `root`.
#[cfg(any(target_os = "linux", test))]
fn bytes_under(root: &Path) -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(root.join(path)).ok();
    let machine = read(Path::new("proc/meminfo"))?.lines().find_map(total)?;
    let groups = read(Path::new("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(group).flat_map(|(hierarchy, group, file)| {
        // In a container the path may be one of the machine outside; then the root is the container's.
        let above = Path::new(group).ancestors();
        above.filter_map(move |group| {
            let file = Path::new(hierarchy).join(group.strip_prefix("/").ok()?).join(file);
            read(&file)?.trim().parse::<u64>().ok()
        })
    });
    Some(limits.fold(machine, u64::min))
}

/// Bytes by a line `MemTotal: … kB`.
#[cfg(any(target_os = "linux", test))]
fn total(line: &str) -> Option<u64> {
    let kib = line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?;
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

/// The hierarchy, the group and the name of the file with its limit by a line `ID:CONTROLLERS:GROUP`, if
/// it is one that limits memory. Control groups of version 2 have no controllers there.
#[cfg(any(target_os = "linux", test))]
fn group(line: &str) -> Option<(&'static str, &str, &'static str)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?);
    match controllers {
        "" => Some(("sys/fs/cgroup", group, "memory.max")),
        _ if controllers.split(',').any(|name| name == "memory") => {
            Some(("sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("folders");
            std::fs::write(path, text).expect("a file");
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       1000 kB\nMemFree:  500 kB\n");

    #[test]
    fn the_least_limit_of_all_groups_above_counts() {
        let bytes = |files: &[(&str, &str)]| bytes_under(machine(files).path());
        assert_eq!(bytes(&[]), None);
        assert_eq!(bytes(&[MEMINFO]), Some(1_024_000));
        let of_version_2 = ("proc/self/cgroup", "0::/outer/inner\n");
        let outer = ("sys/fs/cgroup/outer/memory.max", "70000\n");
        let unlimited = ("sys/fs/cgroup/outer/inner/memory.max", "max\n");
        assert_eq!(bytes(&[MEMINFO, of_version_2, unlimited]), Some(1_024_000));
        assert_eq!(bytes(&[MEMINFO, of_version_2, unlimited, outer]), Some(70_000));
        let of_container = ("sys/fs/cgroup/memory.max", "50000\n");
        assert_eq!(bytes(&[MEMINFO, of_version_2, of_container]), Some(50_000));
        let of_version_1 = ("proc/self/cgroup", "5:cpu,memory:/a\n1:cpu:/b\n0::/\n");
        let limit = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "60000\n");
        let beyond = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        let not_of_memory = ("sys/fs/cgroup/memory/b/memory.limit_in_bytes", "40000\n");
        assert_eq!(bytes(&[MEMINFO, of_version_1, limit, beyond, not_of_memory]), Some(60_000));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
