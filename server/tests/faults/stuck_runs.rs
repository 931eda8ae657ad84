//! A run was set to *running*, its process died, and nobody ever changed it
//! again. Here a run is held by a lease: the next boot takes up what the dead
//! process held, another process does when the lease lapses, and whatever
//! happens the run is final by its deadline.

use super::outside::{SOON, assert_endings, binary, scenarios, start, until, whole_runs};
use super::world::{Boot, T0, World, kind, obliging, scripted};
use domain::{ErrorKind, RunStatus};
use serde_json::json;
use fault_injection::house::House;
use mock_provider::{Action, Outcome, Rule, Script};
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_next_boot_takes_up_at_once_what_a_kill_left_running() {
    let stand = mock_provider::start(Script::of([Rule::always(Action::Hang)])).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("stuck@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let three = scenarios(&user, "S", 3, 2).await;
    let suite = start(&user, &agent, &three, json!({"concurrency": 3})).await;
    until("three calls hang", SOON, async || stand.journal().len() == 3).await;
    house.kill();
    stand.play(Script::default());
    house.start().await;
    // A lease holds for 30 s: whoever waits for it to lapse is too late here.
    let suite = user.finished_within(&suite, Duration::from_secs(20)).await;
    assert_endings(&suite, &[("passed", 3)]);
    for run in whole_runs(&user, &suite).await {
        assert_eq!(run["recoveries"], 1, "{run}");
        assert_eq!(run["transcript"].as_array().unwrap().len(), 4);
    }
    let journal = stand.journal();
    assert_eq!(journal.len(), 3 + 3 * 3, "the calls in flight were made again, nothing else");
    assert!(journal[..3].iter().all(|entry| entry.outcome == Outcome::Dropped));
}

#[test]
fn another_process_takes_up_what_a_dead_one_held_when_the_lease_lapses() {
    let world = World::new(|_, request| obliging(SECOND, request));
    let suite = world.suite(T0, 3, &[scripted(3, 300)]);
    world.live(T0, Boot::Beside, async |_| sleep(SECOND * 5 / 2).await);
    let died = T0.plus(SECOND * 5 / 2);
    assert_eq!(world.seen().len(), 3, "it died in its third call");
    let run = world.live(died.plus(SECOND), Boot::Beside, async |life| {
        life.finished(suite, SECOND * 60).await.remove(0)
    });
    assert_eq!((run.status, run.recoveries), (RunStatus::Passed, 1));
    assert_eq!(world.said(&run).len(), 6);
    assert_eq!(world.seen().len(), 5, "the third call twice, the judge's once");
    let again = world.seen()[3].since(T0);
    assert!(again >= SECOND * 30, "not before the lease lapsed: {again:?}");
    assert!(again <= SECOND * 40, "and soon after: {again:?}");
}

#[test]
fn past_its_deadline_it_is_final_two_seconds_after_the_next_boot() {
    for boot in [Boot::Alone, Boot::Beside] {
        let world = World::new(|_, _| Box::pin(std::future::pending()));
        let suite = world.suite(T0, 3, &[scripted(1, 300), scripted(1, 300)]);
        world.live(T0, Boot::Alone, async |_| sleep(SECOND).await);
        let running = world.runs(suite);
        assert!(running.iter().all(|run| run.status == RunStatus::Running));
        let back = T0.plus(HOUR * 2);
        assert!(running.iter().all(|run| run.deadline_at.is_some_and(|deadline| deadline < back)));
        world.live(back, boot, async |_| sleep(SECOND * 2).await);
        for run in world.runs(suite) {
            assert_eq!(kind(&run), Some(ErrorKind::Abandoned));
            assert_eq!(world.said(&run), ["Question 0"], "what was said is kept");
        }
        assert_eq!(world.seen().len(), 2, "nothing is called after the deadline");
    }
}

#[test]
fn nobody_waits_longer_than_a_day() {
    let mut world = World::new(|_, _| Box::pin(std::future::pending()));
    world.settings.call_timeout = HOUR * 2;
    // One at a time, an hour each: after a day some were never begun.
    let all: Vec<_> = (0..30).map(|_| scripted(1, 3600)).collect();
    let suite = world.suite(T0, 1, &all);
    let runs = world
        .live(T0, Boot::Alone, async |life| life.finished(suite, HOUR * 24 + SECOND * 3660).await);
    let never_begun: Vec<_> = runs.iter().filter(|run| run.started_at.is_none()).collect();
    assert!(never_begun.len() >= 5, "{}", never_begun.len());
    for run in never_begun {
        assert_eq!(kind(run), Some(ErrorKind::Abandoned));
        let waited = run.finished_at.unwrap().since(T0);
        assert!(waited >= HOUR * 24 && waited <= HOUR * 24 + SECOND * 6, "{waited:?}");
    }
    assert!(runs.iter().filter(|run| kind(run) == Some(ErrorKind::Timeout)).count() >= 23);
}

#[test]
fn a_run_that_takes_its_server_down_does_so_four_times() {
    let world = World::new(|_, _| Box::pin(std::future::pending()));
    let suite = world.suite(T0, 3, &[scripted(1, 300)]);
    for life in 0..6 {
        world.live(T0.plus(SECOND * life), Boot::Alone, async |_| {
            sleep(Duration::from_millis(300)).await;
        });
    }
    assert_eq!(kind(&world.runs(suite)[0]), Some(ErrorKind::Abandoned));
    assert_eq!(world.seen().len(), 4);
}
