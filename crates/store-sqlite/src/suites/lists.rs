//! Lists of suites and runs, each filter with its index.

use crate::trouble::DbResult;
use super::read_runs;
use store::Stored;
use store::rows::{RunRow, SuiteRow};
use crate::rows::{counts, select_runs, suite};
use store::suites::Before;
use domain::services::HistoryFilter;
use domain::{Counts, SpaceId, Timestamp};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

/// A suite's columns and its counts by status.
macro_rules! select_suites {
    ($tail:literal) => {
        concat!(
            "SELECT s.*, ",
            "COUNT(*) FILTER (WHERE r.status = 'pending') AS n_pending, ",
            "COUNT(*) FILTER (WHERE r.status = 'running') AS n_running, ",
            "COUNT(*) FILTER (WHERE r.status = 'passed') AS n_passed, ",
            "COUNT(*) FILTER (WHERE r.status = 'failed') AS n_failed, ",
            "COUNT(*) FILTER (WHERE r.status = 'inconclusive') AS n_inconclusive, ",
            "COUNT(*) FILTER (WHERE r.status = 'error') AS n_error, ",
            "COUNT(*) FILTER (WHERE r.status = 'cancelled') AS n_cancelled ",
            "FROM suites s JOIN runs r ON r.suite_id = s.id ",
            $tail
        )
    };
}

/// Suites with their counts, from new to old.
pub(super) async fn suites(
    read: &SqlitePool,
    space: SpaceId,
    filter: &HistoryFilter,
    before: Option<Before>,
    limit: u32,
) -> Stored<Vec<(SuiteRow, Counts)>> {
    // Only the filters that are set stand in the query: each has its index.
    let mut query = QueryBuilder::<Sqlite>::new(select_suites!(
        "WHERE s.id IN (SELECT id FROM suites x WHERE x.deleted_at IS NULL AND x.space_id = "
    ));
    query.push_bind(space.0);
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
    let rows = query.build().fetch_all(read).await.db()?;
    rows.iter().map(|row| Ok((suite(row)?, counts(row)?))).collect()
}

/// Suites that are not over, from old to new.
pub(super) async fn unfinished(
    read: &SqlitePool,
    space: SpaceId,
) -> Stored<Vec<(SuiteRow, Counts)>> {
    let rows = sqlx::query(select_suites!(
        "WHERE s.space_id = ? AND s.status IN ('pending', 'running') \
         GROUP BY s.id ORDER BY s.created_at, s.id"
    ))
    .bind(space.0)
    .fetch_all(read)
    .await.db()?;
    rows.iter().map(|row| Ok((suite(row)?, counts(row)?))).collect()
}

/// Runs, from new to old.
pub(super) async fn runs(
    read: &SqlitePool,
    space: SpaceId,
    filter: &HistoryFilter,
    before: Option<Before>,
    limit: u32,
) -> Stored<Vec<RunRow>> {
    let mut query =
        QueryBuilder::<Sqlite>::new(select_runs!("WHERE s.deleted_at IS NULL AND r.space_id = "));
    query.push_bind(space.0);
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
    let mut c = read.acquire().await.db()?;
    read_runs(&mut c, query.build()).await
}

/// The part of a list's condition on suites that is about their runs. A run is
/// as old as its suite, so times bound it as well.
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

/// The part of a list's condition that is about time, for the table `t`.
fn within(
    query: &mut QueryBuilder<Sqlite>,
    t: &'static str,
    filter: &HistoryFilter,
    before: Option<Before>,
) {
    if let Some(since) = time(filter.since.as_deref()) {
        query.push(format_args!(" AND {t}.created_at >= ")).push_bind(since);
    }
    if let Some(until) = time(filter.until.as_deref()) {
        query.push(format_args!(" AND {t}.created_at < ")).push_bind(until);
    }
    if let Some(Before { at, id }) = before {
        query.push(format_args!(" AND ({t}.created_at, {t}.id) < ("));
        query.push_bind(at.0).push(", ").push_bind(id).push(")");
    }
}

fn time(text: Option<&str>) -> Option<i64> {
    text.and_then(Timestamp::parse).map(|at| at.0)
}
