//! Rows of scenarios: how they are read and written.

use crate::trouble::DbResult;
use super::accounts::unique;
use super::agents::document;
use super::rows::{json, time_of, u32_of, uuid_of};
use store::Stored;
use store::catalog::{OrderKey, rank};
use domain::{Scenario, ScenarioId, ScenarioSpec, SpaceId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// A scenario with its newest revision. A revision that is missing is a
/// damaged row, not an absent scenario: hence the outer join.
macro_rules! select_scenarios {
    ($tail:literal) => {
        concat!(
            "SELECT s.id, s.slug, s.name, s.description, s.category, s.difficulty, s.revision, ",
            "r.body, r.created_at AS saved_at FROM scenarios s ",
            "LEFT JOIN scenario_revisions r ON r.scenario_id = s.id AND r.revision = s.revision ",
            $tail
        )
    };
}
pub(super) use select_scenarios;

pub(super) fn scenario(row: &SqliteRow) -> Stored<Scenario> {
    let slug: Option<String> = row.try_get("slug").db()?;
    Ok(Scenario {
        id: uuid_of(row, "id")?.into(),
        revision: u32_of(row, "revision")?,
        is_built_in: slug.is_some(),
        slug,
        updated_at: time_of(row, "saved_at")?,
        spec: json(row, "body")?,
    })
}

/// Where a row stands in the list, read from its columns alone, so that a
/// damaged document does not end the list.
pub(super) fn place(row: &SqliteRow) -> Stored<(OrderKey, Uuid)> {
    let difficulty: i64 = row.try_get("difficulty").db()?;
    let key = OrderKey {
        category: row.try_get("category").db()?,
        difficulty: u8::try_from(difficulty).unwrap_or(u8::MAX),
        name: row.try_get("name").db()?,
    };
    Ok((key, uuid_of(row, "id")?))
}

/// The columns by which lists are filtered and sorted, and the new revision.
pub(super) async fn save(
    c: &mut SqliteConnection,
    id: ScenarioId,
    revision: u32,
    spec: &ScenarioSpec,
    now: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "UPDATE scenarios SET name = ?, description = ?, category = ?, difficulty = ?, tags = ?, \
         is_active = ?, revision = ? WHERE id = ?",
    )
    .bind(&spec.name)
    .bind(&spec.description)
    .bind(spec.category.as_str())
    .bind(rank(spec.difficulty))
    .bind(document(&spec.tags)?)
    .bind(spec.is_active)
    .bind(revision)
    .bind(id.0)
    .execute(&mut *c)
    .await.db()?;
    sqlx::query(
        "INSERT INTO scenario_revisions (scenario_id, revision, body, created_at) \
         VALUES (?, ?, ?, ?)",
    )
    .bind(id.0)
    .bind(revision)
    .bind(document(spec)?)
    .bind(now.0)
    .execute(c)
    .await.db()?;
    Ok(())
}

/// A new row of a space or of a slug; its columns come with [`save`].
pub(super) async fn insert(
    c: &mut SqliteConnection,
    id: ScenarioId,
    space: Option<SpaceId>,
    slug: Option<&str>,
    now: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO scenarios (id, space_id, slug, name, description, category, difficulty, \
         tags, is_active, revision, created_at) VALUES (?, ?, ?, '', '', '', 0, '[]', 0, 0, ?)",
    )
    .bind(id.0)
    .bind(space.map(|space| space.0))
    .bind(slug)
    .bind(now.0)
    .execute(c)
    .await
    .map_err(unique("scenario"))?;
    Ok(())
}
