//! The contract: the tests that the implementations of a trait share. Each is a
//! function over a fixture; [`catalog_contract!`](crate::catalog_contract) and
//! [`queue_contract!`](crate::queue_contract) define them for one store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // test code

pub mod accounts;
pub mod catalog;
pub mod imports;
pub mod profiles;
pub mod queue;
pub mod scenarios;

use crate::accounts::{AccountStore, UserRow};
use crate::catalog::{
    AgentStore, ConnectionRow, ConnectionStore, ImportStore, ScenarioStore, SettingStore,
};
use crate::profiles::ProfileStore;
use domain::{ConnectionId, ConnectionSpec, Draft, SpaceId, Timestamp, UserId};
use serde_json::json;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The stores of accounts and the catalog.
pub struct CatalogFixture {
    pub accounts: Arc<dyn AccountStore>,
    pub connections: Arc<dyn ConnectionStore>,
    pub agents: Arc<dyn AgentStore>,
    pub scenarios: Arc<dyn ScenarioStore>,
    pub imports: Arc<dyn ImportStore>,
    pub settings: Arc<dyn SettingStore>,
    pub profiles: Arc<dyn ProfileStore>,
    /// Dropped with the store, such as a temporary folder.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl CatalogFixture {
    pub fn new<S>(store: S, guard: impl Any + Send + Sync) -> Self
    where
        S: AccountStore
            + ConnectionStore
            + AgentStore
            + ScenarioStore
            + ImportStore
            + SettingStore
            + ProfileStore,
    {
        let store = Arc::new(store);
        Self {
            accounts: store.clone(),
            connections: store.clone(),
            agents: store.clone(),
            scenarios: store.clone(),
            imports: store.clone(),
            settings: store.clone(),
            profiles: store,
            guard: Box::new(guard),
        }
    }

    /// Creates the two users of the tests.
    pub async fn with_users(self) -> Self {
        self.accounts.create_user(&person(1, "anna@example.org"), true).await.expect("the first");
        self.accounts.create_user(&person(2, "ben@example.org"), false).await.expect("the second");
        self
    }
}

/// The spaces of the two users.
pub const ANNA: SpaceId = SpaceId(Uuid::from_u128(101));
pub const BEN: SpaceId = SpaceId(Uuid::from_u128(102));

/// `seconds` after the start of a test.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp(1_700_000_000_000).plus(Duration::from_secs(seconds))
}

pub fn person(n: u128, email: &str) -> UserRow {
    UserRow {
        id: UserId(Uuid::from_u128(n)),
        space_id: SpaceId(Uuid::from_u128(100 + n)),
        email: email.into(),
        password_hash: format!("hash of {n}"),
        created_at: at(0),
        sessions_valid_from: Timestamp(0),
    }
}

/// A connection without secrets.
pub fn connection(id: ConnectionId, space_id: SpaceId) -> ConnectionRow {
    let draft =
        json!({"name": "Mine", "kind": "openai", "base_url": "https://models.example.org/v1"});
    let spec = ConnectionSpec::parse(&Draft(draft)).expect("a valid connection");
    ConnectionRow::new(id, space_id, &spec, at(0))
}

/// Defines the listed tests of `$group`; `$open` returns the fixture.
#[macro_export]
macro_rules! contract_tests {
    ($open:expr, $group:path, [$($test:ident),* $(,)?]) => {
        $(#[tokio::test]
        async fn $test() {
            use $group as group;
            group::$test($open().await).await;
        })*
    };
}

/// Defines the tests of accounts and the catalog. `$open` is an async function
/// that returns an empty [`CatalogFixture`].
#[macro_export]
macro_rules! catalog_contract {
    ($open:path) => {
        async fn open_with_users() -> $crate::contract::CatalogFixture {
            $open().await.with_users().await
        }
        $crate::contract_tests!(
            open_with_users,
            $crate::contract::accounts,
            [
                email_is_unique_ignoring_case,
                only_first_user_is_created_when_required,
                user_is_found_by_email_and_id,
                token_use_is_recorded_every_five_minutes,
                tokens_belong_to_their_user,
                expired_token_is_not_accepted,
                number_of_tokens_is_limited,
                new_password_ends_sessions,
            ]
        );
        $crate::contract_tests!(
            open_with_users,
            $crate::contract::catalog,
            [
                connection_belongs_to_its_space,
                edit_without_key_keeps_stored_key,
                kept_key_stays_at_its_address,
                stale_connection_edit_is_refused,
                connection_in_use_is_not_deleted,
                agent_update_creates_revision,
                deleted_agent_is_hidden_but_keeps_its_revisions,
                agent_pages_have_no_gaps_or_duplicates,
                settings_belong_to_their_space,
                saved_form_expires_after_a_day_and_belongs_to_its_space,
                metadata_is_replaced,
            ]
        );
        $crate::contract_tests!(
            open_with_users,
            $crate::contract::scenarios,
            [
                scenario_has_revisions_and_an_owner,
                built_in_scenarios_are_upserted_by_slug,
                scenarios_are_filtered,
                search_is_literal_and_ignores_case,
                scenario_pages_keep_the_order,
                scenarios_are_fetched_by_id_in_order,
            ]
        );
        $crate::contract_tests!(
            open_with_users,
            $crate::contract::imports,
            [import_saves_all_documents, import_with_duplicate_saves_nothing,]
        );
        $crate::contract_tests!(
            open_with_users,
            $crate::contract::profiles,
            [
                profile_belongs_to_its_space,
                profile_update_creates_a_revision_and_deletion_keeps_all,
                number_of_profiles_is_limited,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::accounts,
            [concurrent_first_users_create_one_account]
        );
    };
}

/// Defines the tests of suites and the queue. `$open` is an async function that
/// returns a [`queue::QueueFixture`] with the users 1 and 2.
#[macro_export]
macro_rules! queue_contract {
    ($open:path) => {
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::claims,
            [
                concurrency_is_limited_per_suite_and_per_user,
                users_take_turns,
                orphaned_run_is_claimed_before_pending_runs,
                parked_run_frees_user_slot_but_not_suite_slot,
                slot_is_reserved_for_parked_run,
                admission_limit_stops_new_runs,
                circuit_time_accumulates,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::retention,
            [
                expired_events_are_deleted_but_their_suite_stays,
                expired_suite_is_deleted_with_its_runs,
                suite_with_unfinished_rejudge_is_not_deleted,
                deleted_run_is_neither_copied_nor_rejudged,
                only_expired_idempotency_keys_are_deleted,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::queue_metrics,
            [queue_stats_count_unfinished_runs_by_state, each_completion_is_counted_once,]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::cancel_and_deadline,
            [
                leased_run_ends_at_its_deadline,
                deadline_stands_still_while_a_run_waits,
                first_evaluation_ends_with_its_run,
                pending_run_is_abandoned_after_a_day,
                cancel_ends_pending_runs_and_returns_leased_ones,
                cancelled_run_ends_on_release,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::outages,
            [outages_are_stored_until_they_end, pending_runs_give_up_together,]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::spending,
            [
                answered_calls_are_added_to_the_sums_once,
                rejudges_count_for_the_user_and_not_for_the_suite,
                pending_runs_end_together_when_the_budget_is_used_up,
                costs_of_an_agent_are_those_of_its_suites,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::rejudges,
            [
                rejudge_has_its_own_lease,
                users_take_turns_with_rejudges,
                deadline_of_rejudge_stands_still_while_it_waits_for_a_slot,
                rejudge_without_progress_is_abandoned,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::run_lifecycle,
            [
                run_completes_and_its_events_are_stored,
                turn_keeps_what_its_model_replied,
                final_run_never_changes,
                stale_lease_holder_changes_nothing,
                release_is_not_a_recovery,
                expired_lease_is_recovered_until_run_is_abandoned,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::lists,
            [
                history_pages_are_newest_first_without_gaps_or_duplicates,
                suites_are_filtered_by_scenario_and_error_of_one_run,
                other_spaces_see_nothing,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::create_suite,
            [
                idempotency_key_creates_one_suite,
                second_suite_over_same_scenario_is_refused,
                full_queue_refuses_suite,
                incompatible_runs_are_final_from_the_start,
                finished_conversation_is_copied,
                unfinished_conversation_is_copied,
            ]
        );
        $crate::contract_tests!(
            $open,
            $crate::contract::queue::rejudge_limits,
            [open_circuit_defers_rejudges_and_half_open_admits_one,]
        );
    };
}
