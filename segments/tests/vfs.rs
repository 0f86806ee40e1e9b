//! The two file systems behave alike.

use std::io::ErrorKind;
use std::path::Path;

use vecstore_segments::{MemVfs, OsVfs, Vfs};

/// Runs a test against both file systems, each with an empty folder.
fn on_both(test: impl Fn(&dyn Vfs, &Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    test(&OsVfs, folder.path());
    let memory = MemVfs::default();
    let folder = Path::new("/memory/db");
    memory.create_dir_all(folder).expect("memory");
    test(&memory, folder);
}

fn put(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) {
    vfs.create(path).expect("create").write_at(0, bytes).expect("write");
}

fn get(vfs: &dyn Vfs, path: &Path) -> Vec<u8> {
    let file = vfs.open(path).expect("open");
    let mut bytes = vec![0; file.len().expect("len") as usize];
    file.read_at(0, &mut bytes).expect("read");
    bytes
}

#[test]
fn what_is_written_is_read() {
    on_both(|vfs, dir| {
        let file = vfs.create(&dir.join("a")).expect("create");
        assert!(file.is_empty().expect("len"));
        file.write_at(0, b"hello world").expect("write");
        file.write_at(6, b"there").expect("write");
        file.write_at(100, b"!").expect("write");
        file.write_at(500, b"").expect("write nothing");
        file.sync().expect("sync");
        assert_eq!(file.len().expect("len"), 101);
        let mut bytes = [0xff; 12];
        file.read_at(0, &mut bytes).expect("read");
        assert_eq!(&bytes, b"hello there\0", "gaps are zeros");
        assert_eq!(get(vfs, &dir.join("a")).len(), 101);
        file.seal().expect("seal");
    });
}

#[test]
fn reading_past_the_end_is_an_error() {
    on_both(|vfs, dir| {
        put(vfs, &dir.join("a"), b"12345");
        let file = vfs.open(&dir.join("a")).expect("open");
        for (offset, len) in [(0, 6), (5, 1), (4, 2), (1 << 40, 1)] {
            let error = file.read_at(offset, &mut vec![0; len]).expect_err("past the end");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{offset} {len}");
        }
        file.read_at(5, &mut []).expect("nothing at the end");
    });
}

#[test]
fn a_file_opened_for_reading_cannot_be_written() {
    on_both(|vfs, dir| {
        put(vfs, &dir.join("a"), b"12345");
        assert!(vfs.open(&dir.join("a")).expect("open").write_at(0, b"x").is_err());
        assert_eq!(get(vfs, &dir.join("a")), b"12345");
    });
}

#[test]
fn names_that_are_missing_or_taken() {
    on_both(|vfs, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        let missing = ErrorKind::NotFound;
        assert_eq!(vfs.open(&a).expect_err("missing").kind(), missing);
        assert_eq!(vfs.remove_file(&a).expect_err("missing").kind(), missing);
        assert_eq!(vfs.rename(&a, &b).expect_err("missing").kind(), missing);
        assert_eq!(vfs.hard_link(&a, &b).expect_err("missing").kind(), missing);
        assert_eq!(vfs.list(&a).expect_err("missing").kind(), missing);
        assert_eq!(vfs.remove_dir_all(&a).expect_err("missing").kind(), missing);
        assert_eq!(vfs.create(&dir.join("no/a")).expect_err("no folder").kind(), missing);
        assert_eq!(vfs.file_len(&a).expect("none"), None);
        put(vfs, &a, b"1");
        put(vfs, &b, b"2");
        let taken = ErrorKind::AlreadyExists;
        assert_eq!(vfs.create(&a).expect_err("taken").kind(), taken);
        assert_eq!(vfs.hard_link(&a, &b).expect_err("taken").kind(), taken);
        assert_eq!(get(vfs, &b), b"2");
        assert_eq!(vfs.rename(&a, &dir.join("no/a")).expect_err("no folder").kind(), missing);
        assert!(vfs.create_dir_all(&a).is_err(), "a file is in the way");
    });
}

#[test]
fn rename_replaces_and_moves() {
    on_both(|vfs, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        put(vfs, &a, b"new");
        put(vfs, &b, b"old");
        let reader = vfs.open(&b).expect("open");
        vfs.rename(&a, &b).expect("rename");
        vfs.sync_dir(dir).expect("sync");
        assert_eq!(vfs.file_len(&a).expect("gone"), None);
        assert_eq!(get(vfs, &b), b"new");
        let mut bytes = [0; 3];
        reader.read_at(0, &mut bytes).expect("read");
        assert_eq!(&bytes, b"old", "an open file stays what it was");
    });
}

#[test]
fn a_removed_file_stays_readable_for_those_who_have_it() {
    on_both(|vfs, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        put(vfs, &a, b"kept");
        let file = vfs.open(&a).expect("open");
        let region = file.map().expect("map");
        vfs.hard_link(&a, &b).expect("link");
        vfs.remove_file(&a).expect("remove");
        assert_eq!(&region.clone()[..], b"kept");
        let mut bytes = [0; 4];
        file.read_at(0, &mut bytes).expect("read");
        assert_eq!(&bytes, b"kept");
        assert_eq!(get(vfs, &b), b"kept", "the other name has the same bytes");
        assert!(vfs.open(&a).is_err());
    });
}

#[test]
fn links_share_bytes() {
    on_both(|vfs, dir| {
        let file = vfs.create(&dir.join("a")).expect("create");
        vfs.hard_link(&dir.join("a"), &dir.join("b")).expect("link");
        file.write_at(0, b"shared").expect("write");
        assert_eq!(get(vfs, &dir.join("b")), b"shared");
    });
}

#[test]
fn folders() {
    on_both(|vfs, dir| {
        let deep = dir.join("x/y");
        vfs.create_dir_all(&deep).expect("create");
        vfs.create_dir_all(&deep).expect("again");
        put(vfs, &deep.join("f"), b"1");
        put(vfs, &dir.join("b"), b"1");
        put(vfs, &dir.join("a"), b"1");
        assert_eq!(vfs.list(dir).expect("list"), ["a", "b", "x"]);
        assert_eq!(vfs.list(&deep).expect("list"), ["f"]);
        assert_eq!(vfs.file_len(&deep).expect("a folder is no file"), None);
        vfs.remove_dir_all(&dir.join("x")).expect("remove");
        assert_eq!(vfs.list(dir).expect("list"), ["a", "b"]);
        assert!(vfs.open(&deep.join("f")).is_err());
        assert!(vfs.sync_dir(&deep).is_err());
    });
}

#[test]
fn a_map_is_aligned_and_as_long_as_the_file() {
    on_both(|vfs, dir| {
        for len in [0usize, 1, 64, 100_000] {
            let path = dir.join(format!("f{len}"));
            put(vfs, &path, &vec![7; len]);
            let region = vfs.open(&path).expect("open").map().expect("map");
            assert_eq!(&region[..], vec![7; len]);
            assert!(len == 0 || region.as_ptr().addr().is_multiple_of(64));
        }
        let folder = dir.join("stored");
        vfs.create_dir_all(&folder.join("below")).expect("create_dir_all");
        assert_eq!(vfs.stored_bytes(&folder).expect("stored"), 0);
        for name in ["a", "below/b"] {
            let file = vfs.create(&folder.join(name)).expect("create");
            file.write_at(0, &[7; 8192]).expect("write");
            file.sync().expect("sync");
        }
        assert_eq!(vfs.stored_bytes(&folder).expect("stored"), 16_384);
        vfs.remove_dir_all(&folder).expect("remove_dir_all");
        assert!(vfs.free_bytes(dir).expect("free") > 1 << 20);
    });
}

#[test]
fn a_region_of_memory_does_not_change() {
    let vfs = MemVfs::default();
    let file = vfs.create(Path::new("a")).expect("create");
    file.write_at(0, b"before").expect("write");
    let region = file.map().expect("map");
    file.write_at(0, b"after!").expect("write");
    assert_eq!(&region[..], b"before");
    assert_eq!(&file.map().expect("map")[..], b"after!");
    assert_eq!(&vecstore_segments::Region::from(&b"bytes"[..])[..], b"bytes");
}
