//! A database that somebody else has locked, and a disk that is full: what is
//! asked meanwhile is answered clearly, nothing is lost, and it goes on by
//! itself.

use crate::disk::Small;
use crate::history::{Rules, check, database_file, gather};
use crate::house::{Binary, House, User, id};
use crate::reader::Reader;
use crate::report::{Dose, Report};
use crate::world::{count_runs, finished_somehow, owned, start_of};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use mock_provider::{Script, Stand};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a page may take that needs no write.
const READ: Duration = Duration::from_secs(2);
/// After the room is back, or the lock is gone.
const RECOVERED: Duration = Duration::from_secs(20);

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("disk", dose);
    locked(&mut report, binary, dose).await;
    match Small::mount(24) {
        Ok(disk) => full(&mut report, binary, dose, disk).await,
        Err(error) => report.skip(format!("the full disk: none can be mounted here ({error})")),
    }
    report
}

async fn stand() -> Stand {
    let script = Script { latency_ms: 100, forget_bodies: true, ..Script::default() };
    mock_provider::start(script).await.unwrap()
}

/// A suite in the middle of its work, and a page that reads it.
async fn at_work(house: &House, stand: &Stand, name: &str) -> (User, Value, Reader) {
    let user = house.user(&format!("{name}@example.org"));
    let agent = user.agent("openai", &stand.openai_url()).await;
    let body = start_of(&user, &agent, 6, 12, 6).await;
    let suite = user.make("/suites", &body).await;
    let reader = Reader::of(&user, &id(&suite));
    while reader.look(|seen| seen.announced.len()) < 12 {
        sleep(Duration::from_millis(10)).await;
    }
    (user, suite, reader)
}

async fn locked(report: &mut Report, binary: &Binary, dose: &Dose) {
    let hold = Duration::from_secs(dose.pick(dose.seconds.min(5), 12));
    let (stand, house) = (stand().await, House::new(binary).await);
    let (user, suite, reader) = at_work(&house, &stand, "locked").await;
    let file = database_file(house.data());
    let options = SqliteConnectOptions::new().filename(file);
    let mut other = options.busy_timeout(Duration::from_secs(10)).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let began = Instant::now();
    let write = {
        let (user, scenario) = (user.clone(), scenario("Meanwhile", "hello"));
        tokio::spawn(async move { timeout(RECOVERED, save(&user, &scenario)).await })
    };
    let mut reads = 0;
    let mut slow = 0;
    while began.elapsed() < hold {
        let read = timeout(READ, user.try_get(&format!("/suites/{}", id(&suite)))).await;
        slow += usize::from(!matches!(read, Ok(Ok(_))));
        reads += 1;
        sleep(Duration::from_millis(250)).await;
    }
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    report.count("the database was locked for", format!("{} s", began.elapsed().as_secs()));
    let said = match write.await.unwrap() {
        Err(_) => "no answer".to_owned(),
        Ok(Saved::As(id)) if user.try_get(&format!("/scenarios/{id}")).await.is_err() => {
            "saved, and then not there".to_owned()
        }
        Ok(Saved::As(_)) => "saved".to_owned(),
        Ok(Saved::Refused) => "refused clearly".to_owned(),
        Ok(Saved::Unclear(text)) => text,
    };
    let clear = ["saved", "refused clearly"].contains(&said.as_str());
    report.promise("a write meanwhile", said, "saved, or refused clearly", clear);
    report.promise(
        "reads meanwhile that were slow or failed",
        format!("{slow} of {reads}"),
        0,
        slow == 0,
    );
    afterwards(report, "locked", &house, &stand, (user, suite, reader)).await;
}

async fn full(report: &mut Report, binary: &Binary, dose: &Dose, disk: Small) {
    let hold = Duration::from_secs(dose.pick(4, 20));
    let stand = stand().await;
    let house = House::of(binary).over(disk.path()).started().await;
    let (user, suite, reader) = at_work(&house, &stand, "full").await;
    let filler = disk.fill().unwrap();
    let began = Instant::now();
    let (mut refused, mut unclear, mut dead, mut kept) = (0, Vec::new(), 0, Vec::new());
    let mut unready = false;
    let mut n = 0;
    while began.elapsed() < hold {
        n += 1;
        // As large as a message may be: the log of the database has to grow.
        let scenario = scenario(&format!("Full {n}"), &"word ".repeat(6_000));
        match timeout(RECOVERED, save(&user, &scenario)).await {
            Ok(Saved::As(id)) => kept.push(id),
            Ok(Saved::Refused) => refused += 1,
            Ok(Saved::Unclear(text)) => unclear.push(text),
            Err(_) => dead += 1,
        }
        unready |= !house.is_ready().await;
        let read = timeout(READ, user.try_get(&format!("/suites/{}", id(&suite)))).await;
        dead += usize::from(!matches!(read, Ok(Ok(_))));
        sleep(Duration::from_millis(100)).await;
    }
    drop(filler);
    let freed = Instant::now();
    while !house.is_ready().await && freed.elapsed() < RECOVERED {
        sleep(Duration::from_millis(20)).await;
    }
    report.count("the disk was full for", format!("{} s", began.elapsed().as_secs()));
    report.promise("writes refused meanwhile", refused, "> 0, or nothing was shown", refused > 0);
    report.none("refusals that are not clear", unclear.len());
    if let Some(first) = unclear.first() {
        report.count("such as", first);
    }
    report.none("requests without an answer, and reads that failed", dead);
    report.promise("said to be ready meanwhile", if unready { "no" } else { "yes" }, "no", unready);
    report.count("ready again after", format!("{} ms", freed.elapsed().as_millis()));
    let mut lost = 0;
    for scenario in &kept {
        lost += usize::from(user.try_get(&format!("/scenarios/{scenario}")).await.is_err());
    }
    report.promise("saved meanwhile, and lost", format!("{lost} of {}", kept.len()), 0, lost == 0);
    afterwards(report, "full", &house, &stand, (user, suite, reader)).await;
    drop(house);
    drop(disk);
}

/// A scenario of one turn.
fn scenario(name: &str, message: &str) -> Value {
    json!({"name": name, "category": "support",
        "conversation_flow": [{"speaker": "user", "message": message}],
        "expected_behaviors": [{"text": "Offers help"}]})
}

/// What became of something that was to be saved.
enum Saved {
    /// It has this id.
    As(String),
    /// It was refused, and why.
    Refused,
    /// It was refused in words that help nobody, or not answered at all.
    Unclear(String),
}

async fn save(user: &User, scenario: &Value) -> Saved {
    match user.ask(Method::POST, "/scenarios").json(scenario).send().await {
        Err(error) => Saved::Unclear(error.to_string()),
        Ok(answer) => {
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            match serde_json::from_str::<Value>(&text) {
                Ok(made) if status.is_success() => Saved::As(id(&made)),
                _ if is_clear(status.as_u16(), &text) => Saved::Refused,
                _ => Saved::Unclear(format!("{status} {text}")),
            }
        }
    }
}

/// A refusal that says what is the matter and nothing of our insides.
fn is_clear(status: u16, text: &str) -> bool {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let words = body["detail"].as_str().or(body["title"].as_str()).unwrap_or_default();
    let insides = ["SQLITE", "sqlx", "INSERT", "/tmp", "(code", "channel", "panicked"];
    [503, 507].contains(&status)
        && words.len() > 10
        && !insides.iter().any(|word| text.contains(word))
}

/// It goes on by itself, in the same process, and nothing is lost.
async fn afterwards(
    report: &mut Report,
    what: &str,
    house: &House,
    stand: &Stand,
    (user, suite, mut reader): (User, Value, Reader),
) {
    let began = Instant::now();
    finished_somehow(&user, &id(&suite)).await;
    report.count(
        format!("{what}: all ended after"),
        format!("{:.1} s", began.elapsed().as_secs_f64()),
    );
    let complete = reader.ended(Duration::from_secs(30)).await;
    report.promise(format!("{what}: the page saw the end"), complete, true, complete);
    let suites = owned(&user, vec![suite]);
    let counts = count_runs(report, &suites).await;
    let passed = counts.get("passed").copied().unwrap_or(0);
    report.promise(format!("{what}: runs that passed"), passed, 6, passed == 6);
    let mut history = gather(house, &suites, &[stand]).await;
    reader.look(|seen| history.announced.extend(seen.announced.iter().cloned()));
    // A call whose answer could not be stored is made again.
    let rules = Rules { most_repeated: 6, ..Rules::default() };
    report.violations(&check(&history, &rules));
}
