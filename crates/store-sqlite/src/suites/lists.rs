//! Lists of suites and runs.

use crate::rows::{RawRun, RawSuite, readable};
use crate::sqlite_error::DbResult;
use domain::services::HistoryFilter;
use domain::{Counts, SpaceId, Timestamp};
use sqlx::{FromRow, QueryBuilder, Sqlite, SqlitePool};
use store::StoreResult;
use store::rows::{RunRow, SuiteRow};
use store::suites::TimeCursor;

/// A suite with its numbers of runs by status.
#[derive(FromRow)]
struct RawListedSuite {
    #[sqlx(flatten)]
    suite: RawSuite,
    pending: u32,
    running: u32,
    passed: u32,
    failed: u32,
    inconclusive: u32,
    error: u32,
    cancelled: u32,
}

impl RawListedSuite {
    fn read(self) -> StoreResult<(SuiteRow, Counts)> {
        let counts = Counts {
            pending: self.pending,
            running: self.running,
            passed: self.passed,
            failed: self.failed,
            inconclusive: self.inconclusive,
            error: self.error,
            cancelled: self.cancelled,
        };
        Ok((self.suite.read()?, counts))
    }
}

fn select_suites() -> QueryBuilder<Sqlite> {
    QueryBuilder::new(
        "SELECT s.*, COUNT(*) FILTER (WHERE r.status = 'pending') AS pending, \
         COUNT(*) FILTER (WHERE r.status = 'running') AS running, \
         COUNT(*) FILTER (WHERE r.status = 'passed') AS passed, \
         COUNT(*) FILTER (WHERE r.status = 'failed') AS failed, \
         COUNT(*) FILTER (WHERE r.status = 'inconclusive') AS inconclusive, \
         COUNT(*) FILTER (WHERE r.status = 'error') AS error, \
         COUNT(*) FILTER (WHERE r.status = 'cancelled') AS cancelled \
         FROM suites s JOIN runs r ON r.suite_id = s.id ",
    )
}

async fn fetch_suites(
    mut query: QueryBuilder<Sqlite>,
    read: &SqlitePool,
) -> StoreResult<Vec<(SuiteRow, Counts)>> {
    let suites = query.build_query_as::<RawListedSuite>().fetch_all(read).await.db()?;
    Ok(readable(suites.into_iter().map(RawListedSuite::read)))
}

/// Suites, newest first.
pub(super) async fn suites(
    read: &SqlitePool,
    space: SpaceId,
    filter: &HistoryFilter,
    before: Option<TimeCursor>,
    limit: u32,
) -> StoreResult<Vec<(SuiteRow, Counts)>> {
    // The query contains only the filters that are set, because each has its index.
    let mut query = select_suites();
    query.push("WHERE s.id IN (SELECT id FROM suites x WHERE x.deleted_at IS NULL");
    query.push(" AND x.space_id = ").push_bind(space.0);
    if let Some(agent) = filter.agent {
        query.push(" AND x.agent_id = ").push_bind(agent.0);
    }
    if let Some(status) = &filter.status {
        query.push(" AND x.status = ").push_bind(status);
    }
    with_a_run(&mut query, space, filter);
    within(&mut query, "x", filter, before);
    query.push(" ORDER BY x.created_at DESC, x.id DESC LIMIT ").push_bind(limit);
    query.push(") GROUP BY s.id ORDER BY s.created_at DESC, s.id DESC");
    fetch_suites(query, read).await
}

/// Unfinished suites, oldest first.
pub(super) async fn unfinished_suites(
    read: &SqlitePool,
    space: SpaceId,
) -> StoreResult<Vec<(SuiteRow, Counts)>> {
    let mut query = select_suites();
    query.push("WHERE s.space_id = ").push_bind(space.0);
    query.push(" AND s.status IN ('pending', 'running')");
    query.push(" GROUP BY s.id ORDER BY s.created_at, s.id");
    fetch_suites(query, read).await
}

/// Runs, newest first.
pub(super) async fn runs(
    read: &SqlitePool,
    space: SpaceId,
    filter: &HistoryFilter,
    before: Option<TimeCursor>,
    limit: u32,
) -> StoreResult<Vec<RunRow>> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT r.*, s.agent_name, s.model_snapshot \
         FROM runs r JOIN suites s ON s.id = r.suite_id WHERE s.deleted_at IS NULL",
    );
    query.push(" AND r.space_id = ").push_bind(space.0);
    if let Some(agent) = filter.agent {
        query.push(" AND r.agent_id = ").push_bind(agent.0);
    }
    if let Some(scenario) = filter.scenario {
        query.push(" AND r.scenario_id = ").push_bind(scenario.0);
    }
    if let Some(status) = &filter.status {
        query.push(" AND r.status = ").push_bind(status);
    }
    if let Some(kind) = &filter.error_kind {
        query.push(" AND r.error_kind = ").push_bind(kind);
    }
    within(&mut query, "r", filter, before);
    query.push(" ORDER BY r.created_at DESC, r.id DESC LIMIT ").push_bind(limit);
    let runs = query.build_query_as::<RawRun>().fetch_all(read).await.db()?;
    Ok(readable(runs.into_iter().map(RawRun::read)))
}

/// Adds the condition that a suite has a matching run. A run is as old as its
/// suite, so the limits of time apply to it too.
fn with_a_run(query: &mut QueryBuilder<Sqlite>, space: SpaceId, filter: &HistoryFilter) {
    if filter.scenario.is_none() && filter.error_kind.is_none() {
        return;
    }
    query.push(" AND x.id IN (SELECT y.suite_id FROM runs y WHERE y.space_id = ");
    query.push_bind(space.0);
    if let Some(scenario) = filter.scenario {
        query.push(" AND y.scenario_id = ").push_bind(scenario.0);
    }
    if let Some(kind) = &filter.error_kind {
        query.push(" AND y.error_kind = ").push_bind(kind);
    }
    within(query, "y", filter, None);
    query.push(")");
}

/// Adds the conditions on the time of the table `t`.
fn within(
    query: &mut QueryBuilder<Sqlite>,
    t: &'static str,
    filter: &HistoryFilter,
    before: Option<TimeCursor>,
) {
    if let Some(since) = time(filter.since.as_deref()) {
        query.push(format_args!(" AND {t}.created_at >= ")).push_bind(since);
    }
    if let Some(until) = time(filter.until.as_deref()) {
        query.push(format_args!(" AND {t}.created_at < ")).push_bind(until);
    }
    if let Some(TimeCursor { at, id }) = before {
        query.push(format_args!(" AND ({t}.created_at, {t}.id) < ("));
        query.push_bind(at.0).push(", ").push_bind(id).push(")");
    }
}

fn time(text: Option<&str>) -> Option<i64> {
    text.and_then(Timestamp::parse).map(|at| at.0)
}
