import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount, signUpWithForm } from "../../support/accounts";
import { expect, hydrated, test } from "../../support/test";

const PROMPT = `You are Nora at Harbor Dental.

# Facts
The practice is open Monday to Friday from 8 am to 6 pm.
A cleaning costs 80 euros and takes 45 minutes.`;

test("new account to verified verdict", async ({ page, visit }) => {
  await signUpWithForm(page);

  await test.step("a connection", async () => {
    await visit("/settings/connections/new");
    await page.locator("#name").fill("Demo model");
    await page.getByLabel("Kind").selectOption("demo");
    await page.getByRole("button", { name: "Save connection" }).click();
    await expect(page.getByRole("status").getByText("Saved.")).toBeVisible();
    await expect(page.getByRole("link", { name: "Demo model" })).toBeVisible();
  });

  await test.step("an agent", async () => {
    await visit("/agents/new");
    const about = page.getByRole("region", { name: "About the agent" });
    await about.getByLabel("Name").fill("Harbor desk");
    await about.getByLabel("System prompt").fill(PROMPT);
    // The only connection is preselected.
    await expect(page.getByRole("combobox", { name: "Connection" })).toHaveValue(/.{36}/);
    await page.getByRole("combobox", { name: "Model" }).fill("demo");
    await page.getByRole("button", { name: "Save agent" }).click();
    await expect(page).toHaveURL(/\/agents\/[0-9a-f-]{36}/);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Harbor desk");
  });

  await test.step("a scenario, with a mistake that is fixed", async () => {
    await visit("/scenarios/new");
    await createScenario(page);
  });

  await test.step("the preflight check and the start", async () => {
    await page.getByRole("link", { name: "Run", exact: true }).click();
    await expect(page).toHaveURL(/\/suites\/new\?scenario=/);
    const before = page.getByRole("complementary", { name: "Preflight check" });
    await expect(before.getByText("Max model calls")).toBeVisible();
    await expect(before.getByText("Scenarios")).toBeVisible();
    await before.getByRole("button", { name: "Run 1 conversation" }).click();
    await expect(page).toHaveURL(/\/suites\/[0-9a-f-]{36}$/);
  });

  await test.step("the live transcript until the end", async () => {
    await hydrated(page);
    const log = page.getByRole("log", { name: "Transcript" });
    await expect(log.getByText("What are your opening hours?")).toBeVisible();
    await expect(log.getByText(/8 am/).first()).toBeVisible();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
  });

  await test.step("the verdict and its evidence", async () => {
    await page.locator("table.runs").getByRole("link", { name: "Opening hours", exact: true }).click();
    await expect(page).toHaveURL(/\/runs\/[0-9a-f-]{36}$/);
    await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
    await checkEvidence(page);
  });

  await test.step("a second judgment next to the first", async () => {
    const verdict = await page.locator(".verdict").innerText();
    await page.getByRole("button", { name: "Rejudge" }).click();
    const evaluations = page.locator("section").filter({ hasText: "They do not change the run’s verdict" });
    await expect(evaluations.getByRole("article")).toHaveCount(1);
    await expect(evaluations.getByRole("article")).toContainText(/Passed|Failed|Inconclusive/);
    expect(await page.locator(".verdict").innerText()).toBe(verdict);
  });

  await test.step("a reload and Back show the same", async () => {
    // Opens the URL without the notice, which is shown once.
    await visit(new URL(page.url()).pathname);
    const shown = await page.locator("main").innerText();
    await page.reload();
    await hydrated(page);
    expect(await page.locator("main").innerText()).toBe(shown);
    await page.getByRole("link", { name: "Suite", exact: true }).click();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
    await page.goBack();
    await expect(page.getByRole("heading", { name: "Judge results", exact: true })).toBeVisible();
    expect(await page.locator("main").innerText()).toBe(shown);
    await page.goForward();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
  });
});

/** Saves with an empty message first and follows the link to the problem. */
async function createScenario(page: Page): Promise<void> {
  const about = page.getByRole("region", { name: "About the scenario" });
  await about.getByLabel("Name").fill("Opening hours");
  await about.getByLabel("Category").selectOption("information");
  await page.getByRole("button", { name: "Add behavior" }).click();
  await page.getByLabel("What the agent should do").fill("Says that it is open from Monday to Friday");
  const save = page.getByRole("button", { name: "Save scenario" });
  await save.click();

  const summary = page.getByRole("alert");
  await expect(summary).toBeFocused();
  await expect(summary.getByRole("heading")).toHaveText("1 problem to fix");
  const message = page.getByRole("group", { name: "Turn 1" }).getByLabel("Message");
  await expect(message).toHaveAttribute("aria-invalid", "true");
  await expect(message).toHaveAccessibleDescription(/must not be empty/i);
  await expect(about.getByLabel("Name")).toHaveValue("Opening hours");
  await expect(page.getByLabel("What the agent should do")).toHaveValue(
    "Says that it is open from Monday to Friday",
  );
  await summary.getByRole("link").click();
  await expect(message).toBeFocused();
  await page.keyboard.type("What are your opening hours?");
  // The problem disappears while the field is corrected.
  await expect(message).not.toHaveAttribute("aria-invalid", "true");
  await expect(summary).toBeHidden();
  await save.click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Opening hours");
  await expect(message).toHaveValue("What are your opening hours?");
}

/** Every quote is in the turn that its link leads to. */
async function checkEvidence(page: Page): Promise<void> {
  const judged = page.locator("section").filter({ has: page.getByRole("heading", { name: "Judge results", exact: true }) });
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

test("cancel is acknowledged at once, takes effect within a second and keeps the transcript", async ({
  page,
  visit,
}) => {
  await createAccount(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  const names = ["One", "Two", "Three", "Four", "Five", "Six"];
  const scenarios = await Promise.all(names.map((name) => api.scenario(name, 60)));
  const { id } = await api.startSuite(agent, scenarios);
  await visit(`/suites/${id}`);
  const log = page.getByRole("log", { name: "Transcript" });
  await expect(log.getByRole("article").nth(1)).toBeVisible();
  const turnsBefore = await log.locator(".message-text").allInnerTexts();

  // Delays the request, so that the page must respond before the server does.
  let release = () => {};
  const held = new Promise<void>((go) => (release = go));
  await page.route("**/fn/cancel", async (route) => {
    await held;
    await route.continue();
  });
  await page.getByRole("button", { name: "Cancel suite" }).click();
  await expect(page.getByRole("button", { name: "Canceling…" })).toBeVisible();
  expect((await api.suite(id)).cancel_requested_at, "the server has not received the request yet").toBeNull();
  release();
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();

  const suite = await api.waitUntilFinal(id);
  expect(suite.status).toBe("cancelled");
  expect(suite.counts.cancelled).toBe(names.length);
  // No turn is added after a second. A slow disk may take another second to store
  // the final status.
  const cancelledAt = Date.parse(suite.cancel_requested_at ?? "");
  for (const run of suite.runs) {
    const last = run.transcript.at(-1)?.at ?? suite.cancel_requested_at ?? "";
    expect(Date.parse(last) - cancelledAt, `ms until the last turn of ${run.scenario.name}`).toBeLessThan(1000);
    const finalAfter = Date.parse(run.finished_at ?? "") - cancelledAt;
    expect(finalAfter, `ms until ${run.scenario.name} was final`).toBeLessThan(2000);
  }

  // The transcript is kept.
  const begun = suite.runs.filter((run) => run.transcript.length > 0);
  expect(begun).toHaveLength(3);
  const followed = begun.find((run) => run.transcript[0]?.message === turnsBefore[0]);
  expect(followed?.transcript.slice(0, turnsBefore.length).map((turn) => turn.message)).toEqual(turnsBefore);
  await visit(`/runs/${followed?.id}`);
  await expect(page.locator(".verdict")).toContainText("The transcript so far is kept.");
  expect(await page.locator(".transcript .message-text").allInnerTexts()).toEqual(
    followed?.transcript.map((turn) => turn.message),
  );
});
