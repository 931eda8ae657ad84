import type { APIResponse, Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { expect, test } from "../../support/test";

// The browser's own line about pages that are answered with a refusal.
test.use({ expectedErrors: [/status of (404|413|422)/] });

const NOWHERE = "0190a000-0000-7000-8000-000000000001";
const ZERO_WIDTH = "\u200b\u200c\u200d\ufeff \u2060";

interface Problem {
  status: number;
  detail: string;
  errors?: { path: string; message: string }[];
}

/** A refusal that helps: its status, a sentence, nothing of our insides. */
async function expectRefused(answer: APIResponse, status: number): Promise<Problem> {
  const text = await answer.text();
  const what = `${answer.url()}: ${text.slice(0, 500)}`;
  expect(answer.status(), what).toBe(status);
  expect(answer.headers()["content-type"], what).toContain("application/problem+json");
  const problem = JSON.parse(text) as Problem;
  expect(problem.status).toBe(status);
  expect(problem.detail, what).toMatch(/^[A-Z“].{9,}[.”]$/s);
  expect(text, what).not.toMatch(/sqlx|SQLITE|panicked|\.rs:|expected .* at line|SELECT /);
  return problem;
}

// As bytes: a text that is no JSON would be sent as a JSON string.
const json = (text: string) => ({
  data: Buffer.from(text),
  headers: { "content-type": "application/json" },
});

test("what is no JSON, or none of what was asked for", async ({ page }) => {
  await signedUp(page);
  const at = (path: string, text: string) => page.request.post(`/api/v1${path}`, json(text));
  for (const path of ["/agents", "/scenarios", "/connections", "/suites", "/runs", "/tokens"]) {
    await expectRefused(await at(path, '{"name": '), 400);
    await expectRefused(await at(path, ""), 400);
    await expectRefused(await at(path, "{'name': \u0000}"), 400);
    for (const odd of ["[]", "null", '"text"', "12", '{"name": 7, "agent_id": [], "kind": {}}']) {
      const problem = await expectRefused(await at(path, odd), 422);
      expect(problem.errors?.length, `${path} ${odd}`).toBeGreaterThan(0);
    }
  }
  await expectRefused(await at("/agents", "[".repeat(50_000)), 400);
  const plain = { data: "name=x", headers: { "content-type": "text/plain" } };
  await expectRefused(await page.request.post("/api/v1/agents", plain), 415);
  await expectRefused(await page.request.put("/api/v1/suites", json("{}")), 405);
  await expectRefused(await page.request.get("/api/v1/no-such-thing"), 404);
});

test("all problems at once, each with its path", async ({ page, visit }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const agent = { name: "x".repeat(201), system_prompt: ZERO_WIDTH, model: [], max_tokens: -1 };
  const refused = await page.request.post("/api/v1/agents", { data: agent });
  const paths = (await expectRefused(refused, 422)).errors?.map((problem) => problem.path) ?? [];
  for (const path of ["name", "system_prompt", "connection_id", "model", "max_tokens"]) {
    expect(paths, "paths of the agent").toContain(path);
  }
  const huge = {
    name: "\u0000",
    category: "none of these",
    conversation_flow: [
      { speaker: "user", message: "y".repeat(33 * 1024) },
      { speaker: "nobody", message: ZERO_WIDTH },
    ],
    max_turns: 1e308,
    timeout_seconds: "soon",
    success_criteria: { min_score: 101 },
    tags: Array.from({ length: 101 }, (_, n) => `t${n}`),
    surprise: true,
  };
  const scenario = await page.request.post("/api/v1/scenarios", { data: huge });
  const told = (await expectRefused(scenario, 422)).errors?.map((problem) => problem.path) ?? [];
  for (const path of [
    "name",
    "category",
    "conversation_flow[0].message",
    "conversation_flow[1].speaker",
    "max_turns",
    "timeout_seconds",
    "success_criteria.min_score",
    "tags",
    "surprise",
  ]) {
    expect(told, "paths of the scenario").toContain(path);
  }
  // By a page: a program may give up writing before it reads the answer.
  await visit("/");
  const large = await page.evaluate(async () => {
    const headers = { "content-type": "application/json" };
    const body = "x".repeat(9 * 1024 * 1024);
    const answer = await fetch("/api/v1/scenarios", { method: "POST", headers, body });
    return { status: answer.status, text: await answer.text() };
  });
  expect(large.status).toBe(413);
  expect(JSON.parse(large.text).detail).toContain("8 MiB");

  // A start: out of range, unknown, twice, nothing.
  const [own, one] = [await api.agent(), await api.scenario("One")];
  const start = (data: object) => page.request.post("/api/v1/suites", { data });
  const fine = { agent_id: own, scenario_ids: [one] };
  for (const wrong of [
    { ...fine, repeats: 21 },
    { ...fine, repeats: 0 },
    { ...fine, concurrency: 65 },
    { ...fine, scenario_ids: [] },
    { ...fine, scenario_ids: "all" },
    { ...fine, filter: { category: "none of these" } },
    { agent_id: own },
    { scenario_ids: [one] },
  ]) {
    const problem = await expectRefused(await start(wrong), 422);
    expect(problem.errors?.length, JSON.stringify(wrong)).toBeGreaterThan(0);
  }
  expect(await api.suites()).toEqual([]);
});

test("ids that are unknown, no ids, or somebody else's", async ({ page, browser, server }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Private")];
  const suite = await api.start(agent, [scenario]);
  await api.finished(suite.id);
  const run = suite.runs[0]?.id ?? "";
  const connection = (await api.get<{ items: { id: string }[] }>("/connections")).items[0]?.id ?? "";

  const stranger = await browser.newContext({ baseURL: server.url });
  const other = await stranger.newPage();
  await signedUp(other);
  const theirs = new Api(other.request);
  const key = await theirs.agent();
  for (const bad of [NOWHERE, "no-id", "%00", "..%2f..%2fetc", "😀"]) {
    for (const kind of ["agents", "scenarios", "connections", "suites", "runs"]) {
      await expectRefused(await other.request.get(`/api/v1/${kind}/${bad}`), 404);
    }
  }
  for (const path of [
    `/agents/${agent}`,
    `/agents/${agent}/revisions`,
    `/scenarios/${scenario}`,
    `/connections/${connection}`,
    `/suites/${suite.id}`,
    `/suites/${suite.id}/events`,
    `/runs/${run}`,
  ]) {
    await expectRefused(await other.request.get(`/api/v1${path}`), 404);
  }
  const post = (path: string, data: object = {}) => other.request.post(`/api/v1${path}`, { data });
  for (const path of [
    `/agents/${agent}/duplicate`,
    `/scenarios/${scenario}/duplicate`,
    `/connections/${connection}/test`,
    `/suites/${suite.id}/cancel`,
    `/runs/${run}/cancel`,
    `/runs/${run}/evaluate`,
  ]) {
    await expectRefused(await post(path), 404);
  }
  await expectRefused(await post(`/suites/${suite.id}/rerun`, { which: "all" }), 404);
  for (const path of [`/agents/${agent}`, `/scenarios/${scenario}`, `/connections/${connection}`]) {
    await expectRefused(await other.request.delete(`/api/v1${path}`), 404);
  }
  // Somebody else's things in one's own request exist as little.
  const borrowed = [
    { agent_id: agent, scenario_ids: [scenario] },
    { agent_id: key, scenario_ids: [scenario] },
    { agent_id: key, scenario_ids: [NOWHERE] },
  ];
  for (const data of borrowed) {
    const answer = await post("/suites", data);
    expect([404, 422], await answer.text()).toContain(answer.status());
    await expectRefused(answer, answer.status());
  }
  const agentOverTheirs = { name: "A", system_prompt: "p", model: "m", connection_id: connection };
  await expectRefused(await post("/agents", agentOverTheirs), 422);
  for (const path of [`/agents/${agent}`, `/scenarios/${scenario}`, `/suites/${suite.id}`, `/runs/${run}`]) {
    const answer = await other.goto(path);
    expect(answer?.status(), path).toBe(404);
    await expect(other.locator("main")).toContainText("Not found");
    await expect(other.locator("main")).not.toContainText(/Private|Front desk/);
  }
  await stranger.close();
  expect((await api.suite(suite.id)).status).toBe("finished");
});

/** Posts as a form does, follows to the page, and returns it. */
async function postForm(page: Page, path: string, form: Record<string, string>): Promise<string> {
  const headers = { referer: new URL(path.replace("/forms", ""), page.url()).href };
  const answer = await page.request.post(path, { form, headers });
  expect(answer.status(), path).toBeLessThan(500);
  return answer.text();
}

test("forms with anything in them are answered, and never with our own fault", async ({
  page,
  visit,
}) => {
  await signedUp(page);
  await visit("/");
  const odd: Record<string, string>[] = [
    {},
    { name: ZERO_WIDTH, system_prompt: ZERO_WIDTH, email: "@", password: "" },
    { "name[": "x", "conversation_flow[9999999999][message]": "y", "[]": "z" },
    { [`a${"[b]".repeat(40)}`]: "deep", idempotency_key: "k".repeat(10_000) },
    { name: "<script>alert(1)</script>\u0000", repeats: "1e9", scenario_ids: "none", _action: "up:x:1" },
  ];
  for (const path of [
    "/forms/agents",
    "/forms/scenarios",
    "/forms/connections",
    "/forms/suites",
    "/forms/settings",
    "/forms/tokens",
    "/forms/sign-in",
    "/forms/theme",
    `/forms/agents/${NOWHERE}`,
    `/forms/suites/${NOWHERE}/cancel`,
    "/forms/runs/no-id/evaluate",
  ]) {
    for (const form of odd) {
      const html = await postForm(page, path, form);
      expect(html, path).not.toContain("<script>alert(1)");
    }
  }
});

test("nothing typed is lost when a form is refused", async ({ page, visit }) => {
  await signedUp(page);
  await new Api(page.request).connection();
  await visit("/agents/new");
  const about = page.getByRole("region", { name: "About the agent" });
  await about.getByLabel("Name").fill("Kept <b>name</b>");
  await about.getByLabel("System prompt").fill(ZERO_WIDTH);
  await page.getByRole("textbox", { name: "Model" }).fill("demo");
  await page.getByRole("button", { name: "Add tool" }).click();
  const tool = page.getByRole("group", { name: "Tool 1" });
  await tool.getByLabel("Parameters").fill("{ not json");
  await page.getByRole("button", { name: "Save agent" }).click();
  const summary = page.getByRole("alert");
  await expect(summary).toBeFocused();
  await expect(summary.getByRole("link")).toHaveCount(3);
  // Each link leads to a field that says the same.
  for (const link of await summary.getByRole("link").all()) {
    const field = page.locator((await link.getAttribute("href")) ?? "");
    await expect(field).toHaveAttribute("aria-invalid", "true");
    await expect(field).toHaveAccessibleDescription(/\S/);
  }
  await expect(about.getByLabel("Name")).toHaveValue("Kept <b>name</b>");
  await expect(tool.getByLabel("Parameters")).toHaveValue("{ not json");
  await expect(about.getByLabel("System prompt")).toHaveValue(ZERO_WIDTH);
});

test("pages at addresses that mean nothing", async ({ page, visit }) => {
  await signedUp(page);
  for (const path of [
    "/suites/new?agent=nobody&scenario=none&repeats=abc&concurrency=-1",
    "/scenarios?category=none&difficulty=%00&q=%25%27%22&after=garbage",
    "/suites?status=none&after=%F0%9F%98%80",
    "/agents?after=garbage",
    `/agents/new?draft=${NOWHERE}`,
    "/scenarios/new?draft=garbage",
    "/settings/tokens?draft=garbage&notice=garbage",
  ]) {
    const answer = await page.goto(path);
    expect(answer?.status(), path).toBeLessThan(500);
    await expect(page.getByRole("heading", { level: 1 }), path).toBeVisible();
  }
  for (const path of ["/agents/no-id", "/suites/no-id", "/runs/%00", `/scenarios/${NOWHERE}`]) {
    await visit(path);
    await expect(page.getByRole("heading", { level: 1 }), path).toHaveText("Not found");
  }
});
