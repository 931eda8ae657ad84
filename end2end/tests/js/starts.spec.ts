import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { Provider } from "../../support/provider";
import { expect, expectAccessible, hydrated, test } from "../../support/test";

/** The form that starts this, come alive. */
async function startForm(page: Page, agent: string, scenario: string): Promise<void> {
  await page.goto(`/suites/new?agent=${agent}&scenario=${scenario}`);
  await hydrated(page);
}

const before = (page: Page) => page.getByRole("complementary", { name: "Before it starts" });
const runs = (page: Page) => page.getByRole("button", { name: /^Run( \d+ conversations?)?$/ });

test("a key that is not accepted is told before the start, with the way to it", async ({ page }) => {
  const provider = await Provider.start();
  try {
    provider.locked = true;
    await signedUp(page);
    const api = new Api(page.request);
    const [agent, scenario] = [await api.agentOf(provider.url), await api.ruled("Hours")];
    const suite = await api.finished((await api.start(agent, [scenario])).id);
    expect(suite.counts.error).toBe(1);

    // The run says where to go; what was never finished can only be run again.
    const run = suite.runs[0]?.id ?? "";
    await page.goto(`/runs/${run}`);
    await hydrated(page);
    await expect(page.getByRole("link", { name: "To the connections" })).toBeVisible();
    await expect(page.getByRole("button", { name: "Judge again" })).toBeHidden();
    await page.getByRole("link", { name: "Run it again" }).click();
    await expect(page).toHaveURL(/\/suites\/new\?agent=/);

    await expect(before(page)).toContainText(/Agent, connection Ours: is stopped: .*401/);
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

    // What came back is shown, and a test that helps opens it again.
    await before(page).getByRole("link", { name: "Ours" }).click();
    await page.getByRole("button", { name: "Test connection" }).click();
    const raw = page.locator("details.raw pre");
    await expect(raw.last()).toHaveText("HTTP 401\nNo such key here.");
    provider.locked = false;
    provider.down = false;
    await page.getByRole("button", { name: "Try now" }).click();
    const told = page.locator("[role=status]").filter({ hasText: "It answers" });
    await expect(told).toContainText(/The model answered in \d+ ms\.(?! *\d)/);
    await startForm(page, agent, scenario);
    await expect(runs(page)).toBeEnabled();
    await runs(page).click();
    await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  } finally {
    await provider.stop();
  }
});

test("an open circuit is told with its next try, and forbids nothing", async ({ page }) => {
  const provider = await Provider.start();
  try {
    await signedUp(page);
    const api = new Api(page.request);
    const agent = await api.agentOf(provider.url);
    const scenarios = await Promise.all([1, 2, 3, 4, 5].map((n) => api.ruled(`Case ${n}`)));
    const other = await api.ruled("Other");
    const suite = await api.start(agent, scenarios, { concurrency: 5 });
    const open = async () => {
      const all = await api.get<{ items: { breaker: { state: string } }[] }>("/connections");
      return all.items[0]?.breaker.state;
    };
    await expect.poll(open, { timeout: 30_000 }).toBe("open");
    await startForm(page, agent, other);
    await expect(before(page)).toContainText(
      /Agent, connection Ours: has an open circuit, so runs wait: .* Next try at \d\d:\d\d:\d\d/,
    );
    await expect(runs(page)).toBeEnabled();
    await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  } finally {
    await provider.stop();
  }
});

test("where nobody answers it is told whose connection it is", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agentOf("http://127.0.0.1:9/v1"), await api.ruled("Hours")];
  await startForm(page, agent, scenario);
  await expect(before(page)).toContainText("Agent, connection Ours: cannot be reached: nobody");
  await expect(runs(page)).toBeDisabled();
});

test("what a start would refuse is told before it", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  await startForm(page, await api.agent(), await api.scenario("Hours", 1));
  await expect(runs(page)).toBeEnabled();
  const type = async (label: string, text: string) => {
    await page.getByLabel(label).fill(text);
    await page.getByLabel(label).press("Tab");
  };
  for (const [label, text, told] of [
    ["Repeats", "99", "Repeats: must be from 1 to 20."],
    ["Repeats", "1.5", "Repeats: must be a whole number."],
    ["Repeats", "abc", "Repeats: must be a number."],
    ["At once", "65", "At once: must be from 1 to 64."],
  ] as const) {
    await type(label, text);
    await expect(before(page)).toContainText(told);
    await expect(runs(page)).toBeDisabled();
    await expect(page.locator("#why-not")).toContainText("put right");
    await type(label, label === "Repeats" ? "2" : "");
    await expect(page.getByRole("button", { name: "Run 2 conversations" })).toBeEnabled();
  }
});

test("what is chosen is in sight, and all of it hides the boxes", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  const names = Array.from({ length: 40 }, (_, n) => `Case ${String(n).padStart(2, "0")}`);
  const ids = new Map<string, string>();
  for (const name of names) {
    ids.set(name, await api.ruled(name));
  }
  for (const name of ["Case 00", "Case 39"]) {
    await startForm(page, agent, ids.get(name) ?? "");
    const box = page.getByRole("checkbox", { name: new RegExp(name) });
    await expect(box).toBeChecked();
    const top = (selector: string) =>
      page.locator(selector).evaluate((element) => element.getBoundingClientRect().bottom);
    const bottom = await box.evaluate((element) => element.getBoundingClientRect().bottom);
    expect(bottom, `${name} in the list`).toBeLessThan(await top(".pick"));
  }
  await page.getByRole("checkbox", { name: "All active ones" }).check();
  await expect(page.locator(".pick")).toBeHidden();
  // Some of the built-in ones need tools, which is told beside it.
  await expect(page.getByRole("button", { name: /^Run \d\d conversations$/ })).toBeVisible();
  await page.goto(`/suites/new?agent=${agent}&all=true`);
  await hydrated(page);
  await expectAccessible(page);
  await page.getByRole("checkbox", { name: "All active ones" }).uncheck();
  await expect(page.locator(".pick")).toBeVisible();
});

test("running what is selected says when nothing is", async ({ page, visit }) => {
  await signedUp(page);
  const api = new Api(page.request);
  await api.agent();
  await api.scenario("Hours", 1);
  await visit("/scenarios");
  await page.getByRole("button", { name: "Run selected" }).click();
  await expect(page.getByText("No scenario was ticked in the list.")).toBeVisible();
  await hydrated(page);
  await page.getByRole("checkbox", { name: /Hours Information/ }).check();
  await expect(page.getByText("No scenario was ticked in the list.")).toBeHidden();
});
