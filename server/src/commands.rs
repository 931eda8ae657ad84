//! What the subcommands do. Errors are sentences for the operator.

use services::connection_test::OutboundTester;
use services::{Accounts, Catalog, CatalogStores, SignUp};
use domain::services::ImportService;
use crate::cli::{Cli, Command, TokenCommand, UserCommand};
use clock::{SharedClock, SteadyClock, SystemClock};
use crate::config::{DataArgs, LogArgs, LogFormat};
use services::endpoints::{Endpoints, ServerConnection};
use llm::connector::Connector;
use demo_model::Demo;
use llm::outbound::Outbound;
use llm::{HttpClient, HttpOptions};
use crate::lock;
use services::secrets::Secrets;
use store_sqlite::SqliteStore;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// Runs a command to its end.
///
/// # Errors
/// A sentence that says what went wrong and what to do.
pub async fn run(cli: Cli) -> Result<(), String> {
    match cli.command {
        Command::Serve(args) => {
            log(&args.log);
            std::panic::set_hook(Box::new(panicked));
            args.check().map_err(|sentences| sentences.join("\n           "))?;
            crate::serve::serve(*args).await
        }
        Command::User(args) => match args.command {
            UserCommand::Create { data, email, .. } => create_user(&data, &email).await,
        },
        Command::Token(args) => match args.command {
            TokenCommand::Create { data, email, name } => create_token(&data, &email, &name).await,
        },
        Command::Import(args) => import(*args).await,
    }
}

fn log(args: &LogArgs) {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.directives)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // Colours are for eyes: not in a file, nor in a service manager's journal.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    match args.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// A panic of the server, in the log: with the place, within the spans of the
/// run or request. Its words may quote what was said, so they are for debugging
/// alone.
fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a panic");
    let words = panic.payload_as_str().unwrap_or("none");
    tracing::debug!(place, words, "what the panic said");
}

/// The file of the embedded database.
///
/// # Errors
/// A sentence when the data folder cannot be made.
pub fn database_file(data: &DataArgs) -> Result<PathBuf, String> {
    std::fs::create_dir_all(&data.data_dir).map_err(|error| {
        format!("the data folder {} cannot be made: {error}", data.data_dir.display())
    })?;
    Ok(match data.database_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) if !url.starts_with("sqlite:") => {
            return Err("REHEARSAL_DATABASE_URL must start with sqlite:".to_owned());
        }
        Some(url) => {
            let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
            PathBuf::from(path.split('?').next().unwrap_or(path))
        }
        None => data.data_dir.join(lock::DATABASE),
    })
}

/// The store, opened and up to date.
///
/// # Errors
/// A sentence for the operator.
pub async fn store(data: &DataArgs) -> Result<Arc<SqliteStore>, String> {
    let file = database_file(data)?;
    let store = SqliteStore::open(&file).await;
    store.map(Arc::new).map_err(|error| format!("{} cannot be used: {error}", file.display()))
}

/// The secret key, and whether it belongs to this database.
///
/// # Errors
/// A sentence for the operator.
pub async fn secrets(data: &DataArgs, store: &SqliteStore) -> Result<Arc<Secrets>, String> {
    let secrets = match &data.secret_key {
        Some(key) => Secrets::new(key.bytes()),
        None => Secrets::load_or_create(&data.data_dir).map_err(|error| error.to_string())?,
    };
    secrets.check(store).await.map_err(|error| error.to_string())?;
    Ok(Arc::new(secrets))
}

/// The outbound path over real providers and the stand-in.
///
/// # Errors
/// A sentence when no HTTP client can be made.
pub fn outbound(clock: &SharedClock, allow_private_urls: bool) -> Result<Arc<Outbound>, String> {
    // All its waits end at a moment: it must not come later when the machine's
    // clock is set back, nor after it was suspended.
    let clock: SharedClock = Arc::new(SteadyClock::from_now_on(clock.as_ref()));
    let options = HttpOptions { allow_private_urls, ..HttpOptions::default() };
    let http = HttpClient::new(options, clock.clone())
        .map_err(|error| format!("no HTTP client can be made: {error}"))?;
    let provider = Arc::new(Connector::new(http, Arc::new(Demo::default())));
    let seed = u64::from_le_bytes(services::secrets::random());
    Ok(Arc::new(Outbound::new(provider, clock, SmallRng::seed_from_u64(seed))))
}

/// The services for connections, agents, scenarios and imports.
pub fn catalog(
    store: &Arc<SqliteStore>,
    clock: &SharedClock,
    secrets: Arc<Secrets>,
    offered: Vec<ServerConnection>,
    outbound: Arc<Outbound>,
    allow_private_urls: bool,
) -> Arc<Catalog> {
    let endpoints = Endpoints::new(store.clone(), secrets, offered);
    let tester = Arc::new(OutboundTester { outbound, allow_private_urls });
    Arc::new(Catalog::new(CatalogStores::of(store), clock.clone(), endpoints, tester))
}

/// The right to change the schema, where that has to be done: nobody else may
/// serve the database then. `None` where it is up to date.
///
/// # Errors
/// A sentence when somebody serves it.
async fn to_catch_up(file: &Path) -> Result<Option<File>, String> {
    let until = Instant::now() + lock::PATIENCE;
    let unusable = |error| format!("{} cannot be used: {error}", file.display());
    while SqliteStore::is_behind(file).await.map_err(unusable)? {
        match lock::take(file)? {
            // A server that starts brings it up to date in a moment.
            None if Instant::now() < until => sleep(lock::AGAIN).await,
            None => {
                return Err(format!(
                    "the schema of {} is older than this program, and another rehearsal serves \
                     it; stop it, start this version of it, and try again",
                    file.display()
                ));
            }
            held => return Ok(held),
        }
    }
    Ok(None)
}

/// The use cases for a command beside a running server, with what the
/// environment offers to everybody.
async fn beside(
    data: &DataArgs,
    offered: Vec<ServerConnection>,
) -> Result<(Accounts, Arc<Catalog>, Arc<SqliteStore>), String> {
    let held = to_catch_up(&database_file(data)?).await?;
    let store = store(data).await?;
    drop(held);
    let clock: SharedClock = Arc::new(SystemClock);
    let secrets = secrets(data, &store).await?;
    let outbound = outbound(&clock, true)?;
    let catalog = catalog(&store, &clock, secrets, offered, outbound, true);
    Ok((Accounts::new(store.clone(), clock, SignUp::Closed), catalog, store))
}

fn sentence(error: &domain::error::AppError) -> String {
    let problems: Vec<_> = error.problems.iter().map(|p| format!("\n  {p}")).collect();
    format!("{}{}", error.detail, problems.concat())
}

async fn create_user(data: &DataArgs, email: &str) -> Result<(), String> {
    let mut password = String::new();
    let read = std::io::stdin().read_to_string(&mut password);
    read.map_err(|error| format!("the password cannot be read: {error}"))?;
    let password = password.trim_end_matches(['\r', '\n']);
    let (accounts, _, store) = beside(data, Vec::new()).await?;
    let made = accounts.create_user(email, password).await.map_err(|error| sentence(&error));
    store.close().await;
    println!("{}", made?.email);
    Ok(())
}

async fn create_token(data: &DataArgs, email: &str, name: &str) -> Result<(), String> {
    let (accounts, _, store) = beside(data, Vec::new()).await?;
    let made = accounts.create_token_for(email, name).await.map_err(|error| sentence(&error));
    store.close().await;
    println!("{}", made?.token);
    Ok(())
}

/// After a sentence about connections.
const FROM_ENVIRONMENT: &str = "Connections that the server offers from its environment are seen \
     here where ANTHROPIC_API_KEY or OPENAI_API_KEY, and their _BASE_URL, are set as for the server.";

/// What an import was refused for.
fn refused(error: &domain::error::AppError) -> String {
    let about_connections = error.problems.iter().any(|problem| {
        [".connection", ".connection_id"].iter().any(|field| problem.path.ends_with(field))
    });
    let said = sentence(error);
    if about_connections { format!("{said}\n{FROM_ENVIRONMENT}") } else { said }
}

async fn import(args: crate::cli::ImportArgs) -> Result<(), String> {
    let contradictions = args.providers.check();
    if !contradictions.is_empty() {
        return Err(contradictions.join("\n           "));
    }
    let mut documents = Vec::new();
    for file in &args.files {
        let shown = file.display();
        let format = services::document_import::Format::of_file(file)
            .ok_or_else(|| format!("{shown}: only .yaml, .yml, .json and .md files are read"))?;
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let read = services::document_import::read(&name.unwrap_or_default(), &text, format);
        documents.extend(read.map_err(|error| format!("{shown}: {}", sentence(&error)))?);
    }
    if let Some(model) = &args.model {
        services::document_import::name_the_model(&mut documents, model);
    }
    if let Some(name) = &args.connection {
        services::document_import::name_the_connection(&mut documents, name);
    }
    let offered = args.providers.connections();
    let (accounts, catalog, store) = beside(&args.data, offered).await?;
    let imported = async {
        let caller = match &args.email {
            Some(email) => accounts.caller_of_email(email).await?,
            None => accounts.only_caller().await?,
        };
        catalog.import(&caller, documents, false).await
    }
    .await;
    store.close().await;
    let report = imported.map_err(|error| refused(&error))?;
    for document in &report.documents {
        let kind = match document.kind {
            domain::services::ImportKind::Agent => "agent",
            domain::services::ImportKind::Scenario => "scenario",
        };
        println!("{kind} {}", document.name);
        for problem in &document.problems {
            println!("  {problem}");
        }
    }
    println!("{} imported", report.documents.len());
    Ok(())
}
