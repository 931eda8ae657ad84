import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, expectAccessible, test } from "../../support/test";

// The browser logs the 401 response of the expired session.
test.use({ expectedErrors: [/status of 401/] });

/** Fills in the form of a new scenario. */
async function typeScenario(page: Page, name: string): Promise<void> {
  await page.locator("#name").fill(name);
  await page.getByLabel("Message").fill("Hello?\nIs anybody \"there\"?");
}

async function signInHere(page: Page, email: string, password: string): Promise<void> {
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("new token is shown once and works", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/settings/tokens");
  await page.getByLabel("Name").fill("ci");
  await page.getByRole("button", { name: "Create token" }).click();
  const secret = page.locator("pre.secret");
  await expect(secret).toHaveText(/^\S{20,}$/);
  const token = (await secret.textContent()) ?? "";
  await expect(page.getByLabel("Name")).toHaveValue("");
  await expect(page.getByRole("cell", { name: "ci", exact: true })).toBeVisible();
  const headers = { authorization: `Bearer ${token}` };
  expect((await page.request.get("/api/v1/agents", { headers })).status()).toBe(200);
  await page.reload();
  await expect(page.getByText("A new token is shown once.")).toBeVisible();
  await expect(secret).toBeHidden();
});

test("form content survives an expired session and a wrong password", async ({ page, visit }) => {
  const account = await createAccount(page);
  await visit("/scenarios/new");
  await typeScenario(page, "Typed in time");
  await page.context().clearCookies();
  await page.getByRole("button", { name: "Save scenario" }).click();
  const title = "Your session expired. Sign in to continue.";
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(title);
  await expectAccessible(page);
  await signInHere(page, account.email, "not this one at all");
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(page.getByLabel("Email")).toHaveValue(account.email);
  await signInHere(page, account.email, account.password);
  await expect(page).toHaveURL(/\/scenarios\/new\?saved_form=/);
  await expect(page.getByRole("alert")).toContainText("Your changes are below and are not saved yet.");
  await expect(page.locator("#name")).toHaveValue("Typed in time");
  await expect(page.getByLabel("Message")).toHaveValue("Hello?\nIs anybody \"there\"?");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
});

test("edit conflict between two tabs offers both versions", async ({ page, context, visit }) => {
  await createAccount(page);
  const id = await new Api(page.request).scenario("First");
  const here = `/scenarios/${id}`;
  await visit(here);
  const other = await context.newPage();
  await other.goto(here);
  await other.locator("#name").fill("Theirs");
  await other.getByRole("button", { name: "Save scenario" }).click();
  await expect(other).toHaveURL(/notice=saved/);
  await page.locator("#name").fill("Mine");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page.getByRole("alert")).toContainText("changed in the meantime");
  await expect(page.locator("#name")).toHaveValue("Mine");
  await expect(page.locator(".conflict")).toContainText("differs from yours in: Name.");
  await expectAccessible(page);
  const opened = context.waitForEvent("page");
  await page.getByRole("link", { name: "Open the newest version" }).click();
  await expect((await opened).locator("#name")).toHaveValue("Theirs");
  // Changes made after the conflict are saved as well.
  await page.locator("#name").fill("Mine, on top");
  await page.getByRole("button", { name: "Save my version as revision 3" }).click();
  await expect(page).toHaveURL(/notice=saved/);
  await expect(page.locator("#name")).toHaveValue("Mine, on top");
  await expect(page.locator(".conflict")).toBeHidden();
});

test("connection test uses unsaved values and keeps them", async ({
  page,
  visit,
}) => {
  await createAccount(page);
  const made = await new Api(page.request).post<{ id: string }>("/connections", {
    name: "Ours",
    kind: "openai",
    base_url: "http://127.0.0.1:9/v1",
    api_key: "short",
  });
  await visit(`/settings/connections/${made.id}`);
  await expect(page.getByText("A key is stored. Leave empty to keep it.")).toBeVisible();
  await page.locator("#name").fill("Renamed");
  await page.getByLabel("Base URL").fill("http://127.0.0.1:9/v2");
  await page.locator("#test-model").fill("gpt");
  // The stored key is not sent to another address.
  await page.getByLabel("API key").fill("short");
  await page.getByRole("button", { name: "Test connection" }).click();
  const result = page.getByRole("status").filter({ hasText: "Connection failed" });
  await expect(result).toContainText("http://127.0.0.1:9/v2");
  await expect(result).toContainText("This tested the unsaved values of the form.");
  await expect(page.locator("#name")).toHaveValue("Renamed");
  await expect(page.getByLabel("Base URL")).toHaveValue("http://127.0.0.1:9/v2");
  await expect(page.locator("#test-model")).toHaveValue("gpt");
  await expectAccessible(page);
  // Enter saves the form. Keys are never sent back to the page.
  await page.getByLabel("API key").fill("short");
  await page.locator("#name").press("Enter");
  await expect(page).toHaveURL(/notice=saved/);
  await expect(page.locator("#name")).toHaveValue("Renamed");
  // Uses the keyboard, because the sticky save bar may cover the checkbox.
  await page.getByLabel("Remove the stored key").press("Space");
  await expect(page.getByLabel("Remove the stored key")).toBeChecked();
  await page.getByRole("button", { name: "Save connection" }).click();
  await expect(page.getByText("No key is stored.")).toBeVisible();
});

test("Back after sign-out shows no private data", async ({ page, visit }) => {
  await createAccount(page);
  await new Api(page.request).agent("Very private");
  await visit("/agents");
  const agent = page.getByRole("link", { name: "Very private", exact: true });
  await expect(agent).toBeVisible();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByText("You are signed out.")).toBeVisible();
  await page.goBack();
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await expect(agent).toBeHidden();
});

test("re-run works again after Back", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const suite = await api.startSuite(await api.agent(), [await api.scenario("Hours", 1)]);
  await api.waitUntilFinal(suite.id);
  const address = /\/suites\/[0-9a-f-]{36}$/;
  await visit(`/suites/${suite.id}`);
  const rerunAll = async (): Promise<string> => {
    await page.getByRole("button", { name: "Re-run all" }).click();
    await page.waitForURL((url) => !url.pathname.endsWith(suite.id) && address.test(url.pathname));
    const id = new URL(page.url()).pathname.split("/").pop() ?? "";
    await api.waitUntilFinal(id);
    return id;
  };
  const first = await rerunAll();
  await page.goBack();
  await page.waitForURL(new RegExp(suite.id));
  expect(await rerunAll()).not.toBe(first);
  expect(await api.suites()).toHaveLength(3);
});
