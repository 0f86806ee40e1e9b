//! What a process uses, by `/proc`.

use std::fs::read_to_string;

/// Resident memory in MiB: what the process wrote, and all, with the files that it maps.
pub fn memory_mib(pid: u32) -> (f64, f64) {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        let kib: f64 = line.split_whitespace().next().unwrap_or("0").parse().unwrap_or(0.0);
        kib / 1024.0
    };
    (of("RssAnon:"), of("VmRSS:"))
}

/// Processor seconds of all threads so far.
pub fn cpu_seconds(pid: u32) -> f64 {
    /// Linux counts in hundredths for everybody, whatever its own clock is.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may have spaces.
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}
