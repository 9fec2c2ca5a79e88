//! Streams and serializers of the caller that fail or panic.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use coldframe::serializer::{Encoder, Ending, Piece, Readable, Sink, Source};
use coldframe::{Batches, Content, Descriptor, Error, ErrorKind, Registry, Result, Serializer, Shape};
use futures::stream::{self, StreamExt};

use super::{assert_clean, live, noise};
use crate::faulty::{Faulty, TestClock};
use crate::support::small;

/// Where a serializer or stream gives up, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Fail,
    Panic,
    Forget,
}

impl Way {
    fn take(self) -> Result<()> {
        match self {
            Self::Fail => Err(Error::new(ErrorKind::Input, "it broke here")),
            Self::Panic => panic!("it panicked here"),
            Self::Forget => Ok(()),
        }
    }
}

/// Batches that come to an end before their time.
fn broken_batches(good: usize, way: Way, batch: &RecordBatch) -> Batches {
    let batch = batch.clone();
    let schema = batch.schema();
    let batches = stream::iter(0..=good).map(move |number| {
        if number == good {
            way.take()?;
        }
        Ok::<_, Error>(batch.clone())
    });
    Batches::new(schema, batches)
}

#[tokio::test]
async fn a_stream_that_fails_or_panics_ends_the_put_and_leaves_nothing() {
    let large = noise(5, 600_000);
    for way in [Way::Fail, Way::Panic] {
        for (good, batch) in [(0, &small()), (3, &small()), (5, &large)] {
            for serializer in ["parquet", "arrow"] {
                let faulty = Faulty::new();
                let store = faulty.store(TestClock::default()).await;
                let put = store.put("k", broken_batches(good, way, batch)).serializer(serializer);
                let error = put.expires_in(std::time::Duration::from_secs(3600)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Input, "{error:?}");
                let words = if way == Way::Fail { "it broke here" } else { "panicked" };
                assert!(error.to_string().contains(words), "{error}");
                assert_eq!(live(&store, "k").await, [] as [u64; 0]);
                assert_clean(&faulty).await;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_of_bytes_that_fails_or_panics_ends_the_put_and_leaves_nothing() {
    for way in [Way::Fail, Way::Panic] {
        let faulty = Faulty::new();
        let store = faulty.store(TestClock::default()).await;
        let pieces = stream::iter(0..20).map(move |number| {
            if number == 19 {
                way.take()?;
            }
            Ok::<_, Error>(Bytes::from(vec![7; 1 << 20]))
        });
        let error = store.put("k", Content::from_bytes_stream(pieces)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error:?}");
        assert_eq!(live(&store, "k").await, [] as [u64; 0]);
        assert_clean(&faulty).await;
    }
}

#[tokio::test]
async fn a_reader_that_panics_ends_the_put() {
    struct Panics(arrow::datatypes::SchemaRef);
    impl Iterator for Panics {
        type Item = std::result::Result<RecordBatch, arrow::error::ArrowError>;
        fn next(&mut self) -> Option<Self::Item> {
            panic!("it panicked here")
        }
    }
    impl arrow::array::RecordBatchReader for Panics {
        fn schema(&self) -> arrow::datatypes::SchemaRef {
            self.0.clone()
        }
    }
    let faulty = Faulty::new();
    let store = faulty.store(TestClock::default()).await;
    let error = store.put("k", Batches::from_reader(Panics(small().schema()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error:?}");
    assert_clean(&faulty).await;
}

/// A serializer of somebody's own, with a defect.
#[derive(Debug, Clone, Copy)]
struct Defective {
    way: Way,
    at_the_end: bool,
}

#[async_trait]
impl Serializer for Defective {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("defective")
    }

    fn extension(&self) -> String {
        "defective".into()
    }

    fn check(&self, _: &Shape) -> Result<()> {
        Ok(())
    }

    fn encoder(&self, _: &Shape, _: usize) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(DefectiveEncoder { serializer: *self, pieces: 0 }))
    }

    async fn open(&self, _: Arc<dyn Source>, _: usize) -> Result<Readable> {
        self.way.take()?;
        Err(Error::damaged("it cannot be opened"))
    }
}

struct DefectiveEncoder {
    serializer: Defective,
    pieces: usize,
}

impl Encoder for DefectiveEncoder {
    fn write(&mut self, _: Piece, sink: &mut Sink) -> Result<()> {
        // Enough to begin an upload in parts.
        sink.push(Bytes::from(vec![1; 9 << 20]))?;
        self.pieces += 1;
        if self.pieces == 2 && !self.serializer.at_the_end { self.serializer.way.take() } else { Ok(()) }
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        if self.serializer.at_the_end {
            self.serializer.way.take()?;
        }
        match self.serializer.way {
            Way::Forget => sink.push(Bytes::from_static(b"the rest")),
            _ => sink.end_part(Ending { rows: Some(3), ..Ending::default() }),
        }
    }
}

#[tokio::test]
async fn a_serializer_that_fails_or_panics_or_forgets_its_end_leaves_nothing() {
    let ways = [(Way::Fail, false), (Way::Fail, true), (Way::Panic, false), (Way::Panic, true), (Way::Forget, true)];
    for (way, at_the_end) in ways {
        let faulty = Faulty::new();
        let store = faulty.store(TestClock::default()).await;
        let serializer = Defective { way, at_the_end };
        let error = store.put("k", vec![small(); 3]).serializer(serializer).await.unwrap_err();
        let kind = if way == Way::Fail { ErrorKind::Input } else { ErrorKind::Internal };
        assert_eq!(error.kind(), kind, "{way:?}: {error:?}");
        assert_eq!(error.operation(), Some("put"));
        assert_eq!(live(&store, "k").await, [] as [u64; 0]);
        assert_clean(&faulty).await;
    }
}

#[tokio::test]
async fn a_result_whose_serializer_is_not_known_here_is_refused_by_its_name() {
    let faulty = Faulty::new();
    let registry = Registry::default();
    registry.register("upside-down", |_| Ok(Arc::new(Inverted))).unwrap();
    let builder = coldframe::ResultStore::builder().registry(registry).object_store(faulty.inner(), "");
    let store = builder.configuration(coldframe::Configuration::empty()).open().await.unwrap();
    store.put("k", Bytes::from_static(b"abc")).serializer("upside-down").await.unwrap();
    let error = faulty.sound().await.get("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("upside-down"), "{error}");
    assert!(error.hint().is_some());
}

/// A serializer without a defect, which only this test knows.
#[derive(Debug)]
struct Inverted;

#[async_trait]
impl Serializer for Inverted {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("upside-down")
    }

    fn extension(&self) -> String {
        "inverted".into()
    }

    fn check(&self, _: &Shape) -> Result<()> {
        Ok(())
    }

    fn encoder(&self, shape: &Shape, memory: usize) -> Result<Box<dyn Encoder>> {
        coldframe::serializer::RawBytes::default().encoder(shape, memory)
    }

    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> Result<Readable> {
        coldframe::serializer::RawBytes::default().open(source, memory).await
    }
}
