//! Scenarios: revisions, built-in ones, filters, pages.

use super::catalog::id;
use super::{ANNA, BEN, CatalogFixture, at};
use crate::StoreError;
use crate::catalog::{NameCursor, OrderKey};
use domain::{Category, Difficulty, Draft, ScenarioFilter, ScenarioId, ScenarioSpec};
use serde_json::json;

pub(super) fn scenario(
    name: &str,
    category: &str,
    difficulty: &str,
    tags: &[&str],
) -> ScenarioSpec {
    let draft = json!({
        "name": name, "description": format!("About {name}."), "category": category,
        "difficulty": difficulty, "tags": tags,
        "conversation_flow": [{"speaker": "user", "message": "Hello"}],
    });
    ScenarioSpec::parse(&Draft(draft)).unwrap()
}

pub async fn scenario_has_revisions_and_an_owner(f: CatalogFixture) {
    let key = ScenarioId(id(30));
    let one = scenario("One", "booking", "easy", &[]);
    let first = f.scenarios.create_scenario(ANNA, key, &one, at(0)).await.unwrap();
    assert_eq!((first.revision, first.is_built_in, &first.slug), (1, false, &None));
    let two = scenario("Two", "stress", "hard", &["night"]);
    let second = f.scenarios.update_scenario(ANNA, key, 1, &two, at(1)).await.unwrap().unwrap();
    let late = f.scenarios.update_scenario(ANNA, key, 1, &two, at(2)).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    assert_eq!(f.scenarios.update_scenario(BEN, key, 2, &two, at(2)).await.unwrap(), None);
    assert_eq!(f.scenarios.scenario(ANNA, key).await.unwrap(), Some(second.clone()));
    assert_eq!(f.scenarios.scenario(BEN, key).await.unwrap(), None);
    assert_eq!(f.scenarios.count_scenarios(ANNA).await.unwrap(), (1, 0));
    assert_eq!(f.scenarios.count_scenarios(BEN).await.unwrap(), (0, 0));

    assert!(!f.scenarios.delete_scenario(BEN, key, at(3)).await.unwrap());
    assert!(f.scenarios.delete_scenario(ANNA, key, at(3)).await.unwrap());
    assert!(!f.scenarios.delete_scenario(ANNA, key, at(4)).await.unwrap());
    assert_eq!(f.scenarios.scenario(ANNA, key).await.unwrap(), None);
    let all = ScenarioFilter::default();
    assert_eq!(f.scenarios.scenarios(ANNA, &all, None, 50).await.unwrap(), []);
    assert_eq!(f.scenarios.scenario_revisions(ANNA, key).await.unwrap(), [second, first]);
    assert_eq!(f.scenarios.scenario_revisions(BEN, key).await.unwrap(), []);
}

pub async fn built_in_scenarios_are_upserted_by_slug(f: CatalogFixture) {
    let store = &f.scenarios;
    let one = scenario("Opening hours", "information", "easy", &[]);
    let key = store.put_built_in("hours", ScenarioId(id(40)), &one, at(0)).await.unwrap();
    assert_eq!(key, ScenarioId(id(40)));
    let again = store.put_built_in("hours", ScenarioId(id(41)), &one, at(1)).await.unwrap();
    assert_eq!(again, key, "the slug identifies it");
    let seen = store.scenario(BEN, key).await.unwrap().unwrap();
    assert_eq!((seen.revision, seen.is_built_in, seen.slug.as_deref()), (1, true, Some("hours")));

    let two = scenario("Opening hours, asked politely", "information", "easy", &[]);
    assert_eq!(store.put_built_in("hours", ScenarioId(id(42)), &two, at(2)).await.unwrap(), key);
    let seen = store.scenario(ANNA, key).await.unwrap().unwrap();
    assert_eq!((seen.revision, &seen.spec, seen.updated_at), (2, &two, at(2)));
    assert_eq!(store.scenario_revisions(ANNA, key).await.unwrap().len(), 2);
    assert_eq!(store.count_scenarios(ANNA).await.unwrap(), (0, 1));

    // No space owns it: no user edits or deletes it.
    assert_eq!(store.update_scenario(ANNA, key, 2, &one, at(3)).await.unwrap(), None);
    assert!(!store.delete_scenario(ANNA, key, at(3)).await.unwrap());
}

async fn create_scenarios(f: &CatalogFixture) {
    let scenarios = [
        (50, scenario("Late bus", "booking", "hard", &["travel", "night"])),
        (51, scenario("Early bird", "booking", "easy", &["travel"])),
        (52, scenario("Refund", "support", "medium", &[])),
        (53, scenario("Early bird", "booking", "easy", &["night owls"])),
    ];
    for (n, spec) in scenarios {
        let key = ScenarioId(id(n));
        f.scenarios.create_scenario(ANNA, key, &spec, at(0)).await.unwrap();
    }
    let built_in = scenario("Hello", "greeting", "easy", &["travel"]);
    f.scenarios.put_built_in("hello", ScenarioId(id(60)), &built_in, at(0)).await.unwrap();
    let theirs = scenario("Theirs", "booking", "easy", &["travel"]);
    f.scenarios.create_scenario(BEN, ScenarioId(id(70)), &theirs, at(0)).await.unwrap();
}

async fn listed(f: &CatalogFixture, filter: ScenarioFilter) -> Vec<u128> {
    let found = f.scenarios.scenarios(ANNA, &filter, None, 50).await.unwrap();
    found.into_iter().map(|scenario| scenario.id.0.as_u128()).collect()
}

pub async fn scenarios_are_filtered(f: CatalogFixture) {
    create_scenarios(&f).await;
    let all = ScenarioFilter::default();
    assert_eq!(listed(&f, all.clone()).await, [51, 53, 50, 60, 52]);
    let of = |category| ScenarioFilter { category: Some(category), ..all.clone() };
    assert_eq!(listed(&f, of(Category::Booking)).await, [51, 53, 50]);
    let hard = ScenarioFilter { difficulty: Some(Difficulty::Hard), ..all.clone() };
    assert_eq!(listed(&f, hard).await, [50]);
    let tagged = |tag: &str| ScenarioFilter { tag: Some(tag.into()), ..all.clone() };
    assert_eq!(listed(&f, tagged("travel")).await, [51, 50, 60]);
    assert_eq!(listed(&f, tagged("night")).await, [50], "a tag is compared as a whole");
    let built_in = |built_in| ScenarioFilter { built_in: Some(built_in), ..all.clone() };
    assert_eq!(listed(&f, built_in(true)).await, [60]);
    assert_eq!(listed(&f, built_in(false)).await, [51, 53, 50, 52]);
    let both = ScenarioFilter { tag: Some("travel".into()), ..of(Category::Booking) };
    assert_eq!(listed(&f, both).await, [51, 50]);
}

pub async fn search_is_literal_and_ignores_case(f: CatalogFixture) {
    let scenarios =
        [(50, "100% sure"), (51, "100 percent"), (52, "snake_case"), (53, "ÄRGER im Café")];
    for (n, name) in scenarios {
        let spec = scenario(name, "support", "easy", &[]);
        f.scenarios.create_scenario(ANNA, ScenarioId(id(n)), &spec, at(0)).await.unwrap();
    }
    let q = |words: &str| ScenarioFilter { q: Some(words.into()), ..ScenarioFilter::default() };
    assert_eq!(listed(&f, q("100%")).await, [50]);
    assert_eq!(listed(&f, q("e_c")).await, [52]);
    assert_eq!(listed(&f, q("SNAKE")).await, [52]);
    assert_eq!(listed(&f, q("ärger")).await, [53]);
    assert_eq!(listed(&f, q("CAFÉ")).await, [53]);
    assert_eq!(listed(&f, q("about 100")).await, [51, 50], "in the description");
    assert_eq!(listed(&f, q("'; --")).await, []);
    assert_eq!(listed(&f, q("  ")).await.len(), 4);
}

pub async fn scenario_pages_keep_the_order(f: CatalogFixture) {
    create_scenarios(&f).await;
    for limit in 1..=6 {
        for q in [None, Some("early".to_owned())] {
            let wanted: &[u128] = if q.is_some() { &[51, 53] } else { &[51, 53, 50, 60, 52] };
            let filter = ScenarioFilter { q, ..ScenarioFilter::default() };
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = f.scenarios.scenarios(ANNA, &filter, after.take(), limit).await;
                let page = page.unwrap();
                let Some(last) = page.last() else { break };
                let key = OrderKey::of(&last.spec).text();
                after = Some(NameCursor { key, id: last.id.0 });
                seen.extend(page.iter().map(|scenario| scenario.id.0.as_u128()));
            }
            assert_eq!(seen, wanted, "in pages of {limit}");
        }
    }
}

pub async fn scenarios_are_fetched_by_id_in_order(f: CatalogFixture) {
    create_scenarios(&f).await;
    let ids = [60, 52, 70, 99, 50].map(|n| ScenarioId(id(n)));
    let found = f.scenarios.scenarios_by_id(ANNA, &ids).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|scenario| scenario.id.0.as_u128()).collect();
    assert_eq!(found, [60, 52, 50], "without those of other spaces and missing ones");
}
