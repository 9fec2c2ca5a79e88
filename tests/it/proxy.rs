//! An HTTP/1.1 proxy in front of an object store server, which does to each request what a script says.
//!
//! It knows each request by its protocol, writes down what passed, and cuts a connection without touching the others. A
//! request that arrived whole is seen through, whether or not its sender still waits: that is what a server does.

#[path = "proxy/protocol.rs"]
mod protocol;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, RANGE, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use self::protocol::Protocol;
use self::protocol::{parameter, without_condition};
use crate::script::{Fault, Landed, Op, Script};

type Answer = Response<BoxBody<Bytes, io::Error>>;
/// The URL by which a name may be written without a condition, where the condition was signed.
pub(crate) type Unsigned = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Uri> + Send>> + Send + Sync>;

/// A request that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) op: Op,
    /// Below the store's root, without percent signs.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) range: Option<String>,
    /// Its place among all beginnings and ends of requests.
    pub(crate) begun: usize,
    /// Likewise; none while it is under way.
    pub(crate) ended: Option<usize>,
}

/// What is in front of which server.
pub(crate) struct Front {
    pub(crate) protocol: Protocol,
    /// `127.0.0.1:9000`
    pub(crate) server: String,
    /// `/bucket/the/root/of/the/store`
    pub(crate) root: String,
    /// Every request takes so much longer.
    pub(crate) latency: Duration,
    pub(crate) unsigned: Option<Unsigned>,
}

/// A running proxy; it ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    front: Front,
    script: Arc<Script>,
    log: Mutex<Log>,
    running: watch::Sender<usize>,
    uploads: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Log {
    exchanges: Vec<Exchange>,
    events: usize,
}

/// The connection ends without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

impl Proxy {
    /// Starts one.
    pub(crate) async fn start(front: Front, script: Arc<Script>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            front,
            script,
            log: Mutex::default(),
            running: watch::Sender::new(0),
            uploads: Mutex::default(),
        });
        let serving = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(serving.clone(), stream));
            }
        });
        Ok(Self { address, state, accepting })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What passed so far.
    pub(crate) fn log(&self) -> Vec<Exchange> {
        self.state.log.lock().unwrap().exchanges.clone()
    }

    /// Waits until no request is under way.
    pub(crate) async fn idle(&self) {
        self.state.running.subscribe().wait_for(|running| *running == 0).await.unwrap();
    }

    /// Uploads in parts whose names were told, and that were neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> usize {
        self.state.uploads.lock().unwrap().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(state: Arc<State>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let state = state.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
            let (sender, receiver) = oneshot::channel();
            tokio::spawn(state.exchange(parts, body, sender));
            receiver.await.unwrap_or(Err(Cut))
        }
    });
    // A connection that ends in an error is what a test asked for.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl State {
    /// One request, from its arrival to its answer.
    async fn exchange(self: Arc<Self>, parts: Parts, body: Bytes, sender: oneshot::Sender<Result<Answer, Cut>>) {
        self.running.send_modify(|running| *running += 1);
        let (op, path) = self.front.protocol.classify(&self.front.root, &parts, &body);
        let number = self.begin(&parts, op, &path);
        if !self.front.latency.is_zero() {
            tokio::time::sleep(self.front.latency).await;
        }
        let fault = self.script.decide(op, path.clone()).await;
        let (answer, upload) = match self.clone().answer(fault, op, path, parts, body).await {
            Ok((answer, upload)) => (Ok(answer), upload),
            Err(cut) => (Err(cut), None),
        };
        if let Some(upload) = upload.filter(|_| !sender.is_closed()) {
            self.uploads.lock().unwrap().insert(upload);
        }
        self.end(number);
        let _ = sender.send(answer);
        self.running.send_modify(|running| *running -= 1);
    }

    /// The answer, and the name of the upload that it tells of.
    async fn answer(
        self: Arc<Self>,
        fault: Option<Fault>,
        op: Op,
        path: String,
        mut parts: Parts,
        body: Bytes,
    ) -> Result<(Answer, Option<String>), Cut> {
        match fault {
            None | Some(Fault::LoseReply | Fault::CutBody | Fault::Block) => {}
            Some(Fault::Overwrite) => self.permit(&mut parts, path).await,
            Some(Fault::Fail) => return Err(Cut),
            Some(Fault::LandLater) => {
                let state = self.clone();
                self.script.keep(Box::pin(async move {
                    match state.forward(parts, body).await.map(|(head, _)| head.status) {
                        Ok(status) if status.is_success() => Landed::Done,
                        Ok(StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED) => Landed::Taken,
                        Ok(status) => Landed::Failed(status.to_string()),
                        Err(error) => Landed::Failed(error.to_string()),
                    }
                }));
                return Err(Cut);
            }
            Some(fault) => return Ok((self.refuse(fault, op, &parts), None)),
        }
        let ended = parameter(&parts, "uploadId").filter(|_| matches!(op, Op::Complete | Op::Abort));
        let (head, body) = self.forward(parts, body).await.map_err(|_| Cut)?;
        if let Some(upload) = ended.filter(|_| head.status.is_success()) {
            self.uploads.lock().unwrap().remove(&upload);
        }
        if fault == Some(Fault::LoseReply) {
            return Err(Cut);
        }
        let started = (op == Op::Start && head.status.is_success()).then(|| upload_of(&body)).flatten();
        let body = if fault == Some(Fault::CutBody) { half(body) } else { whole(body) };
        Ok((Response::from_parts(head, body), started))
    }

    /// Takes the condition off a create. Where it is part of what was signed, another authorization is needed.
    async fn permit(&self, parts: &mut Parts, path: String) {
        without_condition(parts);
        if let Some(unsigned) = &self.front.unsigned {
            parts.uri = unsigned(path).await;
            parts.headers.remove(AUTHORIZATION);
        }
    }

    fn refuse(&self, fault: Fault, op: Op, parts: &Parts) -> Answer {
        let (status, text) = self.front.protocol.refusal(fault, op, parts);
        let mut answer =
            Response::new(whole(if parts.method == hyper::Method::HEAD { Bytes::new() } else { text.into() }));
        *answer.status_mut() = status;
        if matches!(fault, Fault::SlowDown | Fault::TooMany) {
            answer.headers_mut().insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
        }
        answer
    }

    /// Sends a request to the server, on a connection of its own.
    async fn forward(&self, mut parts: Parts, body: Bytes) -> io::Result<(hyper::http::response::Parts, Bytes)> {
        let stream = TcpStream::connect(&self.front.server).await?;
        stream.set_nodelay(true)?;
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        parts.uri = target.parse().map_err(io::Error::other)?;
        parts.headers.remove(CONNECTION);
        let request = hyper::Request::from_parts(parts, Full::new(body));
        let (mut head, body) = client.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        connection.abort();
        head.headers.remove(CONNECTION);
        head.headers.remove(TRANSFER_ENCODING);
        Ok((head, body))
    }

    fn begin(&self, parts: &Parts, op: Op, path: &str) -> usize {
        let mut log = self.log.lock().unwrap();
        let begun = log.events;
        log.events += 1;
        log.exchanges.push(Exchange {
            method: parts.method.to_string(),
            op,
            path: path.to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            range: parts.headers.get(RANGE).and_then(|range| range.to_str().ok()).map(str::to_owned),
            begun,
            ended: None,
        });
        log.exchanges.len() - 1
    }

    fn end(&self, number: usize) {
        let mut log = self.log.lock().unwrap();
        let ended = log.events;
        log.events += 1;
        log.exchanges[number].ended = Some(ended);
    }
}

fn whole(bytes: Bytes) -> BoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// The first half, and then an end that no client takes for one.
fn half(bytes: Bytes) -> BoxBody<Bytes, io::Error> {
    let first = bytes.slice(..bytes.len() / 2);
    let cut = stream::once(async {
        // The first half is on its way before the connection ends.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let frames = stream::iter([Ok(Frame::data(first))]).chain(cut);
    BodyExt::boxed(StreamBody::new(frames))
}

fn upload_of(body: &Bytes) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("<UploadId>")?;
    rest.split_once("</UploadId>").map(|(id, _)| id.to_owned())
}
