import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, hydrated, test } from "../../support/test";

test("auto-follow continues with the next run", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("First", 2), await api.scenario("Second", 60)];
  const suite = await api.startSuite(await api.agent(), scenarios, { concurrency: 1 });
  await visit(`/suites/${suite.id}`);
  const panel = page.getByRole("region", { name: "Second" });
  await expect(panel.getByRole("article").nth(1)).toBeVisible({ timeout: 30_000 });
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await api.waitUntilFinal(suite.id);
});

test("double click on Cancel starts no re-run", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const suite = await api.startSuite(await api.agent(), [await api.scenario("Long", 60)]);
  await visit(`/suites/${suite.id}`);
  const button = page.getByRole("button", { name: "Cancel suite" });
  const box = await button.boundingBox();
  const at = { x: (box?.x ?? 0) + 10, y: (box?.y ?? 0) + 10 };
  await page.mouse.click(at.x, at.y);
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible();
  // No button is left until the re-run buttons appear.
  await expect(page.locator(".page-head").getByRole("button")).toHaveCount(0);
  await page.mouse.click(at.x, at.y);
  await expect(page.getByRole("button", { name: "Re-run all" })).toBeVisible();
  expect(await api.suites(), "nothing was started").toHaveLength(1);
  expect(new URL(page.url()).pathname).toBe(`/suites/${suite.id}`);
});

test.describe("when the server is unreachable", () => {
  test.use({ expectedErrors: [/net::ERR_FAILED/] });

  test("failed cancel shows an error and can be retried", async ({ page, visit }) => {
    await createAccount(page);
    const api = new Api(page.request);
    const suite = await api.startSuite(await api.agent(), [await api.scenario("Long", 60)]);
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

test("focus moves to a sensible place when a button disappears", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("One", 60), await api.scenario("Two", 60)];
  const suite = await api.startSuite(await api.agent(), scenarios);
  await visit(`/suites/${suite.id}`);
  await page.getByRole("button", { name: "Cancel One" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Cancel One" })).toBeHidden();
  await expect(page.getByRole("link", { name: "One", exact: true })).toBeFocused();
  await page.getByRole("button", { name: "Cancel suite" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Re-run all" })).toBeVisible();
  await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
});

test("each run is one tab stop, and the arrow keys reach its buttons", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("One", 60), await api.scenario("Two", 60)];
  const suite = await api.startSuite(await api.agent(), scenarios);
  await visit(`/suites/${suite.id}`);
  const one = page.getByRole("link", { name: "One", exact: true });
  await one.focus();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Two", exact: true })).toBeFocused();
  await page.keyboard.press("Shift+Tab");
  await expect(one).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("link", { name: "Show transcript of One" })).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("button", { name: "Cancel One" })).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("button", { name: "Cancel One" })).toBeFocused();
  // The keys for lists count the whole row.
  await page.keyboard.press("j");
  await expect(page.getByRole("link", { name: "Two", exact: true })).toBeFocused();
  await page.keyboard.press("k");
  await page.keyboard.press("ArrowLeft");
  await expect(one).toBeFocused();
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
});

test.describe("on a narrow screen", () => {
  test.use({ viewport: { width: 320, height: 700 } });

  test("Show scrolls the transcript into view", async ({ page, visit }) => {
    await createAccount(page);
    const api = new Api(page.request);
    const scenarios = await Promise.all(
      Array.from({ length: 8 }, (_, n) => api.scenario(`Case ${n}`, 1)),
    );
    const suite = await api.startSuite(await api.agent(), scenarios, { concurrency: 8 });
    await api.waitUntilFinal(suite.id);
    await visit(`/suites/${suite.id}`);
    await expect(page.getByRole("log", { name: "Transcript" })).not.toBeInViewport();
    await page.getByRole("link", { name: "Show transcript of Case 0" }).click();
    await expect(page.getByRole("region", { name: "Case 0" })).toBeInViewport();
  });
});

test.describe("in New York", () => {
  test.use({ timezoneId: "America/New_York" });

  test("all times use the browser's time zone", async ({ page }) => {
    await createAccount(page);
    const api = new Api(page.request);
    const suite = await api.startSuite(await api.agent(), [await api.scenario("Now", 60)]);
    const until = Date.now() + 3_600_000;
    // Simulates an event: the run waits for the circuit breaker.
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
    await expect(page.locator(".runs .run-detail").first()).toContainText(`next retry ${there}`);
    await expect(page.locator("main")).not.toContainText("UTC");
  });
});
