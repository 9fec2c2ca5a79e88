//! The tables that the benches put and scan: TPC-H lineitem, generated in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use coldframe::Table;
use tpchgen::generators::LineItemGenerator;
use tpchgen_arrow::LineItemArrow;

/// 1,199,969 rows in all: enough for several batches and parts of an upload, and little enough for a laptop.
const SCALE_FACTOR: f64 = 0.2;
const BATCH_ROWS: usize = 64 * 1024;

/// The first columns of lineitem, at least so many rows of it in whole batches, and its bytes in memory.
pub(crate) fn lineitem(rows: usize, columns: usize) -> (Table, u64) {
    let generator = LineItemArrow::new(LineItemGenerator::new(SCALE_FACTOR, 1, 1));
    let mut given = 0;
    let batches = generator.with_batch_size(rows.min(BATCH_ROWS)).map(|batch| batch.unwrap()).take_while(|batch| {
        let wanted = given < rows;
        given += batch.num_rows();
        wanted
    });
    let columns: Vec<usize> = (0..columns).collect();
    let batches: Vec<RecordBatch> = batches.map(|batch| batch.project(&columns).unwrap()).collect();
    let schema = LineItemArrow::schema_ref().project(&columns).unwrap();
    let bytes = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
    (Table::try_new(Arc::new(schema), batches).unwrap(), bytes)
}
