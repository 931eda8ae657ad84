//! What is known of one model on one connection, and whether a call may go
//! there now: the floor of Retry-After, limits that were told, and how many
//! calls may be out at once. Pure: a call is a number, and time is passed in.

use super::crowd::Crowd;
use super::size::{Cost, Habits, Size};
use super::window::{Ready, Window};
use crate::rate_headers::{RateLimit, RateLimits};
use llm_types::{CallError, ChatReply, Decision};
use domain::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Least wait after a 429 or 529, whatever it says: these are not counted as
/// attempts, so a server that says "now" would be asked without end.
const LEAST_WAIT: Duration = Duration::from_millis(250);

/// What is limited.
const KINDS: usize = 4;

/// A call that is out.
#[derive(Clone, Copy, Debug)]
struct Out {
    size: Size,
    cost: [u64; KINDS],
    /// When it went, as a count of those that did: what the others are told
    /// counts the calls before them, and no later ones. Not gone yet = last.
    went: u64,
}

/// Of a call that has not gone yet.
const NOT_YET: u64 = u64::MAX;

/// One model on one connection.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    floor: Option<Timestamp>,
    /// Requests, tokens, tokens in, tokens out.
    windows: [Option<Window>; KINDS],
    crowd: Crowd,
    habits: Habits,
    /// Number of the last call that got leave.
    last: u64,
    /// How many went out.
    went: u64,
    out: BTreeMap<u64, Out>,
    /// Calls up to this number belong to a connection as it was before it was
    /// edited: they teach nothing.
    forgotten: u64,
    /// The size of the last call: that of the next, as far as anybody knows.
    usual: Size,
}

impl Bucket {
    /// When a call may go. A person's own try is not held back by how many
    /// are out, only by what the provider said.
    pub(super) fn ready(&self, size: Size, person: bool, now: Timestamp) -> Ready {
        let floor = match self.floor {
            Some(floor) if floor > now => Ready::At(floor),
            _ => Ready::Now,
        };
        let full = !person && self.in_flight() >= self.crowd.limit();
        let crowd = if full { Ready::Later } else { Ready::Now };
        let cost = of(self.habits.cost(size));
        let windows = self.windows.iter().zip(cost).enumerate().map(|(kind, (window, cost))| {
            let Some(window) = window else { return Ready::Now };
            let unknown = self.out.values().filter(|out| out.went > window.by());
            let unknown = unknown.fold(0_u64, |sum, out| sum.saturating_add(out.cost[kind]));
            window.ready(cost, unknown, now)
        });
        windows.chain([floor, crowd]).max().unwrap_or(Ready::Now)
    }

    /// Whether the provider would have a call like the last one wait, and until
    /// when, where that is known. How many are out is our own affair.
    pub(super) fn dry(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        match self.ready(self.usual, true, now) {
            Ready::Now => None,
            Ready::At(until) => Some(Some(until)),
            Ready::Later => Some(None),
        }
    }

    /// A call has leave; answers its number.
    pub(super) fn take(&mut self, size: Size, now: Timestamp) -> u64 {
        self.last += 1;
        self.usual = size;
        let cost = of(self.habits.cost(size));
        self.out.insert(self.last, Out { size, cost, went: NOT_YET });
        for window in self.windows.iter_mut().flatten() {
            window.went(self.last, now);
        }
        self.last
    }

    /// Call `number` goes out now.
    pub(super) fn sent(&mut self, number: u64) {
        self.went += 1;
        if let Some(out) = self.out.get_mut(&number) {
            out.went = self.went;
        }
    }

    /// Call `number` was not made after all.
    pub(super) fn unsent(&mut self, number: u64, now: Timestamp) {
        self.out.remove(&number);
        for window in self.windows.iter_mut().flatten() {
            window.back(number, NOT_YET, 0, now);
        }
    }

    /// Call `number` was dropped on its way: the provider has counted it.
    pub(super) fn dropped(&mut self, number: u64, now: Timestamp) {
        let Some(out) = self.out.remove(&number) else { return };
        for (window, cost) in self.windows.iter_mut().zip(out.cost) {
            if let Some(window) = window {
                window.back(number, out.went, cost, now);
            }
        }
    }

    /// Call `number` has ended; `waited` when others wait for its place.
    pub(super) fn done(
        &mut self,
        number: u64,
        outcome: Result<&ChatReply, &CallError>,
        waited: bool,
        now: Timestamp,
    ) {
        let used = waited || self.in_flight() >= self.crowd.limit();
        let Some(mut out) = self.out.remove(&number) else { return };
        if number <= self.forgotten {
            return;
        }
        let told = match outcome {
            Ok(reply) => {
                self.habits.learn(out.size, reply);
                self.crowd.succeeded(used);
                correct(&mut out.cost, reply);
                reply.told.as_deref()
            }
            Err(error) => {
                if let Decision::Wait { until, .. } = error.decision {
                    self.crowd.refused(out.went, self.went);
                    self.raise(until, now);
                }
                error.told.as_deref()
            }
        };
        let told = told.map(limits).unwrap_or_default();
        for ((window, told), cost) in self.windows.iter_mut().zip(told).zip(out.cost) {
            match (window.as_mut(), told) {
                (known, Some(limit))
                    if known.as_ref().is_none_or(|known| out.went > known.by()) =>
                {
                    *window = Some(Window::told(known.as_deref(), &limit, number, out.went, now));
                }
                // Told before what is known: that counts this call already.
                (Some(known), Some(_)) => known.back(number, out.went, 0, now),
                (Some(known), None) if outcome.is_ok() && known.ends(out.went, now) => {
                    *window = None;
                }
                (Some(known), None) => known.back(number, out.went, cost, now),
                (None, _) => {}
            }
        }
    }

    /// Nobody may call before `until`; a floor never sinks.
    fn raise(&mut self, until: Option<Timestamp>, now: Timestamp) {
        let Some(until) = until else { return };
        let until = until.max(now.plus(LEAST_WAIT));
        self.floor = Some(self.floor.map_or(until, |floor| floor.max(until)));
    }

    /// Begins anew: the connection was edited. Calls that are out still come
    /// back, and teach nothing.
    pub(super) fn forget(&mut self) {
        let Self { out, last, went, usual, .. } = std::mem::take(self);
        *self = Self { out, last, went, usual, forgotten: last, ..Self::default() };
    }

    /// Requests that are out and unknown to what was told, and what was told
    /// to be left, while that holds.
    #[cfg(test)]
    pub(super) fn unknown(&self, now: Timestamp) -> Option<(usize, f64)> {
        let window = self.windows[0].as_ref()?;
        let unknown = self.out.values().filter(|out| out.went > window.by()).count();
        Some((unknown, window.left(now)?))
    }

    /// Calls that are out.
    pub(super) fn in_flight(&self) -> u32 {
        u32::try_from(self.out.len()).unwrap_or(u32::MAX)
    }
}

/// What a call takes of each kind of limit.
fn of(cost: Cost) -> [u64; KINDS] {
    [1, cost.tokens, cost.input, cost.output]
}

/// The estimate, corrected by what was used.
fn correct(cost: &mut [u64; KINDS], reply: &ChatReply) {
    let tokens = reply.input_tokens.saturating_add(reply.output_tokens);
    if tokens > 0 {
        cost[1] = tokens;
        (cost[2], cost[3]) = (reply.input_tokens, reply.output_tokens);
    }
}

fn limits(told: &RateLimits) -> [Option<RateLimit>; KINDS] {
    [told.requests, told.tokens, told.input_tokens, told.output_tokens]
}
