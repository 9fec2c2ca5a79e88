//! Reads tables of an object store that answers every request 50 milliseconds late, beside pyarrow and polars reading
//! the very same objects.
//!
//! Run it with the servers of the tests: `tests/servers/run cargo bench --bench remote`. pyarrow and polars are those of
//! the Python that `COLDFRAME_TEST_PYTHON` names.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench that cannot go on has to stop, prints what it measured, and is told by the environment what to use"
)]

mod data;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use coldframe::{Configuration, ResultReference, ResultStore};
use futures::TryStreamExt;
use serde_json::Value;

const ROUNDS: usize = 7;
const TWO_COLUMNS: [&str; 2] = ["l_extendedprice", "l_shipdate"];

/// What one library needed for one read.
struct Measured {
    milliseconds: f64,
    requests: f64,
}

#[tokio::main]
async fn main() {
    let (Some(near), Some(far)) = (variable("COLDFRAME_TEST_S3"), variable("COLDFRAME_TEST_S3_FAR")) else {
        println!("skipped: run it as tests/servers/run cargo bench --bench remote");
        return;
    };
    let (near, far) = (open(&near).await, (open(&far).await, far));
    println!("{:<28}{:<12}{:>10}{:>12}{:>10}", "read", "by", "ms", "requests", "ratio");
    let (small, _) = data::lineitem(1_000, 8);
    let small = near.put("bench/small", small).await.unwrap();
    compare("1,000 rows", &far.0, &far.1, &small, &[]).await;
    let (large, _) = data::lineitem(usize::MAX, 16);
    let large = near.put("bench/lineitem", large).await.unwrap();
    compare("lineitem, two columns", &far.0, &far.1, &large, &TWO_COLUMNS).await;
    compare("lineitem, whole", &far.0, &far.1, &large, &[]).await;
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn open(endpoint: &str) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).location("s3://coldframe/benches");
    let options = [
        ("endpoint", endpoint),
        ("allow_http", "true"),
        ("region", "us-east-1"),
        ("access_key_id", "test"),
        ("secret_access_key", "testtesttest"),
    ];
    options.into_iter().fold(builder, |builder, (key, value)| builder.option(key, value)).open().await.unwrap()
}

async fn compare(name: &str, store: &ResultStore, endpoint: &str, reference: &ResultReference, columns: &[&str]) {
    let ours = ours(store, reference, columns).await;
    report(name, "coldframe", &ours, &ours);
    let part = &reference.written().unwrap().parts[0].path;
    for library in ["pyarrow", "polars"] {
        match peer(library, endpoint, &format!("coldframe/benches/{part}"), columns) {
            Some(measured) => report("", library, &measured, &ours),
            None => println!("{:<28}{library:<12}   skipped: COLDFRAME_TEST_PYTHON names no Python that has it", ""),
        }
    }
}

async fn ours(store: &ResultStore, reference: &ResultReference, columns: &[&str]) -> Measured {
    let before = requests();
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let scan = store.scan(reference);
        let scan = if columns.is_empty() { scan } else { scan.columns(columns.iter().copied()) };
        let batches = scan.batches().await.unwrap();
        let rows = batches.try_fold(0, async |rows, batch| Ok(rows + batch.num_rows() as u64)).await.unwrap();
        assert_eq!(Some(rows), reference.written().unwrap().rows);
        seconds.push(start.elapsed().as_secs_f64());
    }
    measured(seconds, before)
}

fn peer(library: &str, endpoint: &str, path: &str, columns: &[&str]) -> Option<Measured> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/remote.py");
    let before = requests();
    let mut command = Command::new(variable("COLDFRAME_TEST_PYTHON")?);
    let output = command.args([script, library, endpoint, path, &ROUNDS.to_string()]).args(columns).output().unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(measured(serde_json::from_value(printed["seconds"].clone()).unwrap(), before))
}

fn measured(mut seconds: Vec<f64>, before: u64) -> Measured {
    let requests = (requests() - before) as f64 / seconds.len() as f64;
    seconds.sort_by(f64::total_cmp);
    Measured { milliseconds: seconds[seconds.len() / 2] * 1000.0, requests }
}

fn report(name: &str, library: &str, measured: &Measured, ours: &Measured) {
    let ratio = measured.milliseconds / ours.milliseconds;
    println!("{name:<28}{library:<12}{:>10.0}{:>12.1}{ratio:>10.2}", measured.milliseconds, measured.requests);
}

/// How many requests the distant server has seen so far.
fn requests() -> u64 {
    let url = variable("COLDFRAME_TEST_STATISTICS").unwrap();
    let host = url.trim_start_matches("http://");
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "GET /;csv HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let names = answer.lines().find(|line| line.starts_with("# pxname")).unwrap().trim_start_matches("# ");
    let column = names.split(',').position(|name| name == "req_tot").unwrap();
    let row = answer.lines().find(|line| line.starts_with("far,FRONTEND")).unwrap();
    row.split(',').nth(column).unwrap().parse().unwrap()
}
