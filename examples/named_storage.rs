//! A storage that has a name: programs and references say `local/results`, and `coldframe.toml` says where that is.
//!
//! ```sh
//! cargo run --example named_storage
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use coldframe::{Configuration, ResultReference, ResultStore};

/// `default` is the store where a program names none. A relative `url` starts at this file. The key is not a real one.
const COLDFRAME_TOML: &str = r#"
default = "local/results"

[storage."local/results"]
url = "results"

[storage."s3/prod"]
url = "s3://acme/results"
region = "eu-central-1"
secret_access_key = "hunter2"
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("coldframe.toml"), COLDFRAME_TOML)?;

    // `ResultStore::open("local/results")` does this step by itself: it looks for the file from the working folder
    // upwards and in the user's configuration folder, and reads the environment. Here, we say where to look.
    let configuration = Configuration::read(BTreeMap::new(), Some(folder.path()), None)?;

    // What is in force, and where it comes from; `coldframe config` prints the same. Secrets are masked.
    for setting in configuration.settings() {
        println!("{} = {}", setting.name, setting.value);
    }

    // No location: the default store. Naming it would be `.location("local/results")`.
    let store = ResultStore::builder().configuration(configuration.clone()).open().await?;
    let reference = store.put("etl/trips", trips()?).await?;

    // The compact form is what a database keeps. It has the name beside the URL, and nothing that must stay secret.
    let json = reference.compact().to_json();
    println!("\n{json}");
    assert_eq!(reference.profile(), Some("local/results"));
    assert!(!json.contains("hunter2"));

    // Another program has the JSON and its own `coldframe.toml`: there the name may carry other credentials.
    let received = ResultReference::from_json(&json)?;
    let profile = received.profile().ok_or("the reference says by which name its store was opened")?;
    let reopened = ResultStore::builder().configuration(configuration.clone()).location(profile).open().await?;
    assert_eq!(reopened.get(&received).await?.into_table()?.to_batch()?, trips()?);
    println!("\n{received} came back through {profile}");

    // A name that nobody configured is an error, and not a new folder of that name.
    let unknown = ResultStore::builder().configuration(configuration).location("local/result").open().await;
    let error = unknown.err().ok_or("there is no such storage")?;
    println!("\n{error:?}");
    Ok(())
}

fn trips() -> Result<RecordBatch, Box<dyn Error>> {
    let zone: ArrayRef = Arc::new(StringArray::from(vec!["Soho", "Harlem"]));
    let fare: ArrayRef = Arc::new(Float64Array::from(vec![12.5, 31.0]));
    Ok(RecordBatch::try_from_iter([("zone", zone), ("fare", fare)])?)
}
