//! The command as users and programs meet it: what it prints, where, and the exit code.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what is unexpected fails the test")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use coldframe::clock::{Clock, SystemClock};
use serde_json::Value as Json;
use tempfile::TempDir;

mod copy;
mod strict;

/// A folder with a store in it, and nothing of the user's own settings.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldframe"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COLDFRAME_")) {
            command.env_remove(name);
        }
        command.env("HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.path("no-config"));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Standard output of a command that must succeed.
    fn out(&self, arguments: &[&str]) -> String {
        text(&succeeded(self.run(arguments)).stdout)
    }

    fn json(&self, arguments: &[&str]) -> Json {
        let output = succeeded(self.run(arguments));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn put_csv(&self, key: &str, content: &str) -> Json {
        let file = self.file("input.csv", content);
        self.json(&["put", key, &file, "--format", "csv", "--json"])
    }

    /// The exit code and standard error of a command that must fail.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        failed(self.run(arguments))
    }

    fn files(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.path(below), &mut found);
        found.sort();
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), found);
        } else {
            found.push(entry.path().to_str().unwrap().to_owned());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{:?}: {}", output.status, text(&output.stderr));
    output
}

fn failed(output: Output) -> (i32, String) {
    assert!(!output.status.success(), "it succeeded: {}", String::from_utf8_lossy(&output.stdout));
    assert!(output.stdout.is_empty(), "data on standard output: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), text(&output.stderr))
}

const TRIPS: &str = "id,name,fare\n1,a,1.5\n2,b,2.25\n3,c,\n";

#[test]
fn a_table_goes_in_and_the_same_table_comes_back() {
    let place = Place::new();
    let file = place.file("trips.csv", TRIPS);
    let output = succeeded(place.run(&["put", "etl/trips", &file]));
    assert_eq!(text(&output.stdout), "etl/trips@1\n");
    assert!(text(&output.stderr).contains("3 rows"), "{}", text(&output.stderr));
    assert_eq!(place.out(&["get", "etl/trips", "--format", "csv"]), TRIPS);
    assert_eq!(
        place.out(&["get", "etl/trips@1", "--format", "ndjson", "--columns", "name,id", "--limit", "1"]),
        "{\"name\":\"a\",\"id\":1}\n"
    );
    assert_eq!(place.out(&["get", "etl/trips", "--format", "csv", "--tail", "1"]), "id,name,fare\n3,c,\n");
    assert_eq!(place.out(&["get", "etl/trips", "--format", "csv", "--offset", "1", "--limit", "1"]).lines().count(), 2);
    let kept =
        place.out(&["get", "etl/trips", "--format", "csv", "--columns", "name", "--where", "fare IS NULL OR id = 1"]);
    assert_eq!(kept, "name\na\nc\n");
    let last = place.out(&["get", "etl/trips", "--format", "csv", "--where", "id < 3", "--tail", "1"]);
    assert_eq!(last, "id,name,fare\n2,b,2.25\n");
    let preview = place.out(&["get", "etl/trips", "--format", "table", "--where", "id > 1"]);
    assert!(preview.contains("2 rows × 3 columns"), "{preview}");
    let (code, told) = place.fails(&["get", "etl/trips", "--where", "fares > 1"]);
    assert!(code == 3 && told.contains("did you mean `fare`?"), "{told}");
    let (code, told) = place.fails(&["get", "etl/trips", "--where", "fare > 'x'"]);
    assert!(code == 2 && told.contains("a number, such as 12"), "{code}: {told}");
    let preview = place.out(&["get", "etl/trips", "--format", "table"]);
    assert!(preview.contains("float64") && preview.contains("3 rows × 3 columns"), "{preview}");
    assert!(text(&succeeded(place.run(&["put", "etl/trips", &file, "-q"])).stderr).is_empty());
}

/// As the Python package's command does, in its own process, many times.
#[test]
fn another_program_gets_the_exit_code() {
    let place = Place::new();
    let store = place.path("store");
    let run = |arguments: &[&str]| {
        let fixed = ["coldframe", "--store", store.to_str().unwrap(), "--quiet"];
        coldframe::cli::run(fixed.iter().chain(arguments).map(|argument| std::ffi::OsString::from(*argument)))
    };
    let file = place.file("trips.csv", TRIPS);
    assert_eq!(run(&["no-such-command"]), 2);
    assert_eq!(run(&["get", "etl/trips"]), 3);
    assert_eq!(run(&["put", "etl/trips", &file]), 0);
    assert_eq!(run(&["get", "etl/trips", "-o", place.path("back.csv").to_str().unwrap()]), 0);
    assert_eq!(fs::read_to_string(place.path("back.csv")).unwrap(), TRIPS);
}

#[test]
fn every_format_that_comes_out_goes_in_again() {
    let place = Place::new();
    place.put_csv("first", TRIPS);
    for name in ["t.parquet", "t.arrow", "t.csv", "t.ndjson", "t.json"] {
        let path = place.path(name);
        let path = path.to_str().unwrap();
        place.out(&["get", "first", "-o", path]);
        // The name says nothing: only the content counts.
        let nameless = place.path("nameless");
        fs::copy(path, &nameless).unwrap();
        place.out(&["put", name, nameless.to_str().unwrap()]);
        assert_eq!(place.out(&["get", name, "--format", "csv"]), TRIPS, "{name}");
        let piped = succeeded(place.run_with(&["put", "piped", "-", "--json"], &fs::read(path).unwrap()));
        let reference: Json = serde_json::from_slice(&piped.stdout).unwrap();
        assert_eq!(reference["rows"], 3, "{name}");
    }
    let stream = succeeded(place.run(&["get", "first"])).stdout;
    assert_eq!(&stream[..4], &[0xff; 4]);
    succeeded(place.run_with(&["put", "stream", "-"], &stream));
    assert_eq!(place.out(&["get", "stream", "--format", "csv"]), TRIPS);
    let leftovers: Vec<String> = place.files("").into_iter().filter(|file| file.contains(".part")).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn a_reference_is_enough() {
    let place = Place::new();
    let reference = place.put_csv("etl/trips", TRIPS);
    assert_eq!(reference["type"], "reference");
    place.put_csv("etl/trips", "id\n9\n");
    let json = reference.to_string();
    let file = place.file("reference.json", &json);
    let elsewhere = tempfile::tempdir().unwrap();
    for what in [json.as_str(), file.as_str()] {
        let output = place.command(&["get", what, "--format", "csv"]).current_dir(elsewhere.path()).output().unwrap();
        assert_eq!(text(&succeeded(output).stdout), TRIPS);
    }
    assert_eq!(text(&succeeded(place.run_with(&["get", "-", "--format", "csv"], json.as_bytes())).stdout), TRIPS);
    let literal = r#"{"type":"literal","format":1,"value":null}"#;
    assert_eq!(place.out(&["get", literal]), "null\n");
    assert_eq!(place.fails(&["get", r#"{"type":"none","format":1}"#]).0, 3);
    let foreign = json.replace("file:", "s3:");
    let (code, told) = place.fails(&["get", &foreign]);
    assert!(code == 6 && told.contains("--store"), "{code} {told}");
}

#[test]
fn lists_are_arrays_with_the_newest_first() {
    let place = Place::new();
    for key in ["b/two", "a", "b/one"] {
        place.put_csv(key, "id\n1\n");
    }
    place.put_csv("a", "id\n1\n2\n");
    let names = |json: Json| -> Vec<String> {
        json.as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(place.json(&["ls", "--json"])), ["a", "b/one", "b/two"]);
    assert_eq!(names(place.json(&["ls", "b", "--json"])), ["b/one", "b/two"]);
    assert_eq!(names(place.json(&["ls", "--limit", "1", "--json"])), ["a"]);
    assert_eq!(names(place.json(&["ls", "--search", "two", "--json"])), ["b/two"]);
    let versions = place.json(&["versions", "a", "--json"]);
    assert_eq!((&versions[0]["version"], &versions[1]["version"]), (&2.into(), &1.into()));
    assert_eq!(versions[0]["state"], "live");
    let listing = place.out(&["ls"]);
    assert!(listing.starts_with("KEY") && listing.lines().count() == 4, "{listing}");
    assert!(place.out(&["versions", "a"]).contains("live"));
    let empty = Place::new();
    assert_eq!(empty.json(&["ls", "--json"]), serde_json::json!([]));
}

#[test]
fn a_near_miss_suggests_keys() {
    let place = Place::new();
    place.put_csv("etl/trips", TRIPS);
    for command in ["get", "show", "versions", "rm"] {
        let (code, told) = place.fails(&[command, "etl/trisp"]);
        assert_eq!(code, 3, "{command}: {told}");
        assert!(told.starts_with("error: ") && told.contains("did you mean `etl/trips`?"), "{command}: {told}");
    }
    let (code, told) = place.fails(&["get", "etl/trips", "--columns", "fares", "--format", "csv"]);
    assert!(code == 3 && told.contains("did you mean `fare`?"), "{told}");
    let (code, told) = place.fails(&["get", "nothing/like/it", "--json"]);
    let told: Json = serde_json::from_str(&told).unwrap();
    assert_eq!((code, told["error"]["kind"].as_str()), (3, Some("not_found")));
}

#[test]
fn conditions_hold_or_conflict() {
    let place = Place::new();
    let file = place.file("t.csv", TRIPS);
    place.out(&["put", "k", &file, "--if-absent"]);
    assert_eq!(place.fails(&["put", "k", &file, "--if-absent"]).0, 4);
    assert_eq!(place.out(&["put", "k", &file, "--after", "1"]), "k@2\n");
    assert_eq!(place.fails(&["put", "k", &file, "--after", "1"]).0, 4);
    assert_eq!(place.fails(&["put", "a//b", &file]).0, 2);
    assert_eq!(place.fails(&["put", "k", &file, "--serializer", "parquett"]).0, 2);
    assert_eq!(place.fails(&["put", "k", "no-such-file"]).0, 3);
}

#[test]
fn what_is_attached_is_shown_and_cannot_control_a_terminal() {
    let place = Place::new();
    let file = place.file("t.csv", TRIPS);
    let put = [
        "put",
        "k",
        &file,
        "--title",
        "All \u{1b}[31mtrips",
        "--description",
        "two\nlines",
        "--metadata",
        "flow=train",
    ];
    place.out(&[&put[..], &["--expires", "1d", "--serializer", "parquet/snappy"]].concat());
    let shown = place.out(&["show", "k"]);
    for part in
        ["All \\u{1b}[31mtrips", "two\\nlines", "flow = train", "expires", "snappy", "Int64", "read_parquet", "Rust"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'));
    let json = place.json(&["show", "k", "--json"]);
    assert_eq!(json["kind"], "table");
    assert_eq!(json["columns"][2]["name"], "fare");
    assert!(json["columns"][2]["bytes"].as_u64().is_some(), "{json}");
    assert_eq!(json["columns"][2]["min"], "1.5");
    assert_eq!((&json["columns"][2]["nulls"], &json["columns"][2]["exact"]), (&1.into(), &true.into()));
    assert!(shown.contains("MIN") && shown.contains("2.25"), "{shown}");
    let part = json["files"][0].as_str().unwrap();
    assert_eq!(&fs::read(part).unwrap()[..4], b"PAR1");
}

#[test]
fn rm_needs_to_be_told_which() {
    let place = Place::new();
    for _ in 0..3 {
        place.put_csv("k", TRIPS);
    }
    let (code, told) = place.fails(&["rm", "k"]);
    assert!(code == 2 && told.contains("--all"), "{told}");
    assert_eq!(place.out(&["rm", "k@2", "--reason", "wrong"]), "k@2\n");
    assert_eq!(place.fails(&["get", "k@2"]).0, 3);
    assert!(place.out(&["versions", "k"]).contains("wrong"));
    assert_eq!(place.json(&["rm", "k", "--all", "--json"])["deleted"].as_array().unwrap().len(), 2);
    assert_eq!(place.fails(&["get", "k"]).0, 3);
    place.put_csv("only", TRIPS);
    assert_eq!(place.out(&["rm", "only"]), "only@1\n");
    assert_eq!(place.fails(&["rm", "k@1", "--all"]).0, 2);
}

#[test]
fn verify_tells_what_is_damaged() {
    let place = Place::new();
    place.put_csv("good", TRIPS);
    let reference = place.put_csv("bad", TRIPS);
    place.out(&["verify"]);
    let part = place.path(".coldframe").join(reference["parts"][0]["path"].as_str().unwrap());
    let mut bytes = fs::read(&part).unwrap();
    bytes[8] ^= 0xff;
    fs::write(&part, bytes).unwrap();
    let output = place.run(&["verify", "--json"]);
    assert_eq!(output.status.code(), Some(5));
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(place.run(&["verify", "bad"]).status.code(), Some(5));
    place.out(&["verify", "good"]);
    assert_eq!(place.fails(&["get", "bad", "-o", "x.csv"]).0, 5);
    assert!(!place.path("x.csv").exists());
}

#[test]
fn what_is_no_table_is_refused_or_stored_as_bytes() {
    let place = Place::new();
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = place.file("garbage.parquet", &content);
    let (code, told) = place.fails(&["put", "k", &file]);
    assert!(code == 2 && told.contains("--serializer bytes"), "{told}");
    for serializer in ["bytes", "compressed/bytes"] {
        place.out(&["put", serializer, &file, "--serializer", serializer]);
        assert_eq!(succeeded(place.run(&["get", serializer])).stdout, content);
        let path = place.path("back.bin");
        place.out(&["get", serializer, "-o", path.to_str().unwrap()]);
        assert_eq!(fs::read(path).unwrap(), content);
    }
    assert_eq!(place.fails(&["get", "bytes", "--format", "csv"]).0, 2);
    assert_eq!(place.fails(&["get", "bytes", "--limit", "1"]).0, 2);
}

#[test]
fn json_values_come_back_as_they_were() {
    let place = Place::new();
    for (key, document) in [("object", r#"{"b":[1,2.5],"a":18446744073709551615}"#), ("null", "null"), ("yes", "true")]
    {
        let file = place.file("document", document);
        place.out(&["put", key, &file]);
        assert_eq!(place.out(&["get", key]), format!("{document}\n"));
    }
    let file = place.file("document", "{\"a\":99999999999999999999}");
    let (code, told) = place.fails(&["put", "big", &file]);
    assert!(code == 2 && told.contains("64 bits"), "{told}");
    let file = place.file("rows", "[{\"a\":1},{\"a\":2}]");
    place.out(&["put", "rows", &file, "--serializer", "json"]);
    assert_eq!(place.out(&["get", "rows"]), "[{\"a\":1},{\"a\":2}]\n");
    place.out(&["put", "rows", &file]);
    assert_eq!(place.out(&["get", "rows", "--format", "csv"]), "a\n1\n2\n");
}

#[test]
fn a_misfit_in_csv_leaves_nothing() {
    let place = Place::new();
    let mut content = String::from("id,fare\n");
    for row in 0..100_000 {
        content.push_str(&format!("{row},1\n"));
    }
    content.push_str("100000,free\n");
    let file = place.file("t.csv", &content);
    let (code, told) = place.fails(&["put", "k", &file]);
    assert!(code == 9 && told.contains("line 100002, column `fare`") && told.contains("--schema"), "{told}");
    assert_eq!(place.json(&["ls", "--json"]), serde_json::json!([]));
    assert!(place.files(".coldframe/data").is_empty());
    place.out(&["put", "k", &file, "--schema", "fare:utf8"]);
    assert_eq!(place.out(&["get", "k", "--tail", "1", "--format", "csv"]), "id,fare\n100000,free\n");
}

#[test]
fn odd_keys_work() {
    let place = Place::new();
    for key in ["100% [x]*?", "a", "a/b", "it's \"quoted\"", "żółć/日本"] {
        place.put_csv(key, TRIPS);
        assert_eq!(place.out(&["get", key, "--format", "csv"]), TRIPS, "{key}");
        let file = place.json(&["show", key, "--json"])["files"][0].as_str().unwrap().to_owned();
        assert!(Path::new(&file).is_file(), "{file}");
    }
    assert_eq!(place.json(&["ls", "--json"]).as_array().unwrap().len(), 5);
}

#[cfg(unix)]
#[test]
fn the_content_of_ones_own_arrow_file_is_checked_where_it_is_asked_for_or_looked_into() {
    let place = Place::new();
    let rows: String = (0..50_000).map(|row| format!("{row}\n")).collect();
    let file = place.file("input.csv", format!("id\n{rows}"));
    let put = place.json(&["put", "k", &file, "--format", "csv", "--serializer", "arrow", "--json"]);
    let part = put["parts"][0]["path"].as_str().unwrap();
    let stored = place.files(".").into_iter().find(|path| path.ends_with(part)).unwrap();
    let mut bytes = fs::read(&stored).unwrap();
    bytes[200_000] ^= 1;
    fs::write(&stored, bytes).unwrap();
    place.out(&["get", "k", "-o", "out.arrow"]);
    assert_eq!(place.fails(&["get", "k", "-o", "checked.arrow", "--check"]).0, 5);
    // Rows before the damage are on standard output by then.
    assert_eq!(place.run(&["get", "k", "--format", "csv"]).status.code(), Some(5));
}

#[test]
fn a_time_chooses_a_version() {
    let place = Place::new();
    let first = place.put_csv("k", TRIPS);
    std::thread::sleep(Duration::from_millis(20));
    place.put_csv("k", "id\n9\n");
    let time = first["created"].as_str().unwrap();
    assert_eq!(place.out(&["get", "k", "--as-of", time, "--format", "csv"]), TRIPS);
    assert_eq!(place.fails(&["get", "k@1", "--as-of", time]).0, 2);
    assert_eq!(place.fails(&["get", "k", "--as-of", "2001-01-01T00:00:00Z"]).0, 3);
}

#[test]
fn settings_come_with_their_origin() {
    let place = Place::new();
    fs::write(place.path("coldframe.toml"), "default = \"near\"\n[storage.near]\nurl = \"./near\"\n").unwrap();
    let settings = place.json(&["config", "--json"]);
    assert!(settings.to_string().contains("coldframe.toml"), "{settings}");
    let typed = place.out(&["config", "--store", "s3://b", "-O", "aws_secret_access_key=hush"]);
    assert!(typed.contains("option -O") && !typed.contains("hush"), "{typed}");
    place.put_csv("k", TRIPS);
    assert!(place.path("near").is_dir());
}

#[test]
fn the_cache_is_shown_and_cleared() {
    let place = Place::new();
    let folder = place.path("cache");
    let run = |arguments: &[&str], settings: &[(&str, &str)]| {
        let mut command = place.command(arguments);
        command.env("COLDFRAME_CACHE_FOLDER", &folder).envs(settings.iter().copied());
        command.output().unwrap()
    };
    let json = |output: Output| -> Json { serde_json::from_slice(&succeeded(output).stdout).unwrap() };
    let none = serde_json::json!({"enabled": true, "folder": folder, "limit": 10_u64 << 30, "bytes": 0, "entries": 0, "objects": 0});
    assert_eq!(json(run(&["cache", "info", "--json"], &[])), none);
    assert!(!folder.exists());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let cache = coldframe::CacheSettings::On { folder: folder.clone(), limit: 1 << 30 };
        let builder = coldframe::ResultStore::builder().configuration(coldframe::Configuration::empty());
        let store = builder.location("memory://").cached_as("test").cache(cache).open().await.unwrap();
        let reference = store.put("k", bytes::Bytes::from(vec![7; 10_000])).await.unwrap();
        store.get(&reference).await.unwrap();
        store.settled().await;
    });
    let held = json(run(&["cache", "info", "--json"], &[("COLDFRAME_CACHE", "1GiB")]));
    let sizes = ["limit", "bytes", "entries", "objects"].map(|name| held[name].as_u64().unwrap());
    assert_eq!(sizes, [1 << 30, 12_288, 1, 1]);
    let shown = text(&succeeded(run(&["cache", "info"], &[("COLDFRAME_CACHE", "off")])).stdout);
    assert!(shown.contains("the cache is off") && shown.contains("12.0 KiB"), "{shown}");
    let settings = text(&succeeded(run(&["config"], &[("COLDFRAME_CACHE", "off")])).stdout);
    assert!(settings.contains("COLDFRAME_CACHE_FOLDER") && settings.contains("cache "), "{settings}");
    let cleared = succeeded(run(&["cache", "clear"], &[]));
    assert!(text(&cleared.stderr).contains("removed 1 entry of 1 object, 12.0 KiB"), "{}", text(&cleared.stderr));
    assert_eq!(text(&cleared.stdout), "");
    let again = json(run(&["cache", "clear", "--json"], &[]));
    assert_eq!(again, serde_json::json!({"folder": folder, "bytes": 0, "entries": 0, "objects": 0}));
    assert_eq!(failed(run(&["cache", "info"], &[("COLDFRAME_CACHE", "much")])).0, 6);
    let (code, told) =
        failed(run(&["cache", "clear"], &[("COLDFRAME_CACHE_FOLDER", place.folder.path().to_str().unwrap())]));
    assert!(code == 6 && told.contains("is no cache"), "{told}");
    assert!(folder.join("coldframe-cache.json").exists());
    let help = place.out(&["cache", "--help"]);
    assert!(help.contains("COLDFRAME_CACHE=10GiB") && help.contains("clear"), "{help}");
}

#[test]
fn a_secret_that_is_typed_or_configured_is_printed_nowhere() {
    let place = Place::new();
    let file = "[storage.p]\nurl = \"s3://box?endpoint=http://127.0.0.1:1\"\nsession_token = \"HUSHfile\"\n";
    fs::write(place.path("coldframe.toml"), file).unwrap();
    let store = "s3://box/a?region=eu-1&secret_access_key=HUSHurl";
    for (arguments, code) in [
        (&["config", "--store", store, "-O", "account_key=HUSHcall", "-O", "pasword=HUSHcall"][..], 0),
        (&["config", "-O", "secret_access_key:HUSHcall"], 2),
        (&["ls", "-O", "=HUSHcall"], 2),
        (&["ls", "--store", store], 2),
        (&["ls", "--store", "p", "-vv", "-O", "pasword=HUSHcall"], 6),
        (&["ls", "--store", "p", "-vv", "-O", "access_key_id=HUSHid", "-O", "max_retries=0", "-O", "allow_http=1"], 7),
    ] {
        let mut command = place.command(arguments);
        let output = command.env("AWS_SECRET_ACCESS_KEY", "HUSHenv").env("NO_COLOR", "1").output().unwrap();
        let text = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(!text.is_empty() && !text.contains("HUSH"), "{arguments:?}: {text}");
    }
    let settings = place.out(&["config", "--store", store, "-O", "max_retries=3"]);
    assert!(settings.contains("eu-1") && settings.contains("retry_timeout"), "{settings}");
    assert_eq!(settings.matches("max_retries").count(), 1, "{settings}");
}

#[test]
fn usage_and_help() {
    let place = Place::new();
    assert_eq!(place.fails(&[]).0, 2);
    assert_eq!(place.fails(&["put"]).0, 2);
    let help = place.out(&["--help"]);
    assert!(help.contains("Exit codes:") && help.contains("10  cancelled"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.out(&["completions", shell]).contains("coldframe"));
    }
}

fn wait(child: &mut Child, limit: Duration) -> i32 {
    let start = SystemClock.elapsed();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("the process ended by itself");
        }
        if SystemClock.elapsed() - start > limit {
            child.kill().unwrap();
            panic!("it still ran after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_broken_pipe_is_no_error() {
    let place = Place::new();
    let rows: String = (0..200_000).map(|row| format!("{row},some text that takes room\n")).collect();
    place.put_csv("k", &format!("id,text\n{rows}"));
    for format in ["csv", "ndjson", "json", "arrow", "parquet"] {
        let mut command = place.command(&["get", "k", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut few = [0; 16];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut few).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{format}");
    }
}

#[cfg(unix)]
fn interrupt(signal: &str) {
    let place = Place::new();
    // Standard input stays open: the command waits for more of it when it is interrupted.
    let mut child = place.command(&["put", "k", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let rows: String = (0..50_000).map(|row| format!("{row},text {row}\n")).collect();
    stdin.write_all(b"id,text\n").unwrap();
    for _ in 0..20 {
        stdin.write_all(rows.as_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let code = wait(&mut child, Duration::from_millis(1_500));
    drop(stdin);
    assert_eq!(code, 10);
    let left: Vec<String> = [".coldframe/data", ".coldframe/refs", ".coldframe/.tmp"]
        .iter()
        .flat_map(|folder| place.files(folder))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(place.json(&["ls", "--json"]), serde_json::json!([]));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_at_once_and_leaves_nothing() {
    interrupt("-INT");
}

#[cfg(unix)]
#[test]
fn a_polite_kill_ends_at_once_and_leaves_nothing() {
    interrupt("-TERM");
}

#[cfg(unix)]
#[test]
fn ctrl_c_is_heard_while_nobody_reads_the_output() {
    let place = Place::new();
    let rows: String = (0..200_000).map(|row| format!("{row},some text that takes room\n")).collect();
    place.put_csv("k", &format!("id,text\n{rows}"));
    let mut child = place.command(&["get", "k", "--format", "csv"]).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(wait(&mut child, Duration::from_millis(1_500)), 10);
}
