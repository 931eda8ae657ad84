//! Suites that are asked for, and what became of them.

use super::{Bench, Seen, connection, space, user};
use clock::Clock;
use domain::{AgentId, AgentRef, RunId, ScenarioId, ScenarioRef, SuiteId, Turn};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::rows::{ModelRef, ModelSnapshot, RunRow};
use store::suites::{NewRun, NewSuite, SuiteStore};
use uuid::Uuid;

impl Bench {
    /// A suite of `owner` over these scenario documents, three at a time.
    pub(crate) async fn suite(&self, owner: u128, scenarios: &[Value]) -> SuiteId {
        self.suite_with(owner, scenarios, |_| {}).await
    }

    pub(crate) async fn suite_with(
        &self,
        owner: u128,
        scenarios: &[Value],
        change: impl FnOnce(&mut NewSuite),
    ) -> SuiteId {
        let connection = connection();
        let agent_id = AgentId(self.clock.uuid());
        let agent = json!({"name": "A", "system_prompt": "Help.", "connection_id": connection,
            "model": "m", "tools": [{"name": "look", "description": "looks",
            "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}]});
        self.revisions.put_agent(agent_id, agent);
        let runs = scenarios.iter().map(|document| {
            let id = ScenarioId(self.clock.uuid());
            self.revisions.put_scenario(id, document.clone());
            let timeout = document["timeout_seconds"].as_u64().unwrap_or(300) * 1000;
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            NewRun {
                id: RunId(Uuid::from_u128(1_000_000 + u128::from(n))),
                scenario: ScenarioRef { id, revision: 1, name: "S".into() },
                repetition: 1,
                timeout_ms: timeout,
                user_turns_planned: 1,
                source_run_id: None,
                error: None,
            }
        });
        let model = ModelRef { connection_id: connection, model: "m".into() };
        let mut suite = NewSuite {
            id: SuiteId(self.clock.uuid()),
            space_id: space(owner),
            user_id: user(owner),
            agent: AgentRef { id: agent_id, revision: 1, name: "A".into() },
            model_snapshot: ModelSnapshot::all(&model),
            concurrency: 3,
            repeats: 1,
            note: String::new(),
            parent_id: None,
            runs: runs.collect(),
            allow_parallel: false,
            queue_per_user: 500,
            key: None,
            at: self.clock.now(),
        };
        change(&mut suite);
        let id = suite.id;
        self.work.create_suite(suite).await.expect("is created");
        id
    }

    /// The suite's runs as they are.
    pub(crate) async fn runs(&self, owner: u128, suite: SuiteId) -> Vec<RunRow> {
        self.work.suite(space(owner), suite).await.expect("reads").expect("is there").1
    }

    /// Waits until the suite is final, by its events; answers its runs.
    pub(crate) async fn finished(&self, owner: u128, suite: SuiteId) -> Vec<RunRow> {
        let mut woken = self.work.watch(suite);
        loop {
            let (row, runs) =
                self.work.suite(space(owner), suite).await.expect("reads").expect("is there");
            if row.state.status().is_final() {
                return runs;
            }
            let changed = tokio::time::timeout(Duration::from_secs(7200), woken.changed());
            changed.await.expect("within two hours").expect("open");
        }
    }

    pub(crate) async fn transcript(&self, run: RunId) -> Vec<Turn> {
        self.work.transcript(run).await.expect("reads")
    }

    /// What was said, as texts.
    pub(crate) async fn said(&self, run: RunId) -> Vec<String> {
        self.transcript(run).await.into_iter().map(|turn| turn.message).collect()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.provider.seen.lock().clone()
    }

    /// Every call that the provider saw was noted before.
    pub(crate) fn every_call_was_noted(&self) {
        let noted: Vec<String> =
            self.work.calls().iter().map(|(_, intent, _)| intent.id.to_string()).collect();
        for seen in self.seen() {
            assert!(noted.contains(&seen.call_id), "{seen:?} was not noted");
        }
    }
}
