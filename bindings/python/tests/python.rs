//! Runs `test_vecstore.py`, the examples of the README and the check of what is generated in a Python
//! with the module that was just built.
//!
//! Cargo builds the library before this test and leaves the module beside the test executable. A
//! machine without Python 3.11 or newer has nothing to run it with; the test says so and passes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const INTERPRETERS: [&str; 6] =
    ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"];

fn is_new_enough(interpreter: &str) -> bool {
    let check =
        "import sys; sys.exit(sys.version_info < (3, 11) or sys.implementation.name != 'cpython')";
    Command::new(interpreter).args(["-c", check]).output().is_ok_and(|o| o.status.success())
}

/// The interpreter that `PYTHON` names, or the first new enough one.
fn interpreter() -> Option<String> {
    match std::env::var("PYTHON") {
        Ok(named) => {
            assert!(is_new_enough(&named), "PYTHON={named} is not CPython 3.11 or newer");
            Some(named)
        }
        Err(_) => INTERPRETERS.iter().find(|name| is_new_enough(name)).map(|&s| s.to_owned()),
    }
}

fn built_module() -> PathBuf {
    let name =
        format!("{}vecstore_python{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let path = std::env::current_exe().expect("a test has a path").with_file_name(name);
    assert!(path.is_file(), "cargo did not build {}", path.display());
    path
}

/// Runs a script in an empty folder, where the module can be imported.
fn run(script: &Path, arguments: &[&str]) {
    let Some(python) = interpreter() else {
        // Not `eprintln`, which is not seen of a test that passes.
        writeln!(std::io::stderr(), "skipped: no CPython 3.11 or newer was found")
            .expect("standard error is there");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder for the module");
    let copied = folder.path().join("vecstore");
    std::fs::create_dir(&copied).expect("a folder for the package");
    for file in std::fs::read_dir(package().join("python").join("vecstore")).expect("the package") {
        let file = file.expect("a file of the package");
        if file.file_type().expect("a type").is_file() {
            std::fs::copy(file.path(), copied.join(file.file_name())).expect("a copy of it");
        }
    }
    std::fs::copy(built_module(), copied.join("_native.abi3.so")).expect("a copy of the module");
    let output = Command::new(&python)
        .args(["-B", "-X", "dev", "-W", "error"])
        .arg(script)
        .args(arguments)
        .env("PYTHONPATH", folder.path())
        .current_dir(folder.path())
        .output()
        .expect("an interpreter that ran a moment ago");
    assert!(
        output.status.success(),
        "{python}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_python_tests_pass() {
    run(&package().join("tests").join("test_vecstore.py"), &[]);
}

#[test]
fn what_stubs_py_writes_is_up_to_date() {
    run(&package().join("stubs.py"), &["--check"]);
}

#[test]
fn the_examples_of_the_readme_run() {
    let readme = std::fs::read_to_string(package().join("README.md")).unwrap();
    let mut examples = 0;
    for rest in readme.split("```python\n").skip(1) {
        let (example, _) = rest.split_once("```").unwrap();
        let mut script = tempfile::NamedTempFile::new().unwrap();
        script.write_all(example.as_bytes()).unwrap();
        run(script.path(), &[]);
        examples += 1;
    }
    assert_eq!(examples, 2);
}
