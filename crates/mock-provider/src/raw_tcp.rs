//! A TCP server below HTTP, for behavior that no HTTP server shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpBehavior {
    /// Never accepts: connections stay in the kernel's backlog.
    NeverAccepts,
    /// Accepts and never writes.
    Silent,
    /// Accepts and closes at once.
    Closes,
    /// Sends headers without end.
    EndlessHeaders,
    /// Sends the status line, then one byte of a header at a time.
    DripsHeaders(Duration),
    /// Replies with bytes that are not HTTP.
    NotHttp,
}

/// A running TCP server. Dropping it stops it.
pub struct RawTcpServer {
    pub addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl RawTcpServer {
    /// Listens on a free port of the loopback interface.
    pub async fn start(behavior: TcpBehavior) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                if behavior == TcpBehavior::NeverAccepts {
                    std::future::pending::<()>().await;
                }
                if let Ok((stream, _)) = listener.accept().await {
                    count.fetch_add(1, Ordering::SeqCst);
                    connections.spawn(handle(stream, behavior));
                }
            }
        });
        Ok(Self { addr, accepted, task })
    }

    /// Base URL of an `openai` connection.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Base URL of an `anthropic` connection.
    pub fn anthropic_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The number of accepted connections.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for RawTcpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(mut stream: TcpStream, behavior: TcpBehavior) {
    let _ = match behavior {
        TcpBehavior::NeverAccepts | TcpBehavior::Closes => Ok(()),
        TcpBehavior::Silent => read_to_end(&mut stream).await,
        TcpBehavior::EndlessHeaders => send_headers(&mut stream, Duration::ZERO, 4096).await,
        TcpBehavior::DripsHeaders(every) => send_headers(&mut stream, every, 1).await,
        TcpBehavior::NotHttp => {
            let _ = stream.write_all(&[0, 159, 146, 150, 13, 10, 13, 10]).await;
            read_to_end(&mut stream).await
        }
    };
}

async fn read_to_end(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Sends headers in chunks of `chunk` bytes until the client disconnects.
async fn send_headers(
    stream: &mut TcpStream,
    every: Duration,
    chunk: usize,
) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096]).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n").await?;
    let mut sent = 0_usize;
    loop {
        let line = format!("x-header-{sent}: {}\r\n", "a".repeat(60));
        for part in line.as_bytes().chunks(chunk) {
            stream.write_all(part).await?;
            tokio::time::sleep(every).await;
        }
        sent += 1;
    }
}
