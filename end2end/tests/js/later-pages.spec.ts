import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { expect, hydrated, test } from "../../support/test";

const PIECE = /_(write|set_up|shared)\.wasm$/;
/** The pieces that a page itself asks for, before its scripts do. */
const HINT = 'link[rel="preload"][href$=".wasm"]:not([href$="_bg.wasm"])';

/** The endings of the pieces that a page asks for from now on, one a request. */
function asked(page: Page): string[] {
  const endings: string[] = [];
  page.on("request", (request) => {
    const ending = PIECE.exec(request.url())?.[1];
    if (ending !== undefined) {
      endings.push(ending);
    }
  });
  return endings;
}

test("pages where one writes or sets up load their files when they are needed, once", async ({
  page,
  visit,
}) => {
  const pieces = asked(page);
  const headers: Record<string, string>[] = [];
  page.on("response", (response) => {
    if (PIECE.test(response.url())) {
      headers.push(response.headers());
    }
  });
  await signedUp(page);
  await visit("/suites");
  await page.getByRole("link", { name: "Rehearsal" }).click();
  await expect(page).toHaveURL("/");
  await expect(page.locator(HINT)).not.toBeAttached();
  expect(pieces).toEqual([]);

  // By links, within one document.
  await page.evaluate(() => document.body.setAttribute("data-same", ""));
  const main = page.getByRole("navigation", { name: "Main" });
  await main.getByRole("link", { name: "Scenarios" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Scenarios" })).toBeFocused();
  await page.getByRole("link", { name: "New scenario" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "New scenario" })).toBeFocused();
  await main.getByRole("link", { name: "Suites" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Suites" })).toBeFocused();
  await main.getByRole("link", { name: "Agents" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeFocused();
  expect([...pieces].sort()).toEqual(["shared", "write"]);
  await main.getByRole("link", { name: "Settings" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Connections" })).toBeFocused();
  await main.getByRole("link", { name: "Agents" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeFocused();
  await main.getByRole("link", { name: "Scenarios" }).click();
  await page.getByRole("link", { name: "New scenario" }).click();
  await page.getByRole("button", { name: "Add turn" }).click();
  await expect(page.getByRole("group", { name: "Turn 2", exact: true })).toBeVisible();
  await expect(page.locator("body[data-same]")).toBeAttached();
  expect([...pieces].sort()).toEqual(["set_up", "shared", "write"]);

  // Kept for ever, and made small.
  expect(headers).toHaveLength(3);
  for (const header of headers) {
    expect(header["cache-control"]).toContain("immutable");
    expect(header["content-encoding"]).toMatch(/^(br|gzip)$/);
  }
});

test("opened at its own address, a page where one sets up loads its own files only", async ({
  page,
  visit,
}) => {
  await signedUp(page);
  const pieces = asked(page);
  await visit("/settings/connections/new");
  await expect(page.locator(HINT)).toHaveCount(2);
  // The scripts take what the page asked for.
  expect([...pieces].sort()).toEqual(["set_up", "shared"]);
});

test("opened at its own address, a page where one writes comes alive with its files", async ({
  page,
  visit,
}) => {
  await signedUp(page);
  const pieces = asked(page);
  await visit("/scenarios/new");
  await expect(page.locator(HINT)).toHaveCount(2);
  expect([...pieces].sort()).toEqual(["shared", "write"]);
  // Checked in the browser: no request, and the summary takes the focus.
  await page.locator("#name").fill("");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page.getByRole("alert")).toBeFocused();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Suites" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Suites" })).toBeFocused();
});

test.describe("where a file does not come", () => {
  test.use({ expectedErrors: [/ERR_FAILED|Failed to fetch/] });

  for (const missing of ["write", "shared"]) {
    test(`without "${missing}" pages work as without scripts, and links to them say so`, async ({
      page,
      visit,
    }) => {
      const file = new RegExp(`_${missing}\\.wasm$`);
      await signedUp(page);
      await page.route(file, (route) => route.abort());
      await page.goto("/scenarios/new");
      await page.locator("#name").fill("Without it");
      await page.getByLabel("Message").fill("Hello?");
      await page.getByRole("button", { name: "Save scenario" }).click();
      await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
      await expect(page.locator("body[data-hydrated]")).not.toBeAttached();
      const scenarios = await new Api(page.request).get<{ items: { name: string }[] }>(
        "/scenarios?q=Without",
      );
      expect(scenarios.items.map((scenario) => scenario.name)).toEqual(["Without it"]);

      await visit("/suites");
      const main = page.getByRole("navigation", { name: "Main" });
      await main.getByRole("link", { name: "Agents" }).click();
      await expect(page.getByText("A part of the application could not be loaded.")).toBeVisible();
      await page.unroute(file);
      await page.getByRole("link", { name: "Try again" }).click();
      await hydrated(page);
      await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeVisible();
    });
  }

  test("the pages of the other part are there", async ({ page, visit }) => {
    await signedUp(page);
    await page.route(/_set_up\.wasm$/, (route) => route.abort());
    await visit("/agents");
    const main = page.getByRole("navigation", { name: "Main" });
    await main.getByRole("link", { name: "Settings" }).click();
    await expect(page.getByText("A part of the application could not be loaded.")).toBeVisible();
    await main.getByRole("link", { name: "Scenarios" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Scenarios" })).toBeVisible();
    await page.unroute(/_set_up\.wasm$/);
    await main.getByRole("link", { name: "Settings" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Connections" })).toBeVisible();
  });
});
