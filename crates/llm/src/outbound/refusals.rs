//! Tells a limit of the provider from single refusals (429, 529). Pure.
//!
//! A limit refuses every call until it refills; a flaky gateway refuses one call in
//! twenty and accepts the calls beside it. The calls are compared in the order in which
//! they were sent, because refusals arrive sooner than replies: a call without an outcome
//! counts as accepted.

use std::collections::VecDeque;

/// The number of consecutive refused calls that is evidence.
const STREAK: usize = 3;
/// The most that [`STREAK`] grows to where refusals are usual.
const MAX_STREAK: usize = 12;
/// Refusals are usual from this share on.
const USUAL: f64 = 0.05;
/// The accepted probability of mistaking chance refusals for a limit.
const CHANCE: f64 = 0.001;
/// The number of calls of which a share is taken.
const WINDOW: u64 = 16;
/// The number of refused calls among them that is evidence.
const SHARE: f64 = 5.0;
/// The same while a rate above the proven one is tried.
const SHARE_ABOVE_PROVEN_RATE: f64 = 3.0;
/// The factor on the usual share.
const USUAL_MARGIN: f64 = 2.0;
/// The number of calls that are remembered.
const REMEMBERED: usize = 64;

/// Refusals that a limit explains better than chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Many of the recent calls were refused: calls are sent too fast.
    Share,
    /// Consecutive calls were refused: no call is accepted at the moment.
    Streak,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused,
}

/// The outcomes of the recent calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    /// The last calls in send order; a call without an outcome is accepted. The last one
    /// has the position `sent`.
    recent: VecDeque<Outcome>,
    sent: u64,
    /// Outcomes up to this position are disregarded: they were evidence already, or belong
    /// to an earlier state of the limit.
    disregarded_until: u64,
}

impl Refusals {
    /// Records that the call at this position was sent.
    pub(super) fn sent(&mut self, position: u64) {
        self.sent = position;
        self.recent.push_back(Outcome::Accepted);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    /// Records that the call at this position was refused. Returns the evidence, with
    /// `usual` as the share of calls that are refused whatever the rate is, and
    /// `above_proven_rate` while a higher rate than the proven one is tried.
    pub(super) fn refused(
        &mut self,
        position: u64,
        usual: f64,
        above_proven_rate: bool,
    ) -> Option<Evidence> {
        let index = self.index(position)?;
        self.recent[index] = Outcome::Refused;
        if position <= self.disregarded_until {
            return None;
        }
        if self.streak_at(position) >= longest_streak_by_chance(usual) {
            return Some(Evidence::Streak);
        }
        let least = if above_proven_rate { SHARE_ABOVE_PROVEN_RATE } else { SHARE };
        let first = position.saturating_sub(WINDOW - 1).max(self.disregarded_until + 1);
        let refused = (first..=position).filter(|position| self.is_refused(*position)).count();
        let needed = least + usual * USUAL_MARGIN * WINDOW as f64;
        (refused as f64 >= needed).then_some(Evidence::Share)
    }

    /// Disregards the outcomes of the calls that were sent so far.
    pub(super) fn disregard_earlier(&mut self) {
        self.disregarded_until = self.sent;
    }

    /// Whether the outcome of this call counts.
    pub(super) fn is_new(&self, position: u64) -> bool {
        position > self.disregarded_until
    }

    /// The number of consecutive refused calls around this position.
    fn streak_at(&self, position: u64) -> usize {
        let refused = |position: &u64| self.is_refused(*position);
        let before = (self.disregarded_until + 1..position).rev().take_while(refused).count();
        let after = (position + 1..=self.sent).take_while(refused).count();
        before + 1 + after
    }

    fn is_refused(&self, position: u64) -> bool {
        self.index(position).is_some_and(|index| self.recent[index] == Outcome::Refused)
    }

    fn index(&self, position: u64) -> Option<usize> {
        let back = usize::try_from(self.sent.checked_sub(position)?).ok()?;
        self.recent.len().checked_sub(back + 1)
    }
}

/// The streak that is evidence where this share of the calls is refused by chance.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 3 to 12
fn longest_streak_by_chance(usual: f64) -> usize {
    if usual <= USUAL {
        return STREAK;
    }
    let streak = CHANCE.ln() / usual.min(0.9).ln();
    (streak.ceil() as usize).clamp(STREAK, MAX_STREAK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence of calls that are sent and answered one by one: `r` is a refusal.
    fn evidence(calls: &str, usual: f64, above_proven_rate: bool) -> Option<(usize, Evidence)> {
        let mut refusals = Refusals::default();
        for (n, call) in (1_usize..).zip(calls.chars()) {
            refusals.sent(n as u64);
            if call == 'r'
                && let Some(found) = refusals.refused(n as u64, usual, above_proven_rate)
            {
                return Some((n, found));
            }
        }
        None
    }

    #[test]
    fn consecutive_refusals_are_evidence_and_single_ones_are_not() {
        let (run, share) = (Evidence::Streak, Evidence::Share);
        for (calls, usual, above, expected) in [
            ("rr", 0.0, false, None),
            ("rrr", 0.0, false, Some((3, run))),
            ("aarrarraaaaaaaaaaaa", 0.0, false, None),
            ("aaaarrr", 0.05, false, Some((7, run))),
            ("aaaarrr", 0.1, false, Some((7, run))),
            ("aaaarrrr", 0.2, false, None),
            ("aaaarrrrr", 0.2, false, Some((9, run))),
            ("arararara", 0.0, false, None),
            ("ararararar", 0.0, false, Some((10, share))),
            ("ararar", 0.0, true, Some((6, share))),
            ("aaaaraaaaaaaaaaaaaaaaraaaaaaaaaaaaar", 0.0, true, None),
            ("arararararararararararararararararararararar", 0.5, false, None),
            ("rraaaaaaaaaaaaaaaarr", 0.0, false, None),
        ] {
            assert_eq!(evidence(calls, usual, above), expected, "{calls} at {usual}");
        }
    }

    #[test]
    fn calls_without_outcome_count_as_accepted() {
        let mut refusals = Refusals::default();
        (1..=8).for_each(|position| refusals.sent(position));
        assert_eq!(refusals.refused(2, 0.0, false), None);
        assert_eq!(refusals.refused(4, 0.0, false), None);
        assert_eq!(refusals.refused(6, 0.0, false), None, "3 and 5 are in flight");
        assert_eq!(refusals.refused(3, 0.0, false), Some(Evidence::Streak), "2, 3 and 4");
    }

    #[test]
    fn outcomes_are_considered_once() {
        let mut refusals = Refusals::default();
        (1..=6).for_each(|position| refusals.sent(position));
        assert_eq!(refusals.refused(1, 0.0, false), None);
        assert_eq!(refusals.refused(2, 0.0, false), None);
        assert_eq!(refusals.refused(3, 0.0, false), Some(Evidence::Streak));
        refusals.disregard_earlier();
        assert_eq!(refusals.refused(4, 0.0, false), None, "it was sent before");
        (7..=200).for_each(|position| refusals.sent(position));
        assert_eq!(refusals.refused(7, 0.0, false), None, "it is not remembered");
        assert_eq!(refusals.recent.len(), REMEMBERED);
    }
}
