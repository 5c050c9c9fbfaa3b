//! Memory and bytes read of a process, as Linux counts them in `/proc`; nothing on other systems.

use std::fs;

/// Bytes that a process has read so far by system calls, from disk or from the page cache (`rchar` of `/proc/<pid>/io`).
pub fn bytes_read(pid: u32) -> Option<u64> {
    number(&format!("/proc/{pid}/io"), "rchar:")
}

/// The most memory that a process has had resident, in bytes (`VmHWM` of `/proc/<pid>/status`).
pub fn peak_resident(pid: u32) -> Option<u64> {
    number(&format!("/proc/{pid}/status"), "VmHWM:").map(|kibibytes| kibibytes << 10)
}

/// The memory that a process has resident, in bytes (`VmRSS` of `/proc/<pid>/status`).
pub fn resident(pid: u32) -> Option<u64> {
    number(&format!("/proc/{pid}/status"), "VmRSS:").map(|kibibytes| kibibytes << 10)
}

/// Makes [`peak_resident`] start again from the present value (`5` to `/proc/<pid>/clear_refs`). Answers whether it could.
pub fn forget_peak(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// Runnable processes on average over the last minute.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The processor's name.
pub fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn number(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
