//! Task results: a value, whether it is serialized, and how to serialize it and get it back.
//!
//! A task holds its result as a [`TaskResult`]. Whoever holds one can persist it, by the serializer and under the key
//! of the task that produced it: task B, retried, stores A's result when A has not. [`TaskResults`] is a task's cached
//! inputs, by name, ready for transport in one call.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::literal::{NoResult, ResultLiteral, ResultRecord};
use crate::reference::{Key, ResultReference};
use crate::serializer::{IntoSerializer, SerializerChoice};
use crate::storage::Configuration;
use crate::store::{Inner, ResultStore};
use crate::value::Value;

/// Where and how a task persists what it returns.
#[derive(Debug, Clone)]
pub struct Producer {
    store: ResultStore,
    key: Key,
    serializer: Option<SerializerChoice>,
}

impl Producer {
    /// Persists in `store` under `key`, by the default serializer of the value.
    pub fn new(store: &ResultStore, key: Key) -> Self {
        Self { store: store.clone(), key, serializer: None }
    }

    /// Persists by this serializer.
    #[must_use]
    pub fn serializer(self, serializer: impl IntoSerializer) -> Self {
        Self { serializer: Some(serializer.into_choice()), ..self }
    }
}

/// A value, whether it is serialized, and how to serialize it and get it back.
///
/// [`serialize`](Self::serialize) and [`deserialize`](Self::deserialize) return a new one, are idempotent, and leave
/// this one as it is. By default it is no result: nothing was ever returned.
#[derive(Debug, Clone, Default)]
pub struct TaskResult {
    state: State,
    producer: Option<Producer>,
    store: Option<ResultStore>,
}

#[derive(Debug, Clone)]
enum State {
    Value(Value),
    Record(ResultRecord),
}

impl Default for State {
    fn default() -> Self {
        Self::Record(ResultRecord::default())
    }
}

impl TaskResult {
    /// The result of a task that returned `value`.
    pub fn new(value: Value, producer: Producer) -> Self {
        let store = Some(producer.store.clone());
        Self { state: State::Value(value), producer: Some(producer), store }
    }

    /// A result that came as a record; `store` reads what it refers to.
    pub fn from_record(record: ResultRecord, store: &ResultStore) -> Self {
        Self { state: State::Record(record), producer: None, store: Some(store.clone()) }
    }

    /// Whether it holds a record instead of a value.
    pub fn is_serialized(&self) -> bool {
        matches!(self.state, State::Record(_))
    }

    /// Whether nothing was ever returned.
    pub fn is_no_result(&self) -> bool {
        matches!(self.state, State::Record(ResultRecord::None(NoResult)))
    }

    /// The value, if it is here and not serialized.
    pub fn value(&self) -> Option<&Value> {
        match &self.state {
            State::Value(value) => Some(value),
            State::Record(_) => None,
        }
    }

    /// The record, if it is serialized.
    pub fn record(&self) -> Option<&ResultRecord> {
        match &self.state {
            State::Record(record) => Some(record),
            State::Value(_) => None,
        }
    }

    /// The same result, serialized: a table is persisted, a literal goes into the record.
    ///
    /// # Errors
    ///
    /// Those of a put.
    pub async fn serialize(&self) -> Result<Self> {
        let (State::Value(value), Some(producer)) = (&self.state, &self.producer) else { return Ok(self.clone()) };
        let record = match value.literal() {
            Some(literal) => ResultLiteral(literal).into(),
            None => {
                let put = producer.store.put(&producer.key, value.clone());
                match &producer.serializer {
                    Some(serializer) => put.serializer(serializer.clone()).await?.into(),
                    None => put.await?.into(),
                }
            }
        };
        Ok(Self { state: State::Record(record), ..self.clone() })
    }

    /// The same result with its value, read if need be.
    ///
    /// # Errors
    ///
    /// Those of a get, and [`ErrorKind::NotFound`] if nothing was ever returned.
    pub async fn deserialize(&self) -> Result<Self> {
        let State::Record(record) = &self.state else { return Ok(self.clone()) };
        let value = match record {
            ResultRecord::Literal(ResultLiteral(literal)) => Value::Json(literal.to_json()),
            ResultRecord::Reference(reference) => match &self.store {
                Some(store) => store.get(&**reference).await?,
                None => reference.get().await?.as_ref().clone(),
            },
            ResultRecord::None(NoResult) => {
                return Err(Error::new(ErrorKind::NotFound, "nothing was ever returned: there is no result")
                    .with_hint("run the task"));
            }
        };
        Ok(Self { state: State::Value(value), ..self.clone() })
    }
}

/// Results by name, such as a task's cached inputs.
#[derive(Debug, Clone, Default)]
pub struct TaskResults(BTreeMap<String, TaskResult>);

impl TaskResults {
    /// Puts a result under a name.
    pub fn insert(&mut self, name: impl Into<String>, result: TaskResult) {
        self.0.insert(name.into(), result);
    }

    /// The result of that name; its value is read when it is asked for.
    pub fn get(&self, name: &str) -> Option<&TaskResult> {
        self.0.get(name)
    }

    /// All results, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TaskResult)> {
        self.0.iter().map(|(name, result)| (name.as_str(), result))
    }

    /// The same results, each serialized by its own producer's serializer where it is not yet.
    ///
    /// # Errors
    ///
    /// Those of a put, saying which result it was.
    pub async fn serialize(&self) -> Result<Self> {
        let serializing = self.0.iter().map(|(name, result)| async move {
            let serialized = result.serialize().await.map_err(|error| error.within(format!("result `{name}`")))?;
            Ok::<_, Error>((name.clone(), serialized))
        });
        futures::future::try_join_all(serializing).await.map(|results| Self(results.into_iter().collect()))
    }

    /// The records of serialized results as one JSON object, for transport.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if one is not serialized, naming it.
    pub fn to_json(&self) -> Result<String> {
        let records = self.0.iter().map(|(name, result)| match result.record() {
            Some(record) => Ok((name, record)),
            None => {
                Err(Error::invalid(format!("result `{name}` is not serialized")).with_hint("call `serialize` first"))
            }
        });
        let records = records.collect::<Result<BTreeMap<_, _>>>()?;
        serde_json::to_string(&records).map_err(|error| Error::internal(error.to_string()))
    }

    /// Reads what [`TaskResults::to_json`] wrote; no data is read until a value is asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the text is not that.
    pub fn from_json(text: &str, store: &ResultStore) -> Result<Self> {
        let records: BTreeMap<String, Records> = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("this is no map of records: {error}")))?;
        let results = records.into_iter().map(|(name, Records(record))| (name, TaskResult::from_record(record, store)));
        Ok(Self(results.collect()))
    }
}

#[derive(Serialize, Deserialize)]
struct Records(ResultRecord);

impl ResultReference {
    /// The value it refers to; kept in this object, so that the next call reads nothing.
    ///
    /// A reference that a store handed out reads from that store. One that was parsed from JSON is opened only by a
    /// configured profile, or if it lies in the configured default store: it may come from anybody.
    ///
    /// # Errors
    ///
    /// Those of [`ResultStore::get`], and [`ErrorKind::Denied`] if the reference names another storage.
    pub async fn get(&self) -> Result<Arc<Value>> {
        if let Some(value) = self.held().value().and_then(|value| value.downcast::<Value>().ok()) {
            return Ok(value);
        }
        let store = self.store().await?;
        let value = Arc::new(store.get(self).await?);
        let kept: Arc<dyn Any + Send + Sync> = value.clone();
        self.held().keep(Some(kept));
        Ok(value)
    }

    /// Whether [`ResultReference::get`] keeps a value here.
    pub fn is_resolved(&self) -> bool {
        self.held().value().is_some()
    }

    /// Lets go of the value that [`ResultReference::get`] keeps.
    pub fn release(&self) {
        self.held().keep(None);
    }

    /// The same reference, which reads from `store`.
    #[must_use]
    pub fn bind(&self, store: &ResultStore) -> Self {
        self.clone().bound(store.inner().clone())
    }

    /// The store that [`ResultReference::get`] reads from.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`] if the reference came from anybody and names another storage than the configured ones.
    pub async fn store(&self) -> Result<ResultStore> {
        if let Some(inner) = self.held().store.clone().and_then(|store| store.downcast::<Inner>().ok()) {
            return Ok(ResultStore::from_inner(inner));
        }
        let configuration = Configuration::ambient()?;
        let builder = ResultStore::builder().configuration(configuration.clone());
        if let Some(profile) = self.profile().filter(|profile| configuration.has_profile(profile)) {
            return builder.location(profile).open().await;
        }
        let own = builder.open().await?;
        match self.storage() {
            Some(url) if own.url() == Some(url) => Ok(own),
            Some(url) => Err(Error::new(
                ErrorKind::Denied,
                format!("the reference lies in {url}, which is not the configured store"),
            )
            .during("get", self)
            .with_hint("open the store yourself and get the reference from it, or configure a profile for it")),
            None => Err(Error::invalid("the reference does not say where it lies")
                .during("get", self)
                .with_hint("open its store yourself and get the reference from it")),
        }
    }
}
