//! `rehearsal run`: starts a suite on a server, follows it and decides by its results.
//!
//! - `args`: the arguments; `selection`: which agent and scenarios they name.
//! - `api`, `outage`: requests, repeated while the server is unreachable.
//! - `follow`, `sse`, `progress`: the event stream until the suite is final.
//! - `table`, `report_files`, `gate`: the results, as text, as files and as exit status.

mod api;
mod args;
mod follow;
mod gate;
mod interrupt;
mod outage;
mod progress;
mod report_files;
mod selection;
mod share;
mod sse;
mod table;

pub use args::RunArgs;

use api::{Api, Failure};
use clock::{Clock, SystemClock};
use domain::{Run, RunStatus, Suite, SuiteId};
use follow::Follower;
use gate::{Decision, Gate};
use interrupt::Interrupt;
use outage::Outage;
use reports::Report;
use reqwest::Method;
use serde_json::{Value, json};

/// The exit status if the command cannot be executed.
pub const CANNOT_RUN: u8 = 3;
/// The most runs whose reasons are printed.
const MAX_REASONS: usize = 10;
/// The exit status if the results are unknown, as for a gate that cannot decide.
const NO_DECISION: u8 = Decision::TooFewJudged as u8;

/// Runs the command and returns its exit status.
pub async fn run(args: &RunArgs) -> u8 {
    let files = args.reports.files();
    let result = match report_files::create(&files) {
        Ok(()) => execute(args).await,
        Err(message) => Err(Failure::fatal(message)),
    };
    let (status, has_reports) = result.unwrap_or_else(|failure| {
        eprintln!("rehearsal: {}", failure.message);
        (CANNOT_RUN, false)
    });
    if !has_reports {
        report_files::remove(&files);
    }
    status
}

/// Returns the exit status and whether the reports were written.
async fn execute(args: &RunArgs) -> Result<(u8, bool), Failure> {
    let api = Api::new(args)?;
    // Not repeated: a wrong address should be reported at once.
    let agent = selection::find_agent(&api, &args.agent).await?;
    let profile = match &args.profile {
        Some(profile) => Some(selection::find_profile(&api, profile).await?),
        None => None,
    };
    let request = json!({
        "agent_id": agent,
        "filter": args.scenarios,
        "profile": profile,
        "repeats": args.repeats,
        "concurrency": args.concurrency,
        "note": args.note,
        "skip_incompatible": args.skip_incompatible,
    });
    let mut interrupt = Interrupt::new()
        .map_err(|error| Failure::fatal(format!("cannot listen for signals: {error}")))?;
    let mut outage = Outage::new(args.max_outage);

    let key = args.idempotency_key.clone().unwrap_or_else(|| SystemClock.uuid().to_string());
    let mut is_interrupted = false;
    let suite = {
        let mut start = Box::pin(start(&api, &mut outage, &request, &key));
        loop {
            tokio::select! {
                suite = &mut start => break suite?,
                () = interrupt.wait() => {
                    if is_interrupted || !args.cancel_on_interrupt {
                        eprintln!("Interrupted. The suite may have been started, with the \
                            idempotency key {key}.");
                        return Ok((NO_DECISION, false));
                    }
                    is_interrupted = true;
                }
            }
        }
    };
    let url = api.page(&format!("/suites/{suite}"));
    eprintln!("Started {url}");

    let mut follower = Follower::new(&api, suite);
    if !is_interrupted {
        tokio::select! {
            result = follower.follow(&mut outage) => result?,
            () = interrupt.wait() => is_interrupted = true,
        }
    }
    if is_interrupted {
        if !args.cancel_on_interrupt {
            eprintln!("\nInterrupted. The suite continues on the server: {url}");
            return Ok((NO_DECISION, false));
        }
        eprintln!("\nInterrupted, canceling the suite. Interrupt again to leave at once.");
        tokio::select! {
            result = cancel(&api, &mut outage, suite, &mut follower) => result?,
            () = interrupt.wait() => {
                eprintln!("The suite may continue on the server: {url}");
                return Ok((NO_DECISION, false));
            }
        }
    }
    let status = finish(&api, &mut outage, suite, args).await?;
    Ok((status, true))
}

/// Starts the suite. The same key may be sent several times and starts one suite.
async fn start(
    api: &Api,
    outage: &mut Outage,
    body: &Value,
    key: &str,
) -> Result<SuiteId, Failure> {
    let suite: Value = outage
        .retry(async || {
            let request = api.request(Method::POST, "/suites").header("idempotency-key", key);
            let response = api.send(request.json(body)).await?;
            api.json(response).await
        })
        .await?;
    let id = suite["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| Failure::fatal("the server answered without a suite".to_owned()))
}

/// Cancels the suite and waits until it is final.
async fn cancel(
    api: &Api,
    outage: &mut Outage,
    suite: SuiteId,
    follower: &mut Follower<'_>,
) -> Result<(), Failure> {
    let path = format!("/suites/{suite}/cancel");
    outage.retry(async || api.send(api.request(Method::POST, &path)).await).await?;
    follower.follow(outage).await
}

/// Prints the results, writes the reports and decides.
async fn finish(
    api: &Api,
    outage: &mut Outage,
    id: SuiteId,
    args: &RunArgs,
) -> Result<u8, Failure> {
    let suite: Suite = outage.retry(async || api.get(&format!("/suites/{id}")).await).await?;
    let counts = suite.counts;
    let report = Report::new(suite, None, SystemClock.now());
    println!("{}", table::table(report.summary()));
    print_reasons(api, outage, &report).await?;
    let errors = report_files::download(api, outage, id, &args.reports.files()).await;
    for error in &errors {
        eprintln!("rehearsal: {error}");
    }
    let gate = Gate { min_pass_rate: args.min_pass_rate, min_judged: args.min_judged };
    let decision = gate.decide(&counts);
    println!("{}\n{}", gate.explain(decision, &counts), api.page(&format!("/suites/{id}")));
    let is_incomplete = decision == Decision::Passed && !errors.is_empty();
    Ok(if is_incomplete { CANNOT_RUN } else { decision as u8 })
}

/// Prints why the first runs did not pass, failures first.
async fn print_reasons(api: &Api, outage: &mut Outage, report: &Report) -> Result<(), Failure> {
    let not_passed = report.runs().iter().filter(|run| run.status != RunStatus::Passed);
    let mut runs: Vec<&Run> = not_passed.collect();
    runs.sort_by_key(|run| run.status != RunStatus::Failed);
    for run in runs.iter().take(MAX_REASONS) {
        let path = format!("/runs/{}", run.id);
        // Only a single run has its evaluations.
        let details: Run = outage.retry(async || api.get(&path).await).await?;
        let name = reports::single_line(&report.run_name(run));
        let reason = reports::reason(&details).unwrap_or_default();
        println!("{}: {name}: {reason}", run.status.label());
    }
    match runs.len() {
        0 => {}
        count if count > MAX_REASONS => println!("and {} more\n", count - MAX_REASONS),
        _ => println!(),
    }
    Ok(())
}
