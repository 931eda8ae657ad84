import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, hydrated, test } from "../../support/test";

test.use({ expectedErrors: [/status of 401/] });

/** Handles the dialog about leaving the page and counts how often it is shown. */
function handleLeaveDialog(page: Page, leave: boolean): () => number {
  let dialogs = 0;
  page.on("dialog", (dialog) => {
    dialogs += 1;
    expect(dialog.type()).toBe("beforeunload");
    void (leave ? dialog.accept() : dialog.dismiss());
  });
  return () => dialogs;
}

test("leaving unsaved changes asks for confirmation", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  const dialogs = handleLeaveDialog(page, false);
  await page.locator("#name").fill("Unsaved");
  await page.getByRole("link", { name: "Agents", exact: true }).click();
  await expect.poll(dialogs).toBe(1);
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect.poll(dialogs).toBe(2);
  await expect(page).toHaveURL(/\/scenarios\/new$/);
  await expect(page.locator("#name")).toHaveValue("Unsaved");
  // An invalid form stays unsaved. Saving it does not ask.
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await page.getByRole("link", { name: "Suites", exact: true }).click();
  await expect.poll(dialogs).toBe(3);
  await page.getByLabel("Message").fill("Hello?");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/notice=saved/);
  await hydrated(page);
  // An added row is a change. A page without changes does not ask.
  await page.getByRole("link", { name: "Agents", exact: true }).click();
  await expect(page).toHaveURL(/\/agents$/);
  await visit("/scenarios/new");
  await page.getByRole("button", { name: "Add turn" }).click();
  await page.getByRole("link", { name: "Agents", exact: true }).click();
  await expect.poll(dialogs).toBe(4);
});

test("Back within the application asks for confirmation", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios");
  await page.getByRole("link", { name: "New scenario" }).first().click();
  await page.locator("#name").fill("Unsaved");
  let leave = false;
  let dialogs = 0;
  page.on("dialog", (dialog) => {
    dialogs += 1;
    expect(dialog.type()).toBe("confirm");
    void (leave ? dialog.accept() : dialog.dismiss());
  });
  await page.evaluate(() => history.back());
  await expect.poll(() => dialogs).toBe(1);
  await expect(page).toHaveURL(/\/scenarios\/new$/);
  await expect(page.locator("#name")).toHaveValue("Unsaved");
  await page.evaluate(() => history.back());
  await expect.poll(() => dialogs).toBe(2);
  await expect(page).toHaveURL(/\/scenarios\/new$/);
  await expect(page.locator("#name")).toHaveValue("Unsaved");
  leave = true;
  await page.evaluate(() => history.back());
  await expect(page).toHaveURL(/\/scenarios$/);
  await expect(page.locator("#name")).toBeHidden();
  expect(dialogs).toBe(3);
});

test("confirmed leave discards the changes", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  const dialogs = handleLeaveDialog(page, true);
  await page.locator("#name").fill("Given up");
  await page.getByRole("link", { name: "Agents", exact: true }).click();
  await expect(page).toHaveURL(/\/agents$/);
  expect(dialogs()).toBe(1);
});

for (const [path, label, add, row] of [
  ["/scenarios/new", "Save scenario", "Add turn", "Turn 2"],
  ["/agents/new", "Save agent", "Add tool", "Tool 1"],
] as const) {
  test(`input at ${path} survives a reload, and is forgotten when the page is left`, async ({ page, visit }) => {
    await createAccount(page);
    await visit(path);
    handleLeaveDialog(page, true);
    await page.locator("#name").fill("Kept");
    await page.getByRole("button", { name: add }).click();
    await page.getByRole("group", { name: row }).getByRole("textbox").first().fill("kept_too");
    for (const _reload of [1, 2]) {
      await page.reload();
      await hydrated(page);
      await expect(page.getByText("was restored")).toBeVisible();
      await expect(page.locator("#name")).toHaveValue("Kept");
      await expect(page.getByRole("group", { name: row }).getByRole("textbox").first()).toHaveValue("kept_too");
      await expect(page.getByRole("button", { name: label })).toBeVisible();
    }
    await page.getByRole("link", { name: "Discard it" }).click();
    await expect(page.locator("#name")).toHaveValue("");
    await page.locator("#name").fill("Given up");
    await page.getByRole("link", { name: "Suites", exact: true }).click();
    await expect(page).toHaveURL(/\/suites$/);
    await visit(path);
    await expect(page.locator("#name")).toHaveValue("");
  });
}

test("input of a new connection survives a reload, but its key is not kept", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/settings/connections/new");
  handleLeaveDialog(page, true);
  await page.locator("#name").fill("Ours");
  await page.locator("#kind").selectOption("openai");
  await page.locator("#api_key").fill("sk-1234567890");
  await page.getByText("More settings", { exact: true }).click();
  await page.locator("#headers").fill("x-team: secret-value");
  await page.locator("#query").fill("key=secret-value");
  await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent("pagehide")));
  const kept = await page.evaluate(() => JSON.stringify({ ...sessionStorage }));
  expect(kept).toContain("Ours");
  expect(kept).not.toMatch(/sk-1234567890|secret-value/);
  await page.reload();
  await hydrated(page);
  await expect(page.getByText("was restored, except for keys")).toBeVisible();
  await expect(page.locator("#name")).toHaveValue("Ours");
  await expect(page.locator("#kind")).toHaveValue("openai");
  await expect(page.locator("#api_key")).toHaveValue("");
});

test("theme changes without leaving the page", async ({ page, context, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  const dialogs = handleLeaveDialog(page, false);
  await page.locator("#name").fill("Unsaved");
  await page.getByRole("button", { name: "Dark" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page.locator("#name")).toHaveValue("Unsaved");
  expect(dialogs()).toBe(0);
  const next = await context.newPage();
  await next.goto("/agents");
  await expect(next.locator("html")).toHaveAttribute("data-theme", "dark");
});

test("page restored from the back-forward cache sends fresh idempotency keys", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/");
  const key = page.locator("input[name=idempotency_key]").first();
  const before = await key.inputValue();
  const show = (persisted: boolean) =>
    page.evaluate((persisted) => {
      window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted }));
    }, persisted);
  await show(false);
  await expect(key).toHaveValue(before);
  await show(true);
  await expect(key).toHaveValue(new RegExp(`^${before}\\.\\d+$`));
});

test("sign-in after an expired session returns to the requested page", async ({
  page,
  visit,
}) => {
  const account = await createAccount(page);
  await new Api(page.request).scenario("Late");
  await visit("/");
  await page.context().clearCookies();
  await page.getByRole("link", { name: "Scenarios", exact: true }).click();
  const main = page.getByRole("main");
  await expect(main.getByRole("heading", { name: "Not signed in" })).toBeVisible();
  await expect(page.getByText(account.email)).toBeHidden();
  await main.getByRole("link", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/sign-in\?next=\/scenarios$/);
  await page.getByLabel("Email").fill(account.email);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/scenarios$/);
});
