//! What became of the model's answers, and what must hold for each run. Pure.

use serde_json::Value;
use std::fmt::Write;

/// The least number of judgings that must be readable.
const MIN_READABLE: usize = 4;

/// The answers of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answers {
    calls: u64,
    usable: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    agent: Answers,
    user: Answers,
    judge: Answers,
    /// Evaluations with a result, out of all runs.
    readable: (usize, usize),
    lines: Vec<String>,
    /// What must hold and does not.
    pub(super) failures: Vec<String>,
}

impl Report {
    pub(super) fn of(runs: &[Value], is_finished: bool) -> Self {
        let mut report = Self { readable: (0, runs.len()), ..Self::default() };
        if !is_finished {
            report.failures.push("the suite did not finish in time".to_owned());
        }
        runs.iter().for_each(|run| report.add(run));
        let readable = report.readable.0;
        if readable < MIN_READABLE {
            report.failures.push(format!("only {readable} judgings are readable"));
        }
        report
    }

    fn add(&mut self, run: &Value) {
        let name = text(run, "/scenario/name");
        self.add_answers(run);
        let evaluation = &run["evaluations"][0];
        self.readable.0 += usize::from(evaluation["status"] == "done");
        let error = run.pointer("/error/message").and_then(Value::as_str);
        let summary = error.unwrap_or_else(|| text(evaluation, "/summary"));
        let turns = list(run, "/transcript").len();
        self.lines.push(format!("{name}: {} after {turns} turns. {summary}", text(run, "/status")));
        let problems = problems(run).into_iter();
        self.failures.extend(problems.map(|problem| format!("{name}: {problem}")));
    }

    fn add_answers(&mut self, run: &Value) {
        let calls = |role: &str| run["usage"][role]["calls"].as_u64().unwrap_or(0);
        let turns = list(run, "/transcript");
        let count = |is: &dyn Fn(&Value) -> bool| {
            u64::try_from(turns.iter().filter(|turn| is(turn)).count()).unwrap_or(u64::MAX)
        };
        self.agent.calls += calls("agent");
        self.agent.usable += count(&|turn| {
            turn["speaker"] == "agent"
                && !(text(turn, "/message").trim().is_empty()
                    && list(turn, "/tool_calls").is_empty())
        });
        self.user.calls += calls("simulated_user");
        // A turn that a model wrote has a latency; a scripted or mocked one has none.
        self.user.usable +=
            count(&|turn| turn["speaker"] != "agent" && turn["latency_ms"].is_number());
        self.judge.calls += calls("judge");
        self.judge.usable +=
            u64::from(run["evaluations"][0]["status"] == "done" && calls("judge") > 0);
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let _ = writeln!(text, "  {line}");
        }
        for (role, answers) in
            [("agent", self.agent), ("simulated user", self.user), ("judge", self.judge)]
        {
            let _ =
                writeln!(text, "{role}: {} of {} answers usable", answers.usable, answers.calls);
        }
        let _ = writeln!(text, "judgings: {} of {} readable", self.readable.0, self.readable.1);
        for failure in &self.failures {
            let _ = writeln!(text, "FAILED  {failure}");
        }
        text
    }
}

/// What does not hold for a run.
fn problems(run: &Value) -> Vec<String> {
    let evaluation = &run["evaluations"][0];
    let status = text(run, "/status");
    let mut problems = match status {
        "passed" | "failed" if !is_proved(status, evaluation) => {
            vec![format!("{status} without verified evidence")]
        }
        "passed" | "failed" | "inconclusive" => Vec::new(),
        "error" => error_problems(run, evaluation),
        other => vec![format!("stuck in the status {other}")],
    };
    let items = list(evaluation, "/items");
    let wrong = items.iter().flat_map(|item| list(item, "/evidence")).filter(|evidence| {
        evidence["verified"] == true && !is_quoted(evidence, list(run, "/transcript"))
    });
    problems.extend(wrong.map(|evidence| format!("verified, but nowhere: {}", evidence["quote"])));
    problems
}

/// Whether the answers of the judge that count are enough for the verdict.
fn is_proved(status: &str, evaluation: &Value) -> bool {
    let items = list(evaluation, "/items");
    let is_condition = |item: &&Value| item["kind"] == "failure_condition";
    let answered = |item: &Value, met: bool| item["met"] == met && item["verified"] == true;
    let mut checks = list(evaluation, "/checks").iter();
    if status == "passed" {
        return checks.all(|check| check["ok"] == true)
            && items.iter().filter(is_condition).all(|item| item["met"] == false)
            && items
                .iter()
                .filter(|item| !is_condition(item) && item["required"] == true)
                .all(|item| answered(item, true));
    }
    let is_silent = text(evaluation, "/summary").starts_with("The agent said nothing");
    let low_score = || {
        items
            .iter()
            .filter(|item| !is_condition(item))
            .all(|item| item["verified"] == true || item["met"].is_null())
    };
    is_silent
        || checks.any(|check| check["ok"] == false && check["undecided"] != true)
        || items.iter().filter(is_condition).any(|item| answered(item, true))
        || items.iter().any(|item| {
            // What is missing cannot be quoted.
            let is_missing = item["met"] == false && list(item, "/evidence").is_empty();
            let is_proved = is_missing || answered(item, false);
            !is_condition(&item) && item["required"] == true && is_proved
        })
        || low_score()
}

/// An answer that cannot be used ends as an error with the words of the model.
fn error_problems(run: &Value, evaluation: &Value) -> Vec<String> {
    let kind = text(run, "/error/kind");
    let has_raw_reply = !text(evaluation, "/raw_reply").is_empty();
    let message = text(run, "/error/message");
    match kind {
        "evaluation_unparseable" if !has_raw_reply => vec!["the judge's reply is lost".to_owned()],
        "truncated" | "provider_rejected"
            if !has_raw_reply && !message.contains("It replied: ") =>
        {
            vec![format!("the model's reply is lost: {message}")]
        }
        "abandoned" | "internal" => vec![format!("{kind}: {message}")],
        _ => Vec::new(),
    }
}

/// Whether a turn or a tool call of the transcript contains the quote. It compares letters
/// and digits only, and so differently from the product.
fn is_quoted(evidence: &Value, transcript: &[Value]) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let quote = letters(text(evidence, "/quote"));
    let turn = transcript.iter().find(|turn| turn["index"] == evidence["turn"]);
    turn.is_some_and(|turn| {
        let calls = list(turn, "/tool_calls").iter();
        let calls = calls.map(|call| format!("{}{}", text(call, "/name"), call["arguments"]));
        let mut texts = calls.chain([text(turn, "/message").to_owned()]);
        texts.any(|text| letters(&text).contains(&quote))
    })
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(status: &str, items: Value) -> Value {
        json!({"status": status, "scenario": {"name": "s"}, "transcript": [
            {"index": 0, "speaker": "user", "message": "Hi"},
            {"index": 1, "speaker": "agent", "message": "Hello, how can I help?", "tool_calls": []}],
            "usage": {"agent": {"calls": 1}, "judge": {"calls": 2}},
            "evaluations": [{"status": "done", "summary": "x", "items": items, "checks": []}]})
    }

    fn item(met: bool, verified: bool, quote: &str) -> Value {
        let evidence = json!([{"turn": 1, "quote": quote, "verified": verified}]);
        json!([{"kind": "behavior", "required": true, "met": met, "verified": verified,
            "evidence": evidence}])
    }

    #[test]
    fn verdicts_need_verified_evidence() {
        for (status, items, problem) in [
            ("passed", item(true, true, "how can I help"), None),
            ("passed", item(true, false, "Goodbye"), Some("passed without verified evidence")),
            ("failed", item(false, true, "Hello, how"), None),
            ("failed", item(false, false, "Goodbye"), Some("failed without verified evidence")),
            ("inconclusive", item(true, false, "Goodbye"), None),
            ("passed", item(true, true, "Goodbye"), Some("verified, but nowhere: \"Goodbye\"")),
            ("running", json!([]), Some("stuck in the status running")),
        ] {
            let found = problems(&run(status, items));
            assert_eq!(found, problem.into_iter().collect::<Vec<_>>(), "{status}");
        }
    }

    #[test]
    fn failed_check_or_condition_proves_a_failure() {
        let mut failed = run("failed", item(true, false, "Goodbye"));
        assert_eq!(problems(&failed).len(), 1);
        failed["evaluations"][0]["checks"] = json!([{"ok": false}]);
        assert_eq!(problems(&failed), Vec::<String>::new());
        let mut condition = item(true, true, "how can I help");
        condition[0]["kind"] = "failure_condition".into();
        assert_eq!(problems(&run("failed", condition.clone())), Vec::<String>::new());
        assert_eq!(problems(&run("passed", condition)), ["passed without verified evidence"]);
    }

    #[test]
    fn unusable_answer_is_an_error_with_its_text() {
        let mut lost = run("error", json!([]));
        lost["error"] = json!({"kind": "evaluation_unparseable", "message": "unreadable"});
        assert_eq!(problems(&lost), ["the judge's reply is lost"]);
        lost["evaluations"][0]["raw_reply"] = json!("{oops");
        assert_eq!(problems(&lost), Vec::<String>::new());
        let mut user = run("error", json!([]));
        user["error"] = json!({"kind": "provider_rejected", "message": "no JSON."});
        assert_eq!(problems(&user), ["the model's reply is lost: no JSON."]);
        user["error"]["message"] = json!("no JSON. It replied: hi");
        assert_eq!(problems(&user), Vec::<String>::new());
    }

    #[test]
    fn answers_are_counted_and_too_few_readable_judgings_fail() {
        let mut unreadable = run("error", json!([]));
        unreadable["evaluations"] = json!([{"status": "error", "raw_reply": "{oops"}]);
        let passed = run("passed", item(true, true, "how can I help"));
        let mut runs = vec![passed; 4];
        runs.push(unreadable.clone());
        let report = Report::of(&runs, true);
        assert_eq!(report.failures, Vec::<String>::new());
        assert_eq!(report.agent, Answers { calls: 5, usable: 5 });
        assert_eq!(report.judge, Answers { calls: 10, usable: 4 });
        assert!(report.text().contains("judgings: 4 of 5 readable"), "{}", report.text());
        runs[0] = unreadable;
        let report = Report::of(&runs, false);
        let expected = ["the suite did not finish in time", "only 3 judgings are readable"];
        assert_eq!(report.failures, expected);
    }
}
