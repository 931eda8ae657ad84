import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp, signUp } from "../../support/people";
import { expect, hydrated, test } from "../../support/test";

const PROMPT = `You are Nora at Harbour Dental.

# Facts
The practice is open Monday to Friday from 8 am to 6 pm.
A cleaning costs 80 euros and takes 45 minutes.`;

test("from nothing to a verdict that can be checked", async ({ page, visit }) => {
  await signUp(page);

  await test.step("a connection", async () => {
    await visit("/settings/connections/new");
    await page.getByLabel("Name", { exact: false }).fill("Stand-in");
    await page.getByLabel("Kind").selectOption("demo");
    await page.getByRole("button", { name: "Save connection" }).click();
    await expect(page.getByRole("status").getByText("Saved.")).toBeVisible();
    await expect(page.getByRole("link", { name: "Stand-in" })).toBeVisible();
  });

  await test.step("an agent", async () => {
    await visit("/agents/new");
    const about = page.getByRole("region", { name: "About the agent" });
    await about.getByLabel("Name").fill("Harbour desk");
    await about.getByLabel("System prompt").fill(PROMPT);
    // The only connection is chosen already.
    await expect(page.getByRole("combobox", { name: "Connection" })).toHaveValue(/.{36}/);
    await page.getByRole("textbox", { name: "Model" }).fill("demo");
    await page.getByRole("button", { name: "Save agent" }).click();
    await expect(page).toHaveURL(/\/agents\/[0-9a-f-]{36}/);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Harbour desk");
  });

  await test.step("a scenario, with a mistake that is corrected", async () => {
    await visit("/scenarios/new");
    await writeScenario(page);
  });

  await test.step("the start, after a look at what it would do", async () => {
    await page.getByRole("link", { name: "Run", exact: true }).click();
    await expect(page).toHaveURL(/\/suites\/new\?scenario=/);
    const before = page.getByRole("complementary", { name: "Before it starts" });
    await expect(before.getByText("Model calls, at most")).toBeVisible();
    await expect(before.getByText("Scenarios")).toBeVisible();
    await before.getByRole("button", { name: "Run 1 conversation" }).click();
    await expect(page).toHaveURL(/\/suites\/[0-9a-f-]{36}$/);
  });

  await test.step("watched to its end", async () => {
    await hydrated(page);
    const log = page.getByRole("log", { name: "Transcript" });
    await expect(log.getByText("What are your opening hours?")).toBeVisible();
    await expect(log.getByText(/8 am/).first()).toBeVisible();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
  });

  await test.step("the verdict and what it rests on", async () => {
    await page.locator("table.runs").getByRole("link", { name: "Opening hours", exact: true }).click();
    await expect(page).toHaveURL(/\/runs\/[0-9a-f-]{36}$/);
    await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
    await checkEvidence(page);
  });

  await test.step("judged again, beside the first", async () => {
    const verdict = await page.locator(".verdict").innerText();
    await page.getByRole("button", { name: "Judge again" }).click();
    const again = page.locator("section").filter({ hasText: "These never change the run’s verdict" });
    await expect(again.getByRole("article")).toHaveCount(1);
    await expect(again.getByRole("article")).toContainText(/Passed|Failed|Inconclusive/);
    expect(await page.locator(".verdict").innerText()).toBe(verdict);
  });

  await test.step("a reload and Back show the same", async () => {
    // Without the notice of the button, which is said once.
    await visit(new URL(page.url()).pathname);
    const shown = await page.locator("main").innerText();
    await page.reload();
    await hydrated(page);
    expect(await page.locator("main").innerText()).toBe(shown);
    await page.getByRole("link", { name: "Suite", exact: true }).click();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
    await page.goBack();
    await expect(page.getByRole("heading", { name: "What was judged" })).toBeVisible();
    expect(await page.locator("main").innerText()).toBe(shown);
    await page.goForward();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
  });
});

/** Saves with an empty message first, and follows the way that is shown. */
async function writeScenario(page: Page): Promise<void> {
  const about = page.getByRole("region", { name: "About the scenario" });
  await about.getByLabel("Name").fill("Opening hours");
  await about.getByLabel("Category").selectOption("information");
  await page.getByRole("button", { name: "Add behaviour" }).click();
  await page.getByLabel("What the agent does").fill("Says that it is open from Monday to Friday");
  const save = page.getByRole("button", { name: "Save scenario" });
  await save.click();

  const summary = page.getByRole("alert");
  await expect(summary).toBeFocused();
  await expect(summary.getByRole("heading")).toHaveText("One thing needs a correction");
  const message = page.getByRole("group", { name: "Turn 1" }).getByLabel("Message");
  await expect(message).toHaveAttribute("aria-invalid", "true");
  await expect(message).toHaveAccessibleDescription(/must not be empty/i);
  await expect(about.getByLabel("Name")).toHaveValue("Opening hours");
  await expect(page.getByLabel("What the agent does")).toHaveValue(
    "Says that it is open from Monday to Friday",
  );
  await summary.getByRole("link").click();
  await expect(message).toBeFocused();
  await page.keyboard.type("What are your opening hours?");
  // Corrected while it is typed: nothing is wrong any more.
  await expect(message).not.toHaveAttribute("aria-invalid", "true");
  await expect(summary).toBeHidden();
  await save.click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Opening hours");
  await expect(message).toHaveValue("What are your opening hours?");
}

/** Every quote stands in the turn that its link leads to. */
async function checkEvidence(page: Page): Promise<void> {
  const judged = page.locator("section").filter({ hasText: "What was judged" });
  const quote = judged.locator("blockquote").first();
  await expect(quote).toContainText("verified");
  const said = (await quote.locator("p").innerText()).replace(/^“|”$/g, "");
  const link = quote.getByRole("link", { name: /^Turn \d+, Agent$/ });
  const number = (await link.innerText()).match(/\d+/)?.[0];
  await link.click();
  await expect(page).toHaveURL(new RegExp(`#t${number}$`));
  const turn = page.locator(`#t${number}`);
  await expect(turn).toBeInViewport();
  await expect(turn).toContainText(said);
  await turn.getByRole("link", { name: /Says that it is open from Monday to Friday/ }).click();
  await expect(page).toHaveURL(/#i1$/);
  await expect(page.locator("#i1")).toBeInViewport();
}

test("cancel says so at once, stops within a second, and keeps what was said", async ({
  page,
  visit,
}) => {
  await signedUp(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  const names = ["One", "Two", "Three", "Four", "Five", "Six"];
  const scenarios = await Promise.all(names.map((name) => api.scenario(name, 60)));
  const { id } = await api.start(agent, scenarios);
  await visit(`/suites/${id}`);
  const log = page.getByRole("log", { name: "Transcript" });
  await expect(log.getByRole("article").nth(1)).toBeVisible();
  const heard = await log.locator(".said").allInnerTexts();

  // Held back on its way: what the page says then is its own, at once.
  let release = () => {};
  const held = new Promise<void>((go) => (release = go));
  await page.route("**/fn/cancel", async (route) => {
    await held;
    await route.continue();
  });
  await page.getByRole("button", { name: "Cancel suite" }).click();
  await expect(page.getByRole("button", { name: "Cancelling…" })).toBeVisible();
  expect((await api.suite(id)).cancel_requested_at, "the server was not asked yet").toBeNull();
  release();
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();

  const suite = await api.finished(id);
  expect(suite.status).toBe("cancelled");
  expect(suite.counts.cancelled).toBe(names.length);
  // Nothing is said any more after a second; a slow disk may take another to
  // record the end.
  const asked = Date.parse(suite.cancel_requested_at ?? "");
  for (const run of suite.runs) {
    const last = run.transcript.at(-1)?.at ?? suite.cancel_requested_at ?? "";
    expect(Date.parse(last) - asked, `ms until ${run.scenario.name} was silent`).toBeLessThan(1000);
    const ended = Date.parse(run.finished_at ?? "") - asked;
    expect(ended, `ms until ${run.scenario.name} was final`).toBeLessThan(2000);
  }

  // What was said is kept, and stays.
  const begun = suite.runs.filter((run) => run.transcript.length > 0);
  expect(begun).toHaveLength(3);
  const followed = begun.find((run) => run.transcript[0]?.message === heard[0]);
  expect(followed?.transcript.slice(0, heard.length).map((turn) => turn.message)).toEqual(heard);
  await visit(`/runs/${followed?.id}`);
  await expect(page.locator(".verdict")).toContainText("What was said so far is kept.");
  expect(await page.locator(".transcript .said").allInnerTexts()).toEqual(
    followed?.transcript.map((turn) => turn.message),
  );
});
