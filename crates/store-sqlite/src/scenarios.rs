//! Scenarios and their revisions over SQLite.

use crate::trouble::DbResult;
use super::SqliteStore;
use super::agents::document;
use super::rows::{u32_of, uuid_of};
use super::scenario_rows::{insert, place, save, scenario, select_scenarios};
use store::catalog::{After, OrderKey, ScenarioStore, rank, says};
use store::{StoreError, Stored};
use domain::{Scenario, ScenarioFilter, ScenarioId, ScenarioSpec, SpaceId, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

/// One page of a filter, but for its words: those are compared by
/// [`says`], the same in every store.
const PAGE: &str = select_scenarios!(
    "WHERE s.deleted_at IS NULL \
     AND ((s.space_id = ?1 AND ?2 IS NOT 1) OR (s.space_id IS NULL AND ?2 IS NOT 0)) \
     AND (?3 IS NULL OR s.category = ?3) AND (?4 IS NULL OR s.difficulty = ?4) \
     AND (?5 IS NULL OR CASE WHEN json_valid(s.tags) \
          THEN EXISTS (SELECT 1 FROM json_each(s.tags) WHERE value = ?5) ELSE 0 END) \
     AND (?6 IS NULL OR (s.category, s.difficulty, s.name, s.id) > (?6, ?7, ?8, ?9)) \
     ORDER BY s.category, s.difficulty, s.name, s.id LIMIT ?10"
);

impl SqliteStore {
    async fn page(
        &self,
        space: SpaceId,
        filter: &ScenarioFilter,
        after: Option<&(OrderKey, Uuid)>,
        limit: u32,
    ) -> Stored<Vec<SqliteRow>> {
        let (key, id) = after.map(|(key, id)| (key, *id)).unzip();
        let rows = sqlx::query(PAGE)
            .bind(space.0)
            .bind(filter.built_in)
            .bind(filter.category.map(|category| category.as_str()))
            .bind(filter.difficulty.map(rank))
            .bind(filter.tag.clone())
            .bind(key.map(|key| key.category.clone()))
            .bind(key.map(|key| key.difficulty))
            .bind(key.map(|key| key.name.clone()))
            .bind(id)
            .bind(limit)
            .fetch_all(&self.read)
            .await.db()?;
        Ok(rows)
    }
}

#[async_trait]
impl ScenarioStore for SqliteStore {
    async fn create_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<Scenario> {
        let made = Scenario {
            id,
            revision: 1,
            slug: None,
            is_built_in: false,
            updated_at: now,
            spec: spec.clone(),
        };
        let spec = spec.clone();
        let written = self.writer.write(move |c| {
            async move {
                insert(c, id, Some(space), None, now).await?;
                save(c, id, 1, &spec, now).await
            }
            .boxed()
        });
        written.await.map(|()| made)
    }

    async fn update_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        based_on: u32,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<Option<Scenario>> {
        let revision = based_on.saturating_add(1);
        let saved = Scenario {
            id,
            revision,
            slug: None,
            is_built_in: false,
            updated_at: now,
            spec: spec.clone(),
        };
        let spec = spec.clone();
        let written = self.writer.write(move |c| {
            async move {
                let newest: Option<i64> = sqlx::query_scalar(
                    "SELECT revision FROM scenarios \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
                )
                .bind(id.0)
                .bind(space.0)
                .fetch_optional(&mut *c)
                .await.db()?;
                match newest {
                    None => Ok(false),
                    Some(newest) if newest != i64::from(based_on) => Err(StoreError::Stale),
                    Some(_) => save(c, id, revision, &spec, now).await.map(|()| true),
                }
            }
            .boxed()
        });
        Ok(written.await?.then_some(saved))
    }

    async fn scenario(&self, space: SpaceId, id: ScenarioId) -> Stored<Option<Scenario>> {
        let row = sqlx::query(select_scenarios!(
            "WHERE s.id = ? AND (s.space_id = ? OR s.space_id IS NULL) AND s.deleted_at IS NULL"
        ))
        .bind(id.0)
        .bind(space.0)
        .fetch_optional(&self.read)
        .await.db()?;
        row.as_ref().map(scenario).transpose()
    }

    async fn scenarios_by_id(&self, space: SpaceId, ids: &[ScenarioId]) -> Stored<Vec<Scenario>> {
        let list: Vec<String> = ids.iter().map(|id| id.0.simple().to_string()).collect();
        let rows = sqlx::query(select_scenarios!(
            "WHERE s.id IN (SELECT unhex(value) FROM json_each(?1)) \
             AND (s.space_id = ?2 OR s.space_id IS NULL) AND s.deleted_at IS NULL"
        ))
        .bind(document(&list)?)
        .bind(space.0)
        .fetch_all(&self.read)
        .await.db()?;
        let mut found = std::collections::HashMap::with_capacity(rows.len());
        for row in &rows {
            match scenario(row) {
                Ok(scenario) => drop(found.insert(scenario.id, scenario)),
                Err(error) => tracing::error!(%error, "a damaged scenario is left out of a list"),
            }
        }
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    async fn scenarios(
        &self,
        space: SpaceId,
        filter: &ScenarioFilter,
        after: Option<After>,
        limit: u32,
    ) -> Stored<Vec<Scenario>> {
        let wanted = limit as usize;
        let mut after = after.and_then(|after| Some((OrderKey::parse(&after.key)?, after.id)));
        let mut found = Vec::new();
        while found.len() < wanted {
            let rows = self.page(space, filter, after.as_ref(), limit).await?;
            for row in &rows {
                let (name, description): (String, String) =
                    (row.try_get("name").db()?, row.try_get("description").db()?);
                if found.len() >= wanted || !says(filter.q.as_deref(), &name, &description) {
                    continue;
                }
                match scenario(row) {
                    Ok(scenario) => found.push(scenario),
                    Err(error) => {
                        tracing::error!(%error, "a damaged scenario is left out of a list");
                    }
                }
            }
            match rows.last() {
                Some(last) if rows.len() >= wanted => after = Some(place(last)?),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn scenario_revisions(&self, space: SpaceId, id: ScenarioId) -> Stored<Vec<Scenario>> {
        let rows = sqlx::query(
            "SELECT r.scenario_id AS id, s.slug, r.revision, r.body, r.created_at AS saved_at \
             FROM scenario_revisions r JOIN scenarios s ON s.id = r.scenario_id \
             WHERE s.id = ? AND (s.space_id = ? OR s.space_id IS NULL) ORDER BY r.revision DESC",
        )
        .bind(id.0)
        .bind(space.0)
        .fetch_all(&self.read)
        .await.db()?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            match scenario(row) {
                Ok(scenario) => found.push(scenario),
                Err(error) => tracing::error!(%error, "a damaged revision is left out of a list"),
            }
        }
        Ok(found)
    }

    async fn count_scenarios(&self, space: SpaceId) -> Stored<(u32, u32)> {
        let row = sqlx::query(
            "SELECT COUNT(*) FILTER (WHERE space_id = ?1) AS own, \
             COUNT(*) FILTER (WHERE space_id IS NULL) AS built_in FROM scenarios \
             WHERE (space_id = ?1 OR space_id IS NULL) AND deleted_at IS NULL",
        )
        .bind(space.0)
        .fetch_one(&self.read)
        .await.db()?;
        Ok((u32_of(&row, "own")?, u32_of(&row, "built_in")?))
    }

    async fn delete_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        now: Timestamp,
    ) -> Stored<bool> {
        let written = self.writer.write(move |c| {
            async move {
                let done = sqlx::query(
                    "UPDATE scenarios SET deleted_at = ? \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
                )
                .bind(now.0)
                .bind(id.0)
                .bind(space.0)
                .execute(c)
                .await.db()?;
                Ok(done.rows_affected() > 0)
            }
            .boxed()
        });
        written.await
    }

    async fn put_built_in(
        &self,
        slug: &str,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<ScenarioId> {
        let (slug, spec) = (slug.to_owned(), spec.clone());
        let written = self.writer.write(move |c| {
            async move {
                let row = sqlx::query(select_scenarios!("WHERE s.slug = ?"))
                    .bind(&slug)
                    .fetch_optional(&mut *c)
                    .await.db()?;
                let Some(row) = row else {
                    insert(c, id, None, Some(&slug), now).await?;
                    save(c, id, 1, &spec, now).await?;
                    return Ok(id);
                };
                let known: ScenarioId = uuid_of(&row, "id")?.into();
                // One that cannot be read is written anew: an upgrade repairs it.
                if scenario(&row).is_ok_and(|stored| stored.spec == spec) {
                    return Ok(known);
                }
                save(c, known, u32_of(&row, "revision")?.saturating_add(1), &spec, now).await?;
                Ok(known)
            }
            .boxed()
        });
        written.await
    }
}
