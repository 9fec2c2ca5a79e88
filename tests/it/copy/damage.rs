//! What cannot be copied: nothing of it is left in the target, and the error says why.

use super::*;
use crate::faults::assert_clean;

/// A value in a store that can be damaged, and a store to copy to.
struct Stored {
    sources: Faulty,
    here: ResultStore,
    targets: Faulty,
    there: ResultStore,
    data: (Path, Bytes),
}

impl Stored {
    async fn put(serializer: &str, value: &Value) -> Self {
        let (sources, targets) = (Faulty::new(), Faulty::new());
        let (here, there) = (sources.store(TestClock::default()).await, targets.store(TestClock::default()).await);
        here.put("a/k", value.clone()).serializer(serializer).expires_in(HOUR).await.unwrap();
        let data = sources.find("data/", "").await;
        Self { sources, here, targets, there, data }
    }

    async fn replace(&self, bytes: impl Into<PutPayload>) {
        self.sources.inner().put(&self.data.0, bytes.into()).await.unwrap();
    }

    async fn assert_damaged(&self, what: &str) {
        let error = self.here.copy("a/k", &self.there).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error:?}");
        let told = error.to_string();
        assert!(told.starts_with("copy a/k@1: ") && told.contains(self.data.0.as_ref()), "{what}: {told}");
        assert!(error.hint().is_some());
        assert_clean(&self.targets).await;
        assert_eq!(live(&self.there, "a/k").await, [] as [u64; 0], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_is_not_copied() {
    let large = Value::Bytes((0..20_000_000_u32).map(|at| (at % 251) as u8).collect::<Vec<_>>().into());
    for (serializer, value) in
        [("parquet", Value::Table(numbers(700).into())), ("json", Value::Json(json!([1]))), ("bytes", large)]
    {
        let stored = Stored::put(serializer, &value).await;
        let bytes = stored.data.1.clone();
        for position in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.to_vec();
            flipped[position] ^= 4;
            stored.replace(flipped).await;
            stored.assert_damaged(&format!("{serializer}, byte {position}")).await;
        }
        for length in [0, bytes.len() / 2, bytes.len() - 1] {
            stored.replace(bytes.slice(..length)).await;
            stored.assert_damaged(&format!("{serializer}, cut to {length}")).await;
        }
        stored.replace([bytes.as_ref(), b"more"].concat()).await;
        stored.assert_damaged(&format!("{serializer}, lengthened")).await;
        stored.sources.inner().delete(&stored.data.0).await.unwrap();
        stored.assert_damaged(&format!("{serializer}, gone")).await;
        stored.replace(bytes).await;
        stored.here.copy("a/k", &stored.there).await.unwrap();
        assert!(same(&stored.there.get("a/k").await.unwrap(), &value));
    }
}

#[tokio::test]
async fn an_empty_object_is_checked_too() {
    let stored = Stored::put("bytes", &Value::Bytes(Bytes::new())).await;
    assert!(stored.data.1.is_empty());
    stored.replace("more").await;
    stored.assert_damaged("lengthened").await;
    stored.sources.inner().delete(&stored.data.0).await.unwrap();
    stored.assert_damaged("gone").await;
}

#[tokio::test]
async fn what_is_not_there_is_not_copied() {
    let (here, there) = (memory().await, memory().await);
    let reference = here.put("k", small()).await.unwrap();
    for what in ["other", "k@2"] {
        let error = here.copy(what, &there).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert!(error.to_string().starts_with(&format!("copy {what}: ")), "{error}");
    }
    assert_eq!(here.copy("k@0", &there).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    here.delete("k").reason("a test").await.unwrap();
    let [newest, full] = [here.copy("k", &there).await, here.copy(&reference, &there).await];
    for error in [newest.unwrap_err(), full.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Gone, "{error:?}");
        assert!(error.to_string().contains("a test"), "{error}");
    }
    let literal = here.put("literal", Literal::Null).await.unwrap();
    here.delete("literal").await.unwrap();
    assert_eq!(here.copy(&literal, &there).await.unwrap_err().kind(), ErrorKind::Gone);
    // A reference of another store is none of this one.
    let foreign = there.put("k", small()).await.unwrap();
    let (empty, target) = (memory().await, memory().await);
    assert_eq!(empty.copy(&foreign, &target).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(target.list("").await.unwrap().entries, []);
}

#[tokio::test]
async fn an_altered_reference_is_not_what_is_copied() {
    let (here, there) = (memory().await, memory().await);
    let reference = here.put("k", small()).title("the true one").await.unwrap();
    let altered = ResultReference::from_json(&reference.to_json().replace("the true one", "another")).unwrap();
    let copied = here.copy(&altered, &there).await.unwrap().reference;
    assert_eq!(copied.written().unwrap().title.as_deref(), Some("the true one"));
}

#[tokio::test]
async fn damaged_versions_in_the_target_are_no_obstacle() {
    let (here, targets) = (memory().await, Faulty::new());
    let there = targets.store(TestClock::default()).await;
    here.put("k", small()).await.unwrap();
    there.put("k", json!([1])).await.unwrap();
    let (path, _) = targets.find("refs/", ".json").await;
    targets.inner().put(&path, PutPayload::from("no reference")).await.unwrap();
    assert_eq!(here.copy("k", &there).await.unwrap().reference.version().get(), 2);
    assert!(here.copy("k", &there).await.unwrap().already_there);
    assert_eq!(table(&there, "k").await, small());
}

#[tokio::test]
async fn a_target_that_is_no_store_of_this_format_is_refused() {
    let (here, targets) = (memory().await, Faulty::new());
    let marker = Path::parse("coldframe.json").unwrap();
    targets.inner().put(&marker, PutPayload::from("{\"type\":\"store\",\"format\":2}\n")).await.unwrap();
    let there = targets.store(TestClock::default()).await;
    here.put("k", small()).await.unwrap();
    let error = here.copy("k", &there).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("into the object store"), "{error}");
    assert_clean(&targets).await;
}
