//! The command line as its users see it: the real binary, its output, its exit codes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What a run left behind.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    #[track_caller]
    fn success(self) -> String {
        assert_eq!(self.code, 0, "out: {}\nerr: {}", self.out, self.err);
        self.out
    }

    /// The message of a failure with exit code 1.
    #[track_caller]
    fn failure(self) -> String {
        assert_eq!(self.code, 1, "out: {}\nerr: {}", self.out, self.err);
        self.err.strip_prefix("error: ").expect("an error begins with `error: `").trim().to_owned()
    }
}

/// A folder with a database `db` and whatever files a test writes.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("a file is written");
    }

    /// Runs `vecstore` in the folder; words are separated by blanks, `_` stands for a blank
    /// within a word.
    #[track_caller]
    fn run(&self, line: &str) -> Run {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('_', " ")).collect();
        vecstore(self.0.path(), &words, b"")
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        let out = self.run(&format!("{line} --json")).success();
        serde_json::from_str(&out).expect("one JSON value")
    }
}

fn vecstore(dir: &Path, args: &[impl AsRef<std::ffi::OsStr>], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vecstore"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("its input").write_all(input).expect("input is written");
    let output = child.wait_with_output().expect("it ends");
    Run {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A `.npy` file of `float32` rows.
fn npy(rows: &[[f32; 3]]) -> Vec<u8> {
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 3), }}\n", rows.len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|x| x.to_le_bytes()));
    bytes
}

/// A line of a JSON lines file with a vector of three components.
fn line(id: &str, vector: [f32; 3], metadata: Value) -> String {
    format!("{{\"id\":{id},\"vector\":{},\"metadata\":{metadata}}}\n", json!(vector))
}

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

/// Five records with ids of every type.
fn five() -> String {
    [
        line("1", [1.0, 0.0, 0.0], json!({"pos": "n", "n": 1, "text": "one"})),
        line("2", [0.0, 1.0, 0.0], json!({"pos": "v", "n": 2, "text": "two"})),
        line("\"b\"", [0.0, 0.0, 1.0], json!({"pos": "n", "n": 3})),
        line("\"7\"", [0.6, 0.8, 0.0], json!({"pos": "n", "n": 4, "tags": ["x", "y"]})),
        line(&format!("\"{UUID}\""), [0.0, 0.6, 0.8], json!({})),
    ]
    .concat()
}

fn with_five() -> Place {
    let place = Place::new();
    place.file("five.jsonl", five());
    place.run("import db docs five.jsonl --metric cosine").success();
    place
}

fn ids(list: &Value) -> Vec<Value> {
    list.as_array().expect("a list").iter().map(|item| item["id"].clone()).collect()
}

#[test]
fn fields_can_be_dates_and_not_indexed() {
    let place = Place::new();
    let made = |id: u64, day: &str, text: &str| {
        line(&id.to_string(), [1.0, 0.0, 0.0], json!({"made": day, "body": {"text": text}}))
    };
    let lines = [
        made(1, "2024-05-01", "one"),
        made(2, "2024-05-01T23:30:00-02:00", "two"),
        made(3, "2024-05-03", "one"),
    ];
    place.file("made.jsonl", lines.concat());
    let with = "--field made=date --field body=off --strings-max 1000";
    place.run(&format!("import db docs made.jsonl {with}")).success();
    place.run(&format!("create db empty --dim 3 {with}")).success();
    for name in ["docs", "empty"] {
        place.run(&format!("import db {name} made.jsonl {with}")).success();
        let found = place.json(&format!("scroll db {name} --filter made>'2024-05-02'"));
        assert_eq!(ids(&found["records"]), [2, 3]);
        let count = format!("count db {name} --filter body.text='one'");
        assert_eq!(place.json(&count), json!({"count": 2}));
    }
    // What is not said of a field that is there is no contradiction.
    place.run("import db docs made.jsonl --field made=date").success();
    for other in ["made=off", "made=date,off", "id=date"] {
        let failure = place.run(&format!("import db docs made.jsonl --field {other}")).failure();
        assert!(failure.contains("other settings of its fields"), "{other}: {failure}");
    }
    let failure = place.run("create db more --dim 3 --field a=date --field a.b=off").failure();
    assert!(failure.contains("`a` is a date, so there can be no `a.b`"), "{failure}");
    let failure = place.run("count db docs --filter made>'soon'").failure();
    assert!(failure.contains("field made: `soon` is not a date"), "{failure}");
    place.run("optimize db").success();
    let stats = place.json("stats db docs");
    let fields = stats["collections"][0]["segments"][0]["fields"].as_array().expect("a list");
    let indexed = |path: &str| {
        let field = fields.iter().find(|field| field["path"] == path);
        field.map(|field| field["indexed"].clone())
    };
    assert_eq!(indexed("body"), Some(json!(false)));
    assert_eq!(indexed("made"), Some(json!(true)));
    assert_eq!(indexed("body.text"), None);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let place = with_five();
    place.file("x.npy", npy(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]));
    for (line, message) in [
        ("", "Usage: vecstore [OPTIONS] <COMMAND>"),
        ("swim", "unrecognized subcommand 'swim'"),
        ("quer", "a similar subcommand exists: 'query'"),
        ("count db docs --filte x", "unexpected argument '--filte' found"),
        ("count db", "required arguments were not provided"),
        ("create db more", "required arguments were not provided"),
        ("create db more --dim many", "invalid value 'many' for '--dim <N>'"),
        (
            "create db more --dim 3 --metric warp",
            "unknown metric `warp`: use cosine, dot or euclidean",
        ),
        ("create db more --dim 3 --precision f8", "unknown precision `f8`: use f32 or f16"),
        ("create db more --dim 3 --codes int4", "unknown codes `int4`: use int8 or none"),
        ("create db more --dim 3 --field a", "write NAME=off, NAME=date or NAME=date,off"),
        ("create db more --dim 3 --field a=of", "`of` is neither `off` nor `date`"),
        ("query db docs", "required arguments were not provided"),
        ("query db docs --vector [1,0,0] --like 1", "cannot be used with"),
        ("query db docs --like 1 --ef 9 --exact", "'--ef <N>' cannot be used with '--exact'"),
        ("query db docs --like 1 --recall 0.9 --ef 9", "cannot be used with"),
        ("query db docs --like 1 -k ten", "invalid value 'ten' for '-k <N>'"),
        ("query db docs --like 1 -k 16384", "with --like, -k can be at most 16383"),
        (
            "query db docs --vector [1,0",
            "expected a JSON array of numbers, @FILE.json or @FILE.npy[:ROW]",
        ),
        ("query db docs --vector @x.txt", "must end in .json or .npy"),
        ("query db docs --vector @x.npy", "x.npy has 2 rows, say which: --vector @x.npy:ROW"),
        (
            "query db docs --like 1 --include vectors",
            "`vectors` is not one of `metadata`, `metadata.FIELD`, `vector`",
        ),
        (
            "query db docs --like 1 --filter n=$n --param n=a",
            "`a` is not JSON; a string needs its quotes: --param 'n=\"a\"'",
        ),
        ("remove db docs", "required arguments were not provided"),
        ("remove db docs 1 --where n=1", "cannot be used with"),
        ("get db docs", "required arguments were not provided"),
        ("snapshot", "Usage: vecstore snapshot"),
        ("import db docs five.txt", "five.txt: what kind of file is this?"),
        ("import db docs five.jsonl x.npy", "give either .npy files or files of lines, not both"),
        ("import db docs five.jsonl --records five.jsonl", "--records goes with .npy files"),
        ("import db docs x.npy --id id", "--id names a field of --records, which is not given"),
        ("import db docs five.jsonl --batch 0", "--batch is 0, use 1 to 16384"),
        ("import db docs five.jsonl --skip 6", "--skip is 6, the input has 5 records"),
    ] {
        let run = place.run(line);
        assert_eq!(run.code, 2, "`{line}` says {}", run.err);
        assert!(run.err.contains(message), "`{line}` says {}", run.err);
        assert_eq!(run.out, "", "`{line}`");
    }
    assert_eq!(place.json("count db docs"), json!({"count": 5}));
}

#[test]
fn help_and_version_succeed() {
    let place = Place::new();
    assert!(place.run("--version").success().starts_with("vecstore "));
    let commands = "demo create import query get remove count scroll stats optimize snapshot archive \
                    unarchive verify repair export";
    for command in commands.split(' ') {
        assert!(place.run("--help").success().contains(command));
        let help = place.run(&format!("{command} --help")).success();
        assert!(help.contains("Usage: vecstore"), "{help}");
    }
    for command in ["create", "list", "restore", "remove"] {
        let help = place.run(&format!("snapshot {command} --help")).success();
        assert!(help.contains("JSON: {"), "{help}");
    }
}

#[test]
fn errors_as_json() {
    let place = with_five();
    for (line, code, kind, message) in [
        ("count db dogs --json", 1, "not_found", "dogs"),
        (
            "count db docs --json --filter n=",
            1,
            "invalid_argument",
            "filter, position 2: found the end",
        ),
        (
            "count db --json",
            2,
            "usage",
            "the following required arguments were not provided:\n  <COLLECTION>",
        ),
        ("query db docs --like 1 -k 16384 --json", 2, "usage", "-k can be at most 16383"),
        ("get db docs 9 --json", 1, "not_found", "collection `docs` has no record `9`"),
        ("create db docs --dim 3 --json", 1, "already_exists", "docs"),
    ] {
        let run = place.run(line);
        assert_eq!(run.code, code, "{line}: {}", run.err);
        let error: Value =
            serde_json::from_str(&run.err).expect("standard error is one JSON value");
        assert_eq!(error["error"]["kind"], kind, "{line}");
        let text = error["error"]["message"].as_str().expect("a text");
        assert!(text.contains(message), "{line}: {text}");
        assert_eq!(error.as_object().expect("an object").len(), 1);
    }
}

#[test]
fn operations_that_fail_say_why() {
    let place = with_five();
    place.file("bad.jsonl", {
        let mut lines: String =
            (1..=6).map(|n| line(&n.to_string(), [1.0, 0.0, 0.0], json!({}))).collect();
        lines.push_str("{\"id\":7,\"vector\":[1,2]}\n");
        lines
    });
    place.file("flat.jsonl", "{\"id\":7,\"vector\":[1,2,3],\"pos\":\"n\"}\n");
    place.file("noid.jsonl", "{\"vector\":[1,2,3]}\n");
    place.file("two.npy", npy(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]));
    let mut cut = npy(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    cut.truncate(cut.len() - 5);
    place.file("cut.npy", cut);
    place.file("nan.npy", npy(&[[1.0, 0.0, 0.0], [0.0, f32::NAN, 0.0]]));
    place.file("one.jsonl", "{\"id\": 1}\n");
    place.file("two.jsonl", "{\"id\": 1}\n\n{\"key\": 2}\n");
    place.file("wide.json", "[1,2,3,4]");
    let mut wrong = Vec::new();
    for (line, message) in [
        (
            "import db docs bad.jsonl",
            "bad.jsonl line 7: vector has 2 components, expected 3; nothing was imported",
        ),
        (
            "import db docs bad.jsonl --batch 2",
            "bad.jsonl line 7: vector has 2 components, expected 3; 6 records were imported before that and stay; go on with --skip 6",
        ),
        (
            "import db docs bad.jsonl --batch 2 --skip 4",
            "bad.jsonl line 7: vector has 2 components, expected 3; 2 records were imported before that and stay; go on with --skip 6",
        ),
        (
            "import db docs bad.jsonl --skip 6",
            "bad.jsonl line 7: vector has 2 components, expected 3; nothing was imported",
        ),
        (
            "import db docs flat.jsonl",
            "flat.jsonl line 1: unknown field `pos`: use `id`, `vector` and `metadata`, other fields belong into `metadata`, column 30",
        ),
        ("import db docs noid.jsonl", "noid.jsonl line 1: there is no field `id`"),
        (
            "import db docs cut.npy",
            "cut.npy: the header promises 2 rows of 3 numbers (94 bytes), the file has 89 bytes: it is cut short",
        ),
        (
            "import db docs nan.npy",
            "records 1 to 2 of the input: collection `docs`, batch position 1, record `1`: component 1 of the vector is NaN, every component must be finite; nothing was imported",
        ),
        ("import db docs none.npy", "none.npy: No such file or directory (os error 2)"),
        (
            "import db docs two.npy --records one.jsonl",
            "the arrays have 2 rows, but the records have 1 lines",
        ),
        (
            "import db docs two.npy --records two.jsonl --id id",
            "two.jsonl line 3: there is no field `id`, which --id names; nothing was imported",
        ),
        (
            "import db docs two.npy --dim 4",
            "two.npy: vector has 3 components, expected 4; nothing was imported",
        ),
        (
            "import db docs two.npy --metric dot",
            "collection `docs` exists and has metric cosine, not dot",
        ),
        (
            "import db dogs two.npy",
            "there is no collection `dogs`; there are: `docs`; --metric (and --dim) would create it",
        ),
        (
            "import nowhere docs two.npy",
            "there is no database in nowhere; --metric (and --dim) would create it",
        ),
        ("count db dogs", "there is no collection `dogs`; there are: `docs`"),
        ("count nowhere docs", "there is no database in nowhere"),
        ("create db docs --dim 3", "collection `docs` exists already"),
        ("create db more --dim 0", "collection `more`: dim: 0 is not within 1 to 16384"),
        ("get db docs 1 9 x", "collection `docs` has no records `9`, `x`"),
        ("get db docs 1 --string-ids", "collection `docs` has no record `1`"),
        ("query db docs --like 9", "collection `docs` has no record `9`"),
        (
            "query db docs --vector [1,0]",
            "collection `docs`, query: vector has 2 components, expected 3",
        ),
        (
            "query db docs --vector @wide.json",
            "collection `docs`, query: vector has 4 components, expected 3",
        ),
        (
            "query db docs --vector @two.npy:2",
            "two.npy: there is no row 2, the file has 2 rows (counted from 0)",
        ),
        ("query db docs --vector @none.json", "none.json: No such file or directory (os error 2)"),
        ("query db docs --vector [1,0,0] -k 0", "collection `docs`, query: k is 0, use 1 to 16384"),
        (
            "query db docs --vector [1,0,0] --param n=1",
            "parameter `n` is bound, but there is no filter",
        ),
        ("scroll db docs --limit 0", "collection `docs`, scroll: limit is 0, use 1 to 16384"),
        ("export db docs five.jsonl", "five.jsonl exists; --overwrite would replace it"),
        ("snapshot restore db no", "there is no snapshot `no`; the database has none"),
        (
            "snapshot create db .no",
            "snapshot name `.no` is not allowed: use 1 to 128 letters, digits, `.`, `_` or `-`, not beginning with a dot",
        ),
    ] {
        let said = place.run(line).failure();
        if said != message {
            wrong.push(format!("`{line}`\n  says    {said}\n  must be {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!place.path("nowhere").exists(), "a failed import makes no database");
    for line in [
        "count db docs --filter",
        "scroll db docs --filter",
        "export db docs out.jsonl --filter",
        "remove db docs --where",
        "query db docs --like 1 --filter",
    ] {
        let said = place.run(&format!("{line} n_<_2_AND")).failure();
        let message = "filter, position 9: found the end, expected a field, NOT, EXISTS or `(`";
        assert_eq!(said, message, "`{line}`");
    }
    assert_eq!(place.json("count db docs"), json!({"count": 9}), "only the good batches are there");
}

#[test]
fn a_round_trip_of_lines() {
    let place = with_five();
    assert_eq!(place.json("count db docs"), json!({"count": 5}));
    assert_eq!(place.run("count db docs --filter pos_=_'n'").success(), "3\n");

    // Query: by a vector written out, by a file, by a record; under filters; with everything.
    let q = place.json("query db docs --vector [1,0.1,0] -k 2");
    assert_eq!(ids(&q["hits"]), [json!(1), json!("7")]);
    assert_eq!(q["complete"], true);
    assert!(q["plan"].is_null() && q["hits"][0]["vector"].is_null());
    place.file("q.npy", npy(&[[0.0, 0.0, 1.0], [0.0, 1.0, 0.1]]));
    let q = place.json("query db docs --vector @q.npy:1 -k 1 --explain");
    assert_eq!(ids(&q["hits"]), [json!(2)]);
    assert!(q["plan"].is_object(), "{q}");
    let q = place.json("query db docs --like 2 -k 2 --exact");
    assert_eq!(ids(&q["hits"]), [json!("7"), json!(UUID)]);
    let q = place
        .json("query db docs --like 2 --filter n_<_$n --param n=2 --include metadata.n,vector");
    assert_eq!(
        q["hits"],
        json!([{"id": 1, "score": 0.0, "distance": 1.0, "metadata": {"n": 1}, "vector": [1.0, 0.0, 0.0]}])
    );
    let q = place.json("query db docs --vector [-1,0,0] --score-threshold -0.5 --include none");
    assert_eq!(q["hits"].as_array().map(Vec::len), Some(3));
    assert!(q["hits"][0]["metadata"].is_null());
    let text = place.run("query db docs --like 2 --explain").success();
    assert!(
        text.contains("score") && text.contains("4 hits in") && text.contains("total"),
        "{text}"
    );

    // Get: ids of every type.
    let found = place.json(&format!("get db docs 1 b {UUID} --include metadata.n,vector"));
    assert_eq!(
        found,
        json!({"records": [
            {"id": 1, "metadata": {"n": 1}, "vector": [1.0, 0.0, 0.0]},
            {"id": "b", "metadata": {"n": 3}, "vector": [0.0, 0.0, 1.0]},
            {"id": UUID, "metadata": {}, "vector": [0.0, 0.6, 0.8]},
        ], "missing": []})
    );
    assert_eq!(
        place.run("get db docs 7 --string-ids").success(),
        "id    7\nn     4\npos   n\ntags  x, y\n"
    );
    let run = place.run("get db docs 1 9 --json");
    assert_eq!(run.code, 1);
    let found: Value = serde_json::from_str(&run.out).expect("the found ones are printed");
    assert_eq!((ids(&found["records"]), &found["missing"]), (vec![json!(1)], &json!([9])));

    // Scroll: pages, ascending by id.
    let page = place.json("scroll db docs --limit 2 --include none");
    assert_eq!(page, json!({"records": [{"id": 1}, {"id": 2}], "next": 2}));
    let page = place.json("scroll db docs --limit 3 --after 2 --include none");
    assert_eq!(page, json!({"records": [{"id": UUID}, {"id": "7"}, {"id": "b"}], "next": null}));
    let page = place.json("scroll db docs --filter n_>=_$n --param n=3");
    assert_eq!(ids(&page["records"]), [json!("7"), json!("b")]);
    assert!(place.run("scroll db docs --limit 2").success().contains("there are more: --after 2"));
    assert_eq!(
        place.json("count db docs --filter n_IN_$few --param few=[3,4]"),
        json!({"count": 2})
    );

    // Snapshot, remove, restore.
    let made = place.json("snapshot create db before");
    assert_eq!((&made["name"], &made["records"]), (&json!("before"), &json!(5)));
    assert_eq!(place.json("remove db docs 1 99"), json!({"removed": 1}));
    assert_eq!(
        place.run("remove db docs --where n_>=_$n --param n=3").success(),
        "removed 2 records\n"
    );
    assert_eq!(place.json("count db docs"), json!({"count": 2}));
    let report = place.json("optimize db");
    assert_eq!(report["collections"][0]["collection"], "docs");
    // The background may have dropped them when one of the commands above opened the database.
    assert!([0, 3].map(|n| json!(n)).contains(&report["collections"][0]["rows_dropped"]));
    let segment = &place.json("stats db")["collections"][0]["segments"][0];
    assert_eq!((&segment["rows"], &segment["deleted"]), (&json!(2), &json!(0)));
    assert!(place.run("optimize db docs").success().starts_with("docs: "));
    assert_eq!(place.json("snapshot list db")["snapshots"], json!([made]));
    assert!(place.run("snapshot list db").success().contains("before"));
    assert_eq!(
        place.json("snapshot restore db before"),
        json!({"restored": "before", "records": 5})
    );
    assert_eq!(place.json("count db docs"), json!({"count": 5}));
    assert_eq!(place.json("snapshot remove db before"), json!({"removed": "before"}));
    assert_eq!(place.run("snapshot list db").success(), "no snapshots\n");

    // Archive and back.
    let archived = place.json("archive db db.archive");
    assert_eq!((&archived["collections"], &archived["records"]), (&json!(1), &json!(5)));
    let taken = place.run("archive db db.archive");
    assert_eq!(taken.code, 1);
    assert!(taken.err.contains("db.archive exists already"), "{}", taken.err);
    assert_eq!(place.json("unarchive db.archive copy"), archived);
    assert_eq!(place.json("count copy docs"), json!({"count": 5}));
    let full = place.run("unarchive db.archive copy");
    assert_eq!(full.code, 1);
    assert!(full.err.contains("copy is not empty"), "{}", full.err);
    assert!(
        place.run("unarchive db.archive copy2").success().starts_with("unpacked 5 records in 1")
    );
    assert!(place.run("archive db 2.archive").success().starts_with("archived 5 records in 1"));

    // Verify and stats.
    let checked = place.json("verify db");
    assert_eq!((&checked["ok"], &checked["problems"]), (&json!(true), &json!([])));
    assert!(place.run("verify db").success().trim_end().ends_with("all is well"));
    let stats = place.json("stats db docs");
    assert_eq!(stats["collections"][0]["records"], 5);
    assert_eq!(stats["namespaces"], json!([{"namespace": "", "records": 5}]));
    assert!(place.json("stats db")["namespaces"].is_null());
    assert!(
        place
            .run("stats db")
            .success()
            .contains("5 records in 1 namespace, 3 components of f32, cosine")
    );

    // Export and import again.
    for out in ["out.jsonl", "out.jsonl.gz"] {
        let exported = place.json(&format!("export db docs {out}"));
        assert_eq!((&exported["records"], &exported["path"]), (&json!(5), &json!(out)));
        place.run(&format!("import again-{out} docs {out} --metric cosine")).success();
        let again = place.run(&format!("export again-{out} docs -")).success();
        assert_eq!(again, place.run("export db docs -").success());
    }
    let plain = std::fs::read_to_string(place.path("out.jsonl")).expect("a text file");
    assert_eq!(plain, place.run("export db docs -").success());
    assert_eq!(
        plain.lines().next(),
        Some(r#"{"id":1,"vector":[1.0,0.0,0.0],"metadata":{"n":1,"pos":"n","text":"one"}}"#)
    );
    assert_eq!(
        place.run("export db docs - --no-vectors --filter n_=_$n --param n=1").success(),
        "{\"id\":1,\"metadata\":{\"n\":1,\"pos\":\"n\",\"text\":\"one\"}}\n"
    );
    place.run("export db docs out.jsonl --overwrite").success();
    let left: Vec<_> = std::fs::read_dir(place.0.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().contains("tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn metadata_is_changed_counted_ordered_and_grouped() {
    let place = Place::new();
    let lines: String = [
        ("\"a\"", 5, "x"),
        ("\"b\"", 1, "y"),
        ("\"c\"", 3, "x"),
        ("\"d\"", 4, "x"),
        ("\"e\"", 2, "y"),
    ]
    .map(|(id, n, kind)| line(id, [n as f32, 0.0, 0.0], json!({"n": n, "kind": kind})))
    .concat();
    place.file("five.jsonl", lines);
    place.run("import db docs five.jsonl --metric euclidean").success();

    let facet = place.json("facet db docs kind --filter n_<_5");
    let counts = json!([{"value": "x", "count": 2}, {"value": "y", "count": 2}]);
    assert_eq!(facet, json!({"values": counts, "distinct": 2}));
    let text = place.run("facet db docs kind --limit 1").success();
    assert!(text.contains("3  x") && text.contains("2 different values"), "{text}");

    // A filter as JSON; `_` stands for a blank, so names here have none.
    let json_filter = r#"{"field":"n","op":"<","value":3}"#;
    assert_eq!(place.json(&format!("count db docs --filter {json_filter}")), json!({"count": 2}));
    let said = place.run(r#"count db docs --filter {"field":"n","op":"~","value":3}"#).failure();
    assert!(said.contains("/op"), "{said}");
    let said = place.run(&format!("count db docs --filter {json_filter} --param a=1")).failure();
    assert!(said.contains("has its values in itself"), "{said}");

    let scroll = "scroll db docs --order-by n --include metadata.n --limit 2";
    let first = place.json(scroll);
    assert_eq!(ids(&first["records"]), ["b", "e"]);
    let cursor = first["cursor"].as_str().expect("there are more");
    let rest = place.json(&format!("{scroll} --resume {cursor}"));
    assert_eq!(ids(&rest["records"]), ["c", "d"]);
    let last = place.json("scroll db docs --order-by n --descending --limit 9");
    assert_eq!(ids(&last["records"]), ["a", "d", "c", "e", "b"]);
    assert_eq!((&last["next"], &last["cursor"]), (&Value::Null, &Value::Null));
    assert_eq!(place.run(&format!("scroll db docs --after b {scroll}")).code, 2);
    assert_eq!(place.run("scroll db docs --resume nonsense").code, 2);
    let text = place.run(scroll).success();
    assert!(text.contains("--resume '{"), "{text}");

    let query = "query db docs --vector [0,0,0] -k 2 --group-by kind --group-size 2";
    let groups = place.json(query);
    assert_eq!(groups["complete"], true);
    let found =
        |at: usize| (groups["groups"][at]["value"].clone(), ids(&groups["groups"][at]["hits"]));
    assert_eq!(found(0), (json!("y"), vec![json!("b"), json!("e")]));
    assert_eq!(found(1), (json!("x"), vec![json!("c"), json!("d")]));
    let text = place.run(query).success();
    assert!(text.contains("2 groups in"), "{text}");
    let like = place.json("query db docs --like b -k 2 --group-by kind");
    assert_eq!(ids(&like["groups"][0]["hits"]), ["e"], "the record itself is left out");

    assert_eq!(
        place.json(r#"update db docs a nobody --set {"n":9,"kind":null}"#),
        json!({"updated": 1})
    );
    let changed = place.json("scroll db docs --filter n_=_9");
    assert_eq!(changed["records"], json!([{"id": "a", "metadata": {"n": 9}}]));
    let text =
        place.run(r#"update db docs --where n_<_$n --param n=3 --set {"low":true}"#).success();
    assert_eq!(text, "updated 2 records\n");
    assert_eq!(place.json("count db docs --filter low_=_true"), json!({"count": 2}));
    assert_eq!(place.run("update db docs a --set [1]").code, 2);
    assert_eq!(place.run(r#"update db docs --set {"n":1}"#).code, 2);
}

#[test]
fn namespaces_are_listed_bounded_and_removed() {
    let place = with_five();
    place.file("more.jsonl", line("\"z\"", [1.0, 0.0, 0.0], json!({})));
    place.run("import db docs more.jsonl --namespace t7").success();
    let listed = place.json("namespaces list db docs");
    let names: Vec<_> = listed["namespaces"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|n| (&n["name"], &n["records"]))
        .collect();
    assert_eq!(names, [(&json!(""), &json!(5)), (&json!("t7"), &json!(1))]);
    let text = place.run("namespaces list db docs").success();
    assert!(text.contains("(default)") && text.contains("2 namespaces"), "{text}");

    let quota = "namespaces quota db docs --namespace t7";
    assert_eq!(place.json(quota), json!({}));
    assert_eq!(
        place.json(&format!("{quota} --records 1 --results 3")),
        json!({"records": 1, "results": 3})
    );
    place.file("again.jsonl", line("\"y\"", [1.0, 0.0, 0.0], json!({})));
    let refused = place.run("import db docs again.jsonl --namespace t7 --json");
    assert!(refused.err.contains("\"quota_exceeded\""), "{}", refused.err);
    assert_eq!(place.json(&format!("{quota} --records none")), json!({"results": 3}));
    place.run("import db docs again.jsonl --namespace t7").success();
    assert_eq!(place.json("namespaces quota db docs --all --bytes 5"), json!({"bytes": 5}));
    assert!(place.run(quota).success().contains("records             no bound"));

    assert_eq!(place.json("namespaces remove db docs t7"), json!({"removed": 2}));
    assert_eq!(place.json("count db docs --namespace t7"), json!({"count": 0}));
    assert_eq!(place.json("count db docs"), json!({"count": 5}));
}

#[test]
fn a_round_trip_of_arrays() {
    let place = Place::new();
    place.file("a.npy", npy(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]));
    place.file("b.npy", npy(&[[0.0, 0.0, 1.0]]));
    place.file(
        "all.jsonl",
        "{\"key\":\"x\",\"n\":1}\n\n{\"key\":5,\"n\":2}\n{\"key\":\"z\",\"n\":3}\n",
    );

    // With records: ids from a field, several files as one.
    let done = place.json("import db docs a.npy b.npy --records all.jsonl --id key --metric dot");
    for (field, value) in [
        ("collection", json!("docs")),
        ("namespace", json!("")),
        ("records", json!(3)),
        ("skipped", json!(0)),
        ("count", json!(3)),
    ] {
        assert_eq!(done[field], value, "{field}");
    }
    for field in ["seconds", "records_per_second", "flush_seconds"] {
        assert!(done[field].is_f64(), "{field}");
    }
    let page = place.json("scroll db docs --include metadata,vector");
    assert_eq!(
        page["records"],
        json!([
            {"id": 5, "metadata": {"n": 2}, "vector": [0.0, 1.0, 0.0]},
            {"id": "x", "metadata": {"n": 1}, "vector": [1.0, 0.0, 0.0]},
            {"id": "z", "metadata": {"n": 3}, "vector": [0.0, 0.0, 1.0]},
        ])
    );

    // Without records: row numbers, also over files and after --skip. In a namespace of its own.
    let text = place.run("import db docs a.npy b.npy --namespace t --skip 1").success();
    assert!(
        text.contains(
            "collection `docs`, namespace `t`, now has 2 records, all of them searchable"
        ),
        "{text}"
    );
    let page = place.json("scroll db docs --namespace t --include vector");
    assert_eq!(
        page["records"],
        json!([{"id": 1, "vector": [0.0, 1.0, 0.0]}, {"id": 2, "vector": [0.0, 0.0, 1.0]}])
    );
    assert_eq!(place.json("count db docs"), json!({"count": 3}));
    assert_eq!(place.json("remove db docs 1 2 --namespace t"), json!({"removed": 2}));
    assert_eq!(place.json("count db docs --namespace t"), json!({"count": 0}));

    // On standard input.
    let input = line("1", [1.0, 0.0, 0.0], json!({}));
    let args = ["import", "db", "docs", "-", "--namespace", "u"];
    vecstore(place.0.path(), &args, input.as_bytes()).success();
    assert_eq!(place.json("count db docs --namespace u"), json!({"count": 1}));
}

#[test]
fn progress_does_not_reach_standard_output() {
    let place = Place::new();
    let many: String =
        (0..3000).map(|n| line(&n.to_string(), [1.0, n as f32, 0.5], json!({"n": n}))).collect();
    place.file("many.jsonl", many);
    let run = place.run("import db docs many.jsonl --metric euclidean --batch 100");
    assert_eq!(run.out.lines().count(), 2, "{}", run.out);
    assert!(run.out.starts_with("imported 3,000 records in "), "{}", run.out);
    let run = place.run("import db docs many.jsonl --json");
    assert_eq!(run.err, "");
    assert_eq!(place.json("count db docs"), json!({"count": 3000}));
}

#[test]
fn creating_says_what_was_created() {
    let place = Place::new();
    assert_eq!(
        place.json("create db docs --dim 3 --metric L2 --m 8 --ef-construction 64"),
        json!({
            "collection": "docs", "dim": 3, "metric": "euclidean", "precision": "f32", "codes": "int8",
            "created": true
        })
    );
    assert_eq!(
        place.run("create db more --dim 4 --precision f16 --codes none").success(),
        "created collection `more` in db: 4 components of f16, cosine, codes none\n"
    );
    let stats = place.json("stats db");
    let names: Vec<_> =
        stats["collections"].as_array().expect("a list").iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["docs", "more"]);
    assert_eq!(stats["collections"][1]["precision"], "f16");
    assert_eq!(
        [0, 1].map(|at| stats["collections"][at]["codes"].as_str()),
        [Some("int8"), Some("none")]
    );
}

#[test]
fn what_cannot_be_created_leaves_no_folder() {
    let place = Place::new();
    place.file("two.jsonl", "{\"id\": 1, \"vector\": [0, 1]}\n");
    place.file("empty.jsonl", "");
    for line in [
        "create db docs --dim 0",
        "create db docs --dim 3 --m 1",
        "create db a/b --dim 3",
        "import db a/b two.jsonl --metric cosine",
        "import db docs two.jsonl --dim 100000",
        "import db docs empty.jsonl --metric cosine",
    ] {
        let refused = place.run(line);
        assert_eq!(refused.code, 1, "{line}: {}{}", refused.out, refused.err);
        assert!(!place.path("db").exists(), "{line}");
    }
}

#[test]
fn the_database_of_another_process_is_busy() {
    let place = with_five();
    let db = vecstore::Database::open(place.path("db")).expect("the database opens");
    let run = place.run("count db docs --json");
    drop(db);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("\"busy\""), "{}", run.err);
    assert_eq!(place.json("count db docs"), json!({"count": 5}));
}

#[test]
fn damage_is_found() {
    let place = with_five();
    let folder = place.path("db").join("seg");
    let segment = std::fs::read_dir(folder)
        .expect("the folder of the segments")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|e| e == "seg"))
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("its bytes");
    let vector: Vec<u8> = [0.6f32, 0.8, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let at = bytes.windows(12).position(|window| window == vector).expect("a vector that is in it");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("it is written back");

    let run = place.run("verify db --json");
    assert_eq!(run.code, 1, "{}", run.out);
    let report: Value = serde_json::from_str(&run.out).expect("the report is printed");
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(1), "{report}");
    let error: Value = serde_json::from_str(&run.err).expect("and the error");
    assert_eq!(error, json!({"error": {"kind": "corrupt", "message": "db: 1 damaged place"}}));
    let run = place.run("verify db");
    assert!(run.out.trim_end().ends_with("there is damage"), "{}", run.out);
    assert_eq!(run.failure(), "db: 1 damaged place");
}

#[test]
fn a_damaged_log_is_refused_and_repaired() {
    let place = with_five();
    assert_eq!(place.json("repair db")["place"], Value::Null);
    let journal = place.path("db").join("kv-1").join("0.jnl");
    let mut bytes = std::fs::read(&journal).expect("the journal");
    // A byte of the first batch's checksum: everything lies behind it.
    let at = bytes.windows(4).position(|window| window == b"FJL\x03").expect("a batch") - 1;
    bytes[at] ^= 1;
    std::fs::write(&journal, &bytes).expect("it is written back");

    let message = place.run("count db docs").failure();
    assert!(message.contains("0.jnl: the log is damaged at byte 0"), "{message}");
    assert!(message.contains("`repair`"), "{message}");
    let report = place.json("repair db");
    assert_eq!(report["batches_kept"], 0, "{report}");
    assert!(report["batches_dropped"].as_u64() > Some(1), "{report}");
    // What is in a segment does not need the log.
    assert_eq!(place.run("count db docs").success().trim(), "5");
    let whole = place.run("repair db").success();
    assert!(whole.starts_with("the log is whole, up to commit "), "{whole}");
    assert!(!whole.starts_with("the log is whole, up to commit 0"), "{whole}");
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let place = Place::new();
    let text = "x".repeat(1000);
    let many: String =
        (0..2000).map(|n| line(&n.to_string(), [1.0, 0.0, 0.0], json!({"text": text}))).collect();
    place.file("many.jsonl", many);
    place.run("import db docs many.jsonl --metric cosine").success();
    let mut child = Command::new(env!("CARGO_BIN_EXE_vecstore"))
        .args(["export", "db", "docs", "-"])
        .current_dir(place.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn the_demo_shows_and_checks_everything() {
    let place = Place::new();
    let text = place.run("demo --dir shown").success();
    for part in [
        "10,000 WordNet definitions",
        "1. Ingest",
        "2. Search by meaning",
        "“a wind from the east”",
        "west wind",
        "3. Filters",
        "11 of 10,000 records match; 5 of 5 hits",
        "4. EXPLAIN",
        "5. Updates and removals",
        "6. Optimize",
        "7. Close and reopen",
        "all 7 queries above give the same ids and scores",
        "8. Recall and latency",
        "recall@10",
        "The database is in shown",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert_eq!(place.json("count shown wordnet"), json!({"count": 9686}));
    let said = place.run("demo --dir shown").failure();
    assert_eq!(said, "collection `wordnet` exists already; choose another --dir");

    let demo = place.json("demo");
    assert_eq!(demo["ingest"]["records"], 10_000);
    assert_eq!(demo["queries"].as_array().map(Vec::len), Some(4));
    assert_eq!(demo["queries"][0]["text"], "a wind from the east");
    assert_eq!(demo["queries"][0]["hits"][0]["id"], 9764);
    assert_eq!(demo["filtered"][2]["matches"], 11);
    assert!(demo["plan"].is_object());
    assert_eq!(demo["writes"], json!({"updated": 1, "removed": 314, "records": 9686}));
    assert_eq!(demo["optimize"]["segments_after"], 1);
    assert_eq!(demo["reopen"]["same_answers"], true);
    for measured in demo["measured"].as_array().expect("a list") {
        assert!(measured["recall_at_10"].as_f64() >= Some(0.95), "{measured}");
        assert!(measured["latency_ms"]["p99"].is_f64(), "{measured}");
    }
    assert!(demo["path"].is_null(), "the temporary folder is gone");
}
