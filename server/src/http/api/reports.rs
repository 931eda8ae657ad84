//! Report routes: the results of a suite as a file.
//!
//! A report is written run by run: the next run is read after the client has taken the
//! previous part. So the memory of a report is that of a few runs, and it holds no database
//! connection while it waits for its client.

use super::ApiResult;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use domain::services::AppResult;
use domain::{Run, RunId, SuiteId};
use futures::{Stream, stream};
use reports::{Format, Report, ReportWriter};
use std::io;
use tokio::sync::mpsc;
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(json))
        .routes(routes!(junit))
        .routes(routes!(csv))
        .routes(routes!(html))
        .routes(routes!(markdown))
}

/// Download a report as JSON
///
/// The suite with its statistics and all runs with transcripts and evaluations. All reports
/// may be requested while the suite runs and say so.
#[utoipa::path(get, path = "/suites/{id}/report.json", operation_id = "report_json",
    tag = "suites", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The report", content_type = "application/json")))]
async fn json(
    State(state): State<HttpState>,
    user: SignedIn,
    Id(id): Id<SuiteId>,
    headers: HeaderMap,
) -> ApiResult {
    respond(&state, user, id, &headers, Format::Json).await
}

/// Download a report as JUnit XML
///
/// One test case per run. Only failed runs are failures; runs without a verdict are errors or
/// skipped.
#[utoipa::path(get, path = "/suites/{id}/report.xml", operation_id = "report_junit",
    tag = "suites", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The report", content_type = "application/xml")))]
async fn junit(
    State(state): State<HttpState>,
    user: SignedIn,
    Id(id): Id<SuiteId>,
    headers: HeaderMap,
) -> ApiResult {
    respond(&state, user, id, &headers, Format::Junit).await
}

/// Download a report as CSV
///
/// One line per run, without transcripts. Texts that a spreadsheet would take for formulas
/// begin with an apostrophe.
#[utoipa::path(get, path = "/suites/{id}/report.csv", operation_id = "report_csv",
    tag = "suites", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The report", content_type = "text/csv")))]
async fn csv(
    State(state): State<HttpState>,
    user: SignedIn,
    Id(id): Id<SuiteId>,
    headers: HeaderMap,
) -> ApiResult {
    respond(&state, user, id, &headers, Format::Csv).await
}

/// Download a report as one HTML file
///
/// With transcripts and evidence, without scripts and without links to other files.
#[utoipa::path(get, path = "/suites/{id}/report.html", operation_id = "report_html",
    tag = "suites", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The report", content_type = "text/html")))]
async fn html(
    State(state): State<HttpState>,
    user: SignedIn,
    Id(id): Id<SuiteId>,
    headers: HeaderMap,
) -> ApiResult {
    respond(&state, user, id, &headers, Format::Html).await
}

/// Download a report as Markdown
///
/// For a comment on a pull request: at most 65,536 characters.
#[utoipa::path(get, path = "/suites/{id}/report.md", operation_id = "report_markdown",
    tag = "suites", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The report", content_type = "text/markdown")))]
async fn markdown(
    State(state): State<HttpState>,
    user: SignedIn,
    Id(id): Id<SuiteId>,
    headers: HeaderMap,
) -> ApiResult {
    respond(&state, user, id, &headers, Format::Markdown).await
}

async fn respond(
    state: &HttpState,
    user: SignedIn,
    id: SuiteId,
    headers: &HeaderMap,
    format: Format,
) -> ApiResult<Response> {
    let suite = user.services.results.suite(&user.caller, id).await?.suite;
    let report = Report::new(suite, origin(state, headers), state.clock.now());
    let SignedIn { services, caller } = user;
    let read = move |run| {
        let (results, caller) = (services.results.clone(), caller.clone());
        async move { results.run(&caller, run).await }
    };
    let parts = stream_parts(ReportWriter::new(report, format), read);
    // An attachment, because the page's own style is not allowed on this site, and because
    // a file of users must not act as a page of it.
    let disposition = format!("attachment; filename=\"rehearsal-{id}.{}\"", format.extension());
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// The origin of links: the public URL, otherwise the host that the client named.
fn origin(state: &HttpState, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = &state.settings.public_url {
        return Some(url.clone());
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    (!host.is_empty() && host.chars().all(is_plain)).then(|| format!("http://{host}"))
}

/// A part of a report on its way to the client.
enum Part {
    Next(Vec<u8>),
    Last(Vec<u8>),
}

/// Writes the report in a task of its own, which no client can interrupt while it reads from
/// the store. A report that cannot be completed ends with an error, so that no client takes
/// it for complete.
fn stream_parts<F, R>(
    writer: ReportWriter,
    read: F,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    F: Fn(RunId) -> R + Send + 'static,
    R: Future<Output = AppResult<Run>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(1);
    let writing = async move {
        if let Err(error) = write(writer, read, &sender).await {
            tracing::warn!(%error, "report not completed");
        }
    };
    tokio::spawn(writing.in_current_span());
    stream::try_unfold(Some(receiver), |receiver| async move {
        let Some(mut receiver) = receiver else { return Ok(None) };
        match receiver.recv().await {
            Some(Part::Next(bytes)) => Ok(Some((Bytes::from(bytes), Some(receiver)))),
            Some(Part::Last(bytes)) => Ok(Some((Bytes::from(bytes), None))),
            None => Err(io::Error::other("the report could not be completed")),
        }
    })
}

async fn write<F, R>(
    mut writer: ReportWriter,
    read: F,
    parts: &mpsc::Sender<Part>,
) -> io::Result<()>
where
    F: Fn(RunId) -> R,
    R: Future<Output = AppResult<Run>>,
{
    let runs: Vec<RunId> = writer.report().runs().iter().map(|run| run.id).collect();
    let mut part = writer.begin()?;
    for (index, id) in runs.into_iter().enumerate() {
        if !part.is_empty() && parts.send(Part::Next(part)).await.is_err() {
            return Ok(()); // The client has gone.
        }
        let run = read(id).await.map_err(io::Error::other)?;
        part = writer.run(index, run)?;
    }
    part.extend(writer.end()?);
    // Fails only if the client has gone.
    let _ = parts.send(Part::Last(part)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::stream_parts;
    use axum::body::Bytes;
    use domain::RunStatus;
    use domain::error::AppError;
    use futures::{StreamExt, TryStreamExt};
    use reports::{Format, ReportWriter, fixtures};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const RUNS: usize = 100;

    fn writer() -> ReportWriter {
        ReportWriter::new(fixtures::report(&[RunStatus::Passed; RUNS], "S"), Format::Json)
    }

    #[tokio::test]
    async fn runs_are_read_as_fast_as_the_client_takes_them() {
        let reads = Arc::new(AtomicUsize::new(0));
        let counter = reads.clone();
        let parts = stream_parts(writer(), move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            async { Ok(fixtures::run(0, RunStatus::Passed, "S")) }
        });
        let mut parts = Box::pin(parts);
        for taken in 1..=3 {
            parts.next().await.expect("a part").expect("no error");
            // Lets the task go on as far as it can.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            // One part waits in the channel, and the next one before it.
            assert!(reads.load(Ordering::SeqCst) <= taken + 2, "{reads:?} after {taken}");
        }
        let rest: Vec<Bytes> = parts.try_collect().await.expect("the rest");
        assert_eq!((reads.load(Ordering::SeqCst), rest.len()), (RUNS, RUNS + 1 - 3));
    }

    #[tokio::test]
    async fn unreadable_run_breaks_the_report_off() {
        let parts = stream_parts(writer(), |id| async move {
            if id.to_string() == fixtures::id(103) {
                return Err(AppError::not_found("run"));
            }
            Ok(fixtures::run(0, RunStatus::Passed, "S"))
        });
        let parts: Vec<_> = parts.collect().await;
        assert!(parts.last().is_some_and(Result::is_err), "{} parts", parts.len());
        assert!(parts.iter().filter(|part| part.is_ok()).count() <= 4);
    }

    #[tokio::test]
    async fn panic_breaks_the_report_off() {
        let parts = stream_parts(writer(), |_| async { panic!("a run that cannot be read") });
        let parts: Vec<_> = parts.collect().await;
        assert!(parts.last().is_some_and(Result::is_err));
    }
}
