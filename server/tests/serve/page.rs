//! The page at `/ui`, as a person uses it.

use serde_json::{Value, json};

use super::browser::Browser;
use super::http::{ask, ask_with};
use super::process::Server;

/// Nothing a person does here may end in an error of the page's own.
fn no_errors(browser: &Browser) {
    assert!(browser.errors.is_empty(), "{:?}", browser.errors);
}

fn record(n: u64) -> Value {
    let metadata = json!({"pos": if n.is_multiple_of(3) { "v" } else { "n" }, "len": n, "gloss": format!("gloss {n}")});
    json!({"id": n, "vector": [1.0, n as f32 / 300.0], "metadata": metadata})
}

/// A server with 300 records, on `flags`.
fn serve(flags: &[&str], key: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("db"), flags);
    let docs = "/v1/collections/docs";
    ask_with(server.http, "PUT", docs, key, &json!({"dim": 2})).success();
    let records: Vec<Value> = (0..300).map(record).collect();
    let upsert = json!({"records": records});
    ask_with(server.http, "POST", &format!("{docs}/records"), key, &upsert).success();
    (folder, server)
}

#[test]
fn the_page_and_its_parts_are_served_for_this_origin_alone() {
    let (_folder, server) = serve(&[], &[]);
    for (path, kind) in [
        ("/ui", "text/html; charset=utf-8"),
        ("/ui/app.js", "text/javascript; charset=utf-8"),
        ("/ui/style.css", "text/css; charset=utf-8"),
    ] {
        let answer = ask(server.http, "GET", path, &Value::Null);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'self'"), "{path}: {policy}");
    }
    assert_eq!(ask(server.http, "GET", "/ui/missing.js", &Value::Null).status, 404);
}

#[test]
fn records_are_browsed_and_searched_and_the_plan_is_shown() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    browser.open(&format!("http://{}/ui", server.http));
    browser.click("nav a", "docs");
    browser.wait_for_text("300");
    browser.wait_for_text("components of f32, cosine");

    browser.click(".tabs a", "Records");
    browser.fill("input[name=filter]", "pos = 'v' AND len >= 150");
    browser.click("button", "Show");
    browser.wait_for_text("1–50 of 50");
    browser.wait_for("document.querySelectorAll('tbody tr').length === 50");
    browser.click("tbody tr", "gloss 153");
    browser.wait_for_text("\"gloss\": \"gloss 153\"");

    browser.click("a", "More like this");
    browser.wait_for_text("10 hits in");
    browser.wait_for_text("of 300 records match");
    browser.wait_for_text("complete");
    browser.wait_for("document.querySelectorAll('.plan .bars').length >= 2");
    let first = browser.value("document.querySelector('tbody tr td').innerText");
    assert!(first == "152" || first == "154", "{first}");

    browser.fill("input[name=filter]", "len <");
    browser.click("button", "Search");
    browser.wait_for_text("expected a value after `<`");
    browser.wait_for("document.querySelector('[name=filter][aria-invalid=true]')");
    // The browser itself notes that a request was refused.
    browser.errors.retain(|error| !error.contains("400"));
    no_errors(&browser);
}

/// What a page that was left while it was loading would keep in the address is not put into that of the next
/// one, whether that is shown already or only asked for.
#[test]
fn a_page_that_was_left_leaves_the_address_alone() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    let records = format!("http://{}/ui#/c/docs/records", server.http);
    for event in ["shown", "asked for"] {
        browser.open(&records);
        browser.wait_for("document.querySelectorAll('tbody tr').length === 50");
        browser.value("window.left = document.querySelector('form.bar'), null");
        let go = "location.hash = '#/c/docs/query?like=7'";
        let keep = "import('/ui/dom.js').then(({ remember }) => { KEEP })";
        let asked = match event {
            "shown" => {
                browser.value(go);
                browser.wait_for("document.querySelector('[name=like]')");
                browser.value(&keep.replace("KEEP", "remember(left, { filter: 'len > 3' })"))
            }
            _ => browser
                .value(&keep.replace("KEEP", &format!("{go}; remember(left, {{ filter: '' }})"))),
        };
        assert!(asked.is_null(), "{asked}");
        browser.wait_for_text("10 hits in");
        assert_eq!(browser.value("document.querySelector('[name=like]').value"), "7", "{event}");
        let address = browser.value("location.hash");
        assert!(address.as_str().is_some_and(|hash| hash.contains("like=7")), "{event}: {address}");
        assert!(!address.as_str().is_some_and(|hash| hash.contains("len")), "{event}: {address}");
    }
    no_errors(&browser);
}

#[test]
fn a_record_is_seen_where_it_was_chosen_also_on_a_narrow_page() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    let wide = json!({"wide": "x".repeat(300), "other": "y".repeat(300), "third": "z".repeat(300)});
    let upsert = json!({"records": [{"id": 7, "vector": [0.0, 1.0], "metadata": wide}]});
    ask(server.http, "POST", "/v1/collections/docs/records", &upsert).success();
    for (width, height) in [(1360, 900), (390, 800)] {
        browser.resize(width, height);
        for tab in ["overview", "records", "query?like=7"] {
            browser.open(&format!("http://{}/ui#/c/docs/{tab}", server.http));
            browser.wait_for("document.querySelectorAll('tbody tr, .empty').length");
            // Without the bar that scrolls down, which is a part of the window.
            let beyond = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)\
                          (document.documentElement)";
            assert_eq!(browser.value(beyond), 0, "{tab} at {width}");
        }
        browser.open(&format!("http://{}/ui#/c/docs/records", server.http));
        browser.wait_for("document.querySelectorAll('tbody tr').length === 50");
        browser.value("document.querySelectorAll('tbody tr')[49].scrollIntoView()");
        browser.click("tbody tr", "gloss 49");
        browser
            .wait_for("document.querySelector('tr[aria-current]').innerText.includes('gloss 49')");
        let seen = "(() => { const at = document.querySelector('.detail').getBoundingClientRect(); \
                    return at.top >= 0 && at.bottom <= innerHeight; })()";
        browser.wait_for(seen);
        browser.click("button", "Close");
        browser.wait_for("!document.querySelector('.detail, tr[aria-current]')");
    }
    no_errors(&browser);
}

/// Fills fields, searches, and looks for what is said at one of them.
#[track_caller]
fn refused(browser: &mut Browser, fill: &[(&str, &str)], field: &str, said: &str) {
    for (name, text) in fill {
        browser.fill(&format!("[name={name}]"), text);
    }
    browser.click("button", "Search");
    let at = format!("document.querySelector('label:has([name={field}][aria-invalid=true])')");
    browser.wait_for(&format!("{at}?.querySelector('.wrong')?.innerText.includes({said:?})"));
    // There, and nowhere else; and there is where one goes on.
    assert_eq!(browser.value("document.querySelectorAll('.wrong, .problem').length"), 1);
    assert_eq!(browser.value("document.activeElement.name"), field);
}

#[test]
fn what_is_wrong_is_said_at_its_field() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    browser.open(&format!("http://{}/ui#/c/docs/query", server.http));
    refused(&mut browser, &[], "like", "give the id of a record, or a vector");
    refused(&mut browser, &[("vector", "1 x")], "vector", "\"x\" in the vector is not a number");
    refused(&mut browser, &[("vector", "1 2 3")], "vector", "has 3 components, the collection 2");
    refused(
        &mut browser,
        &[("vector", "1 2"), ("filter", "len <")],
        "filter",
        "expected a value after",
    );
    let tops = "[...document.querySelectorAll('.row:nth-of-type(2) :is(input, select, button)')]\
                .filter((e) => !e.hidden).map((e) => Math.round(e.getBoundingClientRect().top))";
    assert_eq!(browser.value(&format!("new Set({tops}).size")), 1, "they stand in one line");
    refused(&mut browser, &[("filter", ""), ("k", "100000000")], "k", "100000000");
    browser.fill("[name=k]", "5");
    browser.click("button", "Search");
    browser.wait_for_text("5 hits in");
    assert_eq!(browser.value("document.querySelectorAll('.wrong, [aria-invalid]').length"), 0);
    assert_eq!(browser.value("document.querySelectorAll('[aria-busy]').length"), 0);
    browser.open(&format!("http://{}/ui#/server", server.http));
    browser.fill("[name=name]", "a/b");
    browser.click("button", "Create");
    browser.wait_for("document.querySelector('label:has([name=name]) .wrong')");
    browser.errors.retain(|error| !error.contains("400"));
    no_errors(&browser);
}

#[test]
fn records_are_walked_with_keys() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    browser.open(&format!("http://{}/ui#/c/docs/records", server.http));
    browser.wait_for("document.querySelectorAll('tbody tr').length === 50");
    browser.value("document.querySelector('tbody tr').focus()");
    for (key, row) in [("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("ArrowDown", 2)] {
        browser.press(key);
        let at = "[...document.querySelectorAll('tbody tr')].indexOf(document.activeElement)";
        assert_eq!(browser.value(at), row, "{key}");
    }
    browser.press("Enter");
    browser.wait_for("document.querySelector('.detail')?.innerText.includes('gloss 2')");
    let focused = "document.activeElement.innerText.includes('gloss 2')";
    assert_eq!(browser.value(focused), true, "one goes on from where one was");
    browser.press("Escape");
    browser.wait_for("!document.querySelector('.detail, tr[aria-current]')");
    assert_eq!(browser.value(focused), true);
    no_errors(&browser);
}

#[test]
fn what_was_asked_for_stands_in_the_address() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    for (tab, button, shown) in
        [("records", "Show", "1–50 of 250"), ("query?like=9", "Search", "10 hits in")]
    {
        browser.open(&format!("http://{}/ui#/c/docs/{tab}", server.http));
        browser.wait_for("document.querySelectorAll('tbody tr').length");
        browser.fill("input[name=filter]", "len >= 50");
        browser.click("button", button);
        browser.wait_for_text(shown);
        let address = browser.value("location.href");
        let address = address.as_str().unwrap();
        assert!(address.contains("filter=len+%3E%3D+50"), "{address}");
        browser.open("about:blank");
        browser.open(address);
        browser.wait_for("document.querySelector('input[name=filter]')?.value === 'len >= 50'");
        browser.wait_for_text(shown);
    }
    no_errors(&browser);
}

#[test]
fn optimize_runs_from_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    browser.open(&format!("http://{}/ui#/c/docs", server.http));
    browser.wait_for_text("No segment yet");
    browser.click("button", "Optimize");
    browser.wait_for_text("optimized in");
    browser.wait_for("document.querySelectorAll('tbody tr').length > 0");
    browser.wait_for_text("sound");
    browser.click("header a", "Server");
    browser.wait_for_text("requests a second");
    browser.wait_for_text("optimize docs");
    no_errors(&browser);
}

#[test]
fn what_records_hold_is_text_and_whole_numbers_stay_whole() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, server) = serve(&[], &[]);
    let id = (1u64 << 53) + 1;
    let evil = "<img src=x onerror=\"document.title='taken'\">";
    let upsert =
        json!({"records": [{"id": id, "vector": [0.0, 1.0], "metadata": {"gloss": evil}}]});
    ask(server.http, "POST", "/v1/collections/docs/records", &upsert).success();
    let filtered = format!("http://{}/ui#/c/docs/records?filter=NOT%20len%20EXISTS", server.http);
    browser.open(&filtered);
    browser.wait_for_text(evil);
    browser.wait_for_text(&id.to_string());
    browser.click("tbody tr", &id.to_string());
    browser.click("a", "More like this");
    browser.wait_for_text("10 hits in");
    assert_eq!(browser.value("document.querySelectorAll('main img').length"), 0);
    assert_ne!(browser.value("document.title"), "taken");
}

#[test]
fn a_key_is_asked_for_and_kept_for_the_tab() {
    let Some(mut browser) = Browser::start() else { return };
    let key = "a-key-of-enough-characters";
    let bearer = format!("Bearer {key}");
    let (_folder, server) = serve(&["--api-key", key], &[("authorization", &bearer)]);
    browser.open(&format!("http://{}/ui", server.http));
    browser.wait_for_text("a key is needed");
    browser.fill("dialog input", key);
    browser.click("dialog button", "Use this key");
    browser.click("nav a", "docs");
    browser.wait_for_text("components of f32, cosine");
    browser.click("header button", "Forget key");
    browser.wait_for_text("a key is needed");
}
