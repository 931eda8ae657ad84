//! A listener below HTTP, for what no HTTP server would do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it treats those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Takes nobody in: the connection stands in the kernel's queue.
    NeverAccepts,
    /// Takes each in after this time, and then hangs up.
    AcceptsLate(Duration),
    /// Takes each in and says nothing, ever.
    Silent,
    /// Hangs up at once.
    HangsUp,
    /// Sends header after header, and never the last.
    EndlessHeaders,
    /// Sends the status line and then one byte of a header at a time.
    DripsHeaders(Duration),
    /// Answers with bytes that are no HTTP.
    Noise,
}

/// A running listener. Dropping it ends it.
pub struct Rough {
    /// Where it listens.
    pub addr: SocketAddr,
    taken: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// Listens on a free port of the loopback interface.
///
/// # Errors
/// When no port can be had.
pub async fn rough(manners: Manners) -> std::io::Result<Rough> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let task = tokio::spawn(async move {
        // The callers' tasks end with this one.
        let mut callers = tokio::task::JoinSet::new();
        loop {
            match manners {
                Manners::NeverAccepts => std::future::pending().await,
                Manners::AcceptsLate(after) => tokio::time::sleep(after).await,
                _ => {}
            }
            if let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                callers.spawn(treat(stream, manners));
            }
        }
    });
    Ok(Rough { addr, taken, task })
}

impl Rough {
    /// Base URL of an `openai` connection to it.
    #[must_use]
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Base URL of an `anthropic` connection to it.
    #[must_use]
    pub fn anthropic_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many were taken in.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Rough {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until the caller leaves, at the latest.
async fn treat(mut stream: TcpStream, manners: Manners) {
    let _ = match manners {
        Manners::NeverAccepts | Manners::AcceptsLate(_) | Manners::HangsUp => Ok(()),
        Manners::Silent => listen(&mut stream).await,
        Manners::EndlessHeaders => headers(&mut stream, Duration::ZERO, 4096).await,
        Manners::DripsHeaders(every) => headers(&mut stream, every, 1).await,
        Manners::Noise => {
            let _ = stream.write_all(&[0, 159, 146, 150, 13, 10, 13, 10]).await;
            listen(&mut stream).await
        }
    };
}

/// Reads until the caller has gone.
async fn listen(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Sends headers in pieces of so many bytes until the caller has gone.
async fn headers(stream: &mut TcpStream, every: Duration, piece: usize) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096]).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n").await?;
    let mut sent = 0_usize;
    loop {
        let line = format!("x-header-{sent}: {}\r\n", "a".repeat(60));
        for part in line.as_bytes().chunks(piece) {
            stream.write_all(part).await?;
            tokio::time::sleep(every).await;
        }
        sent += 1;
    }
}
