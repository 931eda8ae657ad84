//! Query plans: no statement of the store scans a table that grows with the
//! history. The test runs the store, collects its statements and explains them.

use clock::{Clock, SystemClock};
use domain::services::HistoryFilter;
use domain::{
    AgentId, AgentRef, ConnectionId, Evaluation, EvaluationStatus, NanoUsd, RunId, RunStatus,
    ScenarioId, ScenarioRef, SpaceId, Speaker, SuiteId, Timestamp, Turn, UserId,
};
use parking_lot::Mutex;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use store::accounts::{AccountStore, UserRow};
use store::queue::{Claim, QueueStore};
use store::retention::{Expired, RetentionStore};
use store::rows::{CallDone, EvaluationRow, Intent, ModelRef, ModelSnapshot, Role};
use store::schedule::{AdmissionLimit, Capacity};
use store::spending::{PriceStore, SpendingStore, SuiteBudget};
use store::suites::{IdempotencyRecord, NewRejudge, NewRun, NewSuite, SuiteStore, TimeCursor};
use store::transition::{RunChange, RunOutcome};
use store_sqlite::SqliteStore;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use uuid::Uuid;

/// Collects the text of every statement.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

#[derive(Default)]
struct StatementEvent {
    summary: String,
    statement: String,
}

impl Visit for StatementEvent {
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
        let mut fields = StatementEvent::default();
        event.record(&mut fields);
        let sql = if fields.statement.is_empty() { fields.summary } else { fields.statement };
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
        model_snapshot: ModelSnapshot::all(&model),
        profile: None,
        variables_at: Some(Timestamp(1)),
        concurrency: 9,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        part_of: None,
        runs: (0..3).map(run).collect(),
        allow_parallel: false,
        queue_per_user: 500,
        key: Some(IdempotencyRecord {
            path: "/suites".into(),
            key: n.to_string(),
            request: "{}".into(),
            response: "{}".into(),
        }),
        budget: SuiteBudget::default(),
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
        admission_limits: Vec::new(),
        capacity: Capacity::unlimited(),
        now: SystemClock.now(),
    }
}

/// Performs every operation of a working server.
async fn work(store: &SqliteStore) {
    let now = SystemClock.now();
    let email = "a@example.org".to_owned();
    let user = UserRow {
        id: USER,
        space_id: SPACE,
        email,
        password_hash: "h".into(),
        created_at: now,
        sessions_valid_from: Timestamp(0),
    };
    store.create_user(&user, false).await.unwrap();
    store.set_password(USER, "new", now).await.unwrap();
    store.sessions(USER, now).await.unwrap();
    for n in [1, 2, 3] {
        store.create_suite(NewSuite { allow_parallel: n > 1, ..suite(n) }).await.unwrap();
    }
    let runs = store.claim(claim(5)).await.unwrap();
    store.heartbeat("w", now).await.unwrap();
    for (i, run) in runs.iter().enumerate() {
        let lease = run.lease();
        store.run_input(run).await.unwrap();
        let intent = Intent { id: Uuid::from_u128(i as u128), role: Role::Agent, turn: 0 };
        let done = CallDone {
            id: intent.id,
            outcome: "ok".into(),
            attempts: 1,
            latency_ms: Some(1),
            cost: None,
        };
        let turns = vec![Turn::text(Speaker::Agent, "hello", now)];
        let change = RunChange {
            turns,
            intents: vec![intent],
            calls_done: vec![done],
            ..RunChange::default()
        };
        store.commit(&lease, change, now).await.unwrap();
        if i == 0 {
            store.reacquire_user_slot(&lease, 8, now).await.unwrap();
            store.release(&lease, now).await.unwrap();
            continue;
        }
        let asked = Evaluation::pending(Uuid::from_u128(100 + i as u128).into(), "m", 1, now);
        let finish = RunOutcome { status: RunStatus::Passed, score: Some(1.0), error: None };
        let evaluation =
            Some(Box::new(Evaluation { is_first: true, status: EvaluationStatus::Done, ..asked }));
        let change = RunChange { evaluation, finish: Some(finish), ..RunChange::default() };
        store.commit(&lease, change, now).await.unwrap();
    }
    store.claim(claim(5)).await.unwrap();
    let asked = Evaluation::pending(Uuid::from_u128(200).into(), "m", 1, now);
    let row = EvaluationRow::requested(&runs[1], runs[1].model_snapshot.judge.clone(), asked);
    store.create_rejudge(NewRejudge { row, key: None }).await.unwrap();
    let circuit = AdmissionLimit {
        user_id: Some(USER),
        connection_id: ConnectionId(Uuid::from_u128(7)),
        model: None,
        max_running: 0,
    };
    let held = Claim { admission_limits: vec![circuit], ..claim(5) };
    assert!(store.claim_rejudges(held).await.unwrap().is_empty());
    let judging = store.claim_rejudges(claim(5)).await.unwrap().remove(0);
    store.run_with_input(judging.run_id).await.unwrap();
    store.record_judge_call(&judging, Uuid::from_u128(300), now).await.unwrap();
    let done = CallDone {
        id: Uuid::from_u128(300),
        outcome: "ok".into(),
        attempts: 1,
        latency_ms: Some(1),
        cost: Some(NanoUsd(1)),
    };
    store.finish_judge_call(done, now).await.unwrap();
    store.heartbeat("w", now).await.unwrap();
    store.release_rejudge(judging.id(), judging.lease_epoch, now).await.unwrap();
    store.reap(now.plus(Duration::from_secs(100_000))).await.unwrap();
    store.recover_at_boot(now).await.unwrap();
    read(store, now, runs[1].suite_id, runs[1].id).await;
    store.put_daily_budget(USER, Some(NanoUsd(1))).await.unwrap();
    store.put_prices(SPACE, ConnectionId(Uuid::from_u128(7)), Vec::new()).await.unwrap();
    store.end_pending_runs(runs[1].suite_id, "Used up.".to_owned(), now).await.unwrap();
    store.cancel_run(SPACE, runs[0].id, now).await.unwrap();
    store.cancel_suite(SPACE, SuiteId(Uuid::from_u128(3)), now).await.unwrap();
    for what in [
        Expired::Keys,
        Expired::SavedForms,
        Expired::Sessions,
        Expired::Tokens,
        Expired::DeletedObjects,
        Expired::Events,
        Expired::Suites,
    ] {
        store.delete_expired(what, now.plus(Duration::from_secs(200_000)), 1000).await.unwrap();
    }
}

/// Performs every read.
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
        for before in [None, Some(TimeCursor { at: now, id: Uuid::nil() })] {
            store.suites(SPACE, filter, before, 51).await.unwrap();
            store.runs(SPACE, filter, before, 51).await.unwrap();
        }
    }
    store.unfinished_suites(SPACE).await.unwrap();
    store.owns(SPACE, suite).await.unwrap();
    store.suite(SPACE, suite).await.unwrap();
    store.run(SPACE, run).await.unwrap();
    store.transcript(run).await.unwrap();
    store.evaluations(run).await.unwrap();
    store.events_after(suite, 0, 256).await.unwrap();
    let scenario = ScenarioId(Uuid::from_u128(1));
    store.mean_run_duration_ms(SPACE, &[scenario]).await.unwrap();
    let agent = AgentId(Uuid::from_u128(9));
    store.find_unfinished_suite(SPACE, agent, &[scenario]).await.unwrap();
    store.spending(suite, USER, now).await.unwrap();
    store.agent_spending(SPACE, agent).await.unwrap();
    store.past_usage(SPACE, agent).await.unwrap();
    store.prices(SPACE, ConnectionId(Uuid::from_u128(7))).await.unwrap();
}

/// Partial indexes over unfinished or leased rows, which stay small.
const SMALL_INDEXES: [&str; 10] = [
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

/// Describes a plan step that is slow with a million turns.
fn slow_step(step: &str, sql: &str) -> Option<String> {
    let found = || Some(format!("{step}\n    {sql}"));
    // Unfinished evaluations, ordered fairly by user. They are few, and another
    // step shows that only those are read.
    if sql.contains("OVER (PARTITION BY user_id, status") && step != "SCAN evaluations" {
        let turns = step == "SCAN w" || step.contains("TEMP B-TREE FOR ORDER BY");
        if turns {
            return None;
        }
    }
    if step.starts_with("SCAN") {
        let short = SMALL_INDEXES.iter().any(|index| step.ends_with(&format!("INDEX {index}")));
        // A list that is passed as JSON.
        let short = short || step.contains(" VIRTUAL TABLE ");
        // The subquery reads the latest 200 runs.
        // Copies have rows only until they are complete.
        let small =
            ["SCAN users", "SCAN conversation_copies", "SCAN CONSTANT ROW", "SCAN (subquery"];
        let small = small.iter().any(|table| step.starts_with(table));
        return if short || small { None } else { found() };
    }
    // A page is sorted again after its runs were counted, and rows with the same
    // time are sorted by id.
    let few = sql.contains("GROUP BY s.id") || step.contains("FOR LAST TERM OF ORDER BY");
    if step.contains("TEMP B-TREE") && !few { found() } else { None }
}

#[tokio::test]
async fn no_statement_scans_a_growing_table() {
    let statements = Statements::default();
    let subscriber = tracing_subscriber::registry().with(statements.clone());
    tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plans.db");
    let store = SqliteStore::open(&file).await.unwrap();
    statements.0.lock().clear();
    work(&store).await;
    store.close().await;

    let mut c =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file)).await.unwrap();
    let collected = std::mem::take(&mut *statements.0.lock());
    let (mut explained, mut found) = (0, Vec::new());
    // A query may consist of several statements, of which only the first is explained. No
    // literal contains a semicolon.
    let collected: BTreeSet<&str> =
        collected.iter().flat_map(|sql| sql.split(';')).map(str::trim).collect();
    for sql in collected {
        let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
        if !verbs.iter().any(|verb| sql.starts_with(verb)) {
            continue;
        }
        explained += 1;
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        for row in plan.fetch_all(&mut c).await.unwrap() {
            found.extend(slow_step(row.get("detail"), sql));
        }
    }
    assert!(explained > 60, "only {explained} statements");
    assert!(found.is_empty(), "{} slow steps:\n{}", found.len(), found.join("\n"));
}
