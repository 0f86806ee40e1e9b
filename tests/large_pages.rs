//! Segments of a database that fits into memory are mapped in large pages.

#![cfg(target_os = "linux")]

use vecstore::{Collection, Database, Metric, Record};

/// What the system notes of each mapping of a segment file in this process: the flags of `smaps`.
fn flags_of_segments() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has it");
    let mut is_segment = false;
    let mut flags = Vec::new();
    for line in maps.lines() {
        match line.split_once(':') {
            Some(("VmFlags", of)) if is_segment => flags.push(of.to_owned()),
            // The first line of a mapping: its addresses, a device as `major:minor`, its file if any.
            Some((name, _)) if name.contains('-') => is_segment = line.ends_with(".seg"),
            _ => {}
        }
    }
    flags
}

#[test]
fn segments_are_mapped_in_large_pages_from_the_first_read_on() {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        println!("this system has no large pages");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("db");
    let db = Database::open(&path).expect("opens");
    let options = Collection::options(2, Metric::Dot);
    let docs = db.create_collection("docs", options).expect("creates");
    docs.upsert(Record::new(1, [1.0, 0.0])).expect("upserts");
    docs.optimize().expect("optimizes");
    let assert_large = |what: &str| {
        let flags = flags_of_segments();
        assert_eq!(flags.len(), 1, "one segment {what}");
        let is_large = flags[0].split_whitespace().any(|flag| flag == "hg");
        assert!(is_large, "{what} its mapping has the flags{}", flags[0]);
    };
    assert_large("after it was made");
    drop(docs);
    db.close().expect("closes");
    assert_eq!(flags_of_segments(), Vec::<String>::new(), "of a closed database");
    let db = Database::open(&path).expect("opens");
    assert_large("after the database was opened");
    db.create_snapshot("s").expect("a snapshot");
    db.restore_snapshot("s").expect("goes back");
    assert_large("after a restore");
}
