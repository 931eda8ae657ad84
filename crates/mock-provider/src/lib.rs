//! A model provider for tests and for the bench. It speaks OpenAI's chat
//! completions and Anthropic's messages over real HTTP, answers by itself or
//! by a [`Script`], misbehaves on demand, and keeps a journal of what it was
//! asked.
//!
//! - `POST /v1/chat/completions`, `POST /v1/messages`: the two protocols.
//! - `GET /journal`: every request so far; `DELETE /journal` forgets them.
//! - `GET /script`, `POST /script`: how it answers; posting starts all counts
//!   of rules anew.
//!
//! [`rough`] is a listener below HTTP: one that never accepts, never answers,
//! or sends headers without end.
//!
//! It is no part of the product.

mod answer;
mod broken;
mod journal;
mod judged;
mod question;
mod rate_limit;
mod rough;
mod script;
mod sending;
mod server;
#[cfg(test)]
mod tests;

pub use journal::{Entry, Outcome};
pub use judged::judged;
pub use question::{Protocol, Question, Role};
pub use rough::{Manners, Rough, rough};
pub use script::{
    Action, Call, LimitHeaders, RateLimit, RetryAfter, Rule, Script, TokenLimit, When,
};

use server::Shared;
use std::net::SocketAddr;
use std::sync::Arc;

/// A running stand. Dropping it stops it and cuts its connections.
pub struct Stand {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

/// Starts a stand on a free port of the loopback interface.
///
/// # Errors
/// When no port can be had.
pub async fn start(script: Script) -> std::io::Result<Stand> {
    start_on(script, 0).await
}

/// Starts a stand on this port of the loopback interface; 0 = a free one.
///
/// # Errors
/// When the port cannot be had.
pub async fn start_on(script: Script, port: u16) -> std::io::Result<Stand> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared::new(script));
    let router = server::router(Arc::clone(&shared));
    let task = tokio::spawn(async move {
        // Serving ends only with the task.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Stand { addr, shared, task })
}

impl Stand {
    /// Base URL of an `anthropic` connection.
    #[must_use]
    pub fn anthropic_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Base URL of an `openai` connection.
    #[must_use]
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.journal.entries()
    }

    /// How many requests there were so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.journal.len()
    }

    /// The requests but for the first so many.
    #[must_use]
    pub fn journal_since(&self, place: usize) -> Vec<Entry> {
        self.shared.journal.since(place)
    }

    /// What the times of the journal count from: milliseconds since 1970.
    #[must_use]
    pub fn started_at(&self) -> u64 {
        self.shared.journal.started_at()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.journal.clear();
    }

    /// Answers by another script from now on; all counts start anew.
    pub fn play(&self, script: Script) {
        self.shared.play(script);
    }

    /// Serves until the process ends.
    pub async fn forever(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.task.abort();
    }
}
