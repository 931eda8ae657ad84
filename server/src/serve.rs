//! `rehearsal serve`: the composition root. Builds all services, serves HTTP and
//! shuts down in order.

use crate::commands;
use crate::config::{self, DataArgs, ServeArgs};
use crate::http::{HttpState, SharedSessions, SignInLimits, router};
use crate::incoming::{self, ConnectionLimits};
use crate::readiness::ServerReadiness;
use crate::shutdown;
use crate::site::Site;
use clock::{Clock, SharedClock, SystemClock};
use engine::{Engine, EngineSettings};
use services::suites::{SuiteLimits, Suites};
use services::{Accounts, Catalog, SavedForms, SignUp};
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use store::retention;
use store_sqlite::{SqliteStore, sessions::SqliteSessions};
use telemetry::{Scrape, scrape};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A message for the operator: what cannot be opened, bound or read, or that the
/// shutdown exceeded its time limit.
pub async fn serve(args: ServeArgs) -> Result<(), String> {
    let clock: SharedClock = Arc::new(SystemClock);
    let network = args.network.outbound()?;
    // Acquired before the schema is read, because another process may be using it.
    let _lock = acquire_lock(&args.data).await?;
    let store = commands::store(&args.data).await?;
    let secrets = commands::secrets(&args.data, &store).await?;
    services::builtin::install(store.as_ref(), clock.as_ref()).await.map_err(|e| e.to_string())?;
    let private = args.private_urls_allowed();
    let outbound = commands::outbound(&clock, &store, private, &network).await?;
    let server_connections = args.providers.connections();
    let catalog = commands::catalog(
        &store,
        &clock,
        secrets,
        server_connections,
        outbound.clone(),
        private,
        network,
    );
    catalog.endpoints().encrypt_stored_headers(store.as_ref()).await?;
    let accounts = Accounts::new(store.clone(), clock.clone(), sign_up(args.sign_up));
    let saved_forms = SavedForms::new(store.clone(), clock.clone());
    let settings = engine_settings(&args);
    let recorder = scrape::install();
    let listener = bind(args.addr).await?;
    let endpoints = Arc::new(catalog.endpoints().clone());
    let engine = Engine::start(store.clone(), outbound, endpoints, clock.clone(), settings, true)
        .await
        .map_err(|error| format!("cannot start the engine: {error}"))?;
    let suites = suites(&store, &catalog, &engine, &clock, &args);
    let sessions = SqliteSessions::new((*store).clone(), clock.clone());
    if let Err(error) = sessions.delete_expired().await {
        tracing::warn!(%error, "cannot delete expired sessions");
    }
    let site = Site::find(args.site_dir.as_deref(), &args.data.data_dir.join("site"))
        .map_err(|error| error.to_string())?;
    let stop = CancellationToken::new();
    tokio::spawn(retention::run(store.clone(), clock.clone(), args.keep_days, stop.clone()));
    let metrics = recorder.map(|handle| Scrape::new(handle, update_gauges(&engine, &clock)));
    if let Some(metrics) = metrics.clone() {
        tokio::spawn(metrics.run_upkeep());
    }
    let readiness = Arc::new(ServerReadiness::new(store.clone(), engine.clone(), clock.clone()));
    let state = HttpState {
        services: services::all(accounts, saved_forms, &catalog, &suites),
        event_source: Arc::new(suites),
        readiness,
        sessions: SharedSessions(Arc::new(sessions)),
        clock,
        leptos: site.leptos_options(args.addr),
        chunks: site.chunks,
        settings: Arc::new(args.http(site.dir)),
        metrics,
        sign_ins: Arc::new(SignInLimits::default()),
        shutdown: stop.clone(),
    };
    shutdown::spawn_signal_handler(stop.clone()).await;
    let limits = args.connection_limits();
    let stopped = serve_until_stopped(listener, limits, state, engine, stop).await;
    let closed =
        shutdown::stage("the store", shutdown::STORE_TIMEOUT, async move { store.close().await })
            .await;
    tracing::info!("stopped");
    if stopped && closed {
        Ok(())
    } else {
        Err("the shutdown exceeded its time limit; see the log".to_owned())
    }
}

/// Updates gauges at each scrape.
fn update_gauges(engine: &Engine, clock: &SharedClock) -> impl Fn() + Send + Sync + use<> {
    let (engine, clock) = (engine.clone(), clock.clone());
    move || {
        let age = clock.now().since(engine.last_heartbeat());
        metrics::gauge!("rehearsal_heartbeat_age_seconds").set(age.as_secs_f64());
        metrics::gauge!("rehearsal_calls_in_flight").set(f64::from(engine.calls_in_flight()));
    }
}

/// Locks the database, because only one engine may use it.
async fn acquire_lock(data: &DataArgs) -> Result<File, String> {
    let file = commands::database_file(data)?;
    let has_url = data.database_url.as_deref().is_some_and(|url| !url.is_empty());
    let setting = if has_url { "REHEARSAL_DATABASE_URL" } else { "REHEARSAL_DATA_DIR" };
    crate::lock::acquire(&file).await?.ok_or_else(|| {
        format!(
            "another rehearsal process uses the database {}; stop it, or set a different {setting}",
            file.display()
        )
    })
}

fn sign_up(mode: config::SignUp) -> SignUp {
    match mode {
        config::SignUp::First => SignUp::First,
        config::SignUp::Open => SignUp::Open,
        config::SignUp::Closed => SignUp::Closed,
    }
}

fn engine_settings(args: &ServeArgs) -> EngineSettings {
    let limits = &args.limits;
    EngineSettings {
        owner: format!("{}-{}", std::process::id(), SystemClock.uuid()),
        runs_per_user: limits.runs_per_user,
        max_calls: limits.max_calls,
        call_timeout: limits.call_timeout,
        max_wait: limits.max_wait,
        circuit_wait: limits.circuit_wait,
        outage_wait: limits.outage_wait,
        daily_budget: limits.daily_budget_usd,
    }
}

fn suites(
    store: &Arc<SqliteStore>,
    catalog: &Arc<Catalog>,
    engine: &Engine,
    clock: &SharedClock,
    args: &ServeArgs,
) -> Suites {
    Suites {
        store: store.clone(),
        catalog: catalog.clone(),
        executor: Arc::new(engine.clone()),
        clock: clock.clone(),
        event_cache: Arc::default(),
        limits: SuiteLimits {
            runs_per_suite: args.limits.runs_per_suite,
            queue_per_user: args.limits.queue_per_user,
            transcript_bytes_per_user: args.limits.transcript_mb_per_user * 1_000_000,
            daily_budget: args.limits.daily_budget_usd,
        },
    }
}

async fn bind(addr: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(addr).await;
    listener.map_err(|error| format!("cannot listen on {addr}: {error}"))
}

/// Serves until `stop`. Then the engine releases its leases, and open requests end.
/// Accepts connections until the engine has stopped, so that readiness probes get an
/// answer. Returns whether the engine stopped in time.
async fn serve_until_stopped(
    listener: TcpListener,
    limits: ConnectionLimits,
    state: HttpState,
    engine: Engine,
    stop: CancellationToken,
) -> bool {
    if let Ok(addr) = listener.local_addr() {
        tracing::info!(%addr, version = env!("CARGO_PKG_VERSION"), "serving");
        println!("Rehearsal is running at http://{addr}");
    }
    let drain = CancellationToken::new();
    let server = incoming::serve(listener, router(state), limits, drain.clone());
    let stopping = async {
        stop.cancelled().await;
        let work = async move { engine.shutdown().await };
        let in_time = shutdown::stage("the engine", shutdown::ENGINE_TIMEOUT, work).await;
        drain.cancel();
        in_time
    };
    let drain_timeout = async {
        drain.cancelled().await;
        tokio::time::sleep(shutdown::DRAIN_TIMEOUT).await;
    };
    let served = async {
        tokio::select! {
            () = server => {}
            () = drain_timeout => {
                tracing::warn!("dropping requests that did not complete in time");
            }
        }
        stop.cancel();
    };
    tokio::join!(stopping, served).0
}
