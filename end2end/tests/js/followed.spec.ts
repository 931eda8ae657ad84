import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { expect, hydrated, test } from "../../support/test";

test("whoever follows what runs goes on with the next run", async ({ page, visit }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("First", 2), await api.scenario("Second", 60)];
  const suite = await api.start(await api.agent(), scenarios, { concurrency: 1 });
  await visit(`/suites/${suite.id}`);
  const panel = page.getByRole("region", { name: "Second" });
  await expect(panel.getByRole("article").nth(1)).toBeVisible({ timeout: 30_000 });
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await api.finished(suite.id);
});

test("a second press where Cancel was starts nothing", async ({ page, visit }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const suite = await api.start(await api.agent(), [await api.scenario("Long", 60)]);
  await visit(`/suites/${suite.id}`);
  const button = page.getByRole("button", { name: "Cancel suite" });
  const box = await button.boundingBox();
  const at = { x: (box?.x ?? 0) + 10, y: (box?.y ?? 0) + 10 };
  await page.mouse.click(at.x, at.y);
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
  // What is there now says how it ended, and cannot be pressed.
  await expect(page.getByRole("button", { name: "Cancelled" })).toBeDisabled();
  await page.mouse.click(at.x, at.y);
  await expect(page.getByRole("button", { name: "Run all again" })).toBeVisible();
  expect(await api.suites(), "nothing was started").toHaveLength(1);
  expect(new URL(page.url()).pathname).toBe(`/suites/${suite.id}`);
});

test.describe("when the server cannot be asked", () => {
  test.use({ expectedErrors: [/net::ERR_FAILED/] });

  test("a cancel that failed is told, and can be asked for again", async ({ page, visit }) => {
    await signedUp(page);
    const api = new Api(page.request);
    const suite = await api.start(await api.agent(), [await api.scenario("Long", 60)]);
    await visit(`/suites/${suite.id}`);
    await page.route("**/fn/cancel", (route) => route.abort());
    for (const name of ["Cancel Long", "Cancel suite"]) {
      await page.getByRole("button", { name }).click();
      await expect(page.getByRole("alert")).toHaveText(/^Could not cancel: .*[^.]\.$/);
      await expect(page.getByRole("button", { name })).toBeEnabled();
      await expect(page.getByRole("button", { name })).toHaveText(/^Cancel/);
    }
    await page.unroute("**/fn/cancel");
    await page.getByRole("button", { name: "Cancel Long" }).click();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
    await expect(page.getByRole("alert")).toBeHidden();
  });
});

test("the keyboard keeps its place when a button goes", async ({ page, visit }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("One", 60), await api.scenario("Two", 60)];
  const suite = await api.start(await api.agent(), scenarios);
  await visit(`/suites/${suite.id}`);
  await page.getByRole("button", { name: "Cancel One" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Cancel One" })).toBeHidden();
  await expect(page.getByRole("link", { name: "One", exact: true })).toBeFocused();
  await page.getByRole("button", { name: "Cancel suite" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Run all again" })).toBeVisible();
  await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
});

test.describe("on a narrow screen", () => {
  test.use({ viewport: { width: 320, height: 700 } });

  test("Show brings what is said into view", async ({ page, visit }) => {
    await signedUp(page);
    const api = new Api(page.request);
    const scenarios = await Promise.all(
      Array.from({ length: 8 }, (_, n) => api.scenario(`Case ${n}`, 1)),
    );
    const suite = await api.start(await api.agent(), scenarios, { concurrency: 8 });
    await api.finished(suite.id);
    await visit(`/suites/${suite.id}`);
    await expect(page.getByRole("log", { name: "Transcript" })).not.toBeInViewport();
    await page.getByRole("link", { name: "Show what is said in Case 0" }).click();
    await expect(page.getByRole("region", { name: "Case 0" })).toBeInViewport();
  });
});

test.describe("in New York", () => {
  test.use({ timezoneId: "America/New_York" });

  test("a page has one clock", async ({ page }) => {
    await signedUp(page);
    const api = new Api(page.request);
    const suite = await api.start(await api.agent(), [await api.scenario("Now", 60)]);
    const until = Date.now() + 3_600_000;
    // The server says that this run waits for the circuit.
    await page.route(`**/api/v1/suites/${suite.id}/events?*`, (route) => {
      const [run] = suite.runs;
      const waiting = { what: "circuit", until: new Date(until).toISOString() };
      const event = { ...run, run_id: run?.id, status: "running", waiting_on: waiting };
      const body = `id: 1000000\nevent: run\ndata: ${JSON.stringify(event)}\n\n`;
      return route.fulfill({ contentType: "text/event-stream", body });
    });
    await page.goto(`/suites/${suite.id}`);
    await hydrated(page);
    const there = new Date(until).toLocaleTimeString("sv-SE", { timeZone: "America/New_York" });
    await expect(page.locator(".runs .what").first()).toContainText(`next try ${there}`);
    await expect(page.locator("main")).not.toContainText("UTC");
  });
});
