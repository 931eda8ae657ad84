//! Scenarios and their revisions over SQLite.

use crate::SqliteStore;
use crate::cell::RowReader;
use crate::rows::{document, readable};
use crate::scenario_rows::{RawScenario, check_quota, insert, save, select_scenarios};
use crate::sqlite_error::DbResult;
use async_trait::async_trait;
use domain::{Scenario, ScenarioFilter, ScenarioId, ScenarioSpec, SpaceId, Timestamp};
use futures::FutureExt;
use std::collections::HashMap;
use store::catalog::{NameCursor, OrderKey, ScenarioStore, difficulty_rank, matches_search};
use store::{StoreError, StoreResult};
use uuid::Uuid;

impl SqliteStore {
    /// One page of a list. It ignores the search text, which
    /// [`matches_search`] compares, the same for every store.
    async fn scenario_page(
        &self,
        space: SpaceId,
        filter: &ScenarioFilter,
        after: Option<&(OrderKey, Uuid)>,
        limit: u32,
    ) -> StoreResult<Vec<RawScenario>> {
        let category = filter.category.map(|category| category.as_str());
        let difficulty = filter.difficulty.map(difficulty_rank);
        let after_category = after.map(|(key, _)| &*key.category);
        let after_difficulty = after.map(|(key, _)| key.difficulty);
        let after_name = after.map(|(key, _)| &*key.name);
        let after_id = after.map(|(_, id)| *id);
        let page = select_scenarios!(
            "WHERE s.deleted_at IS NULL \
             AND ((s.space_id = ?1 AND ?2 IS NOT 1) OR (s.space_id IS NULL AND ?2 IS NOT 0)) \
             AND (?3 IS NULL OR s.category = ?3) AND (?4 IS NULL OR s.difficulty = ?4) \
             AND (?5 IS NULL OR CASE WHEN json_valid(s.tags) \
                  THEN EXISTS (SELECT 1 FROM json_each(s.tags) WHERE value = ?5) ELSE 0 END) \
             AND (?6 IS NULL OR (s.category, s.difficulty, s.name, s.id) > (?6, ?7, ?8, ?9)) \
             ORDER BY s.category, s.difficulty, s.name, s.id LIMIT ?10",
            space.0,
            filter.built_in,
            category,
            difficulty,
            filter.tag,
            after_category,
            after_difficulty,
            after_name,
            after_id,
            limit
        );
        page.fetch_all(&self.read).await.db()
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
    ) -> StoreResult<Scenario> {
        let created = Scenario {
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
                check_quota(&mut *c, space, 1).await?;
                insert(c, id, Some(space), None, now).await?;
                save(c, id, 1, &spec, now).await
            }
            .boxed()
        });
        written.await.map(|()| created)
    }

    async fn update_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        based_on: u32,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> StoreResult<Option<Scenario>> {
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
                let newest = sqlx::query_scalar!(
                    "SELECT revision FROM scenarios \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
                    id.0,
                    space.0,
                )
                .fetch_optional(&mut *c)
                .await
                .db()?;
                let Some(newest) = newest else { return Ok(false) };
                if newest.value() != Some(i64::from(based_on)) {
                    return Err(StoreError::Stale);
                }
                save(c, id, revision, &spec, now).await.map(|()| true)
            }
            .boxed()
        });
        Ok(written.await?.then_some(saved))
    }

    async fn scenario(&self, space: SpaceId, id: ScenarioId) -> StoreResult<Option<Scenario>> {
        let scenario = select_scenarios!(
            "WHERE s.id = ? AND (s.space_id = ? OR s.space_id IS NULL) AND s.deleted_at IS NULL",
            id.0,
            space.0
        );
        let scenario = scenario.fetch_optional(&self.read).await.db()?;
        scenario.map(|scenario| scenario.read()).transpose()
    }

    async fn scenarios_by_id(
        &self,
        space: SpaceId,
        ids: &[ScenarioId],
    ) -> StoreResult<Vec<Scenario>> {
        let list: Vec<String> = ids.iter().map(|id| id.0.simple().to_string()).collect();
        let list = document(&list)?;
        let scenarios = select_scenarios!(
            "WHERE s.id IN (SELECT unhex(value) FROM json_each(?1)) \
             AND (s.space_id = ?2 OR s.space_id IS NULL) AND s.deleted_at IS NULL",
            list,
            space.0
        );
        let scenarios = scenarios.fetch_all(&self.read).await.db()?;
        let scenarios: HashMap<ScenarioId, Scenario> =
            readable(scenarios.iter().map(RawScenario::read))
                .into_iter()
                .map(|scenario| (scenario.id, scenario))
                .collect();
        Ok(ids.iter().filter_map(|id| scenarios.get(id).cloned()).collect())
    }

    async fn scenarios(
        &self,
        space: SpaceId,
        filter: &ScenarioFilter,
        after: Option<NameCursor>,
        limit: u32,
    ) -> StoreResult<Vec<Scenario>> {
        let wanted = limit as usize;
        let mut after = after.and_then(|after| Some((OrderKey::parse(&after.key)?, after.id)));
        let mut scenarios = Vec::new();
        while scenarios.len() < wanted {
            let page = self.scenario_page(space, filter, after.as_ref(), limit).await?;
            let matching = page.iter().filter_map(|raw| match raw.searched() {
                Ok((name, description)) => {
                    matches_search(filter.q.as_deref(), &name, &description).then(|| raw.read())
                }
                Err(error) => Some(Err(error)),
            });
            scenarios.extend(readable(matching));
            match page.last() {
                Some(last) if page.len() >= wanted => after = Some(last.position()?),
                _ => break,
            }
        }
        scenarios.truncate(wanted);
        Ok(scenarios)
    }

    async fn scenario_revisions(
        &self,
        space: SpaceId,
        id: ScenarioId,
    ) -> StoreResult<Vec<Scenario>> {
        let revisions = sqlx::query!(
            "SELECT s.slug, r.revision, r.body, r.created_at \
             FROM scenario_revisions r JOIN scenarios s ON s.id = r.scenario_id \
             WHERE s.id = ? AND (s.space_id = ? OR s.space_id IS NULL) ORDER BY r.revision DESC",
            id.0,
            space.0,
        )
        .fetch_all(&self.read)
        .await
        .db()?;
        Ok(readable(revisions.into_iter().map(|revision| {
            let row = RowReader::new("scenario_revisions", &id);
            let slug: Option<String> = row.optional("slug", revision.slug)?;
            Ok(Scenario {
                id,
                revision: row.get("revision", revision.revision)?,
                is_built_in: slug.is_some(),
                slug,
                updated_at: row.get("created_at", revision.created_at)?,
                spec: row.json("body", revision.body)?,
            })
        })))
    }

    async fn count_scenarios(&self, space: SpaceId) -> StoreResult<(u32, u32)> {
        let counts = sqlx::query!(
            r#"SELECT COUNT(*) FILTER (WHERE space_id = ?1) AS "own!: u32",
               COUNT(*) FILTER (WHERE space_id IS NULL) AS "built_in!: u32" FROM scenarios
               WHERE (space_id = ?1 OR space_id IS NULL) AND deleted_at IS NULL"#,
            space.0,
        );
        let counts = counts.fetch_one(&self.read).await.db()?;
        Ok((counts.own, counts.built_in))
    }

    async fn delete_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let deleted = sqlx::query!(
            "UPDATE scenarios SET deleted_at = ? \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
            now.0,
            id.0,
            space.0,
        );
        Ok(self.writer.execute(deleted).await? > 0)
    }

    async fn put_built_in(
        &self,
        slug: &str,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> StoreResult<ScenarioId> {
        let (slug, spec) = (slug.to_owned(), spec.clone());
        let written = self.writer.write(move |c| {
            async move {
                let stored = select_scenarios!("WHERE s.slug = ?", slug);
                let Some(stored) = stored.fetch_optional(&mut *c).await.db()? else {
                    insert(c, id, None, Some(&slug), now).await?;
                    save(c, id, 1, &spec, now).await?;
                    return Ok(id);
                };
                // A corrupt one is saved again, so that an upgrade repairs it.
                if stored.read().is_ok_and(|stored| stored.spec == spec) {
                    return Ok(stored.id.uuid().into());
                }
                let row = RowReader::new("scenarios", &stored.id);
                let known: ScenarioId = row.get("id", stored.id.clone())?;
                let revision: u32 = row.get("revision", stored.revision)?;
                save(c, known, revision.saturating_add(1), &spec, now).await?;
                Ok(known)
            }
            .boxed()
        });
        written.await
    }
}
