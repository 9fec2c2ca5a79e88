//! `coldframe put --strict`: what it refuses, and that nothing is left of it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int8Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::Field;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;

use super::*;

#[test]
fn a_strict_put_names_what_would_be_lost_and_keeps_what_would_not() {
    let place = Place::new();
    let values: ArrayRef = Arc::new(StringArray::from(vec!["small", "unused", "large"]));
    let sizes: ArrayRef = Arc::new(DictionaryArray::new(Int8Array::from(vec![Some(2), None, Some(0)]), values.clone()));
    let inner = Arc::new(Field::new("inner", sizes.data_type().clone(), true));
    let nested: ArrayRef = Arc::new(StructArray::new(vec![inner].into(), vec![sizes.clone()], None));
    let file = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        place.file(name, writer.into_inner().unwrap())
    };
    let lost = file("lost.arrow", vec![("size", sizes.clone()), ("nested", nested)]);
    let (code, said) = place.fails(&["put", "lost", &lost, "--strict"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("column `nested` loses the order of its dictionary") && said.contains("`arrow`"), "{said}");
    assert!(!said.contains("column `size`"), "{said}");
    assert!(place.files(".coldframe").is_empty());
    place.json(&["put", "lost", &lost, "--strict", "--serializer", "arrow", "--json"]);

    let kept = file("kept.arrow", vec![("size", sizes)]);
    let reference = place.json(&["put", "kept", &kept, "--strict", "--json"]);
    assert_eq!(reference["serializer"]["type"], "parquet");
    assert_eq!(reference["lossy"], serde_json::json!([]));
    let back = place.path("back.arrow");
    place.out(&["get", "kept", "-o", back.to_str().unwrap()]);
    let batch = FileReader::try_new(fs::File::open(back).unwrap(), None).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.column(0).as_any_dictionary().values(), &values);
}
