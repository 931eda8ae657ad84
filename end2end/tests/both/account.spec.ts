import { createAccount, signIn } from "../../support/accounts";
import { expect, test } from "../../support/test";

const NEW_PASSWORD = "another horse battery";

test("password is changed and all sessions are ended", async ({ page, visit }) => {
  const account = await createAccount(page);
  await visit("/settings/account");
  await page.getByLabel("Current password").fill("not this one");
  await page.getByLabel("New password").fill(NEW_PASSWORD);
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(page.getByRole("alert").first()).toBeVisible();
  await expect(page.getByLabel("Current password")).toHaveValue("");

  await page.getByLabel("Current password").fill(account.password);
  await page.getByLabel("New password").fill(NEW_PASSWORD);
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(page).toHaveURL(/notice=password_changed/);

  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.goto("/suites");
  await expect(page.getByRole("link", { name: "Sign in" }).first()).toBeVisible();
  await signIn(page, { ...account, password: NEW_PASSWORD });
});

test("one session is signed out in the list", async ({ page, visit, browser, server }) => {
  const account = await createAccount(page);
  const other = await browser.newContext({ baseURL: server.url, userAgent: "Other browser" });
  const elsewhere = await other.newPage();
  await signIn(elsewhere, account);
  await visit("/settings/account");
  const row = page.getByRole("row", { name: /Other browser/ });
  await row.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByText("The session was signed out.")).toBeVisible();
  await expect(row).toHaveCount(0);
  expect((await elsewhere.request.get("/api/v1/agents")).status()).toBe(401);
  expect((await page.request.get("/api/v1/agents")).status()).toBe(200);
  await other.close();
});
