//! From a short form, JSON or a descriptor to a serializer; the place where a user's own are added.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::short_form::{ShortForm, malformed};
use super::{Arrow, Codec, Compressed, JsonText, Parquet, Preset, RawBytes, Serializer};
use crate::error::{Error, ErrorKind, Result};
use crate::query::nearest;
use crate::reference::Descriptor;

/// Builds a serializer from its descriptor.
pub type Factory = Arc<dyn Fn(&Descriptor) -> Result<Arc<dyn Serializer>> + Send + Sync>;

const BUILT_IN: [&str; 5] = ["parquet", "arrow", "json", "bytes", "compressed"];

#[derive(Default)]
struct Added {
    named: BTreeMap<String, Factory>,
    fallback: Option<Factory>,
}

/// The serializers that can be built by name. A clone is the same registry: what is added to one is in both.
///
/// ```
/// use coldframe::serializer::Registry;
///
/// let registry = Registry::default();
/// let serializer = registry.parse("parquet/zstd(3)")?;
/// assert_eq!(serializer.descriptor().to_string(), r#"{"type":"parquet","compression":"zstd","level":3}"#);
/// assert_eq!(registry.build(&serializer.descriptor())?.descriptor(), serializer.descriptor());
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    added: Arc<RwLock<Added>>,
}

impl Registry {
    /// Adds a serializer of the user's own under `name`, which is then also its short form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the name is taken or has characters that a short form gives a meaning.
    pub fn register(
        &self,
        name: &str,
        factory: impl Fn(&Descriptor) -> Result<Arc<dyn Serializer>> + Send + Sync + 'static,
    ) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(Error::invalid(format!("`{}` cannot name a serializer", name.escape_debug()))
                .with_hint("names are made of letters, digits, `_`, `-` and `.`"));
        }
        let mut added = self.added.write().unwrap_or_else(PoisonError::into_inner);
        if BUILT_IN.contains(&name) || added.named.contains_key(name) {
            return Err(Error::invalid(format!("there is a serializer `{name}` already")));
        }
        added.named.insert(name.to_owned(), Arc::new(factory));
        Ok(())
    }

    /// Builds serializers of every name that is not registered, from their descriptors alone: for a program that hands
    /// the bytes on to somebody who knows them. Short forms stay those of the registered names.
    pub fn fall_back_to(&self, factory: impl Fn(&Descriptor) -> Result<Arc<dyn Serializer>> + Send + Sync + 'static) {
        self.added.write().unwrap_or_else(PoisonError::into_inner).fallback = Some(Arc::new(factory));
    }

    /// The names of all serializers.
    pub fn names(&self) -> Vec<String> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        BUILT_IN.into_iter().map(str::to_owned).chain(added.named.keys().cloned()).collect()
    }

    fn factory(&self, name: &str) -> Option<Factory> {
        self.added.read().unwrap_or_else(PoisonError::into_inner).named.get(name).cloned()
    }

    fn fallback(&self) -> Option<Factory> {
        self.added.read().unwrap_or_else(PoisonError::into_inner).fallback.clone()
    }

    /// Builds the serializer that `descriptor` describes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if there is none of that name, [`ErrorKind::InvalidInput`] for wrong settings.
    pub fn build(&self, descriptor: &Descriptor) -> Result<Arc<dyn Serializer>> {
        Ok(match descriptor.name() {
            "parquet" => Arc::new(Parquet::from_descriptor(descriptor)?),
            "arrow" => Arc::new(Arrow::from_descriptor(descriptor)?),
            "json" => {
                descriptor.only(&[])?;
                Arc::new(JsonText)
            }
            "bytes" => Arc::new(RawBytes::from_descriptor(descriptor)?),
            "compressed" => Arc::new(Compressed::from_descriptor(descriptor, self)?),
            name => match self.factory(name).or_else(|| self.fallback()) {
                Some(factory) => factory(descriptor)?,
                None => return Err(self.unknown(name)),
            },
        })
    }

    /// Builds a serializer from a short form, or from a descriptor as JSON.
    ///
    /// # Errors
    ///
    /// As [`Registry::build`].
    pub fn parse(&self, text: &str) -> Result<Arc<dyn Serializer>> {
        let text = text.trim();
        if text.starts_with('{') {
            let descriptor: Descriptor = serde_json::from_str(text)
                .map_err(|error| Error::invalid(format!("the serializer's JSON cannot be read: {error}")))?;
            return self.build(&descriptor);
        }
        let form = ShortForm::parse(text)?;
        Ok(match form.name {
            "parquet" => {
                let preset = Preset::named(form.argument)?;
                let (codec, level) = codec_of(&ShortForm { argument: None, ..form })?;
                Arc::new(Parquet::from_parts(preset, codec, level)?)
            }
            "arrow" => {
                let (codec, level) = codec_of(&form)?;
                Arc::new(Arrow::with_codec(codec, level)?)
            }
            "bytes" if form.rest.is_none() => {
                let descriptor = Descriptor::new("bytes");
                self.build(&form.argument.into_iter().fold(descriptor, |bytes, media| bytes.with("media_type", media)))?
            }
            "compressed" => {
                let inner = form.rest.ok_or_else(|| malformed(text, "it does not say what is compressed"))?;
                let codec = ShortForm::parse(form.argument.unwrap_or("zstd"))?;
                let inner = self.parse(inner)?;
                if inner.descriptor().name() == "compressed" {
                    return Err(malformed(text, "compressing twice gains nothing"));
                }
                Arc::new(Compressed::new(inner, Codec::parse(codec.name, codec.level()?)?))
            }
            name => {
                if !BUILT_IN.contains(&name) && self.factory(name).is_none() {
                    return Err(self.unknown(name));
                }
                form.bare()?;
                self.build(&Descriptor::new(name))?
            }
        })
    }

    fn unknown(&self, name: &str) -> Error {
        let error =
            Error::new(ErrorKind::Unsupported, format!("there is no serializer `{}` here", name.escape_debug()));
        let names = self.names();
        match nearest(name, names.iter().map(String::as_str)).first() {
            Some(similar) => error.with_hint(format!("did you mean `{similar}`?")),
            None => {
                error.with_hint(format!("there are {}; others are added with `Registry::register`", names.join(", ")))
            }
        }
    }
}

/// The codec after the slash of `parquet` and `arrow`, with its level.
fn codec_of<'a>(form: &ShortForm<'a>) -> Result<(Option<&'a str>, Option<i64>)> {
    if let Some(argument) = form.argument {
        return Err(malformed(form.name, &format!("`({})` is no setting of it", argument.escape_debug())));
    }
    let Some(rest) = form.rest else { return Ok((None, None)) };
    let codec = ShortForm::parse(rest)?;
    match codec.rest {
        Some(extra) => Err(malformed(rest, &format!("`/{}` cannot stand there", extra.escape_debug()))),
        None => Ok((Some(codec.name), codec.level()?)),
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.names()).finish()
    }
}

/// How a call says which serializer it wants.
#[derive(Debug, Clone)]
pub enum SerializerChoice {
    /// A short form, or a descriptor as JSON.
    Text(String),
    /// A descriptor.
    Descriptor(Descriptor),
    /// The serializer itself.
    Instance(Arc<dyn Serializer>),
}

impl SerializerChoice {
    /// The serializer that is meant.
    ///
    /// # Errors
    ///
    /// As [`Registry::build`].
    pub fn resolve(&self, registry: &Registry) -> Result<Arc<dyn Serializer>> {
        match self {
            Self::Text(text) => registry.parse(text),
            Self::Descriptor(descriptor) => registry.build(descriptor),
            Self::Instance(serializer) => Ok(serializer.clone()),
        }
    }
}

/// Whatever says which serializer is wanted: a short form, JSON, a descriptor, or a serializer.
pub trait IntoSerializer {
    /// The choice.
    fn into_choice(self) -> SerializerChoice;
}

impl IntoSerializer for SerializerChoice {
    fn into_choice(self) -> SerializerChoice {
        self
    }
}

impl IntoSerializer for &str {
    fn into_choice(self) -> SerializerChoice {
        SerializerChoice::Text(self.to_owned())
    }
}

impl IntoSerializer for String {
    fn into_choice(self) -> SerializerChoice {
        SerializerChoice::Text(self)
    }
}

impl IntoSerializer for &String {
    fn into_choice(self) -> SerializerChoice {
        SerializerChoice::Text(self.clone())
    }
}

impl IntoSerializer for Descriptor {
    fn into_choice(self) -> SerializerChoice {
        SerializerChoice::Descriptor(self)
    }
}

impl IntoSerializer for Arc<dyn Serializer> {
    fn into_choice(self) -> SerializerChoice {
        SerializerChoice::Instance(self)
    }
}

impl<S: Serializer + 'static> IntoSerializer for S {
    fn into_choice(self) -> SerializerChoice {
        SerializerChoice::Instance(Arc::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_form_is_rebuilt_by_its_descriptor() {
        let registry = Registry::default();
        for (text, json) in [
            ("parquet", r#"{"type":"parquet"}"#),
            ("parquet(default)", r#"{"type":"parquet"}"#),
            ("parquet(fast)", r#"{"type":"parquet","preset":"fast"}"#),
            ("parquet(small)/zstd(3)", r#"{"type":"parquet","preset":"small","compression":"zstd","level":3}"#),
            ("parquet/zstd", r#"{"type":"parquet","compression":"zstd","level":1}"#),
            ("parquet/none", r#"{"type":"parquet","compression":"none"}"#),
            ("parquet/snappy", r#"{"type":"parquet","compression":"snappy"}"#),
            ("parquet/lz4", r#"{"type":"parquet","compression":"lz4"}"#),
            ("parquet/gzip(9)", r#"{"type":"parquet","compression":"gzip","level":9}"#),
            ("arrow", r#"{"type":"arrow","compression":"none"}"#),
            ("arrow/lz4", r#"{"type":"arrow","compression":"lz4"}"#),
            ("arrow/zstd(5)", r#"{"type":"arrow","compression":"zstd","level":5}"#),
            ("json", r#"{"type":"json"}"#),
            ("bytes(text/csv)", r#"{"type":"bytes","media_type":"text/csv"}"#),
            ("compressed/json", r#"{"type":"compressed","codec":"zstd","level":3,"inner":{"type":"json"}}"#),
            ("compressed(lz4)/bytes", r#"{"type":"compressed","codec":"lz4","inner":{"type":"bytes"}}"#),
        ] {
            let serializer = registry.parse(text).unwrap();
            assert_eq!(serializer.descriptor().to_string(), json, "{text}");
            let rebuilt = registry.parse(&serializer.descriptor().to_string()).unwrap();
            assert_eq!(rebuilt.descriptor(), serializer.descriptor());
            assert_eq!(rebuilt.extension(), serializer.extension());
        }
    }

    #[test]
    fn what_is_added_is_in_every_clone_and_the_fallback_takes_descriptors_alone() {
        let registry = Registry::default();
        let clone = registry.clone();
        let made = |_: &Descriptor| -> Result<Arc<dyn Serializer>> { Ok(Arc::new(JsonText)) };
        registry.register("mine", made).unwrap();
        assert!(clone.names().contains(&"mine".to_owned()));
        assert!(clone.parse("mine").is_ok());
        assert!(clone.register("mine", made).is_err());
        let other = Descriptor::new("theirs").with("level", 3);
        assert_eq!(clone.build(&other).unwrap_err().kind(), ErrorKind::Unsupported);
        registry.fall_back_to(made);
        assert!(clone.build(&other).is_ok());
        assert_eq!(clone.parse("theirs").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_way_out() {
        let registry = Registry::default();
        for text in [
            "parket",
            "parquet/zip",
            "parquet/zstd(0)",
            "parquet/zstd(23)",
            "parquet(wide)",
            "parquet/lz4(3)",
            "arrow/gzip",
            "json/x",
            "compressed",
            "compressed(zip)/json",
            "compressed/compressed/json",
            "bytes(csv)",
            "parquet/zstd(x)",
            "parquet/zstd/x",
            r#"{"type":"parquet","compresion":"zstd"}"#,
            r#"{"compression":"zstd"}"#,
            r#"{"type":"parquet","level":"a"}"#,
        ] {
            let error = registry.parse(text).map(|found| found.descriptor()).unwrap_err();
            assert!(!error.message().is_empty(), "{text}");
        }
        assert_eq!(registry.parse("parket").unwrap_err().hint(), Some("did you mean `parquet`?"));
    }
}
