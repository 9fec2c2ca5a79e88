//! Writers that are killed at any moment: what they said was done is done, and nothing is half done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use arrow::array::RecordBatch;
use coldframe::{ErrorKind, ResultStore, VersionState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::{noise, table};
use crate::support::local_in;

const KILLS: usize = 40;
const KEYS: [&str; 2] = ["k", "deep/er/k"];

/// The table that a put of this seed writes; every fifth one takes an upload in parts.
fn written_by(seed: u64) -> RecordBatch {
    noise(seed, if seed % 5 == 4 { 1_100_000 } else { 50 })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by a_put_that_is_killed_is_done_or_leaves_nothing_visible"]
async fn child_that_is_killed() {
    let folder = std::env::current_dir().unwrap();
    let Ok(start) = std::fs::read_to_string(folder.join("child")) else { return };
    let store = local_in(&folder.join("store")).await;
    // Three writers side by side, two of which write the same key.
    let first: u64 = start.trim().parse().unwrap();
    let writers = (0..3).map(|writer| tokio::spawn(write(store.clone(), first + writer * 100)));
    futures::future::join_all(writers.collect::<Vec<_>>()).await;
}

#[expect(clippy::print_stdout, reason = "it tells the parent what was promised")]
async fn write(store: ResultStore, first: u64) {
    for seed in first..first + 100 {
        let metadata = Map::from_iter([("seed".to_owned(), json!(seed))]);
        let put = store.put(KEYS[seed as usize % 2], written_by(seed)).serializer("arrow").metadata(metadata);
        let reference = if seed % 3 == 0 { put.expires_in(Duration::from_secs(1 << 20)).await } else { put.await };
        let reference = reference.unwrap();
        println!("{} {seed} {}", reference, reference.write());
        if seed % 7 == 6 {
            let deleted = store.delete(reference.key()).version(reference.version()).await;
            deleted.unwrap();
            println!("deleted {reference}");
        }
    }
}

fn start(folder: &Path, seed: u64) -> Child {
    std::fs::write(folder.join("child"), seed.to_string()).unwrap();
    let arguments = ["--exact", "faults::kill::child_that_is_killed", "--ignored", "--nocapture"];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a child until it has said `lines` things, and then some more, and kills it; what it said.
fn run_and_kill(folder: &Path, seed: u64, lines: usize, more: Duration) -> Vec<String> {
    let mut child = start(folder, seed);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut line = String::new();
    // The test harness speaks first.
    while said.len() < lines + 2 && output.read_line(&mut line).unwrap() > 0 {
        said.push(std::mem::take(&mut line));
    }
    std::thread::sleep(more);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    said.extend(rest.split_inclusive('\n').map(str::to_owned));
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(!errors.contains("panicked"), "{errors}");
    // A line that was cut off was not said.
    said.retain(|line| line.ends_with('\n'));
    said
}

#[test]
fn a_put_that_is_killed_is_done_or_leaves_nothing_visible() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(20);
    let mut said = Vec::new();
    for round in 0..KILLS {
        let lines = random.random_range(0..6);
        let more = Duration::from_micros(random.random_range(0..20_000));
        said.extend(run_and_kill(folder.path(), 1000 * round as u64, lines, more));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(check(&folder.path().join("store"), &said));
}

async fn check(folder: &Path, said: &[String]) {
    let store = local_in(folder).await;
    let mut promised = BTreeMap::new();
    let mut deleted = Vec::new();
    for line in said {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["deleted", name] => deleted.push(name.to_owned()),
            // The harness may put its own words before the first of ours.
            [.., name, seed, write] if name.contains('@') && write.len() == 26 => {
                let other = promised.insert(name.to_owned(), (seed.parse::<u64>().unwrap(), write.to_owned()));
                assert_eq!(other, None, "{name} was given twice");
            }
            _ => {}
        }
    }
    assert!(promised.len() > KILLS, "only {} puts came through", promised.len());
    let mut listed = 0;
    for key in KEYS {
        let versions = store.versions(key).await.unwrap();
        let highest = versions[0].version.get();
        let numbers: Vec<u64> = versions.iter().map(|entry| entry.version.get()).collect();
        assert_eq!(numbers, (1..=highest).rev().collect::<Vec<_>>(), "{key}");
        for entry in versions {
            let name = format!("{key}@{}", entry.version);
            let reference = entry.reference.unwrap();
            let seed = reference.written().unwrap().metadata.get("seed").and_then(Value::as_u64).unwrap();
            if let Some((promised, write)) = promised.remove(&name) {
                assert_eq!((seed, &reference.write().to_string()), (promised, &write), "{name}");
            }
            match entry.state {
                VersionState::Live => {
                    assert!(!deleted.contains(&name), "{name} came back");
                    assert_eq!(table(&store, &name).await, written_by(seed), "{name}");
                    listed += 1;
                }
                VersionState::Deleted(_) => assert_eq!(seed % 7, 6, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    assert!(promised.is_empty(), "lost: {promised:?}");
    let found = store.verify("", None).await.unwrap();
    assert_eq!(found.problems, []);
    assert_eq!(found.versions, listed);
    let harmless = ["orphan", "unfinished"];
    assert!(found.notes.iter().all(|note| harmless.contains(&note.kind)), "{:?}", found.notes);
    // What was left in the way of nobody does not disturb the next.
    for key in KEYS {
        let next = store.put(key, written_by(1)).await.unwrap();
        assert_eq!(table(&store, &next.to_string()).await, written_by(1));
    }
    assert_eq!(store.get("nothing").await.unwrap_err().kind(), ErrorKind::NotFound);
}
