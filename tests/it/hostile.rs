//! Files made to break decoders, with checksums that fit: each read ends in rows or in an error, within the budget.

use std::fmt::Write as _;
use std::ops::Range;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use bytes::Bytes;
use coldframe::checksum::Checksum;
use coldframe::serializer::{
    EncodedPart, Output, Piece, ReadPlan, Readable, Registry, Serializer, Sink, Source, is_guarded,
};
use coldframe::{Error, ErrorKind, Part, Section, Shape};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::file::properties::{WriterProperties, WriterVersion};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::counting;
use crate::support::{batch_of, every_type, numbers};

const BUDGET: usize = 16 << 20;
/// What one read may hold: the budget, and a message or page that decompresses to eight times of it.
const MOST: usize = 10 * BUDGET;
const SEEDS: u64 = 1_500;
const FILES: [&str; 7] =
    ["parquet", "parquet/none", "parquet/lz4", "parquet/snappy", "arrow", "arrow/lz4", "arrow/zstd"];

/// Runs the mutations in a process of their own: an abort or a hang must not take the other tests with it, and no
/// other test's memory is counted.
#[test]
fn hostile_files_end_in_rows_or_an_error() {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["hostile::mutations", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let (output, errors) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    let tail: Vec<&str> = output.lines().chain(errors.lines()).rev().take(40).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    assert!(child.status.success(), "{}\n{}", child.status, tail.join("\n"));
    assert!(output.contains("1 passed"), "{output}");
}

/// A file in memory, whose bytes the decoder has no checksum for.
#[derive(Debug)]
struct Given(Part, Bytes);

#[async_trait]
impl Source for Given {
    fn part(&self) -> &Part {
        &self.0
    }

    fn is_checked(&self) -> bool {
        true
    }

    async fn read(&self, ranges: &[Range<u64>]) -> coldframe::Result<Vec<Bytes>> {
        let cut = |range: &Range<u64>| {
            if range.start > range.end || range.end > self.1.len() as u64 {
                return Err(Error::damaged("outside the file"));
            }
            Ok(self.1.slice(range.start as usize..range.end as usize))
        };
        ranges.iter().map(cut).collect()
    }
}

/// What an encoder wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<(Vec<u8>, Option<EncodedPart>)>>);

impl Output for Written {
    fn bytes(&mut self, bytes: Bytes) -> coldframe::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.extend_from_slice(&bytes);
        Ok(())
    }

    fn end_part(&mut self, part: EncodedPart) -> coldframe::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(part);
        Ok(())
    }
}

/// A file of one part: its bytes, its rows, and where its footer begins.
struct File {
    name: String,
    serializer: Arc<dyn Serializer>,
    bytes: Vec<u8>,
    rows: u64,
    footer: usize,
}

fn file(serializer: &str, batches: Vec<RecordBatch>) -> File {
    let name = format!("{serializer} of {} columns", batches[0].num_columns());
    let serializer = Registry::default().parse(serializer).unwrap();
    let written = Written::default();
    let mut sink = Sink::new(written.clone());
    let mut encoder = serializer.encoder(&Shape::Table(batches[0].schema()), BUDGET).unwrap();
    for batch in batches {
        encoder.write(Piece::Batch(batch), &mut sink).unwrap();
    }
    encoder.finish(&mut sink).unwrap();
    let (bytes, part) = written.0.lock().unwrap().clone();
    let part = part.unwrap();
    let footer = bytes.len() - part.footer.unwrap().size as usize;
    File { name, serializer, bytes, rows: part.rows.unwrap(), footer }
}

fn files() -> Vec<File> {
    let mut files = Vec::new();
    for serializer in FILES {
        let parquet = serializer.starts_with("parquet");
        let held = |name: &String| {
            let refused = ["interval_month_day_nano", "union", "run end", "int16 int64", "int16 utf8_view"];
            !parquet || !refused.iter().any(|part| name.contains(part))
        };
        let columns: Vec<_> = every_type().into_iter().filter(|(name, _)| held(name)).collect();
        let batch = batch_of(columns.clone());
        files.push(file(serializer, vec![batch.clone(), batch.slice(1, 3)]));
        files.push(file(serializer, vec![numbers(3_000)]));
        // A file of few columns is hit in more places of each.
        let nested = columns.into_iter().filter(|(name, _)| name.contains("list") || name.contains("dictionary"));
        files.push(file(serializer, vec![batch_of(nested.collect())]));
    }
    files.push(deltas(WriterVersion::PARQUET_1_0));
    files.push(deltas(WriterVersion::PARQUET_2_0));
    files
}

/// A file whose pages say how many values they have before they have them.
fn deltas(version: WriterVersion) -> File {
    let numbers = Int64Array::from_iter((0..3_000).map(|row| (row % 5 != 0).then_some(row * row)));
    let words = StringArray::from_iter((0..3_000).map(|row| (row % 7 != 0).then(|| format!("word {row}"))));
    let floats = Float64Array::from_iter_values((0..3_000).map(|row| f64::from(row) / 7.0));
    let columns: [(&str, ArrayRef); 3] =
        [("number", Arc::new(numbers)), ("word", Arc::new(words)), ("float", Arc::new(floats))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_dictionary_enabled(false)
        .set_data_page_row_count_limit(500)
        .set_column_encoding("number".into(), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding("word".into(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_encoding("float".into(), Encoding::BYTE_STREAM_SPLIT)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let length = bytes[bytes.len() - 8..bytes.len() - 4].try_into().map(u32::from_le_bytes).unwrap();
    let footer = bytes.len() - 8 - length as usize;
    let serializer = Registry::default().parse("parquet").unwrap();
    File { name: format!("deltas {version:?}"), serializer, bytes, rows: 3_000, footer }
}

/// One mutation of a file. The length in front of the closing magic is put right where the footer's size changes.
fn mutated(file: &File, random: &mut StdRng) -> (Vec<u8>, String) {
    let mut bytes = file.bytes.clone();
    let mut told = String::new();
    let end = bytes.len();
    for _ in 0..random.random_range(1..4) {
        let in_footer = random.random_bool(0.6);
        let range = if in_footer { file.footer..end } else { 4..file.footer };
        let at = match random.random_range(0..3) {
            // Page and message headers stand at the beginning of the data, and repeat.
            0 if !in_footer => 4 + random.random_range(0..200.min(file.footer - 4)),
            _ => random.random_range(range),
        };
        let kind = random.random_range(0..7);
        let _ = write!(told, " {kind}@{at}");
        alter(&mut bytes, at, kind, random);
    }
    if bytes.len() != end && random.random_bool(0.8) {
        mend_length(&mut bytes, file);
    }
    (bytes, told)
}

fn alter(bytes: &mut Vec<u8>, at: usize, kind: u32, random: &mut StdRng) {
    let absurd: [&[u8]; 9] = [
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &i32::MAX.to_le_bytes(),
        &i32::MIN.to_le_bytes(),
        &i64::MAX.to_le_bytes(),
        &(-2_i64).to_le_bytes(),
        &(1_i64 << 40).to_le_bytes(),
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[0x7f],
    ];
    let at = at.min(bytes.len().saturating_sub(1));
    let rest = bytes.len() - at;
    match kind {
        0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
        2 => {
            let value = absurd[random.random_range(0..absurd.len())];
            let length = value.len().min(rest);
            bytes[at..at + length].copy_from_slice(&value[..length]);
        }
        3 => {
            let value = absurd[random.random_range(0..absurd.len())];
            bytes.splice(at..at + random.random_range(0..=1.min(rest)), value.iter().copied());
        }
        4 => drop(bytes.drain(at..at + random.random_range(0..=40.min(rest)))),
        5 => {
            let from = random.random_range(0..bytes.len());
            let length = random.random_range(0..300).min(rest).min(bytes.len() - from);
            let copy = bytes[from..from + length].to_vec();
            bytes[at..at + length].copy_from_slice(&copy);
        }
        _ => bytes[at] = random.random(),
    }
}

fn mend_length(bytes: &mut [u8], file: &File) {
    let magic = if file.serializer.extension() == "parquet" { 4 } else { 6 };
    let Some(place) = bytes.len().checked_sub(magic + 4) else { return };
    if let Some(length) = place.checked_sub(file.footer) {
        bytes[place..place + 4].copy_from_slice(&(length as u32).to_le_bytes());
    }
}

fn described(file: &File, bytes: &[u8]) -> Part {
    let size = bytes.len() as u64;
    let footer = bytes.get(file.footer..).map(Section::of);
    let (checksum, rows) = (Checksum::long(bytes), Some(file.rows));
    Part { path: "x".into(), size, rows, checksum, footer, index: None, extents: None, other: Default::default() }
}

async fn read(serializer: &dyn Serializer, part: Part, bytes: Vec<u8>) -> coldframe::Result<u64> {
    let Readable::Table(table) = serializer.open(Arc::new(Given(part, bytes.into())), BUDGET).await? else {
        return Ok(0);
    };
    for column in table.column_statistics()?.into_iter().flatten() {
        let _ = (column.display_min(), column.display_max());
    }
    let plan = ReadPlan {
        columns: None,
        rows: 0..table.rows(),
        filter: None,
        batch_rows: 1_000,
        batch_bytes: BUDGET / 8,
        check: true,
    };
    let mut batches = table.batches(plan);
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

/// Panics that no guard caught: they would come out as a strange error, or not at all.
static UNGUARDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
#[ignore = "run by `hostile_files_end_in_rows_or_an_error` in a process of its own"]
fn mutations() {
    std::panic::set_hook(Box::new(|panic| {
        if !is_guarded() {
            println!("{panic}");
            UNGUARDED.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let files = files();
    let (mut read_well, mut refused, mut wrong) = (0, 0, Vec::new());
    let seeds: Vec<u64> = match std::env::var("COLDFRAME_HOSTILE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).collect(),
    };
    for (file, seed) in files.iter().flat_map(|file| seeds.iter().map(move |seed| (file, *seed))) {
        let (bytes, told) = mutated(file, &mut StdRng::seed_from_u64(seed));
        let name = format!("{} seed {seed}:{told}", file.name);
        println!("{name}");
        let part = described(file, &bytes);
        let before = counting::start();
        let reading = read(&*file.serializer, part, bytes);
        let outcome = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), reading).await });
        let peak = counting::peak().saturating_sub(before);
        match outcome {
            Err(_) => {
                println!("hangs: {name}");
                std::process::exit(1);
            }
            Ok(Ok(_)) => read_well += 1,
            Ok(Err(error)) if expected(error.kind()) => refused += 1,
            Ok(Err(error)) => wrong.push(format!("{name}: {error:?}")),
        }
        if peak > MOST {
            wrong.push(format!("{name}: holds {} MiB", peak >> 20));
        }
        if let Some(panic) = UNGUARDED.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            wrong.push(format!("{name}: {panic}"));
        }
    }
    println!("{read_well} were read, {refused} were refused");
    assert!(refused > 100 || seeds.len() == 1);
    wrong.iter().take(30).for_each(|wrong| println!("WRONG {wrong}"));
    assert!(wrong.is_empty(), "{} of them end wrong", wrong.len());
}

fn expected(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Damaged | ErrorKind::Unsupported | ErrorKind::InvalidInput)
}
