import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

/** A server of its own: another process, another port, an empty data folder. */
export class Server {
  private constructor(
    private child: ChildProcess,
    readonly dataDir: string,
    /** Where it answers, without a slash at the end. */
    readonly url: string,
    private readonly settings: Record<string, string>,
    private readonly output: string[],
  ) {}

  /** Starts one and waits until it answers. `settings` are `REHEARSAL_…`. */
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

  /** What it has logged so far. */
  log(): string {
    return this.output.join("");
  }

  /** Ends the process at once, as a power cut would. The data stays. */
  async kill(): Promise<void> {
    await end(this.child, "SIGKILL");
  }

  /** Asks the process to stop, as a service manager would. The data stays; answers its code. */
  async terminate(): Promise<number | null> {
    await end(this.child, "SIGTERM");
    return this.child.exitCode;
  }

  /** Starts again on the same data and the same port, after `kill` or `terminate`. */
  async startAgain(): Promise<void> {
    this.child = launch(this.settings, this.output);
    await this.ready();
  }

  /** Ends it for good and removes its data. */
  async stop(): Promise<void> {
    await end(this.child, "SIGTERM");
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline) {
      if (this.child.exitCode !== null) {
        throw new Error(`The server ended (${this.child.exitCode}):\n${this.log()}`);
      }
      try {
        // Any answer will do: what it says is for the tests to judge.
        await fetch(`${this.url}/health/live`);
        return;
      } catch {
        await new Promise((again) => setTimeout(again, 50));
      }
    }
    await this.kill();
    throw new Error(`The server did not answer within 30 s:\n${this.log()}`);
  }
}

function launch(settings: Record<string, string>, output: string[]): ChildProcess {
  const binary = process.env.REHEARSAL_BIN;
  if (!binary) {
    throw new Error("REHEARSAL_BIN must name the server's binary; `cargo xtask test` sets it.");
  }
  const child = spawn(binary, ["serve"], {
    env: { ...withoutOurs(process.env), ...siteDir(), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout?.on("data", (chunk) => output.push(String(chunk)));
  child.stderr?.on("data", (chunk) => output.push(String(chunk)));
  // Should this worker end without its teardown, no server stays behind.
  const last = () => child.kill("SIGKILL");
  process.once("exit", last);
  child.once("exit", () => process.off("exit", last));
  child.on("error", (error) => output.push(`cannot start ${binary}: ${error.message}\n`));
  return child;
}

/** A developer's own settings and keys have no say in the tests. */
function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(REHEARSAL_|ANTHROPIC_|OPENAI_|LEPTOS_)/.test(name)),
  );
}

function siteDir(): Record<string, string> {
  const folder = process.env.REHEARSAL_SITE_DIR;
  return folder ? { REHEARSAL_SITE_DIR: folder } : {};
}

/** Waits for the end; a server that ignores the wish is made to. */
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
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
