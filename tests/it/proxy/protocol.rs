//! What a request of each protocol means, and how each says no.

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::script::{Fault, Op};

/// What a storage speaks. Google's XML dialect is close enough to S3's to be told apart by nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    S3,
    Azure,
}

/// The header by which a put asks for a name that is not taken.
const CONDITIONS: [(&str, &str); 2] = [("if-none-match", "*"), ("x-goog-if-generation-match", "0")];

impl Protocol {
    /// What a request does, and to which object below `root` (`/bucket/its/root`).
    pub(super) fn classify(self, root: &str, parts: &Parts, body: &Bytes) -> (Op, String) {
        let op = self.op(parts);
        let path = match op {
            Op::List => parameter(parts, "prefix").unwrap_or_default(),
            Op::Delete if parts.method == Method::POST => self.first_deleted(body),
            _ => decoded(parts.uri.path()),
        };
        // Listings name no bucket, and the path of an emulator begins with its account.
        let inside = root.trim_start_matches('/').split_once('/').map_or("", |(_, inside)| inside);
        let path = if op == Op::List || (op == Op::Delete && self == Self::S3 && parts.method == Method::POST) {
            path.strip_prefix(inside).unwrap_or(&path).to_owned()
        } else {
            path.split_once(root).map_or(path.clone(), |(_, path)| path.to_owned())
        };
        (op, path.trim_matches('/').to_owned())
    }

    fn op(self, parts: &Parts) -> Op {
        let has = |name: &str| parameter(parts, name).is_some();
        let part = parameter(parts, "comp");
        match (&parts.method, part.as_deref()) {
            (_, Some("list")) => Op::List,
            (_, Some("batch")) => Op::Delete,
            (_, Some("block")) => Op::Part,
            (&Method::PUT, Some("blocklist")) => Op::Complete,
            (&Method::GET, _) if has("list-type") || has("uploads") => Op::List,
            (&Method::POST, _) if has("delete") => Op::Delete,
            (&Method::POST, _) if has("uploads") => Op::Start,
            (&Method::POST, _) => Op::Complete,
            (&Method::PUT, _) if has("partNumber") => Op::Part,
            (&Method::PUT, _) if is_conditional(parts) => Op::Create,
            (&Method::PUT, _) => Op::Put,
            (&Method::DELETE, _) if has("uploadId") => Op::Abort,
            (&Method::DELETE, _) => Op::Delete,
            _ => Op::Get,
        }
    }

    /// The first name in the body of a delete of several objects.
    fn first_deleted(self, body: &Bytes) -> String {
        let text = String::from_utf8_lossy(body);
        match self {
            Self::S3 => {
                let name = text.split_once("<Key>").and_then(|(_, rest)| rest.split_once("</Key>"));
                let name = name.map_or("", |(name, _)| name).replace("&lt;", "<").replace("&gt;", ">");
                name.replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
            }
            Self::Azure => {
                let line = text.lines().find_map(|line| line.strip_prefix("DELETE "));
                decoded(line.and_then(|line| line.split([' ', '?']).next()).unwrap_or_default())
            }
        }
    }

    /// The status and the words of a refusal.
    pub(super) fn refusal(self, fault: Fault, op: Op, parts: &Parts) -> (StatusCode, String) {
        let (status, code, message) = match (fault, self) {
            (Fault::PretendExists, Self::S3) => {
                let message = "The conditional request cannot succeed due to a conflicting operation";
                (StatusCode::CONFLICT, "ConditionalRequestConflict", message.to_owned())
            }
            (Fault::PretendExists, Self::Azure) => {
                (StatusCode::CONFLICT, "BlobAlreadyExists", "The specified blob already exists.".to_owned())
            }
            (Fault::SlowDown, _) => {
                (StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.".to_owned())
            }
            (Fault::TooMany, _) => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "Slow down.".to_owned()),
            (Fault::Echo, Self::S3) => {
                let message = "The request signature we calculated does not match the signature you provided.";
                (StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message.to_owned())
            }
            (Fault::Echo, Self::Azure) => {
                let message = "Server failed to authenticate the request. Make sure the value of Authorization header \
                               is formed correctly including the signature.\nRequestId:1\nTime:2026-01-01T00:00:00Z";
                (StatusCode::FORBIDDEN, "AuthenticationFailed", message.to_owned())
            }
            (_, Self::S3) => (StatusCode::FORBIDDEN, "AccessDenied", "Access Denied".to_owned()),
            (_, Self::Azure) => {
                let message = "This request is not authorized to perform this operation using this permission.";
                (StatusCode::FORBIDDEN, "AuthorizationPermissionMismatch", message.to_owned())
            }
        };
        let detail = if fault == Fault::Echo { self.echoed(parts) } else { String::new() };
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <Resource>{}</Resource><Method>{op:?}</Method>{detail}</Error>",
            parts.uri.path()
        );
        (status, xml)
    }

    /// What servers repeat to show what they signed: all of a request that could hold a credential.
    fn echoed(self, parts: &Parts) -> String {
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| format!("{name}:{}", text(value)));
        let signed = format!("{}\n{}\n{}", parts.method, parts.uri, headers.collect::<Vec<_>>().join("\n"));
        let signed = signed.replace('&', "&amp;").replace('<', "&lt;");
        match self {
            Self::S3 => {
                let token = parts.headers.get("x-amz-security-token").map(text).unwrap_or_default();
                let header = parts.headers.get("authorization").map(text).unwrap_or_default();
                let key =
                    header.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
                format!(
                    "<AWSAccessKeyId>{key}</AWSAccessKeyId><StringToSign>{signed}</StringToSign><Token-0>{token}</Token-0>"
                )
            }
            Self::Azure => format!(
                "<AuthenticationErrorDetail>Server used following string to sign: '{signed}'</AuthenticationErrorDetail>"
            ),
        }
    }
}

/// Whether it asks for a name that is not taken.
pub(super) fn is_conditional(parts: &Parts) -> bool {
    CONDITIONS.iter().any(|(name, value)| parts.headers.get(*name).is_some_and(|found| found == value))
}

/// Takes that away.
pub(super) fn without_condition(parts: &mut Parts) {
    for (name, _) in CONDITIONS {
        parts.headers.remove(name);
    }
}

/// A parameter of the query.
pub(super) fn parameter(parts: &Parts, wanted: &str) -> Option<String> {
    let query = parts.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// The text without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
