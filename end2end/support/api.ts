import { type APIRequestContext, type APIResponse, expect } from "@playwright/test";

/*
 * API client. Tests use it to create data and to compare pages with it.
 */

export interface Turn {
  index: number;
  speaker: "user" | "agent" | "tool";
  message: string;
  at: string;
}

export interface Run {
  id: string;
  suite_id: string;
  status: string;
  recoveries: number;
  finished_at: string | null;
  scenario: { id: string; name: string };
  transcript: Turn[];
  evaluations: { id: string; status: string }[];
}

export interface Suite {
  id: string;
  status: string;
  total: number;
  cancel_requested_at: string | null;
  counts: Record<string, number>;
  progress: { done: number; total: number };
  runs: Run[];
}

/** Whether a status is final. */
export function isFinal(status: string): boolean {
  return !["pending", "running"].includes(status);
}

async function body<T>(answer: APIResponse, status: number): Promise<T> {
  expect(answer.status(), `${answer.url()}: ${await answer.text()}`).toBe(status);
  return (await answer.json()) as T;
}

/** The API with the session of one account. */
export class Api {
  constructor(readonly request: APIRequestContext) {}

  async get<T>(path: string): Promise<T> {
    return body<T>(await this.request.get(`/api/v1${path}`), 200);
  }

  async post<T>(path: string, data: unknown, status = 201): Promise<T> {
    return body<T>(await this.request.post(`/api/v1${path}`, { data }), status);
  }

  async suites(): Promise<Suite[]> {
    return (await this.get<{ items: Suite[] }>("/suites")).items;
  }

  suite(id: string): Promise<Suite> {
    return this.get(`/suites/${id}`);
  }

  run(id: string): Promise<Run> {
    return this.get(`/runs/${id}`);
  }

  /** Waits until a suite is final and returns it with all transcripts. */
  async waitUntilFinal(id: string, timeout = 60_000): Promise<Suite> {
    const status = async () => isFinal((await this.suite(id)).status);
    await expect.poll(status, { timeout, message: "the suite becomes final" }).toBe(true);
    const suite = await this.suite(id);
    return { ...suite, runs: await Promise.all(suite.runs.map((run) => this.run(run.id))) };
  }

  /** Creates a connection to the demo model and returns its ID. */
  async connection(): Promise<string> {
    const made = await this.post<{ id: string }>("/connections", { name: "Demo", kind: "demo" });
    return made.id;
  }

  /** Creates an agent that uses the demo model and returns its ID. */
  async agent(name = "Front desk"): Promise<string> {
    const made = await this.post<{ id: string }>("/agents", {
      name,
      system_prompt: "You are the receptionist of Harbor Dental. Be brief and kind.",
      connection_id: await this.connection(),
      model: "demo",
    });
    return made.id;
  }

  /** Creates a scripted scenario with this many user turns and returns its ID. */
  async scenario(name: string, turns = 2): Promise<string> {
    const message = (n: number) => `${name}, question ${n + 1}: when are you open?`;
    const made = await this.post<{ id: string }>("/scenarios", {
      name,
      category: "information",
      conversation_flow: Array.from({ length: turns }, (_, n) => ({
        speaker: "user",
        message: message(n),
      })),
      expected_behaviors: [{ text: "Tells when the practice is open" }],
      max_turns: turns,
    });
    return made.id;
  }

  /** Creates an agent that uses an OpenAI-compatible server and returns its ID. */
  async agentFor(url: string, name = "Desk"): Promise<string> {
    const connection = await this.post<{ id: string }>("/connections", {
      name: "Ours",
      kind: "openai",
      base_url: url,
      api_key: "sk-1234567890",
    });
    const made = await this.post<{ id: string }>("/agents", {
      name,
      system_prompt: "You help.",
      model: "m",
      connection_id: connection.id,
    });
    return made.id;
  }

  /** Creates a scenario with one turn and rule checks only and returns its ID. */
  async ruleScenario(name: string): Promise<string> {
    const made = await this.post<{ id: string }>("/scenarios", {
      name,
      category: "information",
      conversation_flow: [{ speaker: "user", message: "When are you open?" }],
      success_criteria: { must_include: ["nine to five"] },
    });
    return made.id;
  }

  startSuite(agent: string, scenarios: string[], more: Record<string, unknown> = {}): Promise<Suite> {
    return this.post("/suites", { agent_id: agent, scenario_ids: scenarios, ...more }, 202);
  }
}
