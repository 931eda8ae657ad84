import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { Provider } from "../../support/provider";
import { expect, expectAccessible, hydrated, test } from "../../support/test";

/** Opens the start form and waits for hydration. */
async function startForm(page: Page, agent: string, scenario: string): Promise<void> {
  await page.goto(`/suites/new?agent=${agent}&scenario=${scenario}`);
  await hydrated(page);
}

const before = (page: Page) => page.getByRole("complementary", { name: "Preflight check" });
const runs = (page: Page) => page.getByRole("button", { name: /^Run( \d+ conversations?)?$/ });

test("rejected API key blocks the start and links to the connection", async ({ page }) => {
  const provider = await Provider.start();
  try {
    provider.rejectsKeys = true;
    await createAccount(page);
    const api = new Api(page.request);
    const [agent, scenario] = [await api.agentFor(provider.url), await api.ruleScenario("Hours")];
    const suite = await api.waitUntilFinal((await api.startSuite(agent, [scenario])).id);
    expect(suite.counts.error).toBe(1);

    // The run links to the connections. It cannot be rejudged, only run again.
    const run = suite.runs[0]?.id ?? "";
    await page.goto(`/runs/${run}`);
    await hydrated(page);
    await expect(page.getByRole("link", { name: "Open connections" })).toBeVisible();
    await expect(page.getByRole("button", { name: "Rejudge" })).toBeHidden();
    await page.getByRole("link", { name: "Run again" }).click();
    await expect(page).toHaveURL(/\/suites\/new\?agent=/);

    await expect(before(page)).toContainText(/Agent, connection Ours: is suspended: .*401/);
    await expect(runs(page)).toBeDisabled();
    await expectAccessible(page);
    const refused = await page.request.post("/api/v1/suites", {
      data: { agent_id: agent, scenario_ids: [scenario] },
    });
    expect(refused.status()).toBe(422);
    expect(await refused.json()).toMatchObject({
      errors: [{ path: "agent.connection_id" }],
      link: expect.stringMatching(/^\/settings\/connections\//),
    });

    // The test shows the response, and a successful test resumes calls.
    await before(page).getByRole("link", { name: "Ours" }).click();
    await page.getByRole("button", { name: "Test connection" }).click();
    const raw = page.locator("details.raw pre");
    await expect(raw.last()).toHaveText("HTTP 401\nNo such key here.");
    provider.rejectsKeys = false;
    provider.isDown = false;
    await page.getByRole("button", { name: "Retry now" }).click();
    const result = page.locator("[role=status]").filter({ hasText: "Connection OK" });
    await expect(result).toContainText(/The model answered in \d+ ms\.(?! *\d)/);
    await startForm(page, agent, scenario);
    await expect(runs(page)).toBeEnabled();
    await runs(page).click();
    await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  } finally {
    await provider.stop();
  }
});

test("open circuit shows its next retry and does not block the start", async ({ page }) => {
  const provider = await Provider.start();
  try {
    await createAccount(page);
    const api = new Api(page.request);
    const agent = await api.agentFor(provider.url);
    const scenarios = await Promise.all([1, 2, 3, 4, 5].map((n) => api.ruleScenario(`Case ${n}`)));
    const other = await api.ruleScenario("Other");
    const suite = await api.startSuite(agent, scenarios, { concurrency: 5 });
    const open = async () => {
      const all = await api.get<{ items: { breaker: { state: string } }[] }>("/connections");
      return all.items[0]?.breaker.state;
    };
    await expect.poll(open, { timeout: 30_000 }).toBe("open");
    await startForm(page, agent, other);
    await expect(before(page)).toContainText(
      /Agent, connection Ours: is failing, so runs wait: .* Next retry at \d\d:\d\d:\d\d/,
    );
    await expect(runs(page)).toBeEnabled();
    await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  } finally {
    await provider.stop();
  }
});

test("unreachable connection is named in the preflight check", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agentFor("http://127.0.0.1:9/v1"), await api.ruleScenario("Hours")];
  await startForm(page, agent, scenario);
  await expect(before(page)).toContainText("Agent, connection Ours: cannot be reached: 127.0.0.1:9 accepts no connections");
  await expect(runs(page)).toBeDisabled();
});

test("invalid values are reported before the start", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  await startForm(page, await api.agent(), await api.scenario("Hours", 1));
  await expect(runs(page)).toBeEnabled();
  const type = async (label: string, text: string) => {
    await page.getByLabel(label).fill(text);
    await page.getByLabel(label).press("Tab");
  };
  for (const [label, text, message] of [
    ["Repeats", "99", "Repeats: must be from 1 to 20."],
    ["Repeats", "1.5", "Repeats: must be a whole number."],
    ["Repeats", "abc", "Repeats: must be a number."],
    ["Concurrency", "65", "Concurrency: must be from 1 to 64."],
  ] as const) {
    await type(label, text);
    await expect(before(page)).toContainText(message);
    await expect(runs(page)).toBeDisabled();
    await expect(page.locator("#disabled-reason")).toContainText("Fix the problems");
    await type(label, label === "Repeats" ? "2" : "");
    await expect(page.getByRole("button", { name: "Run 2 conversations" })).toBeEnabled();
  }
});

test("button and preflight check follow each keystroke", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  await startForm(page, await api.agent(), await api.scenario("Hours", 1));
  const repeats = page.getByLabel("Repeats");
  await repeats.focus();
  await page.keyboard.press("End");
  await page.keyboard.type("2");
  await expect(page.getByRole("button", { name: "Run 12 conversations" })).toBeEnabled();
  await expect(before(page)).toContainText("Runs12");
  await expect(repeats, "the field keeps the focus").toBeFocused();
  await page.keyboard.press("Backspace");
  await expect(page.getByRole("button", { name: "Run 1 conversation" })).toBeEnabled();

  // Until the check has answered, the button starts nothing.
  let release = () => {};
  const held = new Promise<void>((go) => (release = go));
  await page.route("**/fn/query*", async (route) => {
    await held;
    await route.continue();
  });
  await page.keyboard.type("1");
  await expect(page.getByRole("button", { name: "Checking…" })).toBeDisabled();
  await page.keyboard.press("Enter");
  expect(await api.suites()).toEqual([]);
  release();
  await page.getByRole("button", { name: "Run 11 conversations" }).click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  expect((await api.suites())[0]?.total).toBe(11);
});

test("chosen scenarios are visible, and choosing all hides the list", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  const names = Array.from({ length: 40 }, (_, n) => `Case ${String(n).padStart(2, "0")}`);
  const ids = new Map<string, string>();
  for (const name of names) {
    ids.set(name, await api.ruleScenario(name));
  }
  for (const name of ["Case 00", "Case 39"]) {
    await startForm(page, agent, ids.get(name) ?? "");
    const box = page.getByRole("checkbox", { name: new RegExp(name) });
    await expect(box).toBeChecked();
    const top = (selector: string) =>
      page.locator(selector).evaluate((element) => element.getBoundingClientRect().bottom);
    const bottom = await box.evaluate((element) => element.getBoundingClientRect().bottom);
    expect(bottom, `${name} in the list`).toBeLessThan(await top(".scenario-list"));
  }
  await page.getByRole("checkbox", { name: "All active scenarios" }).check();
  await expect(page.locator(".scenario-list")).toBeHidden();
  await expect(page.getByRole("button", { name: /^Run \d\d conversations$/ })).toBeVisible();
  await page.goto(`/suites/new?agent=${agent}&all=true`);
  await hydrated(page);
  await expectAccessible(page);
  await page.getByRole("checkbox", { name: "All active scenarios" }).uncheck();
  await expect(page.locator(".scenario-list")).toBeVisible();
});

test("Run selected with an empty selection shows a notice", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  await api.agent();
  await api.scenario("Hours", 1);
  await visit("/scenarios");
  await page.getByRole("button", { name: "Run selected" }).click();
  await expect(page.getByText("You did not select any scenarios.")).toBeVisible();
  await hydrated(page);
  await page.getByRole("checkbox", { name: /Hours Information/ }).check();
  await expect(page.getByText("You did not select any scenarios.")).toBeHidden();
});
