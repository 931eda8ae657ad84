//! The sums of costs compared with a recount of all calls, and prices.

use crate::testing::open;
use domain::{ConnectionId, ModelPrice, NanoUsd, SuiteId};
use proptest::prelude::*;
use store::accounts::AccountStore;
use store::contract::queue::{T0, claim, id, space, suite, user};
use store::contract::{ANNA, BEN, person};
use store::queue::QueueStore;
use store::rows::{CallDone, Intent, Role};
use store::spending::{PriceStore, SpendingStore, Spent};
use store::suites::SuiteStore;
use store::transition::RunChange;

/// Outcome and cost of each call.
fn calls() -> impl Strategy<Value = Vec<(bool, Option<u64>)>> {
    let cost = prop_oneof![Just(None), (0..=10_u64).prop_map(Some), Just(Some(u64::MAX / 4))];
    proptest::collection::vec((any::<bool>(), cost), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sums_are_those_of_a_recount(calls in calls()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(compare_sums_with_recount(calls));
    }
}

async fn compare_sums_with_recount(calls: Vec<(bool, Option<u64>)>) {
    let (_folder, store) = open().await;
    store.create_user(&person(1, "anna@example.org"), true).await.unwrap();
    store.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = store.claim(claim(1, T0)).await.unwrap().remove(0);
    for (n, (is_answered, cost)) in (0..).zip(calls) {
        let call = CallDone {
            id: id(7000 + n),
            outcome: if is_answered { "ok" } else { "timeout" }.into(),
            attempts: 1,
            latency_ms: None,
            cost: cost.filter(|_| is_answered).map(NanoUsd),
        };
        let intents = vec![Intent { id: call.id, role: Role::Agent, turn: 0 }];
        store
            .commit(&run.lease(), RunChange { intents, ..RunChange::default() }, T0)
            .await
            .unwrap();
        let calls_done = vec![call];
        store
            .commit(&run.lease(), RunChange { calls_done, ..RunChange::default() }, T0)
            .await
            .unwrap();
    }
    let stored: Vec<Option<i64>> =
        sqlx::query_scalar("SELECT cost_nano_usd FROM calls WHERE outcome = 'ok'")
            .fetch_all(&store.read)
            .await
            .unwrap();
    let mut recounted = Spent::default();
    for cost in stored {
        recounted.add(cost.map(|cost| NanoUsd(u64::try_from(cost).unwrap())));
    }
    let sums = store.spending(SuiteId(id(1)), user(1), T0).await.unwrap();
    assert_eq!((sums.suite, sums.daily.spent), (recounted, recounted));
    let (row, _) = store.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(row.spent, Some(recounted));
}

#[tokio::test]
async fn prices_are_replaced_and_belong_to_a_space_and_a_connection() {
    let (_folder, store) = open().await;
    store.create_user(&person(1, "anna@example.org"), true).await.unwrap();
    let [first, second] = [1, 2].map(|n| ConnectionId(id(n)));
    let price = |model: &str, nano: u64| ModelPrice {
        model: model.into(),
        input_usd: NanoUsd(nano),
        cached_input_usd: NanoUsd(nano + 1),
        cache_write_usd: NanoUsd(nano + 2),
        output_usd: NanoUsd(nano + 3),
        as_of: "2026-11-27".into(),
        max_input_tokens: (nano > 5).then_some(1000),
        source: None,
    };
    let both = vec![price("a", 1), price("b", 9)];
    store.put_prices(ANNA, first, vec![price("old", 1)]).await.unwrap();
    store.put_prices(ANNA, first, both.clone()).await.unwrap();
    store.put_prices(ANNA, second, vec![price("a", 3)]).await.unwrap();
    assert_eq!(store.prices(ANNA, first).await.unwrap(), both);
    assert_eq!(store.prices(ANNA, second).await.unwrap(), [price("a", 3)]);
    assert!(store.prices(BEN, first).await.unwrap().is_empty());
    store.put_prices(ANNA, first, Vec::new()).await.unwrap();
    assert!(store.prices(ANNA, first).await.unwrap().is_empty());
}
