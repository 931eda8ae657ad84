//! What is known of one model on one connection, and whether a call may go
//! there now: the floor of Retry-After, limits that were told, and how many
//! calls may be out at once. Pure: a call is a number, and time is passed in.

use super::crowd::Crowd;
use super::size::{Cost, Habits, Size};
use super::window::{Ready, Window};
use crate::llm::rate_headers::{Limit, Told};
use crate::llm::types::{CallError, ChatReply, Decision};
use app::domain::Timestamp;
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
            window.ready(cost, unknown.map(|out| out.cost[kind]).sum(), now)
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
    if reply.input_tokens + reply.output_tokens > 0 {
        cost[1] = reply.input_tokens + reply.output_tokens;
        (cost[2], cost[3]) = (reply.input_tokens, reply.output_tokens);
    }
}

fn limits(told: &Told) -> [Option<Limit>; KINDS] {
    [told.requests, told.tokens, told.input_tokens, told.output_tokens]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::testing::reply;
    use app::domain::ErrorKind;
    use proptest::prelude::*;

    const T0: Timestamp = Timestamp(1_000_000);
    const SMALL: Size = Size { chars: 40, max_tokens: 100 };

    fn at(seconds: u64) -> Timestamp {
        T0.plus(Duration::from_secs(seconds))
    }

    fn limit(limit: u64, remaining: u64, reset: u64) -> Option<Limit> {
        Some(Limit { limit, remaining, reset: Some(at(reset)), period: None })
    }

    fn answer(told: Told) -> ChatReply {
        ChatReply { told: Some(Box::new(told)), ..reply(10, 20) }
    }

    fn throttle(until: Option<Timestamp>) -> CallError {
        CallError::new(Decision::Wait { until, overloaded: false }, "slow down")
    }

    impl Bucket {
        /// A call gets leave and goes out at once.
        fn go(&mut self, now: Timestamp) -> u64 {
            let number = self.take(SMALL, now);
            self.sent(number);
            number
        }

        fn may(&self, now: Timestamp) -> Ready {
            self.ready(SMALL, false, now)
        }
    }

    #[test]
    fn eight_at_once_until_something_is_known() {
        let mut bucket = Bucket::default();
        for _ in 0..8 {
            assert_eq!(bucket.may(T0), Ready::Now);
            bucket.go(T0);
        }
        assert_eq!((bucket.may(T0), bucket.dry(T0)), (Ready::Later, None));
        assert_eq!(bucket.ready(SMALL, true, T0), Ready::Now, "a person is not kept waiting");
        bucket.unsent(3, T0);
        assert_eq!(bucket.may(T0), Ready::Now);
    }

    #[test]
    fn retry_after_is_a_floor_that_never_sinks() {
        let mut bucket = Bucket::default();
        for until in [Some(at(30)), Some(at(10)), None] {
            let call = bucket.go(T0);
            bucket.done(call, Err(&throttle(until)), false, T0);
            assert_eq!(bucket.may(T0), Ready::At(at(30)));
        }
        assert_eq!(bucket.ready(SMALL, true, T0), Ready::At(at(30)), "for a person as well");
        assert_eq!(bucket.may(at(30)), Ready::Now);
        let call = bucket.go(at(30));
        bucket.done(call, Err(&throttle(Some(at(30)))), false, at(30));
        assert_eq!(bucket.may(at(30)), Ready::At(at(30).plus(LEAST_WAIT)));
    }

    #[test]
    fn what_is_told_counts_from_the_call_that_was_told_it() {
        let mut bucket = Bucket::default();
        let calls: Vec<u64> = (0..4).map(|_| bucket.go(T0)).collect();
        let told = |left| answer(Told { requests: limit(50, left, 60), ..Told::default() });
        // The second call's news: 8 left, and two more are out.
        bucket.done(calls[1], Ok(&told(8)), false, T0);
        assert_eq!(bucket.may(T0), Ready::Now, "8 - 2 - 5");
        bucket.go(T0);
        assert_eq!(bucket.may(T0), Ready::At(at(60)));
        // Older news changes nothing; newer news does.
        bucket.done(calls[0], Ok(&told(40)), false, T0);
        assert_eq!(bucket.may(T0), Ready::At(at(60)));
        bucket.done(calls[3], Ok(&told(9)), false, T0);
        assert_eq!(bucket.may(T0), Ready::Now);
    }

    #[test]
    fn what_counts_is_when_a_call_goes_out_not_when_it_got_leave() {
        let mut bucket = Bucket::default();
        let told = |left| answer(Told { requests: limit(10, left, 60), ..Told::default() });
        // The first has leave, and goes after the second was told.
        let (first, second) = (bucket.take(SMALL, T0), bucket.go(T0));
        bucket.done(second, Ok(&told(2)), false, T0);
        assert_eq!(bucket.may(T0), Ready::At(at(60)), "2, one reserved, one with leave");
        bucket.sent(first);
        bucket.done(first, Ok(&told(8)), false, T0);
        assert_eq!(bucket.may(T0), Ready::Now, "it went last, so what it was told holds");
    }

    #[test]
    fn tokens_are_estimated_before_and_corrected_after() {
        let mut bucket = Bucket::default();
        let call = bucket.go(T0);
        let told = Told { tokens: limit(1000, 420, 60), ..Told::default() };
        bucket.done(call, Ok(&answer(told)), false, T0);
        // 10 in + 100 at most out, twice, of 420 - 100.
        let calls = [bucket.go(T0), bucket.go(T0)];
        assert_eq!(bucket.may(T0), Ready::At(at(60)), "a third would not fit");
        for call in calls {
            bucket.done(call, Ok(&reply(10, 20)), false, T0);
        }
        assert_eq!(bucket.may(T0), Ready::Now, "30 each were used");
        let huge = Size { chars: 1_000_000, max_tokens: 1 };
        assert_eq!(bucket.ready(huge, false, T0), Ready::At(at(60)));
        assert_eq!(bucket.ready(huge, false, at(60)), Ready::Now, "too large for any window");
    }

    #[test]
    fn an_edit_forgets_what_was_learned() {
        let mut bucket = Bucket::default();
        let (call, late) = (bucket.go(T0), bucket.go(T0));
        bucket.done(call, Err(&throttle(Some(at(3600)))), false, T0);
        bucket.forget();
        assert_eq!((bucket.may(T0), bucket.in_flight()), (Ready::Now, 1));
        bucket.done(late, Err(&throttle(Some(at(3600)))), false, T0);
        assert_eq!((bucket.may(T0), bucket.in_flight()), (Ready::Now, 0), "of the old key");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Ask,
        Answer(usize, Option<u64>),
        Refuse(usize, Option<u64>),
        Fail(usize),
        Drop(usize),
        Unsent(usize),
        Pass(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        let told = || proptest::option::of(0..100_u64);
        prop_oneof![
            6 => Just(Act::Ask),
            4 => (0..64_usize, told()).prop_map(|(n, told)| Act::Answer(n, told)),
            1 => (0..64_usize, told()).prop_map(|(n, until)| Act::Refuse(n, until)),
            1 => (0..64_usize).prop_map(Act::Fail),
            1 => (0..64_usize).prop_map(Act::Drop),
            1 => (0..64_usize).prop_map(Act::Unsent),
            2 => (1..90_000_u64).prop_map(Act::Pass),
        ]
    }

    proptest! {
        /// Never more than 64 out, nor more than was told to be left; every
        /// place comes back; and whatever happened, somebody may go on.
        #[test]
        fn a_bucket_neither_overflows_nor_dries_up(acts in proptest::collection::vec(act(), 1..400)) {
            let (mut bucket, mut now, mut out) = (Bucket::default(), T0, Vec::new());
            for act in acts {
                let pick = |n: usize, out: &mut Vec<u64>| (!out.is_empty()).then(|| { let n = n % out.len(); out.remove(n) });
                match act {
                    Act::Ask if bucket.ready(SMALL, false, now) == Ready::Now => {
                        out.push(bucket.go(now));
                        if let Some(window) = &bucket.windows[0]
                            && let Some(left) = window.left(now)
                        {
                            let unknown = bucket.out.values().filter(|out| out.went > window.by()).count();
                            prop_assert!(unknown as f64 + 10.0 <= left, "{unknown} of {left}");
                        }
                    }
                    Act::Ask => {}
                    Act::Pass(millis) => now = now.plus(Duration::from_millis(millis)),
                    Act::Answer(n, told) => if let Some(call) = pick(n, &mut out) {
                        let reset = Some(now.plus(Duration::from_secs(20)));
                        let told = told.map(|remaining| Box::new(Told { requests: Some(Limit { limit: 100, remaining, reset, period: None }), ..Told::default() }));
                        bucket.done(call, Ok(&ChatReply { told, ..reply(1, 1) }), true, now);
                    },
                    Act::Refuse(n, until) => if let Some(call) = pick(n, &mut out) {
                        let until = until.map(|s| now.plus(Duration::from_secs(s)));
                        bucket.done(call, Err(&throttle(until)), true, now);
                    },
                    Act::Fail(n) => if let Some(call) = pick(n, &mut out) {
                        let error = CallError::new(Decision::GiveUp(ErrorKind::ProviderRejected), "no");
                        bucket.done(call, Err(&error), true, now);
                    },
                    Act::Drop(n) => if let Some(call) = pick(n, &mut out) { bucket.dropped(call, now) },
                    Act::Unsent(n) => if let Some(call) = pick(n, &mut out) { bucket.unsent(call, now) },
                }
                prop_assert!(bucket.in_flight() <= super::super::crowd::MOST);
                prop_assert_eq!(bucket.in_flight() as usize, out.len());
            }
            for call in out { bucket.unsent(call, now); }
            prop_assert_eq!(bucket.in_flight(), 0);
            let ready = bucket.ready(SMALL, false, now);
            prop_assert!(ready != Ready::Later, "nobody is out, so nobody can be waited for");
            let late = now.plus(Duration::from_secs(3600));
            prop_assert_eq!(bucket.ready(SMALL, false, late), Ready::Now);
        }
    }
}
