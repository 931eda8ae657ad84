//! The rules of a scenario: what code checks in a transcript, without a model.

use super::budget::Budget;
use super::text_search::{Message, Term};
use domain::{Check, FinishReason, ScenarioSpec, Speaker, TextMatch, TextToFind, Turn, is_blank};

/// Checks all rules of the scenario.
#[must_use]
pub fn check_rules(scenario: &ScenarioSpec, transcript: &[Turn]) -> Vec<Check> {
    check_rules_within(scenario, transcript, Budget::new())
}

/// Checks all rules; checks of texts that exceed the budget are undecided.
pub(super) fn check_rules_within(
    scenario: &ScenarioSpec,
    transcript: &[Turn],
    mut budget: Budget,
) -> Vec<Check> {
    let criteria = &scenario.success_criteria;
    let agent: Vec<&Turn> =
        transcript.iter().filter(|turn| turn.speaker == Speaker::Agent).collect();
    let mut texts = text_checks(scenario, &mut budget);
    search_texts(&mut texts, &agent, &mut budget);
    let tools = criteria.must_call_tools.iter().map(|tool| must_call_tool(tool, &agent));
    let response_time =
        criteria.max_response_seconds.map(|limit| max_response_seconds(limit, &agent));
    texts.into_iter().map(TextCheck::into_check).chain(tools).chain(response_time).collect()
}

/// Whether the scenario requires or forbids texts.
enum TextRule {
    MustInclude,
    MustNotInclude,
}

impl TextRule {
    fn name(&self) -> &'static str {
        match self {
            Self::MustInclude => "must_include",
            Self::MustNotInclude => "must_not_include",
        }
    }

    fn default_match(&self) -> TextMatch {
        match self {
            Self::MustInclude => TextMatch::DEFAULT_OF_MUST_INCLUDE,
            Self::MustNotInclude => TextMatch::DEFAULT_OF_MUST_NOT_INCLUDE,
        }
    }
}

/// Where a text was found.
enum Found {
    Nowhere,
    InTurn(u32),
    /// The search was too expensive.
    Undecided,
}

struct TextCheck<'a> {
    rule: TextRule,
    pattern: &'a TextToFind,
    term: Term<'a>,
    found: Found,
}

impl TextCheck<'_> {
    fn into_check(self) -> Check {
        let matching = self.pattern.explicit_match().map(|explicit| format!(" ({explicit})"));
        let matching = matching.unwrap_or_default();
        let required = matches!(self.rule, TextRule::MustInclude);
        Check {
            rule: format!("{} {:?}{matching}", self.rule.name(), self.pattern.text()),
            ok: match self.found {
                Found::InTurn(_) => required,
                Found::Nowhere => !required,
                Found::Undecided => false,
            },
            undecided: matches!(self.found, Found::Undecided),
            detail: match self.found {
                Found::InTurn(turn) => format!("found in turn {turn}"),
                Found::Nowhere => "not found in any agent turn".to_owned(),
                Found::Undecided => {
                    "not decided: the conversation and the texts are too large to search".to_owned()
                }
            },
        }
    }
}

fn text_checks<'a>(scenario: &'a ScenarioSpec, budget: &mut Budget) -> Vec<TextCheck<'a>> {
    let criteria = &scenario.success_criteria;
    let required = criteria.must_include.iter().map(|pattern| (TextRule::MustInclude, pattern));
    let forbidden =
        criteria.must_not_include.iter().map(|pattern| (TextRule::MustNotInclude, pattern));
    required
        .chain(forbidden)
        .map(|(rule, pattern)| {
            let matching = pattern.explicit_match().unwrap_or(rule.default_match());
            let term = Term::new(pattern.text(), matching, budget);
            TextCheck { rule, pattern, term, found: Found::Nowhere }
        })
        .collect()
}

/// Finds the first agent turn that contains each text. Each turn is normalized once for all
/// texts, and only one turn at a time is kept in normalized form.
fn search_texts(checks: &mut [TextCheck<'_>], agent: &[&Turn], budget: &mut Budget) {
    for turn in agent {
        let mut open =
            checks.iter_mut().filter(|check| matches!(check.found, Found::Nowhere)).peekable();
        if open.peek().is_none() {
            return;
        }
        let message = (!budget.is_spent()).then(|| Message::new(&turn.message, budget));
        for check in open {
            match &message {
                Some(message) if budget.take(message.size()) => {
                    if message.contains(&check.term) {
                        check.found = Found::InTurn(turn.index);
                    }
                }
                _ => check.found = Found::Undecided,
            }
        }
    }
}

fn must_call_tool(tool: &str, agent: &[&Turn]) -> Check {
    let found = agent.iter().find(|turn| turn.tool_calls.iter().any(|call| call.name == tool));
    Check {
        rule: format!("must_call_tools {tool}"),
        ok: found.is_some(),
        undecided: false,
        detail: match found {
            Some(turn) => format!("called in turn {}", turn.index),
            None => "never called".to_owned(),
        },
    }
}

/// Compares the latency of each reply, which excludes waits and retries.
fn max_response_seconds(limit: f64, agent: &[&Turn]) -> Check {
    let timed = agent.iter().filter_map(|turn| Some((turn.latency_ms?, turn.index)));
    let slowest = timed.max_by_key(|(latency, _)| *latency);
    let seconds = |millis: u32| f64::from(millis) / 1000.0;
    Check {
        rule: format!("max_response_seconds {limit}"),
        ok: slowest.is_none_or(|(latency, _)| seconds(latency) <= limit),
        undecided: false,
        detail: match slowest {
            Some((latency, turn)) => {
                format!("slowest reply: {:.1} s in turn {turn}", seconds(latency))
            }
            None => "no reply has a measured latency".to_owned(),
        },
    }
}

/// What the agent did in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// The agent said something or called a tool other than `end_conversation`.
    Active,
    /// The agent said and did nothing.
    Silent,
    /// The agent said and did nothing, and at least one of its answers was cut off at
    /// the token limit, filtered or refused by the provider.
    CutOff,
}

impl Activity {
    pub(super) fn of(transcript: &[Turn]) -> Self {
        let agent = || transcript.iter().filter(|turn| turn.speaker == Speaker::Agent);
        let is_active = |turn: &Turn| {
            let is_other_tool = |name: &str| name != domain::END_CONVERSATION;
            !is_blank(&turn.message) || turn.tool_calls.iter().any(|call| is_other_tool(&call.name))
        };
        let is_cut_off = |turn: &Turn| {
            use FinishReason::{ContentFilter, Length, Refusal};
            matches!(turn.finish, Some(Length | ContentFilter | Refusal))
        };
        if agent().any(is_active) {
            Self::Active
        } else if agent().any(is_cut_off) {
            Self::CutOff
        } else {
            Self::Silent
        }
    }
}
