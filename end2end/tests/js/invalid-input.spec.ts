import type { APIResponse, Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, hydrated, test } from "../../support/test";

// The browser logs error responses.
test.use({ expectedErrors: [/status of (404|413|422)/] });

const UNKNOWN_ID = "0190a000-0000-7000-8000-000000000001";
const ZERO_WIDTH = "\u200b\u200c\u200d\ufeff \u2060";

interface Problem {
  status: number;
  detail: string;
  errors?: { path: string; message: string }[];
}

/** Expects a problem document with a helpful message and no internal details. */
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

// Sent as bytes, because Playwright would encode invalid JSON text as a JSON string.
const json = (text: string) => ({
  data: Buffer.from(text),
  headers: { "content-type": "application/json" },
});

test("malformed and mistyped JSON is refused", async ({ page }) => {
  await createAccount(page);
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

test("all validation problems are returned at once with their paths", async ({ page, visit }) => {
  await createAccount(page);
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
  const scenarioPaths = (await expectRefused(scenario, 422)).errors?.map((problem) => problem.path) ?? [];
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
    expect(scenarioPaths, "paths of the scenario").toContain(path);
  }
  // Sent by the browser, because other clients may stop writing before they read the response.
  await visit("/");
  const large = await page.evaluate(async () => {
    const headers = { "content-type": "application/json" };
    const body = "x".repeat(9 * 1024 * 1024);
    const answer = await fetch("/api/v1/scenarios", { method: "POST", headers, body });
    return { status: answer.status, text: await answer.text() };
  });
  expect(large.status).toBe(413);
  expect(JSON.parse(large.text).detail).toContain("8 MiB");

  // Starting a suite with values that are out of range, unknown or missing.
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

test("unknown, malformed and foreign ids are not found", async ({ page, browser, server }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Private")];
  const suite = await api.startSuite(agent, [scenario]);
  await api.waitUntilFinal(suite.id);
  const run = suite.runs[0]?.id ?? "";
  const connection = (await api.get<{ items: { id: string }[] }>("/connections")).items[0]?.id ?? "";

  const otherContext = await browser.newContext({ baseURL: server.url });
  const otherPage = await otherContext.newPage();
  await createAccount(otherPage);
  const otherApi = new Api(otherPage.request);
  const key = await otherApi.agent();
  for (const bad of [UNKNOWN_ID, "no-id", "%00", "..%2f..%2fetc", "😀"]) {
    for (const kind of ["agents", "scenarios", "connections", "suites", "runs"]) {
      await expectRefused(await otherPage.request.get(`/api/v1/${kind}/${bad}`), 404);
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
    await expectRefused(await otherPage.request.get(`/api/v1${path}`), 404);
  }
  const post = (path: string, data: object = {}) => otherPage.request.post(`/api/v1${path}`, { data });
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
    await expectRefused(await otherPage.request.delete(`/api/v1${path}`), 404);
  }
  // A request cannot refer to resources of another user.
  const borrowed = [
    { agent_id: agent, scenario_ids: [scenario] },
    { agent_id: key, scenario_ids: [scenario] },
    { agent_id: key, scenario_ids: [UNKNOWN_ID] },
  ];
  for (const data of borrowed) {
    const answer = await post("/suites", data);
    expect([404, 422], await answer.text()).toContain(answer.status());
    await expectRefused(answer, answer.status());
  }
  const agentOverTheirs = { name: "A", system_prompt: "p", model: "m", connection_id: connection };
  await expectRefused(await post("/agents", agentOverTheirs), 422);
  for (const path of [`/agents/${agent}`, `/scenarios/${scenario}`, `/suites/${suite.id}`, `/runs/${run}`]) {
    const answer = await otherPage.goto(path);
    expect(answer?.status(), path).toBe(404);
    await expect(otherPage.locator("main")).toContainText("Not found");
    await expect(otherPage.locator("main")).not.toContainText(/Private|Front desk/);
  }
  await otherContext.close();
  expect((await api.suite(suite.id)).status).toBe("finished");
});

/** Posts a form, follows the redirect, and returns the page. */
async function postForm(page: Page, path: string, form: Record<string, string>): Promise<string> {
  const headers = { referer: new URL(path.replace("/forms", ""), page.url()).href };
  const answer = await page.request.post(path, { form, headers });
  expect(answer.status(), path).toBeLessThan(500);
  return answer.text();
}

test("arbitrary form content never causes a server error", async ({
  page,
  visit,
}) => {
  await createAccount(page);
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
    `/forms/agents/${UNKNOWN_ID}`,
    `/forms/suites/${UNKNOWN_ID}/cancel`,
    "/forms/runs/no-id/evaluate",
  ]) {
    for (const form of odd) {
      const html = await postForm(page, path, form);
      expect(html, path).not.toContain("<script>alert(1)");
    }
  }
});

test("refused form keeps everything that was typed", async ({ page, visit }) => {
  await createAccount(page);
  await new Api(page.request).connection();
  await visit("/agents/new");
  const about = page.getByRole("region", { name: "About the agent" });
  await about.getByLabel("Name").fill("Kept <b>name</b>");
  await about.getByLabel("System prompt").fill(ZERO_WIDTH);
  await page.getByRole("combobox", { name: "Model" }).fill("demo");
  await page.getByRole("button", { name: "Add tool" }).click();
  const tool = page.getByRole("group", { name: "Tool 1" });
  await tool.getByLabel("Parameters").fill("{ not json");
  await page.getByRole("button", { name: "Save agent" }).click();
  const summary = page.getByRole("alert");
  await expect(summary).toBeFocused();
  await expect(summary.getByRole("link")).toHaveCount(3);
  // Each link leads to its field, which shows the problem.
  for (const link of await summary.getByRole("link").all()) {
    const field = page.locator((await link.getAttribute("href")) ?? "");
    await expect(field).toHaveAttribute("aria-invalid", "true");
    await expect(field).toHaveAccessibleDescription(/\S/);
  }
  await expect(about.getByLabel("Name")).toHaveValue("Kept <b>name</b>");
  await expect(tool.getByLabel("Parameters")).toHaveValue("{ not json");
  await expect(about.getByLabel("System prompt")).toHaveValue(ZERO_WIDTH);
});

test("new simulated scenario is saved", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  await page.locator("#name").fill("Moves an appointment");
  await page.locator("#mode").selectOption("simulated");
  await expect(page.getByRole("group", { name: "Turn 1" })).toBeHidden();
  await page.getByLabel("Goal").fill("Move the appointment to Tuesday");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
  await expect(page.getByLabel("Goal")).toHaveValue("Move the appointment to Tuesday");
});

test("problems are listed in the order of the form and lead to visible fields", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  await page.getByLabel("Message").fill("x".repeat(33 * 1024));
  await page.locator("#mode").selectOption("simulated");
  await page.getByLabel("Required tools").fill("find slot");
  await page.getByRole("button", { name: "Add mock" }).click();
  const mock = page.getByRole("group", { name: "Mock 1" });
  await mock.getByLabel("Tool").fill("book it");
  await mock.getByLabel("Result").fill("Booked");
  await page.getByLabel("Max user turns").fill("0");
  await page.getByRole("button", { name: "Save scenario" }).click();
  const summary = page.getByRole("alert");
  const links = summary.getByRole("link");
  await expect(links).toHaveText([
    /^Name: must not be empty/,
    /^Turn 1, message: must be at most/,
    /^Goal: must not be empty/,
    /^Required tools: contains “find slot”/,
    /^Mock 1, tool: may contain only/,
    /^Mock 1, result: must be JSON, such as/,
    /^Max user turns: must be from 1 to 200/,
  ]);
  for (const link of await links.all()) {
    await link.click();
    const field = page.locator((await link.getAttribute("href")) ?? "");
    await expect(field).toBeFocused();
    await expect(field).toBeInViewport();
  }
  // The corrected script is hidden again.
  await page.getByLabel("Message").fill("");
  await expect(page.getByRole("group", { name: "Turn 1" })).toBeHidden();
  await mock.getByLabel("Result").fill("\"Booked\"");
  await expect(links).toHaveCount(5);
});

test("invalid URLs show a page instead of an error", async ({ page, visit }) => {
  await createAccount(page);
  for (const path of [
    "/suites/new?agent=nobody&scenario=none&repeats=abc&concurrency=-1",
    "/scenarios?category=none&difficulty=%00&q=%25%27%22&after=garbage",
    "/suites?status=none&after=%F0%9F%98%80",
    "/agents?after=garbage",
    `/agents/new?saved_form=${UNKNOWN_ID}`,
    "/scenarios/new?saved_form=garbage",
    "/settings/tokens?saved_form=garbage&notice=garbage",
  ]) {
    const answer = await page.goto(path);
    expect(answer?.status(), path).toBeLessThan(500);
    await expect(page.getByRole("heading", { level: 1 }), path).toBeVisible();
    // Leaving a page while its files load is an error in the console.
    await hydrated(page);
  }
  for (const path of ["/agents/no-id", "/suites/no-id", "/runs/%00", `/scenarios/${UNKNOWN_ID}`]) {
    await visit(path);
    await expect(page.getByRole("heading", { level: 1 }), path).toHaveText("Not found");
  }
});
