//! A server that gives the same answer to every request, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The listing of an empty bucket.
pub(crate) const S3_LISTING: &str = "<ListBucketResult><Name>box</Name><KeyCount>0</KeyCount></ListBucketResult>";

pub(crate) struct Answering {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Answering {
    /// It answers with this status, such as `403 Forbidden`, and body.
    pub(crate) async fn with(status: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let (kept, body) = (requests.clone(), body.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that breaks off is its own affair.
                let _ = Self::answer(stream, &answer, &body, &kept).await;
            }
        });
        Self { url, requests, task }
    }

    async fn answer(mut stream: TcpStream, head: &str, body: &str, kept: &Mutex<Vec<String>>) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let is_head = text.starts_with("HEAD ");
        kept.lock().unwrap().push(text);
        stream.write_all(head.as_bytes()).await?;
        if !is_head {
            stream.write_all(body.as_bytes()).await?;
        }
        stream.shutdown().await
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// What it was asked since this was called last.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}
