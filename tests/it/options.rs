//! Options of the object stores: where they come from, which wins, what is refused, and that no secret gets out.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use coldframe::storage::{Location, Storage};
use coldframe::{Configuration, Error, ErrorKind, ResultStore, StoreBuilder};
use object_store::ClientConfigKey;
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use serde::de::DeserializeOwned;

use crate::answering::{Answering, S3_LISTING};

/// The environment and the `coldframe.toml` of a test.
pub(crate) fn configured(environment: &[(&str, &str)], file: &str) -> Configuration {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("coldframe.toml"), file).unwrap();
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Configuration::read(environment, Some(folder.path()), None).unwrap()
}

fn resolved(url: &str, options: &[(&str, &str)], configuration: &Configuration) -> Result<Location, Error> {
    let options: Vec<_> = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Location::resolve(url, &options, configuration)
}

/// The error of opening a place.
fn refused(url: &str, options: &[(&str, &str)]) -> Error {
    refused_under(url, options, &Configuration::empty())
}

fn refused_under(url: &str, options: &[(&str, &str)], configuration: &Configuration) -> Error {
    resolved(url, options, configuration).and_then(|location| Storage::open(&location, true)).unwrap_err()
}

pub(crate) fn builder(url: &str, options: &[(&str, &str)], configuration: Configuration) -> StoreBuilder {
    let builder = ResultStore::builder().configuration(configuration).location(url);
    options.iter().fold(builder, |builder, (name, value)| builder.option(*name, *value))
}

/// How a place prints, when it opens.
fn opened(url: &str, options: &[(&str, &str)]) -> String {
    let location = resolved(url, options, &Configuration::empty()).unwrap();
    let storage = Storage::open(&location, true).unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let printed = location.printed();
    assert_eq!(storage.url(), Some(printed.as_str()));
    let again = resolved(&printed, options, &Configuration::empty()).unwrap();
    assert_eq!(again.printed(), printed, "it opens the same place");
    printed
}

#[test]
fn every_form_of_url_opens_and_prints_without_its_query() {
    let account = [("account_name", "me")];
    let key = (
        "service_account_key",
        r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#,
    );
    for (url, options, printed) in [
        ("s3://box/a/b/?region=eu-west-1&skip_signature=true", &[][..], "s3://box/a/b"),
        ("s3a://box", &[], "s3a://box"),
        ("https://box.s3.eu-west-1.amazonaws.com/a", &[], "https://box.s3.eu-west-1.amazonaws.com/a"),
        ("https://s3.eu-west-1.amazonaws.com/box/a", &[], "https://s3.eu-west-1.amazonaws.com/box/a"),
        ("https://s3.amazonaws.com/box/a?region=x", &[], "https://s3.amazonaws.com/box/a"),
        ("https://me.r2.cloudflarestorage.com/box/a", &[], "https://me.r2.cloudflarestorage.com/box/a"),
        ("gs://box/a", &[key], "gs://box/a"),
        ("https://storage.googleapis.com/box/a", &[key], "https://storage.googleapis.com/box/a"),
        ("https://box.storage.googleapis.com/a", &[key], "https://box.storage.googleapis.com/a"),
        ("az://box/a?account_name=me", &account, "az://box/a"),
        ("azure://box/a", &account, "azure://box/a"),
        ("adl://box/a", &account, "adl://box/a"),
        ("abfs://box/a", &account, "abfs://box/a"),
        ("abfss://box@me.dfs.core.windows.net/a/?timeout=1m", &[], "abfss://box@me.dfs.core.windows.net/a"),
        ("az://box@me.blob.core.windows.net/a", &[], "az://box@me.blob.core.windows.net/a"),
        ("https://me.blob.core.windows.net/box/a", &[], "https://me.blob.core.windows.net/box/a"),
        ("https://me.dfs.core.windows.net/box/a", &[], "https://me.dfs.core.windows.net/box/a"),
    ] {
        assert_eq!(opened(url, options), printed);
    }
}

#[test]
fn what_cannot_be_a_url_of_a_storage_is_refused_with_the_way_out() {
    for (url, hint) in [
        ("https://minio.example.com/box/a", "endpoint=https://minio.example.com"),
        ("http://localhost:9000/box", "allow_http=true"),
        ("https://evils3.eu-west-1.amazonaws.com.example.com/box", "s3://bucket/path"),
        ("https://s3.eu-west-1.amazonaws.com/", "/bucket/path"),
        ("s3://localhost:9000/box", "endpoint="),
        ("s3:/box/a", "s3://"),
        ("s3//box/a", "./s3//box/a"),
        ("s3://box/a#b", "%23"),
        ("s3://me@box/a", "environment"),
        ("s3://me:HUSH@box/a", "environment"),
        ("abfss://box:HUSH@me.dfs.core.windows.net/a", "environment"),
        ("azure://box@me.dfs.core.windows.net/a", "environment"),
        ("abfss://me@example.com/a", "environment"),
        ("https://me:HUSH@me.blob.core.windows.net/box", "environment"),
        ("s3://box/a?secret_access_key=HUSH", "profile"),
        ("s3://box/a?AWS_ACCESS_KEY_ID=HUSH", "profile"),
        ("az://box/a?account_key=HUSH", "profile"),
        ("gs://box/a?service_account_key=HUSH", "profile"),
        ("https://me.blob.core.windows.net/box?sv=2022&sp=r&sig=HUSH", "sas_token"),
        ("https://box.s3.eu-west-1.amazonaws.com/a?X-Amz-Signature=HUSH", "s3://bucket/path"),
    ] {
        let error = refused(url, &[]);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{url}: {error:?}");
        assert!(!format!("{error:?}").contains("HUSH"), "{error:?}");
    }
}

#[test]
fn an_option_that_does_not_exist_is_told_with_the_right_one() {
    for (url, name, storage, meant) in [
        ("s3://box", "acces_key_id", "S3", "access_key_id"),
        ("gs://box", "aplication_credentials", "GCS", "application_credentials"),
        ("az://box", "acount_name", "Azure", "account_name"),
    ] {
        for error in [refused(url, &[(name, "HUSH")]), refused(&format!("{url}?{name}=HUSH"), &[])] {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.message().contains(name) && error.message().contains(storage), "{error}");
            assert_eq!(error.hint(), Some(format!("did you mean `{meant}`?").as_str()));
            assert!(!format!("{error:?}").contains("HUSH"), "{error:?}");
        }
    }
    assert_eq!(refused("memory://", &[("region", "x")]).kind(), ErrorKind::Configuration);
    assert_eq!(refused("file:///nowhere?region=x", &[]).kind(), ErrorKind::Configuration);
}

#[test]
fn a_value_that_cannot_be_one_is_told_by_its_name() {
    for (name, value) in
        [("allow_http", "perhaps"), ("timeout", "long"), ("max_retries", "many"), ("retry_timeout", "x")]
    {
        for url in ["s3://box", "gs://box", "az://box"] {
            let error = refused(url, &[(name, value)]);
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.message().contains(name), "{error}");
        }
    }
    // The library panics at what is no URL.
    for endpoint in ["localhost:9000", "127.0.0.1:9000", "minio.local", "http//x", "", "ftp://host"] {
        for (url, name) in [("s3://box", "endpoint"), ("gs://box", "base_url"), ("az://box", "endpoint")] {
            let error = refused(url, &[(name, endpoint)]);
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.message().contains(name) && error.message().contains("http://localhost:9000"), "{error}");
        }
    }
    let configuration = configured(&[("AWS_ENDPOINT_URL", "localhost:9000")], "");
    assert!(refused_under("s3://box", &[], &configuration).message().contains("AWS_ENDPOINT_URL"));
    let configuration = configured(&[("AWS_ALLOW_HTTP", "perhaps")], "");
    let error = refused_under("s3://box", &[], &configuration);
    assert!(error.message().contains("environment variable AWS_ALLOW_HTTP"), "{error}");
    let configuration = configured(&[("COLDFRAME_MAX_RETRIES", "perhaps")], "");
    assert!(refused_under("gs://box", &[], &configuration).message().contains("COLDFRAME_MAX_RETRIES"));
    for (url, options) in [
        ("s3://box", &[("access_key_id", "HUSHHUSH")][..]),
        ("gs://box", &[("service_account_key", "\"HUSH\"")]),
        ("gs://box", &[("service_account_key", "{\"private_key\": \"HUSH\"}")]),
        ("az://box", &[("account_name", "me"), ("account_key", "HUSH!!")]),
        ("az://box", &[("account_name", "me"), ("sas_token", "HUSH")]),
        ("s3://box", &[("proxy_url", "http://me:HUSH@:x:y")]),
    ] {
        let error = refused(url, options);
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert!(error.hint().is_some() && !format!("{error:?}").contains("HUSH"), "{error:?}");
    }
}

/// Every key of a provider, by the library's own name for it: its deserializer tells the variants when it is given none.
fn keys<K: DeserializeOwned + AsRef<str>>() -> Vec<String> {
    let message = serde_json::from_str::<K>("\"?\"").err().unwrap().to_string();
    let (_, expected) = message.split_once("expected one of ").unwrap();
    let variants = expected.split('`').skip(1).step_by(2);
    let names = variants.filter_map(|variant| serde_json::from_str::<K>(&format!("\"{variant}\"")).ok());
    names.map(|key| key.as_ref().to_owned()).collect()
}

#[test]
fn every_key_of_the_library_is_masked_or_shown_as_it_should_be() {
    let secrets = [
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_container_credentials_relative_uri",
        "aws_container_credentials_full_uri",
        "aws_sse_customer_key_base64",
        "google_service_account_key",
        "azure_storage_account_key",
        "azure_storage_client_secret",
        "azure_storage_sas_key",
        "azure_storage_token",
        "azure_fabric_session_token",
    ];
    let client = keys::<ClientConfigKey>();
    assert_eq!(client.len(), 18, "{client:?}");
    let mut names = [keys::<AmazonS3ConfigKey>(), keys::<GoogleConfigKey>(), keys::<AzureConfigKey>()].concat();
    // These the library keeps to itself.
    let encryption = ["server_side_encryption", "sse_kms_key_id", "sse_bucket_key_enabled", "sse_customer_key_base64"];
    names.extend(encryption.iter().map(|name| format!("aws_{name}")));
    for prefix in ["aws", "google", "azure"] {
        names.extend(client.iter().map(|name| format!("{prefix}_{name}")));
    }
    assert!(names.len() > 100, "{names:?}");
    for name in &names {
        let known = [
            AmazonS3ConfigKey::from_str(name).is_ok(),
            GoogleConfigKey::from_str(name).is_ok(),
            AzureConfigKey::from_str(name).is_ok(),
        ];
        assert!(known.contains(&true), "{name}");
        let variable = name.to_ascii_uppercase();
        let file = format!("[storage.x]\nurl = \"s3://box\"\n{name} = \"HUSH\"");
        let settings = configured(&[(variable.as_str(), "HUSH")], &file).settings();
        let shown =
            |wanted: &str| settings.iter().find(|setting| setting.name == wanted).map(|found| found.value.clone());
        let wanted = if secrets.contains(&name.as_str()) { "****" } else { "HUSH" };
        assert_eq!(shown(&variable).as_deref(), Some(wanted), "{variable}");
        assert_eq!(shown(&format!("storage.\"x\".{name}")).as_deref(), Some(wanted), "{name}");
    }
    let misspelt = configured(&[], "[storage.x]\nurl = \"s3://box\"\npasword = \"HUSH\"\n");
    assert!(!format!("{misspelt:?}").contains("HUSH"));
}

#[test]
fn what_the_library_cannot_parse_is_refused_by_name() {
    macro_rules! refusals {
        ($builder:ty, $key:ty, $url:literal, $prefix:literal) => {{
            let own = keys::<$key>();
            let client = keys::<ClientConfigKey>().into_iter().map(|name| format!(concat!($prefix, "_{}"), name));
            let wrong = own.into_iter().chain(client).filter(|name| {
                let built = <$builder>::new().with_url($url).with_config(name.parse::<$key>().unwrap(), "??").build();
                built.err().is_some_and(|error| error.to_string().contains("failed to parse \"??\" as"))
            });
            let wrong: Vec<String> = wrong.collect();
            for name in &wrong {
                let error = refused($url, &[(name.as_str(), "??")]);
                assert_eq!(error.message().split('`').nth(1), Some(name.as_str()), "{error}");
            }
            wrong.len()
        }};
    }
    use object_store::aws::AmazonS3Builder;
    use object_store::azure::MicrosoftAzureBuilder;
    use object_store::gcp::GoogleCloudStorageBuilder;
    assert!(refusals!(AmazonS3Builder, AmazonS3ConfigKey, "s3://box", "aws") > 15);
    assert!(refusals!(GoogleCloudStorageBuilder, GoogleConfigKey, "gs://box", "google") > 10);
    let azure = refusals!(MicrosoftAzureBuilder, AzureConfigKey, "abfss://box@me.dfs.core.windows.net", "azure");
    assert!(azure > 10);
}

/// What the first request looked like, of a store opened under these settings.
async fn first_request(server: &Answering, builder: StoreBuilder) -> String {
    let store = builder.open().await.unwrap();
    store.list("").await.unwrap();
    server.requests().remove(0)
}

#[tokio::test]
async fn each_place_is_stronger_than_those_before_it() {
    let server = Answering::with("200 OK", S3_LISTING).await;
    let url = server.url();
    let environment = [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "FROMENV"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "tokenenv"),
        ("AWS_REGION", "env-1"),
        ("AWS_USER_AGENT", "env-agent"),
        ("AWS_EMPTY", ""),
        ("AWS_TOKEN", ""),
    ];
    let file = format!(
        "[storage.p]\nurl = \"s3://box/a?region=query-1\"\nregion = \"profile-1\"\nendpoint = \"{url}\"\n\
         user_agent = \"profile-agent\""
    );
    let request = first_request(&server, builder("p", &[], configured(&environment, &file))).await;
    assert!(request.contains("/FROMENV/") || request.contains("Credential=FROMENV/"), "{request}");
    assert!(request.contains("/query-1/s3/"), "the URL's query is stronger than the profile: {request}");
    assert!(request.contains("x-amz-security-token: tokenenv"), "{request}");
    assert!(request.contains("user-agent: profile-agent"), "{request}");
    assert!(request.starts_with("GET /box?"), "{request}");

    let call = [("region", "call-1"), ("access_key_id", "CALL"), ("secret_access_key", "x"), ("user_agent", "me")];
    let request = first_request(&server, builder("p", &call, configured(&environment, &file))).await;
    assert!(request.contains("Credential=CALL/") && request.contains("/call-1/s3/"), "{request}");
    assert!(request.contains("user-agent: me"), "{request}");
    assert!(!request.contains("tokenenv"), "the token belongs to the other key: {request}");

    let call = [("skip_signature", "true")];
    let request = first_request(&server, builder("p", &call, configured(&environment, &file))).await;
    assert!(!request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn a_stronger_way_to_sign_in_puts_the_weaker_aside() {
    let server = Answering::with("200 OK", "<EnumerationResults><Blobs/></EnumerationResults>").await;
    let environment = [("AZURE_STORAGE_ACCOUNT_NAME", "me"), ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")];
    let url = server.url();
    let call = [("endpoint", url.as_str()), ("allow_http", "true"), ("sas_token", "sv=1&sig=mine")];
    let request = first_request(&server, builder("az://box", &call, configured(&environment, ""))).await;
    assert!(request.contains("sig=mine") && !request.contains("authorization"), "{request}");

    // Both at once is an error of the library, unless one is weaker.
    let account = r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;
    let configuration = configured(&[("SERVICE_ACCOUNT", "/nowhere.json")], "");
    let error = refused_under("gs://box", &[], &configuration);
    assert!(error.message().contains("/nowhere.json"), "SERVICE_ACCOUNT counts: {error}");
    let location = resolved("gs://box", &[("service_account_key", account)], &configuration).unwrap();
    Storage::open(&location, true).unwrap();
    let both = [("service_account_key", account), ("service_account", "/nowhere.json")];
    assert!(refused("gs://box", &both).hint().unwrap().contains("one of"));
}

#[tokio::test]
async fn https_urls_ask_for_the_bucket_that_they_name() {
    let environment = [("AWS_ENDPOINT", "http://127.0.0.1:1")];
    let location = resolved("https://box.s3.eu-west-1.amazonaws.com/a", &[], &configured(&environment, ""));
    Storage::open(&location.unwrap(), true).unwrap();
    let error = refused("https://box.s3.eu-west-1.amazonaws.com/a", &[("endpoint", "http://127.0.0.1:1")]);
    assert!(error.hint().unwrap().contains("s3://bucket/path"), "{error:?}");
    let server = Answering::with("200 OK", S3_LISTING).await;
    let url = server.url();
    let key = format!(
        r#"{{"gcs_base_url": "{url}", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}}"#
    );
    let call = [("service_account_key", key.as_str())];
    let google = builder("https://storage.googleapis.com/box/deep/er", &call, Configuration::empty());
    let request = first_request(&server, google).await;
    assert!(request.starts_with("GET /box?") && request.contains("prefix=deep%2Fer"), "{request}");
}

#[tokio::test]
async fn retries_are_as_many_as_set_and_a_commit_has_none() {
    let server = Answering::with("503 Slow Down", "<Error><Code>SlowDown</Code><Message>Slow.</Message></Error>").await;
    let url = server.url();
    let common = [("endpoint", url.as_str()), ("allow_http", "true"), ("skip_signature", "true")];
    let file = "[storage.p]\nurl = \"s3://box\"\nmax_retries = 1\n";
    let environment = [("COLDFRAME_MAX_RETRIES", "5")];
    let error = builder("p", &common, configured(&environment, file)).open().await.unwrap().list("").await;
    let error = error.unwrap_err();
    assert_eq!(server.requests().len(), 2, "the profile is stronger than the environment");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("after 1 retry in ") && error.message().contains("SlowDown: Slow."), "{error}");
    assert!(error.hint().unwrap().contains("retry_timeout"), "{error:?}");

    let call = [&common[..], &[("max_retries", "1"), ("timeout", "5s")]].concat();
    let location = resolved("s3://box", &call, &Configuration::empty()).unwrap();
    let storage = Storage::open(&location, true).unwrap();
    let path = object_store::path::Path::from("x");
    for (objects, requests) in [(storage.creates(), 1), (storage.store(), 2)] {
        object_store::ObjectStoreExt::head(objects, &path).await.unwrap_err();
        assert_eq!(server.requests().len(), requests);
    }
    let none = [&common[..], &[("max_retries", "3"), ("retry_timeout", "0")]].concat();
    let none = builder("s3://box?max_retries=7", &none, Configuration::empty()).open().await.unwrap();
    none.list("").await.unwrap_err();
    assert_eq!(server.requests().len(), 1, "no time is left to try again");
}

#[test]
fn the_settings_that_are_in_force_show_the_retries() {
    let settings = configured(&[("COLDFRAME_RETRY_TIMEOUT", "3m")], "").settings();
    let value = |name: &str| settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str());
    assert_eq!(value("max_retries"), Some("10"));
    assert_eq!(value("retry_timeout"), Some("3m"));
    let file = "default = \"p\"\n[storage.p]\nurl = \"s3://box/a?region=eu-1&token=HUSH\"\n";
    let settings = configured(&[], file).settings();
    let region = settings.iter().find(|setting| setting.value == "eu-1").unwrap();
    assert_eq!(region.name, "storage.\"p\".region");
    assert!(region.origin.starts_with("the URL's query in "), "{region:?}");
    assert!(!format!("{settings:?}").contains("HUSH"));
}

#[tokio::test]
async fn a_secret_is_found_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let environment =
        [("AWS_SECRET_ACCESS_KEY", "HUSHenv"), ("COLDFRAME_STORE", "s3://me:HUSHstore@box/a?token=HUSHq")];
    let file = "[storage.p]\nurl = \"s3://box/a?token=HUSHurl\"\nsecret_access_key = \"HUSHprofile\"\n";
    let configuration = configured(&environment, file);
    let mut seen = vec![format!("{configuration:?}"), format!("{:?}", configuration.settings())];
    for url in [
        "p",
        "s3://box/a?sas_token=HUSHurl",
        "s3://me:HUSHurl@box/a",
        "s3://me:HU/SHurl@box/?x=y HUSH",
        "s3://x?a=b HUSH",
    ] {
        let builder = builder(url, &[("secret_access_key", "HUSHcall"), ("what", "HUSHcall")], configuration.clone());
        seen.push(format!("{builder:?}"));
        let error = builder.open().await.unwrap_err();
        seen.push(format!("{error:?} {error}"));
    }
    let call = [("access_key_id", "HUSHid"), ("secret_access_key", "HUSHcall"), ("max_retries", "0")];
    let location = resolved("s3://box/a?region=x", &call, &configuration).unwrap();
    seen.push(format!("{location:?} {}", location.printed()));
    let store = builder("s3://box/a?region=x&endpoint=http://127.0.0.1:1", &call, configuration.clone());
    let store = store.option("allow_http", "true").open().await.unwrap();
    let error = store.list("").await.unwrap_err();
    seen.push(format!("{store:?} {:?} {error:?}", store.url()));
    let local = builder(place.path().to_str().unwrap(), &[], configuration).open().await.unwrap();
    let reference = local.put("k", crate::support::small()).await.unwrap();
    seen.push(format!("{local:?} {}", reference.to_json()));
    assert!(!local.url().unwrap().is_empty() && Path::new(place.path()).is_dir());
    for text in seen {
        assert!(!text.contains("HUSH") && !text.contains("SHurl"), "{text}");
    }
}

#[test]
fn one_word_that_is_nearly_a_profile_is_no_folder() {
    let configuration = configured(&[], "[storage.prod]\nurl = \"s3://box/a\"\n");
    let error = refused_under("pord", &[], &configuration);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint().unwrap().contains("`prod`") && error.hint().unwrap().contains("./pord"), "{error:?}");
    for folder in ["./pord", "results", "a/pord"] {
        assert!(resolved(folder, &[], &configuration).is_ok(), "{folder}");
    }
}
