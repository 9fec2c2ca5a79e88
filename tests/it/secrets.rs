//! No credential comes out: not in a reference, an error, a log line, an object or a text for debugging.

use std::error::Error as StdError;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use coldframe::{Configuration, Error, ResultStore, StoreBuilder};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;

use crate::faulty::{Fault, Faulty, Op, Place, Request, TestClock};
use crate::servers::{ACCOUNT_KEY, Server};
use crate::support::small;

/// What a store was opened with, and what of it must not come out.
struct Planted {
    options: Vec<(&'static str, String)>,
    markers: Vec<String>,
    /// Whether the server lets them in.
    valid: bool,
}

fn with(server: Server, url: &str, valid: bool, planted: &[(&'static str, &str)], markers: &[&str]) -> Planted {
    let mut options = server.options(url);
    options
        .retain(|(name, _)| !planted.iter().any(|(replaced, _)| name == replaced) && (valid || *name != "account_key"));
    options.extend(planted.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Planted { options, markers: markers.iter().map(|marker| (*marker).to_owned()).collect(), valid }
}

fn planted(server: Server, url: &str) -> Vec<Planted> {
    match server {
        Server::S3 => {
            let planted = [
                ("access_key_id", "PLANTEDKEYID4711"),
                ("secret_access_key", "PLANTEDSECRET4711"),
                ("session_token", "PLANTEDTOKEN4711"),
            ];
            vec![with(server, url, true, &planted, &planted.map(|(_, value)| value))]
        }
        Server::Gcs => {
            let account = serde_json::json!({
                "gcs_base_url": url, "disable_oauth": true, "client_email": "PLANTEDMAIL4711@example.com",
                "private_key": "PLANTEDPRIVATEKEY4711", "private_key_id": "PLANTEDKEYID4711",
            });
            let markers = ["PLANTEDPRIVATEKEY4711", "PLANTEDKEYID4711", "PLANTEDMAIL4711"];
            vec![with(server, url, true, &[("service_account_key", &account.to_string())], &markers)]
        }
        Server::Azure => {
            let key = base64::engine::general_purpose::STANDARD.encode("a key that the server does not know");
            let signature = "PLANTEDSIGNATURE4711";
            let token = format!("sv=2021-12-02&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&sig={signature}");
            vec![
                with(server, url, true, &[], &[ACCOUNT_KEY]),
                with(server, url, false, &[("account_key", &key)], &[&key]),
                with(server, url, false, &[("sas_key", &token)], &[signature]),
            ]
        }
    }
}

/// All that came out, each with a word on where.
#[derive(Default)]
struct Found(Vec<(String, String)>);

impl Found {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    fn error(&mut self, place: &str, error: &Error) {
        self.add(place, format!("{error}\n{error:?}\n{error:#?}\n{}", error.hint().unwrap_or_default()));
        let mut cause = error.source();
        while let Some(next) = cause {
            self.add(format!("{place}, a cause"), format!("{next}\n{next:?}"));
            cause = next.source();
        }
    }

    fn outcome<T: std::fmt::Debug>(&mut self, place: &str, outcome: Result<T, Error>) {
        match outcome {
            Ok(done) => self.add(place, format!("{done:?}")),
            Err(error) => self.error(place, &error),
        }
    }

    fn assert_without(&self, markers: &[String]) {
        let mut leaks = String::new();
        for (place, text) in &self.0 {
            for marker in markers {
                if let Some(at) = text.find(marker) {
                    let (from, to) = (text.floor_char_boundary(at.saturating_sub(200)), at + marker.len());
                    leaks.push_str(&format!("{place}: …{}…\n\n", &text[from..to]));
                }
            }
        }
        assert!(leaks.is_empty(), "{leaks}");
    }
}

/// Collects the lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

fn builder(planted: &Planted, location: &str) -> StoreBuilder {
    let builder = ResultStore::builder().configuration(Configuration::empty()).location(location);
    let builder = builder.clock(Arc::new(TestClock::default()));
    planted.options.iter().fold(builder, |builder, (name, value)| builder.option(*name, value.clone()))
}

async fn everything(store: &ResultStore, found: &mut Found, place: &str) {
    let put = store.put("a/k", small()).expires_in(Duration::from_secs(3600)).title("a title");
    found.add(format!("{place}, debug of a put"), format!("{put:?}"));
    match put.await {
        Ok(reference) => {
            let compact = reference.compact();
            found.add(format!("{place}, a reference"), format!("{reference} {reference:?} {}", reference.to_json()));
            found.add(format!("{place}, a compact one"), format!("{compact} {compact:?} {}", compact.to_json()));
            found.outcome(&format!("{place}, get of a reference"), store.get(&compact).await);
        }
        Err(error) => found.error(&format!("{place}, put"), &error),
    }
    found.outcome(&format!("{place}, get"), store.get("a/k").await);
    found.outcome(&format!("{place}, an opened result"), store.open_result("a/k").await);
    found.outcome(&format!("{place}, get of nothing"), store.get("no/such/key").await);
    found.outcome(&format!("{place}, list"), store.list("").await);
    found.outcome(&format!("{place}, versions"), store.versions("a/k").await);
    found.outcome(&format!("{place}, verify"), store.verify("", None).await);
    let delete = store.delete("a/k");
    found.add(format!("{place}, debug of a delete"), format!("{delete:?}"));
    found.outcome(&format!("{place}, delete"), delete.await);
    store.settled().await;
}

async fn failing(faulty: &Faulty, store: &ResultStore, found: &mut Found) {
    for fault in [Fault::Deny, Fault::Echo] {
        faulty.script(move |_| Some(fault));
        everything(store, found, &format!("{fault:?}")).await;
        // What cannot be removed is logged.
        faulty.script(move |request| (request.op == Op::Delete || request.is_commit()).then_some(fault));
        everything(store, found, &format!("{fault:?} of a commit and a delete")).await;
    }
    faulty.on(usize::MAX, Fault::Fail, Request::is_commit);
    let cut = store.put("a/k", small()).await.unwrap_err();
    found.error("an unknown outcome", &cut);
    faulty.heal();
}

async fn nothing_comes_out(server: Server) {
    if server.url().is_none() {
        return;
    }
    let faulty = Place::On(server).faulty().await;
    let (url, location) = faulty.way_in().unwrap();
    for planted in planted(server, &url) {
        let (ours, others, mut found) = (Lines::default(), Lines::default(), Found::default());
        let (our_lines, other_lines) = (ours.clone(), others.clone());
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || our_lines.clone());
        let other = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || other_lines.clone());
        let targets = Targets::new().with_target("coldframe", LevelFilter::TRACE);
        let rest = Targets::new().with_default(LevelFilter::DEBUG).with_target("coldframe", LevelFilter::OFF);
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(targets)).with(other.with_filter(rest));
        let listening = tracing::subscriber::set_default(subscriber);

        let building = builder(&planted, &location);
        found.add("debug of a builder", format!("{building:?}"));
        let store = building.open().await.unwrap();
        found.add("debug of a store", format!("{store:?} {:?} {:?}", store.url(), store.configuration()));
        everything(&store, &mut found, "no fault").await;
        if planted.valid {
            failing(&faulty, &store, &mut found).await;
        }
        let nowhere = location.replace("coldframe", "nosuchbucket");
        let store = builder(&planted, &nowhere).open().await.unwrap();
        everything(&store, &mut found, "no bucket").await;

        drop(listening);
        let objects: Vec<_> = faulty.inner().list(None).try_collect().await.unwrap();
        for object in objects {
            let bytes = faulty.inner().get(&object.location).await.unwrap().bytes().await.unwrap();
            found.add(format!("the object {}", object.location), String::from_utf8_lossy(&bytes));
        }
        assert!(found.0.len() > if planted.valid { 60 } else { 15 }, "{}", found.0.len());
        assert!(!planted.valid || ours.text().contains("left for the sweep"), "{}", ours.text());
        found.add("our log", ours.text());
        found.add("the libraries' log", others.text());
        found.assert_without(&planted.markers);
    }
}

#[tokio::test]
async fn no_credential_comes_out_on_s3() {
    nothing_comes_out(Server::S3).await;
}

#[tokio::test]
async fn no_credential_comes_out_on_gcs() {
    nothing_comes_out(Server::Gcs).await;
}

#[tokio::test]
async fn no_credential_comes_out_on_azure() {
    nothing_comes_out(Server::Azure).await;
}
