//! The contract suite: what every store must do. Each story is a function over
//! a fixture; [`catalog_contract!`](crate::catalog_contract) and
//! [`queue_contract!`](crate::queue_contract) turn all of them into tests of
//! one store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // test code

pub mod accounts;
pub mod catalog;
pub mod imports;
pub mod work;

use crate::accounts::{AccountStore, UserRow};
use crate::catalog::{AgentStore, ConnectionStore, ImportStore, ScenarioStore, SettingStore};
use domain::{SpaceId, Timestamp, UserId};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The stores of accounts and of what users write.
pub struct CatalogFixture {
    pub accounts: Arc<dyn AccountStore>,
    pub connections: Arc<dyn ConnectionStore>,
    pub agents: Arc<dyn AgentStore>,
    pub scenarios: Arc<dyn ScenarioStore>,
    pub imports: Arc<dyn ImportStore>,
    pub settings: Arc<dyn SettingStore>,
    /// What must live as long as the store, such as a temporary folder.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl CatalogFixture {
    /// All aggregates of an empty store.
    pub fn new<S>(store: S, guard: impl Any + Send + Sync) -> Self
    where
        S: AccountStore + ConnectionStore + AgentStore + ScenarioStore + ImportStore + SettingStore,
    {
        let store = Arc::new(store);
        Self {
            accounts: store.clone(),
            connections: store.clone(),
            agents: store.clone(),
            scenarios: store.clone(),
            imports: store.clone(),
            settings: store,
            guard: Box::new(guard),
        }
    }

    /// Creates the two users of the stories.
    pub async fn with_users(self) -> Self {
        self.accounts.create_user(&person(1, "anna@example.org"), true).await.expect("the first");
        self.accounts.create_user(&person(2, "ben@example.org"), false).await.expect("the second");
        self
    }
}

/// Spaces of the two users.
pub const ANNA: SpaceId = SpaceId(Uuid::from_u128(101));
pub const BEN: SpaceId = SpaceId(Uuid::from_u128(102));

/// A time `seconds` after the start of every story.
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
    }
}

/// Defines one test per story of `$group`; `$open` returns the fixture.
#[macro_export]
macro_rules! contract_tests {
    ($open:expr, $group:path, [$($story:ident),* $(,)?]) => {
        $(#[tokio::test]
        async fn $story() {
            use $group as stories;
            stories::$story($open().await).await;
        })*
    };
}

/// Runs every story about accounts and the catalog; `$open` is an async
/// function that returns an empty [`CatalogFixture`].
#[macro_export]
macro_rules! catalog_contract {
    ($open:path) => {
        async fn open_with_users() -> $crate::contract::CatalogFixture {
            $open().await.with_users().await
        }
        $crate::contract_tests!(open_with_users, $crate::contract::accounts, [
            an_address_belongs_to_one_user,
            only_the_first_may_come,
            a_user_is_found_by_address_and_id,
            a_token_leads_to_its_user_and_notes_its_use,
            tokens_are_their_users,
        ]);
        $crate::contract_tests!(open_with_users, $crate::contract::catalog, [
            a_connection_is_its_space_s,
            an_edit_without_a_key_leaves_the_stored_one,
            an_edit_of_an_older_connection_changes_nothing,
            a_connection_in_use_stays,
            an_agent_has_revisions,
            a_deleted_agent_is_hidden_and_its_history_stays,
            agents_come_in_pages_without_gaps_or_doubles,
            a_scenario_has_revisions_and_an_owner,
            built_in_scenarios_are_put_by_slug,
            scenarios_are_filtered,
            words_are_taken_literally_and_without_case,
            scenarios_come_in_pages_in_their_order,
            scenarios_are_fetched_by_id_in_order,
            settings_are_their_space_s,
            a_draft_is_kept_for_a_day_for_its_writer,
            facts_are_replaced,
        ]);
        $crate::contract_tests!(open_with_users, $crate::contract::imports, [
            all_are_saved_together,
            of_many_with_one_that_is_there_none_is_saved,
        ]);
        $crate::contract_tests!($open, $crate::contract::accounts, [two_firsts_at_once_are_one]);
    };
}

/// Runs every story about suites and the queue; `$open` is an async function
/// that returns a [`work::QueueFixture`] with the users 1 and 2.
#[macro_export]
macro_rules! queue_contract {
    ($open:path) => {
        $crate::contract_tests!($open, $crate::contract::work::claims, [
            concurrency_holds_per_suite_and_per_user,
            users_take_turns,
            begun_runs_go_before_new_ones,
            parked_runs_keep_the_suite_place_and_free_the_users,
            a_place_that_is_wanted_back_is_kept,
            nothing_begins_where_its_first_call_would_wait,
            time_behind_circuits_adds_up,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::cleaning, [
            old_events_go_and_the_suite_stays,
            old_suites_go_with_everything_in_them,
            a_suite_that_is_judged_again_stays_until_that_is_done,
            what_is_gone_is_no_source_and_is_not_judged,
            old_keys_go_and_new_ones_stay,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::counting, [
            unfinished_runs_are_counted_by_what_they_do,
            each_end_is_counted_once_whoever_brought_it,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::ends, [
            past_the_deadline_it_ends_whoever_holds_it,
            nobody_begins_it_for_a_day,
            cancel_ends_what_nobody_holds_and_tells_of_the_rest,
            what_was_to_stop_ends_when_it_is_handed_back,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::judging_again, [
            judging_again_has_a_lease_of_its_own,
            users_take_turns_at_judging_again,
            a_judging_that_takes_its_server_down_is_given_up,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::life, [
            a_run_goes_its_way_and_events_tell_of_it,
            final_is_final_for_ever,
            a_stale_holder_changes_nothing,
            handing_back_is_no_recovery,
            lapsed_leases_are_freed_and_a_run_that_kills_is_given_up,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::reading, [
            lists_go_from_new_to_old_without_gap_or_double,
            suites_are_found_by_what_their_runs_are,
            what_is_somebody_elses_is_not_there,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::starts, [
            one_key_one_suite,
            one_suite_over_a_scenario_at_a_time,
            a_full_queue_refuses,
            runs_of_incompatible_pairs_are_final_from_the_start,
            a_finished_conversation_is_copied,
        ]);
        $crate::contract_tests!($open, $crate::contract::work::judging, [
            it_waits_and_one_tries,
        ]);
    };
}
