//! `rehearsal serve`: puts the house together, serves it, and takes it apart
//! in good order.

use services::suites::{SuiteLimits, Suites};
use services::{Accounts, Catalog, Drafts, SignUp};
use clock::{Clock, SharedClock, SystemClock};
use crate::commands;
use crate::config::{self, DataArgs, ServeArgs};
use engine::{Engine, EngineSettings};
use crate::http::{HttpState, SharedSessions, SignInLimits, router};
use telemetry::{Scrape, scrape};
use crate::readiness::Ready;
use crate::shutdown;
use crate::site::Site;
use store::cleaner;
use store_sqlite::{SqliteStore, sessions::SqliteSessions};
use axum::serve::ListenerExt;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A sentence for the operator: what cannot be opened, bound or read, or what
/// did not stop in time.
pub async fn serve(args: ServeArgs) -> Result<(), String> {
    let clock: SharedClock = Arc::new(SystemClock);
    // Before the schema is looked at: it may be another engine's.
    let _lock = lock(&args.data).await?;
    let store = commands::store(&args.data).await?;
    let secrets = commands::secrets(&args.data, &store).await?;
    services::builtin::install(store.as_ref(), clock.as_ref()).await.map_err(|e| e.to_string())?;
    let private = args.private_urls_allowed();
    let outbound = commands::outbound(&clock, private)?;
    let offered = args.providers.connections();
    let catalog =
        commands::catalog(&store, &clock, secrets, offered, outbound.clone(), private);
    let accounts = Accounts::new(store.clone(), clock.clone(), sign_up(args.sign_up));
    let drafts = Drafts::new(store.clone(), clock.clone());
    let settings = engine_settings(&args);
    let recorded = scrape::install();
    let listener = bind(args.addr).await?;
    let endpoints = Arc::new(catalog.endpoints().clone());
    let engine =
        Engine::start(store.clone(), outbound, endpoints, clock.clone(), settings, true)
            .await
            .map_err(|error| format!("the engine cannot start: {error}"))?;
    let suites = suites(&store, &catalog, &engine, &clock, &args);
    let sessions = SqliteSessions::new((*store).clone(), clock.clone());
    if let Err(error) = sessions.sweep().await {
        tracing::warn!(%error, "old sessions could not be deleted");
    }
    let site = Site::find(args.site_dir.as_deref(), &args.data.data_dir.join("site"))
        .map_err(|error| error.to_string())?;
    let stop = CancellationToken::new();
    tokio::spawn(cleaner::run(store.clone(), clock.clone(), args.keep_days, stop.clone()));
    let metrics = recorded.map(|handle| Scrape::new(handle, look(&engine, &clock)));
    if let Some(metrics) = metrics.clone() {
        tokio::spawn(metrics.keep());
    }
    let readiness = Arc::new(Ready::new(store.clone(), engine.clone(), clock.clone()));
    let state = HttpState {
        services: services::all(accounts, drafts, &catalog, &suites),
        live: Arc::new(suites),
        readiness,
        sessions: SharedSessions(Arc::new(sessions)),
        clock,
        leptos: site.leptos_options(args.addr),
        settings: Arc::new(args.http(site.folder)),
        metrics,
        sign_ins: Arc::new(SignInLimits::default()),
        shutdown: stop.clone(),
    };
    shutdown::listen(stop.clone()).await;
    let served = until_stopped(listener, state, engine, stop).await;
    let closed =
        shutdown::stage("the store", shutdown::STORE, async move { store.close().await }).await;
    tracing::info!("stopped");
    match served {
        Ok(true) if closed => Ok(()),
        Ok(_) => Err("not everything stopped in time; the log says what".to_owned()),
        Err(sentence) => Err(sentence),
    }
}

/// What is read off the process at each scrape.
fn look(engine: &Engine, clock: &SharedClock) -> impl Fn() + Send + Sync + use<> {
    let (engine, clock) = (engine.clone(), clock.clone());
    move || {
        let age = clock.now().since(engine.last_beat());
        metrics::gauge!("rehearsal_heartbeat_age_seconds").set(age.as_secs_f64());
        metrics::gauge!("rehearsal_calls_in_flight").set(f64::from(engine.calls_in_flight()));
    }
}

/// One engine a database; a sentence names what would have to change.
async fn lock(data: &DataArgs) -> Result<File, String> {
    let file = commands::database_file(data)?;
    let named = data.database_url.as_deref().is_some_and(|url| !url.is_empty());
    let setting = if named { "REHEARSAL_DATABASE_URL" } else { "REHEARSAL_DATA_DIR" };
    crate::lock::hold(&file).await?.ok_or_else(|| {
        format!(
            "another rehearsal serves the database {}; stop it, or use another {setting}",
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
        suites: store.clone(),
        agents: store.clone(),
        scenarios: store.clone(),
        settings: store.clone(),
        catalog: catalog.clone(),
        reach: catalog.clone(),
        executor: Arc::new(engine.clone()),
        clock: clock.clone(),
        event_cache: Arc::default(),
        limits: SuiteLimits {
            runs_per_suite: args.limits.runs_per_suite,
            queue_per_user: args.limits.queue_per_user,
        },
    }
}

async fn bind(addr: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(addr).await;
    listener.map_err(|error| format!("{addr} cannot be listened on: {error}"))
}

/// Serves until `stop`; then the engine gives back what it holds, and requests
/// end. Until the engine is done the door stays open, so that whoever asks
/// hears that this server is not ready any more. Answers whether the engine
/// stopped in time.
async fn until_stopped(
    listener: TcpListener,
    state: HttpState,
    engine: Engine,
    stop: CancellationToken,
) -> Result<bool, String> {
    if let Ok(addr) = listener.local_addr() {
        tracing::info!(%addr, version = env!("CARGO_PKG_VERSION"), "serving");
        println!("Rehearsal serves http://{addr}");
    }
    // Small frames go out at once: a stream's event would otherwise wait until
    // its reader has acknowledged the one before, up to 40 ms.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection stays slow");
        }
    });
    let app = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let door = CancellationToken::new();
    let serving = axum::serve(listener, app).with_graceful_shutdown(door.clone().cancelled_owned());
    let stopping = async {
        stop.cancelled().await;
        let down = async move { engine.shutdown().await };
        let down = shutdown::stage("the engine", shutdown::ENGINE, down).await;
        door.cancel();
        down
    };
    let late = async {
        door.cancelled().await;
        tokio::time::sleep(shutdown::DRAIN).await;
    };
    let served = async {
        let served = tokio::select! {
            served = async move { serving.await } => served.map_err(|error| format!("serving ended: {error}")),
            () = late => {
                tracing::warn!("some requests did not end in time; they are dropped");
                Ok(())
            }
        };
        stop.cancel();
        served
    };
    let (down, served) = tokio::join!(stopping, served);
    served.map(|()| down)
}
