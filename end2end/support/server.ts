import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

/** A server process with its own port and empty data folder. */
export class Server {
  private constructor(
    private child: ChildProcess,
    readonly dataDir: string,
    /** Base URL without a trailing slash. */
    readonly url: string,
    private readonly settings: Record<string, string>,
    private readonly output: string[],
  ) {}

  /** Starts a server and waits until it responds. `settings` are `REHEARSAL_…` variables. */
  static async start(settings: Record<string, string> = {}): Promise<Server> {
    const dataDir = await mkdtemp(path.join(tmpdir(), "rehearsal-end2end-"));
    const address = `127.0.0.1:${await freePort()}`;
    const all = { REHEARSAL_ADDR: address, REHEARSAL_DATA_DIR: dataDir, ...settings };
    const output: string[] = [];
    try {
      const server = new Server(launch(all, output), dataDir, `http://${address}`, all, output);
      await server.ready();
      return server;
    } catch (error) {
      await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  /** The log output so far. */
  log(): string {
    return this.output.join("");
  }

  /** Kills the process. The data is kept. */
  async kill(): Promise<void> {
    await stopProcess(this.child, "SIGKILL");
  }

  /** Terminates the process gracefully and returns its exit code. The data is kept. */
  async terminate(): Promise<number | null> {
    await stopProcess(this.child, "SIGTERM");
    return this.child.exitCode;
  }

  /** Restarts with the same data and port after `kill` or `terminate`. */
  async restart(): Promise<void> {
    this.child = launch(this.settings, this.output);
    await this.ready();
  }

  /** Stops the process and removes its data. */
  async stop(): Promise<void> {
    await stopProcess(this.child, "SIGTERM");
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline) {
      if (this.child.exitCode !== null) {
        throw new Error(`The server ended (${this.child.exitCode}):\n${this.log()}`);
      }
      try {
        // Any response means that the server is up.
        await fetch(`${this.url}/health/live`);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    await this.kill();
    throw new Error(`The server did not respond within 30 s:\n${this.log()}`);
  }
}

function launch(settings: Record<string, string>, output: string[]): ChildProcess {
  const binary = process.env.REHEARSAL_BIN;
  if (!binary) {
    throw new Error("REHEARSAL_BIN must name the server's binary; `cargo xtask test` sets it.");
  }
  const child = spawn(binary, ["serve"], {
    env: { ...withoutOwnSettings(process.env), ...siteDir(), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout?.on("data", (chunk) => output.push(String(chunk)));
  child.stderr?.on("data", (chunk) => output.push(String(chunk)));
  // Kills the server if the worker exits without teardown.
  const last = () => child.kill("SIGKILL");
  process.once("exit", last);
  child.once("exit", () => process.off("exit", last));
  child.on("error", (error) => output.push(`cannot start ${binary}: ${error.message}\n`));
  return child;
}

/** Removes the settings and API keys of the developer. */
function withoutOwnSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(REHEARSAL_|ANTHROPIC_|OPENAI_|LEPTOS_)/.test(name)),
  );
}

function siteDir(): Record<string, string> {
  const folder = process.env.REHEARSAL_SITE_DIR;
  return folder ? { REHEARSAL_SITE_DIR: folder } : {};
}

/** Stops the process and kills it if it does not exit in time. */
async function stopProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
    return;
  }
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  child.kill(signal);
  const force = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(force);
}

function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer();
    probe.once("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address ? address.port : 0;
      probe.close(() => found(port));
    });
  });
}
