//! How SQLite goes about what is asked of it: no statement of the store walks
//! through a table that grows with the history.
//!
//! Every statement is taken from what the store really says, and explained.

use domain::services::HistoryFilter;
use domain::{
    AgentId, AgentRef, ConnectionId, Evaluation, EvaluationStatus, RunId, RunStatus, ScenarioId,
    ScenarioRef, SpaceId, Speaker, SuiteId, Timestamp, Turn, UserId,
};
use parking_lot::Mutex;
use clock::{Clock, SystemClock};
use store::accounts::{AccountStore, UserRow};
use store::cleaning::{CleanStore, Old};
use store::pick::Hold;
use store::queue::{Claim, QueueStore};
use store::rows::{CallDone, EvaluationRow, Frozen, Intent, ModelRef, Role};
use store_sqlite::SqliteStore;
use store::suites::{Before, NewEvaluation, NewKey, NewRun, NewSuite, SuiteStore};
use store::transition::{Change, Final, Lease};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use uuid::Uuid;

/// Keeps the text of every statement.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

#[derive(Default)]
struct Said {
    summary: String,
    statement: String,
}

impl Visit for Said {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.to_owned(),
            "db.statement" => self.statement = value.trim().to_owned(),
            _ => {}
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "sqlx::query" {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let sql = if said.statement.is_empty() { said.summary } else { said.statement };
        self.0.lock().insert(sql);
    }
}

const USER: UserId = UserId(Uuid::from_u128(1));
const SPACE: SpaceId = SpaceId(Uuid::from_u128(2));

fn suite(n: u128) -> NewSuite {
    let model = ModelRef { connection_id: ConnectionId(Uuid::from_u128(7)), model: "m".into() };
    let run = |i: u128| NewRun {
        id: RunId(Uuid::from_u128(n * 1000 + i)),
        scenario: ScenarioRef { id: ScenarioId(Uuid::from_u128(i)), revision: 1, name: "S".into() },
        repetition: 1,
        timeout_ms: 1000,
        user_turns_planned: 1,
        source_run_id: None,
        error: None,
    };
    NewSuite {
        id: SuiteId(Uuid::from_u128(n)),
        space_id: SPACE,
        user_id: USER,
        agent: AgentRef { id: AgentId(Uuid::from_u128(9)), revision: 1, name: "A".into() },
        frozen: Frozen::all(&model),
        concurrency: 9,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        runs: (0..3).map(run).collect(),
        allow_parallel: false,
        queue_per_user: 500,
        key: Some(NewKey {
            path: "/suites".into(),
            key: n.to_string(),
            request: "{}".into(),
            response: "{}".into(),
        }),
        at: SystemClock.now(),
    }
}

fn claim(most: u32) -> Claim {
    let max_wait = Duration::from_secs(600);
    Claim {
        owner: "w".into(),
        runs_per_user: 8,
        max_wait,
        most,
        holds: Vec::new(),
        now: SystemClock.now(),
    }
}

/// Does everything that is done while the server works.
async fn work(store: &SqliteStore) {
    let now = SystemClock.now();
    let email = "a@example.org".to_owned();
    let user =
        UserRow { id: USER, space_id: SPACE, email, password_hash: "h".into(), created_at: now };
    store.create_user(&user, false).await.unwrap();
    for n in [1, 2, 3] {
        store.create_suite(NewSuite { allow_parallel: n > 1, ..suite(n) }).await.unwrap();
    }
    let runs = store.claim(claim(5)).await.unwrap();
    store.heartbeat("w", now).await.unwrap();
    for (i, run) in runs.iter().enumerate() {
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        store.work(run).await.unwrap();
        let intent = Intent { id: Uuid::from_u128(i as u128), role: Role::Agent, turn: 0 };
        let done =
            CallDone { id: intent.id, outcome: "ok".into(), attempts: 1, latency_ms: Some(1) };
        let turns = vec![Turn::said(Speaker::Agent, "hello", now)];
        let change =
            Change { turns, intents: vec![intent], calls_done: vec![done], ..Change::default() };
        store.commit(&lease, change, now).await.unwrap();
        if i == 0 {
            store.unpark(&lease, 8, now).await.unwrap();
            store.hand_back(&lease, now).await.unwrap();
            continue;
        }
        let asked = Evaluation::asked(Uuid::from_u128(100 + i as u128).into(), "m", 1, now);
        let finish = Final { status: RunStatus::Passed, score: Some(1.0), error: None };
        let evaluation =
            Some(Box::new(Evaluation { is_first: true, status: EvaluationStatus::Done, ..asked }));
        let change = Change { evaluation, finish: Some(finish), ..Change::default() };
        store.commit(&lease, change, now).await.unwrap();
    }
    store.claim(claim(5)).await.unwrap();
    let asked = Evaluation::asked(Uuid::from_u128(200).into(), "m", 1, now);
    let row = EvaluationRow::asked_for(&runs[1], runs[1].frozen.judge.clone(), asked);
    store.create_evaluation(NewEvaluation { row, key: None }).await.unwrap();
    let circuit = Hold {
        user_id: Some(USER),
        connection_id: ConnectionId(Uuid::from_u128(7)),
        model: None,
        begun: 0,
    };
    let held = Claim { holds: vec![circuit], ..claim(5) };
    assert!(store.claim_evaluations(held).await.unwrap().is_empty());
    let judging = store.claim_evaluations(claim(5)).await.unwrap().remove(0);
    store.work_of(judging.run_id).await.unwrap();
    store.intend_evaluation(&judging, Uuid::from_u128(300), now).await.unwrap();
    store.heartbeat("w", now).await.unwrap();
    store.hand_back_evaluation(judging.id(), judging.attempt).await.unwrap();
    store.reap(now.plus(Duration::from_secs(100_000))).await.unwrap();
    store.take_over(now).await.unwrap();
    read(store, now, runs[1].suite_id, runs[1].id).await;
    store.cancel_run(SPACE, runs[0].id, now).await.unwrap();
    store.cancel_suite(SPACE, SuiteId(Uuid::from_u128(3)), now).await.unwrap();
    for what in [Old::Keys, Old::Drafts, Old::Sessions, Old::Events, Old::Suites] {
        store.clean(what, now.plus(Duration::from_secs(200_000)), 1000).await.unwrap();
    }
}

/// Everything that is read.
async fn read(store: &SqliteStore, now: Timestamp, suite: SuiteId, run: RunId) {
    let all = HistoryFilter::default();
    let time = Some("2026-01-31T12:00:00Z".to_owned());
    let filters = [
        all.clone(),
        HistoryFilter { agent: Some(AgentId(Uuid::from_u128(9))), ..all.clone() },
        HistoryFilter { scenario: Some(ScenarioId(Uuid::from_u128(1))), ..all.clone() },
        HistoryFilter { status: Some("passed".into()), ..all.clone() },
        HistoryFilter { error_kind: Some("timeout".into()), ..all.clone() },
        HistoryFilter { since: time.clone(), until: time, ..all.clone() },
    ];
    for filter in &filters {
        for before in [None, Some(Before { at: now, id: Uuid::nil() })] {
            store.suites(SPACE, filter, before, 51).await.unwrap();
            store.runs(SPACE, filter, before, 51).await.unwrap();
        }
    }
    store.unfinished(SPACE).await.unwrap();
    store.owns(SPACE, suite).await.unwrap();
    store.suite(SPACE, suite).await.unwrap();
    store.run(SPACE, run).await.unwrap();
    store.transcript(run).await.unwrap();
    store.evaluations(run).await.unwrap();
    store.events_after(suite, 0, 256).await.unwrap();
    let scenario = ScenarioId(Uuid::from_u128(1));
    store.past_duration_ms(SPACE, &[scenario]).await.unwrap();
    store.unfinished_over(SPACE, AgentId(Uuid::from_u128(9)), &[scenario]).await.unwrap();
}

/// Indices that hold only what is unfinished or held, however long the history.
const SHORT: [&str; 10] = [
    "runs_pending",
    "runs_running",
    "runs_held",
    "runs_unfinished",
    "runs_by_deadline",
    "runs_by_waiting",
    "suites_unfinished",
    "evaluations_pending",
    "evaluations_unfinished",
    "evaluations_running",
];

/// Why a step of a plan is not quick with a million turns, or `None`.
fn slow(step: &str, sql: &str) -> Option<String> {
    let told = || Some(format!("{step}\n    {sql}"));
    // Judgings that are not finished, put in turn by user: few, however long
    // the history. That only those are read stands in a step of its own.
    if sql.contains("OVER (PARTITION BY user_id, status") && step != "SCAN evaluations" {
        // And the list of those that are kept back.
        let turns = step == "SCAN w"
            || step.starts_with("SCAN json_each ")
            || step.contains("TEMP B-TREE FOR ORDER BY");
        if turns {
            return None;
        }
    }
    if step.starts_with("SCAN") {
        let short = SHORT.iter().any(|index| step.ends_with(&format!("INDEX {index}")));
        // The subquery is the latest 200 runs.
        let small = ["SCAN users", "SCAN CONSTANT ROW", "SCAN (subquery"];
        let small = small.iter().any(|table| step.starts_with(table));
        return if short || small { None } else { told() };
    }
    // A page of a list is put in order again after it was counted; and what has
    // the same time is put in order by its id.
    let few = sql.contains("GROUP BY s.id") || step.contains("FOR LAST TERM OF ORDER BY");
    if step.contains("TEMP B-TREE") && !few { told() } else { None }
}

#[tokio::test]
async fn no_statement_walks_through_a_table_that_grows() {
    let statements = Statements::default();
    let listening = tracing_subscriber::registry().with(statements.clone());
    tracing::subscriber::set_global_default(listening).expect("the only one here");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plans.db");
    let store = SqliteStore::open(&file).await.unwrap();
    statements.0.lock().clear();
    work(&store).await;
    store.close().await;

    let mut c =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file)).await.unwrap();
    let said = std::mem::take(&mut *statements.0.lock());
    let (mut explained, mut found) = (0, Vec::new());
    for sql in said {
        let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
        if !verbs.iter().any(|verb| sql.starts_with(verb)) {
            continue;
        }
        explained += 1;
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        for row in plan.fetch_all(&mut c).await.unwrap() {
            found.extend(slow(row.get("detail"), &sql));
        }
    }
    assert!(explained > 60, "only {explained} statements were heard");
    assert!(found.is_empty(), "{} slow steps:\n{}", found.len(), found.join("\n"));
}
