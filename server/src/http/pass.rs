//! What a request showed to be let in, for answers that go on for long: a
//! stream ends soon after its token was revoked or its person signed out.

use super::HttpState;
use domain::error::ErrorCode;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tower_sessions::SessionStore;
use tower_sessions::session::Id;

/// Between two looks at a pass.
const LOOK: Duration = Duration::from_secs(5);
/// How long the answer for one stream is good for the others with its pass.
const FRESH: Duration = Duration::from_secs(4);
/// Answers are kept so long, so that one that said no is never asked again by
/// a stream that is still there.
const KEPT: Duration = Duration::from_secs(60);
/// Beyond so many, old answers go.
const MANY: usize = 1000;

/// A token, or the session of a cookie. Does not print itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    /// The secret of a token.
    Token(String),
    /// The id of a session.
    Session(Id),
}

/// What was last found out of a pass.
struct Known {
    at: Instant,
    good: bool,
}

/// What is known of all passes: many streams of one person ask once.
#[derive(Default)]
pub(super) struct Passes(Mutex<HashMap<Shown, Known>>);

impl Passes {
    /// Whether a pass still lets in. While it is being found out, the others
    /// take it for good: they hear of it at their next look.
    async fn is_good(&self, state: &HttpState, shown: &Shown) -> bool {
        if let Some(known) = self.0.lock().get(shown)
            && (!known.good || known.at.elapsed() < FRESH)
        {
            return known.good;
        }
        self.note(shown, true);
        let good = match shown {
            Shown::Token(token) => match state.services.accounts.caller_of_token(token).await {
                Ok(_) => true,
                Err(error) => {
                    !matches!(error.code, ErrorCode::Unauthenticated | ErrorCode::NotFound)
                }
            },
            // A store that cannot be read says nothing about the session.
            Shown::Session(id) => !matches!(state.sessions.load(id).await, Ok(None)),
        };
        if !good {
            self.note(shown, false);
        }
        good
    }

    fn note(&self, shown: &Shown, good: bool) {
        let mut all = self.0.lock();
        if all.len() >= MANY {
            all.retain(|_, known| known.at.elapsed() < KEPT);
        }
        all.insert(shown.clone(), Known { at: Instant::now(), good });
    }
}

/// The pass of one stream.
pub(super) struct Pass {
    shown: Option<Shown>,
    all: Arc<Passes>,
    look_at: Instant,
}

impl Pass {
    pub(super) fn new(shown: Option<Shown>, all: Arc<Passes>) -> Self {
        Self { shown, all, look_at: Instant::now() + LOOK }
    }

    /// When it is looked at next.
    pub(super) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// Whether the stream may go on; looks every few seconds at most.
    pub(super) async fn holds(&mut self, state: &HttpState) -> bool {
        if Instant::now() < self.look_at {
            return true;
        }
        self.look_at = Instant::now() + LOOK;
        match &self.shown {
            Some(shown) => self.all.is_good(state, shown).await,
            None => true,
        }
    }
}
