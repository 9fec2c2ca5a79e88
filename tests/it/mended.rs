//! Data that was altered, and every checksum after it: the reference's, the footer's and the list in the footer.

use std::ops::Range;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use coldframe::checksum::Checksum;
use coldframe::{Configuration, ErrorKind, ResultReference, ResultStore, Section};
use parquet::file::metadata::ParquetMetaDataReader;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use crate::support::{batch_of, every_type, numbers};

fn sum(bytes: &[u8]) -> u64 {
    match Checksum::short(bytes) {
        Checksum::Short(sum) => sum,
        Checksum::Long(_) => unreachable!(),
    }
}

/// What each checksum in the footer covers; the files are so small that a run is one extent.
fn runs(serializer: &str, bytes: &[u8]) -> Vec<Range<usize>> {
    let length = |end: usize| u32::from_le_bytes(bytes[end - 4..end].try_into().unwrap()) as usize;
    if serializer.starts_with("parquet") {
        let end = bytes.len() - 4;
        let footer = &bytes[end - 4 - length(end)..end - 4];
        let metadata = ParquetMetaDataReader::decode_metadata(footer).unwrap();
        let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
        return chunks.map(|chunk| chunk.byte_range()).map(|(at, size)| at as usize..(at + size) as usize).collect();
    }
    let end = bytes.len() - 6;
    let footer = arrow::ipc::root_as_footer(&bytes[end - 4 - length(end)..end - 4]).unwrap();
    let blocks = footer.dictionaries().into_iter().flatten().map(|block| (block, false));
    let blocks = blocks.chain(footer.recordBatches().into_iter().flatten().map(|block| (block, true)));
    let mut blocks: Vec<(usize, usize, bool)> = blocks
        .map(|(block, last)| {
            let start = block.offset() as usize;
            (start, start + block.metaDataLength() as usize + block.bodyLength() as usize, last)
        })
        .collect();
    blocks.sort_unstable();
    let mut start = None;
    let ends = blocks.into_iter().filter_map(|(from, to, last)| {
        let first = *start.get_or_insert(from);
        last.then(|| {
            start = None;
            first..to
        })
    });
    ends.collect()
}

fn listed(bytes: &[u8], runs: &[Range<usize>]) -> String {
    STANDARD.encode(runs.iter().flat_map(|run| sum(&bytes[run.clone()]).to_le_bytes()).collect::<Vec<u8>>())
}

/// Makes every checksum right that covers `bytes`, in them and in the reference.
fn mend(bytes: &mut [u8], runs: &[Range<usize>], before: &str, reference: &mut Json) {
    let part = &mut reference["parts"][0];
    if before.is_empty() {
        part["extents"] = json!(STANDARD.encode(sum(bytes).to_le_bytes()));
    } else {
        let place = bytes.windows(before.len()).position(|window| window == before.as_bytes()).unwrap();
        let after = listed(bytes, runs);
        bytes[place..place + before.len()].copy_from_slice(after.as_bytes());
        let footer = bytes.len() - part["footer"]["size"].as_u64().unwrap() as usize;
        part["footer"] = json!(Section::of(&bytes[footer..]));
    }
    part["checksum"] = json!(Checksum::long(bytes));
}

fn alter(bytes: &mut [u8], range: Range<usize>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..6) {
        let at = match random.random_range(0..2) {
            0 => range.start + random.random_range(0..100.min(range.len())),
            _ => random.random_range(range.clone()),
        };
        let with: &[u8] = match random.random_range(0..5) {
            0 => &[0xff; 8],
            1 => &[0xff, 0xff, 0xff, 0x7f],
            2 => &[0x80, 0x80, 0x80, 0x80, 0x04],
            _ => &[bytes[at] ^ 1 << random.random_range(0..8)],
        };
        let end = (at + with.len()).min(range.end);
        bytes[at..end].copy_from_slice(&with[..end - at]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_data_with_right_checksums_reaches_the_decoder_and_stops_there() {
    std::panic::set_hook(Box::new(|panic| {
        if !coldframe::serializer::is_guarded() {
            eprintln!("{panic}");
        }
    }));
    for serializer in [
        "parquet",
        "parquet/none",
        "arrow",
        "arrow/zstd",
        "json",
        "compressed(zstd)/json",
        "compressed(lz4)/parquet",
        "compressed(gzip)/arrow",
        "compressed(bzip2)/json",
        "compressed(xz)/json",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let builder = ResultStore::builder().configuration(Configuration::empty()).durable(false).memory(16 << 20);
        let store = builder.location(folder.path().to_str().unwrap()).open().await.unwrap();
        let plain = every_type().into_iter().filter(|(name, _)| {
            !["interval_month_day", "union", "run end", "int16 int64", "int16 utf8_view"]
                .iter()
                .any(|part| name.contains(part))
        });
        let put = if serializer.ends_with("json") {
            store.put("x", json!({"a": vec![json!("text"); 200], "b": [1.5, null]}))
        } else if serializer.contains("none") {
            store.put("x", numbers(2_000))
        } else {
            store.put("x", batch_of(plain.collect()))
        };
        let good: Json = serde_json::from_str(&put.serializer(serializer).await.unwrap().to_json()).unwrap();
        let path = folder.path().join(good["parts"][0]["path"].as_str().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let footed = good["parts"][0]["footer"].is_object();
        let runs = if footed { runs(serializer, &bytes) } else { Vec::new() };
        let (before, data) = match runs.last() {
            Some(last) => (listed(&bytes, &runs), runs[0].start..last.end),
            None => (String::new(), 0..bytes.len()),
        };
        let (mut well, mut refused) = (0, 0);
        for seed in 0..150 {
            let (mut altered, mut reference) = (bytes.clone(), good.clone());
            alter(&mut altered, data.clone(), &mut StdRng::seed_from_u64(seed));
            mend(&mut altered, &runs, &before, &mut reference);
            std::fs::write(&path, &altered).unwrap();
            let reference = ResultReference::from_json(&reference.to_string()).unwrap();
            let read = tokio::time::timeout(Duration::from_secs(20), store.get(&reference)).await;
            match read.unwrap_or_else(|_| panic!("{serializer} seed {seed} hangs")) {
                Ok(_) => well += 1,
                Err(error) if error.message().ends_with("their checksum differs") => {
                    panic!("{serializer} seed {seed}: {error:?}")
                }
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported) => refused += 1,
                Err(error) => panic!("{serializer} seed {seed}: {error:?}"),
            }
        }
        assert!(refused > 20 && well + refused == 150, "{serializer}: {well} were read, {refused} refused");
    }
}
