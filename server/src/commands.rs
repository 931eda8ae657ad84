//! The subcommands. Errors are messages for the operator.

use crate::cli::{Cli, Command, TokenCommand, UserCommand};
use crate::config::{DataArgs, LogArgs, LogFormat};
use crate::{lock, private_files};
use clock::{SharedClock, SystemClock};
use demo_model::DemoModel;
use domain::TokenRequest;
use domain::services::{ImportNoteKind, ImportReport, ImportService};
use llm::OutboundNetwork;
use llm::outbound::Outbound;
use services::connection_test::OutboundAccess;
use services::document_import::{Format, ImportFile, ReadFiles};
use services::endpoints::{Endpoints, ServerConnection};
use services::secrets::Secrets;
use services::{Accounts, Catalog, SignUp};
use std::fmt::Display;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use store_sqlite::SqliteStore;
use tokio::time::{Instant, sleep};

/// Runs a command and returns the exit status of one that succeeded.
///
/// # Errors
/// A message that says what failed and what to do.
pub async fn run(cli: Cli) -> Result<ExitCode, String> {
    let result = match cli.command {
        Command::Run(args) => return Ok(crate::suite_run::run(&args).await.into()),
        Command::Serve(args) => {
            init_log(&args.log);
            std::panic::set_hook(Box::new(log_panic));
            args.check().map_err(|messages| messages.join("\n           "))?;
            crate::serve::serve(*args).await
        }
        Command::User(args) => match args.command {
            UserCommand::Create { data, log, email, .. } => {
                init_log(&log);
                create_user(&data, &email).await
            }
            UserCommand::ResetPassword { data, log, email, .. } => {
                init_log(&log);
                reset_password(&data, &email).await
            }
        },
        Command::Token(args) => match args.command {
            TokenCommand::Create { data, log, email, name, expires_in_days } => {
                init_log(&log);
                create_token(&data, &email, &TokenRequest { name, expires_in_days }).await
            }
        },
        Command::Import(args) => import(*args).await,
    };
    result.map(|()| ExitCode::SUCCESS)
}

fn init_log(args: &LogArgs) {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.directives)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colors);
    match args.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

/// Logs a panic within the spans of the run or request. The payload may contain user
/// data, so it is logged only at debug level.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(location, "panic");
    let payload = panic.payload_as_str().unwrap_or("none");
    tracing::debug!(location, payload, "panic payload");
}

/// Path of the database file. Creates the data directory.
///
/// # Errors
/// A message for the operator.
pub fn database_file(data: &DataArgs) -> Result<PathBuf, String> {
    std::fs::create_dir_all(&data.data_dir).map_err(|error| {
        format!("cannot create the data directory {}: {error}", data.data_dir.display())
    })?;
    let database = match data.database_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) if !url.starts_with("sqlite:") => {
            return Err("REHEARSAL_DATABASE_URL must start with sqlite:".to_owned());
        }
        Some(url) => {
            let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
            PathBuf::from(path.split('?').next().unwrap_or(path))
        }
        None => data.data_dir.join(lock::DATABASE),
    };
    private_files::protect(&data.data_dir, &database);
    Ok(database)
}

/// Opens the store and migrates its schema.
///
/// # Errors
/// A message for the operator.
pub async fn store(data: &DataArgs) -> Result<Arc<SqliteStore>, String> {
    let file = database_file(data)?;
    let store = SqliteStore::open(&file).await;
    store.map(Arc::new).map_err(|error| cannot_open(&file, &error))
}

/// Loads or creates the secret key and checks that it belongs to the database.
///
/// # Errors
/// A message for the operator.
pub async fn secrets(data: &DataArgs, store: &SqliteStore) -> Result<Arc<Secrets>, String> {
    let secrets = match &data.secret_key {
        Some(key) => Secrets::new(key.bytes()),
        None => Secrets::load_or_create(&data.data_dir).map_err(|error| error.to_string())?,
    };
    secrets.check(store).await.map_err(|error| error.to_string())?;
    Ok(Arc::new(secrets))
}

/// The outbound path to real providers and the demo model.
///
/// # Errors
/// A message if the HTTP client cannot be created.
pub async fn outbound(
    clock: &SharedClock,
    store: &Arc<SqliteStore>,
    allow_private_urls: bool,
    network: &OutboundNetwork,
) -> Result<Arc<Outbound>, String> {
    let seed = u64::from_le_bytes(services::secrets::random());
    let learned = services::learned_adjustments::restore(store.clone(), clock.clone()).await;
    let demo = Arc::new(DemoModel::default());
    llm::outbound_over_http(clock, allow_private_urls, network, demo, learned, seed)
}

/// The services for connections, agents, scenarios and imports.
pub fn catalog(
    store: &Arc<SqliteStore>,
    clock: &SharedClock,
    secrets: Arc<Secrets>,
    server_connections: Vec<ServerConnection>,
    outbound: Arc<Outbound>,
    allow_private_urls: bool,
    network: OutboundNetwork,
) -> Arc<Catalog> {
    let endpoints = Endpoints::new(store.clone(), secrets, server_connections);
    let provider_access = Arc::new(OutboundAccess { outbound, allow_private_urls, network });
    Arc::new(Catalog::new(store.clone(), clock.clone(), endpoints, provider_access))
}

fn cannot_open(file: &Path, error: &impl Display) -> String {
    format!("cannot open {}: {error}", file.display())
}

/// Acquires the lock of the database if its schema must be migrated. `None` if the schema
/// is current.
///
/// # Errors
/// A message if another process holds the lock.
async fn lock_for_migration(file: &Path) -> Result<Option<File>, String> {
    let until = Instant::now() + lock::TIMEOUT;
    while SqliteStore::needs_migration(file).await.map_err(|error| cannot_open(file, &error))? {
        match lock::try_acquire(file)? {
            // A server that is starting may be migrating the schema.
            None if Instant::now() < until => sleep(lock::RETRY_INTERVAL).await,
            None => {
                return Err(format!(
                    "the schema of {} must be migrated, but another rehearsal process uses the \
                     database; stop it, start this version, and try again",
                    file.display()
                ));
            }
            lock => return Ok(lock),
        }
    }
    Ok(None)
}

/// Opens the services for a command, which may run while a server uses the database.
async fn open_services(
    data: &DataArgs,
    server_connections: Vec<ServerConnection>,
) -> Result<(Accounts, Arc<Catalog>, Arc<SqliteStore>), String> {
    let lock = lock_for_migration(&database_file(data)?).await?;
    let store = store(data).await?;
    drop(lock);
    let clock: SharedClock = Arc::new(SystemClock);
    let secrets = secrets(data, &store).await?;
    // Commands call no provider.
    let network = OutboundNetwork::default();
    let outbound = outbound(&clock, &store, true, &network).await?;
    let catalog = catalog(&store, &clock, secrets, server_connections, outbound, true, network);
    Ok((Accounts::new(store.clone(), clock, SignUp::Closed), catalog, store))
}

fn message(error: &domain::error::AppError) -> String {
    let problems: Vec<_> = error.problems.iter().map(|p| format!("\n  {p}")).collect();
    format!("{}{}", error.detail, problems.concat())
}

/// The password on standard input, without its line break.
fn read_password() -> Result<String, String> {
    let mut password = String::new();
    let read = std::io::stdin().read_to_string(&mut password);
    read.map_err(|error| format!("cannot read the password: {error}"))?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}

async fn create_user(data: &DataArgs, email: &str) -> Result<(), String> {
    let password = read_password()?;
    let (accounts, _, store) = open_services(data, Vec::new()).await?;
    let result = accounts.create_user(email, &password).await.map_err(|error| message(&error));
    store.close().await;
    println!("{}", result?.email);
    Ok(())
}

async fn reset_password(data: &DataArgs, email: &str) -> Result<(), String> {
    let password = read_password()?;
    let (accounts, _, store) = open_services(data, Vec::new()).await?;
    let result = accounts.reset_password(email, &password).await.map_err(|error| message(&error));
    store.close().await;
    println!("{}", result?.email);
    Ok(())
}

async fn create_token(data: &DataArgs, email: &str, request: &TokenRequest) -> Result<(), String> {
    let (accounts, _, store) = open_services(data, Vec::new()).await?;
    let result = accounts.create_token_for(email, request).await.map_err(|error| message(&error));
    store.close().await;
    println!("{}", result?.token);
    Ok(())
}

/// Explains why connections of the server may be missing.
const ENVIRONMENT_HINT: &str = "Connections from the environment of the server are available here \
     only if ANTHROPIC_API_KEY or OPENAI_API_KEY, and their _BASE_URL, are set as for the server.";

fn import_error(error: &domain::error::AppError) -> String {
    let about_connections = error.problems.iter().any(|problem| {
        [".connection", ".connection_id"].iter().any(|field| problem.path.ends_with(field))
    });
    let message = message(error);
    if about_connections { format!("{message}\n{ENVIRONMENT_HINT}") } else { message }
}

async fn import(args: crate::cli::ImportArgs) -> Result<(), String> {
    let conflicts = args.providers.check();
    if !conflicts.is_empty() {
        return Err(conflicts.join("\n           "));
    }
    let mut read = read_import_files(&args.files)?;
    if let Some(model) = &args.model {
        services::document_import::set_default_model(&mut read.documents, model);
    }
    if let Some(name) = &args.connection {
        services::document_import::set_default_connection(&mut read.documents, name);
    }
    let server_connections = args.providers.connections();
    let (accounts, catalog, store) = open_services(&args.data, server_connections).await?;
    let result = async {
        let caller = match &args.email {
            Some(email) => accounts.caller_of_email(email).await?,
            None => accounts.only_caller().await?,
        };
        let documents = std::mem::take(&mut read.documents);
        catalog.import(&caller, documents, args.dry_run).await
    }
    .await;
    store.close().await;
    let mut report = result.map_err(|error| import_error(&error))?;
    read.complete_report(&mut report);
    print_report(&report);
    Ok(())
}

fn read_import_files(files: &[PathBuf]) -> Result<ReadFiles, String> {
    let mut read = Vec::new();
    for file in files {
        let path = file.display();
        let format = Format::of_file(file).ok_or_else(|| {
            format!("{path}: unsupported file type; use .yaml, .yml, .json or .md")
        })?;
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {path}: {error}"))?;
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        read.push(ImportFile { name: name.unwrap_or_default(), text, format });
    }
    services::document_import::read_files(&read).map_err(|error| match files {
        [one] => format!("{}: {}", one.display(), message(&error)),
        _ => message(&error),
    })
}

/// Prints the documents, and what differs from files in a foreign format.
fn print_report(report: &ImportReport) {
    for document in &report.documents {
        let kind = match document.kind {
            domain::services::ImportKind::Agent => "agent",
            domain::services::ImportKind::Scenario => "scenario",
            domain::services::ImportKind::Profile => "test profile",
        };
        println!("{kind} {}", document.name);
        for problem in &document.problems {
            println!("  {problem}");
        }
    }
    let titles = [
        (ImportNoteKind::NotCarriedOver, "Not carried over:"),
        (ImportNoteKind::Inferred, "Inferred:"),
    ];
    for (kind, title) in titles {
        let notes: Vec<_> = report.notes.iter().filter(|note| note.kind == kind).collect();
        if !notes.is_empty() {
            println!("{title}");
        }
        for note in notes {
            let more = note.count - 1;
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            println!("  {} {}{more}: {}", note.file, note.path, note.reason);
        }
    }
    let unlisted = report.note_count.saturating_sub(report.notes.len());
    if unlisted > 0 {
        println!("  and {unlisted} more notes");
    }
    let count = report.documents.len();
    match (report.dry_run, report.problem_count) {
        (false, _) => println!("{count} imported"),
        (true, 0) => println!("{count} can be imported; nothing was saved"),
        (true, problems) => println!("{problems} problems; nothing was saved"),
    }
}
