//! Judging away from the async workers: searching a large conversation for many texts can
//! take a second of CPU time, in which a worker would serve nobody else.

use domain::{AgentSpec, EndReason, ScenarioSpec, Turn};
use judge::{EvaluationResult, JudgeModel, JudgeStep, JudgedConversation, RawReply};
use std::panic::resume_unwind;
use store::rows::RoleModel;

/// Work up to this size is done in place, because handing it over costs more. Its unit is a
/// byte that is searched for one text.
const MAX_INLINE: usize = 64 * 1024;

/// The next step of an evaluation.
pub(super) async fn judge_step(
    case: JudgedConversation<'_>,
    raw_replies: Vec<RawReply>,
    judge: &RoleModel,
) -> JudgeStep {
    let replies: usize = raw_replies.iter().map(|reply| reply.text.len()).sum();
    let judge = judge.clone();
    on_case(case, replies, move |case| {
        let model = JudgeModel { model: &judge.model, options: &judge.options };
        judge::judge_step(case, &raw_replies, model)
    })
    .await
}

/// The result of a conversation that the judge need not read.
pub(super) async fn decide_without_judge(case: JudgedConversation<'_>) -> Option<EvaluationResult> {
    on_case(case, 0, judge::decide_without_judge).await
}

/// Runs `work` in place if the case is small, and otherwise on a thread for blocking work.
async fn on_case<T: Send + 'static>(
    case: JudgedConversation<'_>,
    extra: usize,
    work: impl FnOnce(&JudgedConversation<'_>) -> T + Send + 'static,
) -> T {
    if size(&case).saturating_add(extra) <= MAX_INLINE {
        return work(&case);
    }
    let owned = OwnedCase::new(case);
    let done = tokio::task::spawn_blocking(move || work(&owned.borrow())).await;
    done.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// An upper bound of what is searched: all turns, for each text.
fn size(case: &JudgedConversation<'_>) -> usize {
    let criteria = &case.scenario.success_criteria;
    let texts = || criteria.must_include.iter().chain(&criteria.must_not_include);
    let said: usize = case.transcript.iter().map(|turn| turn.message.len()).sum();
    let wanted: usize = texts().map(|item| item.text().len()).sum();
    said.saturating_mul(1 + texts().count()).saturating_add(wanted)
}

struct OwnedCase {
    agent: AgentSpec,
    scenario: ScenarioSpec,
    transcript: Vec<Turn>,
    end_reason: Option<EndReason>,
}

impl OwnedCase {
    fn new(case: JudgedConversation<'_>) -> Self {
        Self {
            agent: case.agent.clone(),
            scenario: case.scenario.clone(),
            transcript: case.transcript.to_vec(),
            end_reason: case.end_reason,
        }
    }

    fn borrow(&self) -> JudgedConversation<'_> {
        JudgedConversation {
            agent: &self.agent,
            scenario: &self.scenario,
            transcript: &self.transcript,
            end_reason: self.end_reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::on_case;
    use conversation::fixtures::{agent, says, scenario, transcript, user};
    use judge::JudgedConversation;
    use rstest::rstest;
    use serde_json::{Value, json};
    use std::thread;

    #[rstest]
    #[case::small(1_000, json!([]), true)]
    #[case::small_for_some_texts(1_000, json!(["a", "b", "c"]), true)]
    #[case::no_turn(0, json!([]), true)]
    #[case::large(100_000, json!([]), false)]
    #[case::large_for_many_texts(1_000, json!(vec!["a"; 100]), false)]
    #[case::large_texts(10, json!(vec!["a".repeat(30_000); 3]), false)]
    #[tokio::test]
    async fn large_conversations_are_judged_off_the_async_workers(
        #[case] bytes: usize,
        #[case] texts: Value,
        #[case] inline: bool,
    ) {
        let (agent, scenario) =
            (agent(json!({})), scenario(json!({"success_criteria": {"must_include": texts}})));
        let transcript = transcript(vec![user("Hi"), says(&"x".repeat(bytes))]);
        let case = JudgedConversation {
            agent: &agent,
            scenario: &scenario,
            transcript: &transcript,
            end_reason: None,
        };
        let (turns, on) =
            on_case(case, 0, |case| (case.transcript.len(), thread::current().id())).await;
        assert_eq!((turns, on == thread::current().id()), (2, inline));
    }

    #[tokio::test]
    #[should_panic(expected = "in the search")]
    async fn panic_reaches_the_caller() {
        let (agent, scenario) = (agent(json!({})), scenario(json!({})));
        let transcript = transcript(vec![says(&"x".repeat(100_000))]);
        let case = JudgedConversation {
            agent: &agent,
            scenario: &scenario,
            transcript: &transcript,
            end_reason: None,
        };
        on_case(case, 0, |_| panic!("in the search")).await
    }
}
