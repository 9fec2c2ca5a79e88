//! Uncompressed Arrow files on a local disk are mapped: batches lie where the file lies. Those that others may write to are
//! checked all the same, and those of one's own where that is asked for.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use coldframe::{ErrorKind, ResultReference, ResultStore, Table};
use futures::StreamExt;

use crate::support::{batch_of, every_type, local, numbers};

/// A table of every type, large enough to be worth a mapping.
fn large() -> RecordBatch {
    let batch = batch_of(every_type());
    let batches = vec![batch; 3_000];
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn file_of(folder: &Path, reference: &ResultReference) -> PathBuf {
    let parts = &reference.written().unwrap().parts;
    assert_eq!(parts.len(), 1);
    folder.join(&parts[0].path)
}

/// Where this process has mapped a file.
fn mappings(file: &Path) -> Vec<Range<usize>> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let name = file.to_str().unwrap();
    let of_file = maps.lines().filter(|line| line.trim_end_matches(" (deleted)").ends_with(name));
    let range = |line: &str| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()
    };
    of_file.map(range).collect()
}

/// Buffers of an array that do not lie in the mapping.
fn outside(data: &ArrayData, mapping: &[Range<usize>]) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let lies_inside = |start: usize, length: usize| {
        mapping.iter().any(|mapped| mapped.start <= start && start + length <= mapped.end)
    };
    let copied =
        |buffer: &&arrow::buffer::Buffer| !buffer.is_empty() && !lies_inside(buffer.as_ptr().addr(), buffer.len());
    let here = data.buffers().iter().chain(nulls).filter(copied).count();
    here + data.child_data().iter().map(|child| outside(child, mapping)).sum::<usize>()
}

async fn read(store: &ResultStore, reference: &ResultReference) -> coldframe::Result<Table> {
    store.scan(reference).collect().await
}

#[tokio::test]
async fn batches_lie_in_the_mapping() {
    let (folder, store) = local().await;
    let table = large();
    let reference = store.put("a/table", table.clone()).serializer("arrow").await.unwrap();
    let file = file_of(folder.path(), &reference);
    let read = read(&store, &reference).await.unwrap();
    let mapping = mappings(&file);
    assert_eq!(mapping.len(), 1);
    let mut buffers = 0;
    for batch in read.batches() {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            assert_eq!(outside(&column.to_data(), &mapping), 0, "{} has buffers in other memory", field.name());
            buffers += column.to_data().buffers().len();
        }
    }
    assert!(buffers > 50, "only {buffers} buffers");
    assert_eq!(read.to_batch().unwrap(), table);
}

#[tokio::test]
async fn batches_outlive_the_file_and_the_store() {
    let (folder, store) = local().await;
    let reference = store.put("a/table", numbers(300_000)).serializer("arrow").await.unwrap();
    let file = file_of(folder.path(), &reference);
    let opened = store.open_result(&reference).await.unwrap();
    let mut batches = opened.scan().batches().await.unwrap();
    let first = batches.next().await.unwrap().unwrap();
    fs::remove_file(&file).unwrap();
    let mut all = vec![first];
    while let Some(batch) = batches.next().await {
        all.push(batch.unwrap());
    }
    drop((batches, opened, store, folder));
    assert_eq!(mappings(&file).len(), 1);
    assert_eq!(concat_batches(&all[0].schema(), &all).unwrap(), numbers(300_000));
    drop(all);
    assert!(mappings(&file).is_empty());
}

#[tokio::test]
async fn a_flipped_bit_is_found_before_its_batch_is_handed_out() {
    let (folder, store) = local().await;
    let reference = store.put("a/table", numbers(3_000_000)).serializer("arrow").await.unwrap();
    let part = &reference.written().unwrap().parts[0];
    let file = fs::OpenOptions::new().read(true).write(true).open(file_of(folder.path(), &reference)).unwrap();
    let flip = |at: u64| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    };
    let last = part.size - part.footer.as_ref().unwrap().size - 100_000;
    // After it is open and mapped, and before.
    let opened = store.open_result(&reference).await.unwrap();
    assert_eq!(opened.scan().head(1).collect().await.unwrap().rows(), 1);
    flip(last);
    for opened in [opened, store.open_result(&reference).await.unwrap()] {
        let mut batches = opened.scan().check(true).batches().await.unwrap();
        let mut rows = 0;
        let error = loop {
            match batches.next().await.unwrap() {
                Ok(batch) => rows += batch.num_rows(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains(&part.path), "{error}");
        assert!(rows > 0 && rows < 3_000_000, "{rows} rows came before the damage");
        assert_eq!(opened.scan().columns(["name"]).check(true).collect().await.unwrap_err().kind(), ErrorKind::Damaged);
    }
    flip(last);
    assert_eq!(read(&store, &reference).await.unwrap().rows(), 3_000_000);
    flip(part.size - 20);
    assert_eq!(read(&store, &reference).await.unwrap_err().kind(), ErrorKind::Damaged);
}

/// How many bytes of the file's mapping are present in this process.
fn touched(file: &Path) -> usize {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = smaps.lines().skip_while(|line| !line.ends_with(file.to_str().unwrap()));
    let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    1024 * rss.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
}

/// Writes a file anew, page by page: what was written at one go the system may count as touched together.
fn page_by_page(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    let mut file = fs::File::create(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    bytes.chunks(4096).for_each(|page| file.write_all(page).unwrap());
}

#[tokio::test]
async fn some_columns_touch_only_what_they_need_and_are_checked() {
    let (folder, store) = local().await;
    let column = |first: i64| Arc::new(Int64Array::from_iter_values((0..200_000).map(|row| row + first))) as ArrayRef;
    let table = RecordBatch::try_from_iter((0..16).map(|number| (format!("c{number}"), column(number)))).unwrap();
    let reference = store.put("a/table", table.clone()).serializer("arrow").await.unwrap();
    let path = file_of(folder.path(), &reference);
    page_by_page(&path);
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();

    let opened = store.open_result(&reference).await.unwrap();
    let two = opened.scan().columns(["c9", "c1"]).check(true).collect().await.unwrap().to_batch().unwrap();
    assert_eq!(two, table.project(&[9, 1]).unwrap());
    assert!(touched(&path) > size as usize / 16, "{} of {size}", touched(&path));
    assert!(touched(&path) < size as usize / 2, "{} of {size}", touched(&path));
    let slice = opened.scan().columns(["c3"]).offset(70_001).limit(60_000).check(true).collect().await.unwrap();
    assert_eq!(slice.to_batch().unwrap(), table.project(&[3]).unwrap().slice(70_001, 60_000));

    // One damaged byte after the other: each is found by exactly those columns whose extents it lies in.
    let mut missed = [0; 16];
    for at in (4_096..size - 8_192).step_by(777_777) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        assert_eq!(opened.scan().check(true).collect().await.unwrap_err().kind(), ErrorKind::Damaged);
        for number in [0, 7, 15] {
            match opened.scan().columns([format!("c{number}")]).check(true).collect().await {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{error}"),
                Ok(read) => {
                    missed[number] += 1;
                    assert_eq!(read.to_batch().unwrap(), table.project(&[number]).unwrap(), "{at}");
                }
            }
        }
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(missed.iter().filter(|missed| **missed > 10).count() == 3, "{missed:?}");
}

/// Every type, each alone: what is not counted among what a column needs would not be checked.
#[tokio::test]
async fn a_column_of_any_type_is_checked_wherever_it_lies() {
    let (folder, store) = local().await;
    for (name, array) in every_type() {
        let arrays = vec![array; 20_000];
        let arrays: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
        let array = arrow::compute::concat(&arrays).unwrap();
        let other: ArrayRef = Arc::new(Int8Array::from(vec![7; array.len()]));
        let table = batch_of(vec![(name.clone(), array), ("other".to_owned(), other)]);
        let reference = store.put("a/table", table.clone()).serializer("arrow").await.unwrap();
        let opened = store.open_result(&reference).await.unwrap();
        let read = || async { opened.scan().columns([&name]).check(true).collect().await };
        assert_eq!(read().await.unwrap().to_batch().unwrap(), table.project(&[0]).unwrap(), "{name}");
        let path = file_of(folder.path(), &reference);
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        for at in (1_024..size - 4_096).step_by(size as usize / 11) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
            match read().await {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{name}: {error}"),
                Ok(read) => assert_eq!(read.to_batch().unwrap(), table.project(&[0]).unwrap(), "{name} at {at}"),
            }
            file.write_all_at(&byte, at).unwrap();
        }
    }
}

fn flip(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// The structure of a file of one's own is checked, and its content where that is asked for.
#[tokio::test]
async fn a_file_of_ones_own_is_handed_out_untouched() {
    let (folder, store) = local().await;
    let column = |first: i64| Arc::new(Int64Array::from_iter_values((0..500_000).map(|row| row + first))) as ArrayRef;
    let words = StringArray::from_iter_values((0..500_000).map(|row| format!("word {row}")));
    let columns = (0..8).map(|number| (format!("c{number}"), column(number)));
    let columns = columns.chain([("words".to_owned(), Arc::new(words) as ArrayRef)]);
    let table = RecordBatch::try_from_iter(columns).unwrap();
    let reference = store.put("a/table", table.clone()).serializer("arrow").await.unwrap();
    let path = file_of(folder.path(), &reference);
    page_by_page(&path);
    let size = fs::metadata(&path).unwrap().len();

    let opened = store.open_result(&reference).await.unwrap();
    let read = opened.scan().collect().await.unwrap();
    let before = touched(&path);
    assert!(before < size as usize / 8, "{before} of {size} bytes were touched");
    assert_eq!(read.to_batch().unwrap(), table);
    assert!(touched(&path) > size as usize * 9 / 10);
    let some = opened.scan().columns(["words", "c3"]).offset(70_001).limit(300_000).collect().await.unwrap();
    assert_eq!(some.to_batch().unwrap(), table.project(&[8, 3]).unwrap().slice(70_001, 300_000));

    // In the middle of a message: a number of another row, which nobody looked at.
    flip(&path, size / 2);
    assert_eq!(opened.scan().collect().await.unwrap().rows(), 500_000);
    assert_eq!(opened.scan().check(true).collect().await.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(store.verify("", None).await.unwrap().problems.len(), 1);
    flip(&path, size / 2);

    // The messages' own heads and the footer are looked at in any case.
    let bytes = fs::read(&path).unwrap();
    let marker = [0xff, 0xff, 0xff, 0xff];
    let heads: Vec<usize> = (64..bytes.len() - 8).step_by(64).filter(|at| bytes[*at..].starts_with(&marker)).collect();
    assert!(heads.len() >= 3, "{heads:?}");
    for at in [heads[1] + 4, heads[1] + 100, heads[2] + 60] {
        flip(&path, at as u64);
        assert_eq!(opened.scan().collect().await.unwrap_err().kind(), ErrorKind::Damaged, "{at}");
        flip(&path, at as u64);
    }
    flip(&path, size - 30);
    let reopened = store.open_result(&reference).await.unwrap();
    assert_eq!(reopened.scan().collect().await.unwrap_err().kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn a_file_that_others_may_write_to_is_checked_in_any_case() {
    let (folder, store) = local().await;
    let reference = store.put("a/table", numbers(300_000)).serializer("arrow").await.unwrap();
    let path = file_of(folder.path(), &reference);
    let kind = || async {
        let read = store.scan(&reference).collect().await;
        read.err().map(|error| error.kind())
    };
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o022, 0);
    flip(&path, 100_000);
    assert_eq!(kind().await, None);
    for mode in [0o664, 0o646, 0o622] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(kind().await, Some(ErrorKind::Damaged), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(kind().await, None);
    // Only the superuser can give a file away.
    if chown(&path, Some(12_345), None).is_ok() {
        assert_eq!(kind().await, Some(ErrorKind::Damaged));
    }
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_damage_and_no_signal() {
    let (folder, store) = local().await;
    let reference = store.put("a/table", numbers(3_000_000)).serializer("arrow").await.unwrap();
    let path = file_of(folder.path(), &reference);
    let opened = store.open_result(&reference).await.unwrap();
    assert_eq!(opened.scan().head(1).collect().await.unwrap().rows(), 1);
    assert_eq!(mappings(&path).len(), 1);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1_000_000).unwrap();
    for scan in [opened.scan(), opened.scan().columns(["name"])] {
        let error = scan.collect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("cut short"), "{error}");
    }
}

#[tokio::test]
async fn what_is_compressed_or_small_is_not_mapped() {
    let (folder, store) = local().await;
    for (serializer, rows, mapped) in
        [("arrow", 100_000, 1), ("arrow", 100, 0), ("arrow/lz4", 100_000, 0), ("parquet", 100_000, 0)]
    {
        let reference = store.put("a/table", numbers(rows)).serializer(serializer).await.unwrap();
        let opened = store.open_result(&reference).await.unwrap();
        let table = opened.scan().collect().await.unwrap();
        assert_eq!(mappings(&file_of(folder.path(), &reference)).len(), mapped, "{serializer}");
        assert_eq!(table.to_batch().unwrap(), numbers(rows));
    }
}

/// A dictionary that grows from batch to batch is put together anew; its keys still lie in the file.
#[tokio::test]
async fn dictionaries_that_grow_are_read() {
    let (folder, store) = local().await;
    let batch = |first: i32| {
        let values: ArrayRef =
            Arc::new(StringArray::from_iter_values((first..first + 10).map(|n| format!("value {n}"))));
        let keys = Int32Array::from_iter_values((0..50_000).map(|row| row % 10));
        RecordBatch::try_from_iter([("d", Arc::new(DictionaryArray::new(keys, values)) as ArrayRef)]).unwrap()
    };
    let batches = vec![batch(0), batch(10), batch(20)];
    let schema = batches[0].schema();
    let given = coldframe::Batches::from_batches(schema.clone(), batches.clone());
    let reference = store.put("a/table", given).serializer("arrow").await.unwrap();
    let found = read(&store, &reference).await.unwrap();
    let mapping = mappings(&file_of(folder.path(), &reference));
    let text = |batch: &RecordBatch| arrow::compute::cast(batch.column(0), &DataType::Utf8).unwrap();
    for (found, given) in found.batches().iter().zip(&batches) {
        assert_eq!(&text(found), &text(given));
        let keys = found.column(0).as_dictionary::<arrow::datatypes::Int32Type>().keys().to_data();
        assert_eq!(outside(&keys, &mapping), 0);
    }
    assert_eq!(found.rows(), 150_000);
}
