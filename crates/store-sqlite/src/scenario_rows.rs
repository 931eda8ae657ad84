//! Reading and writing rows of scenarios.

use crate::accounts::unique;
use crate::cell::{Cell, RowReader};
use crate::quota::require_room;
use crate::rows::document;
use crate::sqlite_error::{DbResult, RunStatement};
use domain::{Scenario, ScenarioId, ScenarioSpec, SpaceId, Timestamp, limits};
use sqlx::SqliteConnection;
use store::StoreResult;
use store::catalog::{OrderKey, difficulty_rank};
use uuid::Uuid;

pub(super) struct RawScenario {
    pub(super) id: Cell<Vec<u8>>,
    pub(super) slug: Option<Cell<String>>,
    pub(super) name: Cell<String>,
    pub(super) description: Cell<String>,
    pub(super) category: Cell<String>,
    pub(super) difficulty: Cell<i64>,
    pub(super) revision: Cell<i64>,
    pub(super) body: Option<Cell<String>>,
    pub(super) saved_at: Option<Cell<i64>>,
}

/// Scenarios with their newest revision. The join is an outer one, because a
/// scenario whose revision is missing is corrupt, not absent.
macro_rules! select_scenarios {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            $crate::scenario_rows::RawScenario,
            "SELECT s.id, s.slug, s.name, s.description, s.category, s.difficulty, s.revision, \
             r.body, r.created_at AS saved_at FROM scenarios s \
             LEFT JOIN scenario_revisions r ON r.scenario_id = s.id AND r.revision = s.revision "
             + $tail
            $(, $argument)*
        )
    };
}
pub(super) use select_scenarios;

impl RawScenario {
    fn row(&self) -> RowReader<'_> {
        RowReader::new("scenarios", &self.id)
    }

    pub(super) fn read(&self) -> StoreResult<Scenario> {
        let row = self.row();
        let slug: Option<String> = row.optional("slug", self.slug.clone())?;
        Ok(Scenario {
            id: row.get("id", self.id.clone())?,
            revision: row.get("revision", self.revision.clone())?,
            is_built_in: slug.is_some(),
            slug,
            updated_at: row.get("created_at", self.saved_at.clone())?,
            spec: row.json("body", self.body.clone())?,
        })
    }

    /// The position of the row in the list. It does not need the document, so
    /// that a corrupt one does not end the list.
    pub(super) fn position(&self) -> StoreResult<(OrderKey, Uuid)> {
        let row = self.row();
        let key = OrderKey {
            category: row.get("category", self.category.clone())?,
            difficulty: row.get("difficulty", self.difficulty.clone())?,
            name: row.get("name", self.name.clone())?,
        };
        Ok((key, row.get("id", self.id.clone())?))
    }

    /// The columns that a search looks at.
    pub(super) fn searched(&self) -> StoreResult<(String, String)> {
        let row = self.row();
        let name = row.get("name", self.name.clone())?;
        Ok((name, row.get("description", self.description.clone())?))
    }
}

/// Stores a new revision and the columns by which lists filter and sort.
pub(super) async fn save(
    c: &mut SqliteConnection,
    id: ScenarioId,
    revision: u32,
    spec: &ScenarioSpec,
    now: Timestamp,
) -> StoreResult<()> {
    let (category, difficulty) = (spec.category.as_str(), difficulty_rank(spec.difficulty));
    let (tags, body) = (document(&spec.tags)?, document(spec)?);
    sqlx::query!(
        "UPDATE scenarios SET name = ?, description = ?, category = ?, difficulty = ?, tags = ?, \
         is_active = ?, revision = ? WHERE id = ?",
        spec.name,
        spec.description,
        category,
        difficulty,
        tags,
        spec.is_active,
        revision,
        id.0,
    )
    .run(c)
    .await?;
    sqlx::query!(
        "INSERT INTO scenario_revisions (scenario_id, revision, body, created_at) \
         VALUES (?, ?, ?, ?)",
        id.0,
        revision,
        body,
        now.0,
    )
    .run(c)
    .await
}

/// Fails if the space would have too many scenarios with `new` more of them.
pub(super) async fn check_quota(
    c: &mut SqliteConnection,
    space: SpaceId,
    new: usize,
) -> StoreResult<()> {
    let count = sqlx::query_scalar!(
        r#"SELECT COUNT(*) AS "count!: u32" FROM scenarios
           WHERE space_id = ? AND deleted_at IS NULL"#,
        space.0,
    );
    let count = count.fetch_one(c).await.db()?;
    require_room(count, new, limits::SCENARIOS_PER_USER, "scenarios")
}

/// Inserts a scenario of a space, or a built-in one with a slug. [`save`] fills
/// the other columns.
pub(super) async fn insert(
    c: &mut SqliteConnection,
    id: ScenarioId,
    space: Option<SpaceId>,
    slug: Option<&str>,
    now: Timestamp,
) -> StoreResult<()> {
    let space = space.map(|space| space.0);
    sqlx::query!(
        "INSERT INTO scenarios (id, space_id, slug, name, description, category, difficulty, \
         tags, is_active, revision, created_at) VALUES (?, ?, ?, '', '', '', 0, '[]', 0, 0, ?)",
        id.0,
        space,
        slug,
        now.0,
    )
    .execute(c)
    .await
    .map_err(unique("scenario"))?;
    Ok(())
}
