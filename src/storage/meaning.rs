//! What the answers of S3, GCS and Azure mean for whoever set them up.

use std::io;

use super::answer::Answer;
use crate::error::ErrorKind;

type Meaning = (ErrorKind, &'static str);

const BUCKET: &str = "check the name in the URL, and `region` and `endpoint` (Azure: `account_name`); coldframe makes no \
                      bucket or container";
const REGION: &str = "set `region` to the bucket's own region";
const CLOCK: &str = "this machine's clock is wrong, or the request took too long: set the clock";
const EXPIRED: &str = "the temporary credentials have expired: get new ones (`session_token`, `sas_token`, or a token)";
const NONE_FOUND: &str = "give credentials: `access_key_id` and `secret_access_key` (S3), `service_account` or \
                          `application_credentials` (GCS), `account_key` or `sas_token` (Azure); \
                          or skip_signature=true for what is public";
const REFUSED: &str = "check the credentials and their permission to list, read, write and delete below this storage's \
                       root: `coldframe config` shows which are in force; skip_signature=true reads what is public";
const THROTTLED: &str = "the storage is busy or throttles: try again later, with less at once, or with a larger \
                         `max_retries` and `retry_timeout`";

/// Servers' codes for their errors, and what they mean.
const CODES: [(&[&str], Meaning); 14] = [
    (
        &[
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
        ],
        (ErrorKind::Configuration, REGION),
    ),
    (
        &["InvalidBucketName", "InvalidResourceName"],
        (ErrorKind::Configuration, "check the bucket's or container's name in the URL"),
    ),
    (&["InvalidAccessKeyId"], (ErrorKind::Denied, "`access_key_id` is not known there: check it, and `endpoint`")),
    (
        &["SignatureDoesNotMatch"],
        (ErrorKind::Denied, "`secret_access_key` does not belong to `access_key_id`: check both, and `region`"),
    ),
    (
        &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "ExpiredAuthenticationToken"],
        (ErrorKind::Denied, EXPIRED),
    ),
    (
        &["InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException"],
        (
            ErrorKind::Denied,
            "check `session_token`: it belongs to one `access_key_id`, and is left out for lasting keys",
        ),
    ),
    (&["RequestTimeTooSkewed", "RequestExpired"], (ErrorKind::Denied, CLOCK)),
    (
        &["AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo"],
        (
            ErrorKind::Denied,
            "check `account_name` with `account_key` or `sas_token`, whether the token has expired, this machine's clock, \
             and which networks the account admits",
        ),
    ),
    (&["NoAuthenticationInformation", "MissingSecurityHeader", "authError"], (ErrorKind::Denied, NONE_FOUND)),
    (
        &["PublicAccessNotPermitted"],
        (ErrorKind::Denied, "the account allows no anonymous access: leave out `skip_signature` and give credentials"),
    ),
    (
        &[
            "AuthorizationPermissionMismatch",
            "AuthorizationResourceTypeMismatch",
            "AuthorizationServiceMismatch",
            "AuthorizationProtocolMismatch",
            "AuthorizationSourceIPMismatch",
        ],
        (
            ErrorKind::Denied,
            "the `sas_token` or role does not allow it: it needs to list, read, write, create and delete",
        ),
    ),
    (
        &["invalid_grant", "invalid_client", "invalid_request", "unauthorized_client"],
        (
            ErrorKind::Denied,
            "signing in failed: check `service_account` or `application_credentials` (GCS), or `client_id`, \
             `client_secret` and `tenant_id` (Azure)",
        ),
    ),
    (
        &["SlowDown", "ServerBusy", "TooManyRequests", "RequestLimitExceeded", "rateLimitExceeded"],
        (ErrorKind::Unavailable, THROTTLED),
    ),
    (
        &["QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "quotaExceeded"],
        (ErrorKind::StorageFull, "the storage's quota is used up: make room, or choose another storage"),
    ),
];

/// The kind of an answer, where it says more than `kind`, and which setting to look at.
pub(super) fn of(answer: &Answer, kind: ErrorKind) -> (ErrorKind, Option<&'static str>) {
    if asks_for_credentials(answer) && !CODES.iter().any(|(codes, _)| codes.contains(&answer.code.as_str())) {
        return (ErrorKind::Configuration, Some(NONE_FOUND));
    }
    if answer.misses_bucket() {
        return (ErrorKind::Configuration, Some(BUCKET));
    }
    if let Some(transport) = &answer.transport {
        let (kind, hint) = of_transport(transport, answer.cause);
        return (kind, Some(hint));
    }
    if let Some((_, (kind, hint))) = CODES.iter().find(|(codes, _)| codes.contains(&answer.code.as_str())) {
        return (*kind, Some(hint));
    }
    match answer.status {
        Some(300..=399) if answer.status != Some(304) => (ErrorKind::Configuration, Some(REGION)),
        Some(401) => (ErrorKind::Denied, Some(NONE_FOUND)),
        Some(403) => (ErrorKind::Denied, Some(REFUSED)),
        Some(429 | 503) => (ErrorKind::Unavailable, Some(THROTTLED)),
        Some(501) => (ErrorKind::Unsupported, Some("this storage cannot do what coldframe needs")),
        Some(507) => (ErrorKind::StorageFull, Some("make room, or choose another storage")),
        Some(400) => (kind, Some("check `region`, `endpoint`, and whether the credentials belong to them")),
        Some(500..) => (kind, Some("the storage failed: try again later, or with a larger `max_retries`")),
        _ => (kind, None),
    }
}

/// The text with what it means in front, where the answer alone does not say it.
pub(super) fn introduced(answer: &Answer, text: &str) -> String {
    if asks_for_credentials(answer) {
        return format!("no credentials: none are set, and asking this machine's or service's own failed: {text}");
    }
    if answer.misses_bucket() {
        return format!("the bucket or container is not there: {text}");
    }
    text.to_owned()
}

/// Whether the request was to a service that gives credentials, and to no storage.
fn asks_for_credentials(answer: &Answer) -> bool {
    let address = answer.request.split_once("://").map_or("", |(_, rest)| rest);
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let paths = [
        "latest/api/token",
        "latest/meta-data/iam/security-credentials",
        "computeMetadata/v1/instance/",
        "metadata/identity/oauth2/token",
    ];
    ["169.254.169.254", "169.254.170.2", "metadata.google.internal"].contains(&host)
        || paths.iter().any(|known| path.starts_with(known))
}

fn of_transport(text: &str, cause: Option<io::ErrorKind>) -> Meaning {
    let folded = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| folded.contains(word));
    if says(&["scheme is not allowed"]) {
        return (
            ErrorKind::Configuration,
            "the endpoint is plain http: set allow_http=true, or write it with https://",
        );
    }
    if says(&["invalidcontenttype", "corrupt message"]) {
        let hint = "the endpoint does not speak TLS: write `endpoint` with http://, and set allow_http=true";
        return (ErrorKind::Configuration, hint);
    }
    if says(&["invalid peer certificate", "unknownissuer", "certificate"]) {
        let hint = "the endpoint's certificate is not trusted: check `endpoint`, or set \
                    allow_invalid_certificates=true if you know the server";
        return (ErrorKind::Configuration, hint);
    }
    if says(&["lookup address", "dns", "no such host", "name or service not known", "failed to lookup"]) {
        let hint =
            "there is no host of that name: check `endpoint`, `region`, the account or bucket name, and the network";
        return (ErrorKind::Unavailable, hint);
    }
    if cause == Some(io::ErrorKind::TimedOut) || says(&["timed out", "deadline"]) {
        let hint =
            "no answer came in time: check `endpoint` and the network; `timeout` and `connect_timeout` are settings";
        return (ErrorKind::Unavailable, hint);
    }
    if says(&["invalid http version", "parse", "incomplete message"]) {
        let hint = "check `endpoint`: a server that speaks TLS wants https://";
        return (ErrorKind::Unavailable, hint);
    }
    (ErrorKind::Unavailable, "the server cannot be reached: check `endpoint`, `proxy_url` and the network")
}
