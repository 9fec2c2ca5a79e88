//! What a person is told when an object store refuses, by what real servers answer, through the whole of object_store.

use coldframe::{Configuration, Error, ErrorKind, ResultStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::answering::Answering;
use crate::options::builder;
use crate::servers::Server;

const GCS_KEY: &str = r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cloud {
    S3,
    Gcs,
    Azure,
}

impl Cloud {
    async fn store(self, endpoint: &str, more: &[(&str, &str)]) -> ResultStore {
        let (url, options) = match self {
            Self::S3 => (
                "s3://box/deep",
                vec![("endpoint", endpoint), ("access_key_id", "AKIAHUSH"), ("secret_access_key", "HUSH")],
            ),
            Self::Gcs => ("gs://box/deep", vec![("base_url", endpoint), ("service_account_key", GCS_KEY)]),
            Self::Azure => {
                ("az://box/deep", vec![("endpoint", endpoint), ("account_name", "me"), ("sas_token", "sv=1&sig=HUSH")])
            }
        };
        let options = [&options[..], &[("allow_http", "true"), ("max_retries", "0")], more].concat();
        builder(url, &options, Configuration::empty()).open().await.unwrap()
    }
}

/// The errors of a listing and of a read of one version, from a server that answers so.
async fn errors(cloud: Cloud, status: &str, body: &str) -> [Error; 2] {
    let server = Answering::with(status, body).await;
    let store = cloud.store(&server.url(), &[]).await;
    let listing = store.list("").await.unwrap_err();
    let reading = store.reference("some/key@1").await.unwrap_err();
    for error in [&listing, &reading] {
        let text = format!("{error:?}");
        assert!(!text.contains("HUSH") && !text.contains("StringToSign") && !text.contains('?'), "{text}");
    }
    [listing, reading]
}

fn xml(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <AWSAccessKeyId>AKIAHUSH</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\nHUSH</StringToSign>\
         <SignatureProvided>HUSH</SignatureProvided><CanonicalRequest>GET\nauthorization:HUSH</CanonicalRequest>\
         <AuthenticationErrorDetail>Signature did not match. String to sign used was HUSH</AuthenticationErrorDetail>\
         <Token-0>HUSH</Token-0><HostId>HUSH</HostId></Error>"
    )
}

#[tokio::test]
async fn each_refusal_names_the_setting_to_look_at() {
    use Cloud::{Azure, Gcs, S3};
    use ErrorKind::{Configuration, Denied, StorageFull, Unavailable};

    for (cloud, status, code, kind, setting) in [
        (S3, "404 Not Found", "NoSuchBucket", Configuration, "`endpoint`"),
        (S3, "301 Moved Permanently", "PermanentRedirect", Configuration, "`region`"),
        (S3, "400 Bad Request", "AuthorizationHeaderMalformed", Configuration, "`region`"),
        (S3, "403 Forbidden", "InvalidAccessKeyId", Denied, "`access_key_id`"),
        (S3, "403 Forbidden", "SignatureDoesNotMatch", Denied, "`secret_access_key`"),
        (S3, "400 Bad Request", "ExpiredToken", Denied, "`session_token`"),
        (S3, "400 Bad Request", "InvalidToken", Denied, "`session_token`"),
        (S3, "403 Forbidden", "RequestTimeTooSkewed", Denied, "clock"),
        (S3, "403 Forbidden", "AccessDenied", Denied, "skip_signature=true"),
        (S3, "503 Slow Down", "SlowDown", Unavailable, "`max_retries`"),
        (S3, "500 Internal Server Error", "InternalError", Unavailable, "`max_retries`"),
        (S3, "507 Insufficient Storage", "XMinioStorageFull", StorageFull, "room"),
        (Gcs, "404 Not Found", "NoSuchBucket", Configuration, "bucket"),
        (Gcs, "401 Unauthorized", "AuthenticationRequired", Denied, "`service_account`"),
        (Gcs, "403 Forbidden", "AccessDenied", Denied, "permission"),
        (Gcs, "429 Too Many Requests", "SlowDown", Unavailable, "`retry_timeout`"),
        (Azure, "404 Not Found", "ContainerNotFound", Configuration, "`account_name`"),
        (Azure, "403 Server failed", "AuthenticationFailed", Denied, "`sas_token`"),
        (Azure, "403 Forbidden", "AuthorizationPermissionMismatch", Denied, "`sas_token`"),
        (Azure, "401 Unauthorized", "NoAuthenticationInformation", Denied, "`account_key`"),
        (Azure, "409 Conflict", "PublicAccessNotPermitted", Denied, "`skip_signature`"),
        (Azure, "503 Busy", "ServerBusy", Unavailable, "`max_retries`"),
    ] {
        for error in errors(cloud, status, &xml(code, "What the server says.\nRequestId:HUSH")).await {
            assert_eq!(error.kind(), kind, "{cloud:?} {code}: {error:?}");
            assert!(error.hint().unwrap_or_default().contains(setting), "{cloud:?} {code}: {error:?}");
            // The library does not read the body of a redirection.
            let told = error.message().contains(code) && error.message().contains("What the server says.");
            assert!(told || status.starts_with("301"), "{cloud:?} {code}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_bucket_is_no_missing_key() {
    for cloud in [Cloud::S3, Cloud::Gcs, Cloud::Azure] {
        for code in ["NoSuchKey", "BlobNotFound"] {
            let [listing, reading] = errors(cloud, "404 Not Found", &xml(code, "Not there.")).await;
            assert_eq!(reading.kind(), ErrorKind::NotFound, "{cloud:?}: {reading:?}");
            assert_eq!(listing.kind(), ErrorKind::Configuration, "only a bucket can be missing: {listing:?}");
        }
        // Some emulators answer for GCS as its JSON interface would.
        let json = r#"{"error": {"code": 404, "message": "The specified bucket does not exist.", "errors": [{"reason": "notFound"}]}}"#;
        for error in errors(cloud, "404 Not Found", json).await {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{cloud:?}: {error:?}");
            assert!(error.message().starts_with("the bucket or container is not there"), "{error}");
        }
    }
    let server = Answering::with("404 Not Found", &xml("NoSuchBucket", "Not there.")).await;
    let store = Cloud::S3.store(&server.url(), &[]).await;
    let error = store.put("k", crate::support::small()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_body_that_is_neither_xml_nor_json_is_not_shown() {
    for body in ["<html>HUSH</html>", "HUSH", "", "{\"error\": \"HUSH HUSH\"}"] {
        for error in errors(Cloud::S3, "403 Forbidden", body).await {
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(error.message().contains("403 Forbidden"), "{error}");
        }
    }
}

async fn listing(store: &ResultStore) -> Error {
    store.list("").await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_by_its_setting() {
    for cloud in [Cloud::S3, Cloud::Azure] {
        let error = listing(&cloud.store("http://127.0.0.1:1", &[]).await).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.message().contains("refused") && error.hint().unwrap().contains("`endpoint`"), "{error:?}");

        let error = listing(&cloud.store("http://no-such-host.invalid", &[]).await).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.hint().unwrap().contains("`endpoint`"), "{error:?}");

        let error = listing(&cloud.store("http://127.0.0.1:1", &[("allow_http", "false")]).await).await;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert!(error.hint().unwrap().contains("allow_http=true"), "{error:?}");
    }
}

/// A server that answers TLS's greeting in plain HTTP, as one without TLS does.
#[tokio::test]
async fn tls_to_a_server_without_it_says_to_allow_http() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut greeting = [0; 16];
            let _ = stream.read(&mut greeting).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    let error = listing(&Cloud::S3.store(&url, &[]).await).await;
    server.abort();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    assert!(error.hint().unwrap().contains("allow_http=true"), "{error:?}");
}

#[tokio::test]
async fn without_any_credentials_the_error_says_so() {
    let server = Answering::with("404 Not Found", "").await;
    let url = server.url();
    for metadata in ["http://127.0.0.1:1", url.as_str()] {
        let options =
            [("metadata_endpoint", metadata), ("endpoint", &url), ("max_retries", "0"), ("allow_http", "true")];
        let error = listing(&builder("s3://box", &options, Configuration::empty()).open().await.unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert!(error.message().starts_with("no credentials"), "{error:?}");
        assert!(error.hint().unwrap().contains("`access_key_id`"), "{error:?}");
    }
    let endpoint = "http://127.0.0.1:1/metadata/identity/oauth2/token";
    let options = [("msi_endpoint", endpoint), ("endpoint", &url), ("max_retries", "0"), ("account_name", "me")];
    let error = listing(&builder("az://box", &options, Configuration::empty()).open().await.unwrap()).await;
    assert!(error.message().starts_with("no credentials"), "{error:?}");
}

#[tokio::test]
async fn real_servers_are_understood() {
    for server in [Server::S3, Server::Gcs, Server::Azure] {
        let Some(url) = server.url() else {
            eprintln!("skipped: {server:?} does not run here");
            continue;
        };
        let missing = server.fresh().replace("://coldframe/", "://coldframe-missing/");
        let store = server.builder(&url, &missing).option("max_retries", "0").open().await.unwrap();
        for error in [listing(&store).await, store.reference("some/key@1").await.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{server:?}: {error:?}");
            assert!(error.message().starts_with("the bucket or container is not there"), "{server:?}: {error:?}");
        }
        let store = server.builder(&url, &server.fresh()).open().await.unwrap();
        assert_eq!(store.reference("some/key@1").await.unwrap_err().kind(), ErrorKind::NotFound, "{server:?}");
    }
    let Some(url) = Server::Azure.url() else { return };
    let wrong = Server::Azure.builder(&url, &Server::Azure.fresh()).option("account_key", "d3Jvbmc=");
    let error = listing(&wrong.open().await.unwrap()).await;
    assert!(error.kind() == ErrorKind::Denied && error.hint().unwrap().contains("`account_key`"), "{error:?}");
}
