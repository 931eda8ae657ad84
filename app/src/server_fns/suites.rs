//! Suites: the list, the start form, the live page.

use super::Choice;
use super::scenarios::FilterWords;
#[cfg(feature = "ssr")]
use crate::domain::{Agent, Scenario, Suite};
use crate::domain::{Preflight, Problems, Run, SuiteSnapshot};
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::Page;
use crate::services::Rejected;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{PreflightQuery, StartQuery, SuiteQuery, SuitesQuery, ask};

/// What was chosen for a start: words of the address or of the form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartWords {
    /// The agent.
    pub agent: String,
    /// The scenarios, unless `all`.
    pub scenarios: Vec<String>,
    /// All active scenarios of the filter.
    pub all: bool,
    /// The filter.
    pub filter: FilterWords,
    /// How often each.
    pub repeats: String,
    /// The most at once.
    pub concurrency: String,
    /// A note.
    pub note: String,
    /// Start although one is unfinished.
    pub allow_parallel: bool,
    /// Record incompatible pairs as errors.
    pub skip_incompatible: bool,
    /// Rejected input to start from instead.
    pub draft: Option<String>,
}

#[cfg(any(feature = "ssr", test))]
impl StartWords {
    /// The request as the form would post it, judged by the same parser: what is
    /// shown as fine here is what a start takes. `None` as long as nothing is
    /// chosen, unless what is typed beside it is wrong already.
    ///
    /// # Errors
    /// Every problem of what was chosen and typed.
    fn request(&self) -> Result<Option<crate::domain::StartSuite>, Problems> {
        let mut draft = serde_json::json!({
            "agent_id": self.agent, "repeats": self.repeats, "concurrency": self.concurrency,
            "note": self.note, "allow_parallel": self.allow_parallel,
            "skip_incompatible": self.skip_incompatible,
        });
        if self.all {
            draft["all"] = true.into();
            draft["filter"] = serde_json::to_value(self.filter.parse()).unwrap_or_default();
        } else {
            draft["scenario_ids"] = self.scenarios.clone().into();
        }
        let (agent, some) = (!self.agent.is_empty(), self.all || !self.scenarios.is_empty());
        match crate::domain::StartSuite::parse(&crate::domain::Draft(draft)) {
            Ok(request) => Ok(Some(request)),
            Err(mut problems) => {
                problems.retain(|problem| match problem.path.as_str() {
                    "agent_id" => agent,
                    "scenario_ids" => some,
                    _ => true,
                });
                if problems.is_empty() { Ok(None) } else { Err(problems) }
            }
        }
    }
}

/// What the start form shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartData {
    /// Its idempotency key.
    pub key: String,
    /// What is chosen.
    pub chosen: StartWords,
    /// Agents to choose from.
    pub agents: Vec<Choice>,
    /// Scenarios to choose from; those that are chosen stand first.
    pub scenarios: Vec<Choice>,
    /// What was typed before and not accepted.
    pub rejected: Option<Rejected>,
}

/// What a start would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PreflightData {
    /// `None` until something is chosen.
    pub found: Option<Preflight>,
    /// Why there is none although something is chosen.
    pub refused: Option<AppError>,
    /// What is wrong with what was chosen and typed.
    pub problems: Problems,
    /// Whether an agent is chosen.
    pub has_agent: bool,
    /// Start although one is unfinished.
    pub allow_parallel: bool,
    /// Record incompatible pairs as errors.
    pub skip_incompatible: bool,
}

/// The live page and report of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteData {
    /// The suite and the seq at which it was read.
    pub snapshot: SuiteSnapshot,
    /// The followed run with its transcript.
    pub followed: Option<Run>,
    /// Key of the rerun form.
    pub key: String,
}

/// Suites, newest first.
#[cfg(feature = "ssr")]
pub(super) async fn suites(
    SuitesQuery { agent, status, after }: SuitesQuery,
) -> Result<Page<Suite>, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let filter = crate::services::HistoryFilter {
        agent: agent.and_then(|id| id.parse().ok()),
        status: status.filter(|word| !word.is_empty()),
        ..Default::default()
    };
    let cursor = crate::services::Cursor { after, limit: None };
    ask::answered(services.results.suites(&caller, &filter, &cursor).await)
}

/// The start form; its pre-flight comes apart.
#[cfg(feature = "ssr")]
pub(super) async fn start_form(StartQuery { words }: StartQuery) -> Result<StartData, AppError> {
    use crate::services::Cursor;
    let (services, caller) = (ask::services(), ask::caller()?);
    let cursor = Cursor { after: None, limit: Some(200) };
    let agents = ask::answered(services.agents.agents(&caller, &cursor).await)?.items;
    let rejected = ask::rejected(words.draft.as_deref()).await;
    let chosen = resolve(words, rejected.as_ref(), &agents);
    let mut scenarios = Vec::new();
    let mut after = None;
    loop {
        let cursor = Cursor { after, limit: Some(200) };
        let page = services.scenarios.scenarios(&caller, &chosen.filter.parse(), &cursor).await;
        let page = ask::answered(page)?;
        scenarios.extend(page.items.into_iter().map(pick));
        after = page.next;
        if after.is_none() || scenarios.len() >= 2000 {
            break;
        }
    }
    // What is chosen already stands first, in sight.
    scenarios.sort_by_key(|scenario| !chosen.scenarios.contains(&scenario.id));
    let agents = agents.into_iter().map(|agent| Choice {
        id: agent.id.to_string(),
        name: agent.spec.name,
        about: agent.spec.model,
    });
    let (agents, key) = (agents.collect(), services.suites.new_idempotency_key());
    Ok(StartData { key, chosen, agents, scenarios, rejected })
}

#[cfg(feature = "ssr")]
fn pick(scenario: Scenario) -> Choice {
    let spec = scenario.spec;
    let about = format!("{} · {}", spec.category.label(), spec.difficulty.label());
    Choice { id: scenario.id.to_string(), name: spec.name, about }
}

/// What a start would do.
#[cfg(feature = "ssr")]
pub(super) async fn check_start(
    PreflightQuery { words }: PreflightQuery,
) -> Result<PreflightData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let cursor = crate::services::Cursor { after: None, limit: Some(2) };
    let agents = ask::answered(services.agents.agents(&caller, &cursor).await)?.items;
    let rejected = ask::rejected(words.draft.as_deref()).await;
    let chosen = resolve(words, rejected.as_ref(), &agents);
    let mut data = PreflightData {
        has_agent: !chosen.agent.is_empty(),
        allow_parallel: chosen.allow_parallel,
        skip_incompatible: chosen.skip_incompatible,
        ..PreflightData::default()
    };
    match chosen.request() {
        Ok(None) => {}
        Ok(Some(request)) => match services.suites.preflight(&caller, &request).await {
            Ok(found) => data.found = Some(found),
            Err(error) if !error.problems.is_empty() => data.problems = error.problems,
            Err(error) => data.refused = Some(error),
        },
        Err(problems) => data.problems = problems,
    }
    Ok(data)
}

/// What is chosen: by what came back, else by the address; of one agent that
/// one.
#[cfg(feature = "ssr")]
fn resolve(words: StartWords, rejected: Option<&Rejected>, agents: &[Agent]) -> StartWords {
    let mut chosen = match rejected {
        Some(rejected) if rejected.draft.at("agent_id").is_some() => from_draft(&rejected.draft),
        _ => words,
    };
    if let [only] = agents
        && chosen.agent.is_empty()
    {
        chosen.agent = only.id.to_string();
    }
    chosen
}

/// A start form that came back.
#[cfg(feature = "ssr")]
fn from_draft(draft: &crate::domain::Draft) -> StartWords {
    let scenarios = match draft.at("scenario_ids") {
        Some(serde_json::Value::Array(ids)) => {
            ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        }
        Some(serde_json::Value::String(id)) => vec![id.clone()],
        _ => Vec::new(),
    };
    StartWords {
        agent: draft.text("agent_id"),
        scenarios,
        all: draft.flag("all", false),
        filter: FilterWords {
            q: draft.text("filter.q"),
            category: draft.text("filter.category"),
            difficulty: draft.text("filter.difficulty"),
            tag: draft.text("filter.tag"),
            built_in: draft.text("filter.built_in"),
        },
        repeats: draft.text("repeats"),
        concurrency: draft.text("concurrency"),
        note: draft.text("note"),
        allow_parallel: draft.flag("allow_parallel", false),
        skip_incompatible: draft.flag("skip_incompatible", false),
        draft: None,
    }
}

/// A suite with the transcript of the run that is followed: the one asked
/// for, or else the one that is worth looking at first.
#[cfg(feature = "ssr")]
pub(super) async fn suite_view(SuiteQuery { id, run }: SuiteQuery) -> Result<SuiteData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let id = ask::answered(ask::id(&id, "suite"))?;
    let snapshot = ask::answered(services.results.suite(&caller, id).await)?;
    let runs = snapshot.suite.runs.as_deref().unwrap_or_default();
    let asked = run.and_then(|run| run.parse().ok());
    let follow = asked
        .filter(|id| runs.iter().any(|run| run.id == *id))
        .or_else(|| crate::pages::suite::live_state::worth_following(runs));
    let followed = match follow {
        Some(run) => Some(ask::answered(services.results.run(&caller, run).await)?),
        None => None,
    };
    Ok(SuiteData { snapshot, followed, key: services.suites.new_idempotency_key() })
}

#[cfg(test)]
mod tests {
    use super::{FilterWords, StartWords};

    const ID: &str = "0190a000-0000-7000-8000-000000000001";

    fn chosen() -> StartWords {
        StartWords { agent: ID.into(), scenarios: vec![ID.into()], ..StartWords::default() }
    }

    #[test]
    fn nothing_chosen_is_no_request() {
        assert_eq!(StartWords::default().request(), Ok(None));
        let words = StartWords { scenarios: Vec::new(), ..chosen() };
        assert_eq!(words.request(), Ok(None));
        let words = StartWords { all: true, ..words };
        let request = words.request().expect("no problem").expect("agent and all");
        assert_eq!((request.repeats, request.scenario_ids), (1, None));
        assert!(request.filter.is_some());
    }

    #[test]
    fn what_a_start_would_refuse_is_said_before() {
        for (repeats, concurrency, path) in [
            ("99", "", "repeats"),
            ("0", "", "repeats"),
            ("abc", "", "repeats"),
            ("1.5", "", "repeats"),
            ("1", "0", "concurrency"),
            ("1", "65", "concurrency"),
            ("1", "abc", "concurrency"),
        ] {
            let (repeats, concurrency) = (repeats.to_owned(), concurrency.to_owned());
            let words = StartWords { repeats, concurrency, ..chosen() };
            let problems = words.request().expect_err("is refused");
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].path, path);
            // It is wrong whatever is chosen.
            let words = StartWords { agent: String::new(), ..words };
            assert_eq!(words.request(), Err(problems));
        }
        let words = StartWords { repeats: " 20 ".into(), concurrency: "64".into(), ..chosen() };
        let request = words.request().expect("no problem").expect("a request");
        assert_eq!((request.repeats, request.concurrency), (20, Some(64)));
    }

    #[test]
    fn a_filter_of_the_list_chooses_nothing_by_itself() {
        let filter = FilterWords { category: "booking".into(), ..FilterWords::default() };
        let words = StartWords { filter, ..chosen() };
        let request = words.request().expect("no problem").expect("a request");
        assert_eq!((request.scenario_ids.map(|ids| ids.len()), request.filter), (Some(1), None));
    }
}
