import { Api, isFinal } from "../../support/api";
import { createAccount, signIn, signUpWithForm } from "../../support/accounts";
import { expect, expectAccessible, test } from "../../support/test";

test("sign up, sign out and sign in", async ({ page }) => {
  const account = await signUpWithForm(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByText("You are signed out.")).toBeVisible();
  await page.goto("/suites");
  await expect(page.getByRole("link", { name: "Sign in" }).first()).toBeVisible();
  await signIn(page, account);
  await expect(page.getByText(account.email)).toBeVisible();
});

test("wrong password shows an error and keeps the email", async ({ page }) => {
  const account = await createAccount(page);
  await page.context().clearCookies();
  await page.goto("/sign-in");
  await page.getByLabel("Email").fill(account.email);
  await page.getByLabel("Password").fill("not this one");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(page.getByLabel("Email")).toHaveValue(account.email);
  await expect(page.getByLabel("Password")).toHaveValue("");
});

test("demo runs to completion and its report is readable", async ({ page }) => {
  await signUpWithForm(page);
  await page.getByRole("button", { name: "Run the demo" }).click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  // The page refreshes itself while the suite runs.
  await expect(page.locator("meta[http-equiv=refresh]")).toBeAttached();
  await expect(page.getByRole("region", { name: "Progress" })).toContainText("Finished", {
    timeout: 60_000,
  });
  await expect(page.locator("meta[http-equiv=refresh]")).not.toBeAttached();
  await expectAccessible(page);

  const row = page.locator("table.runs tbody tr").filter({ hasText: "Failed" }).first();
  await row.getByRole("link").first().click();
  await expect(page).toHaveURL(/\/runs\/[0-9a-f-]{36}$/);
  await expect(page.locator(".verdict")).toContainText("Failed");
  await expect(page.getByRole("heading", { name: "Judge results", exact: true })).toBeVisible();
  await page.getByRole("link", { name: /^Turn \d+, Agent$/ }).first().click();
  await expect(page).toHaveURL(/#t\d+$/);
  await expect(page.locator(new URL(page.url()).hash)).toBeInViewport();
  await page.getByRole("button", { name: "Rejudge" }).click();
  await expect(page.getByText("They do not change the run’s verdict.")).toBeVisible();
  await expect(page.locator("article.other")).toContainText(/Passed|Failed|Inconclusive/);
});

test("choose scenarios, start a suite and cancel it", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const agent = await api.agent("Desk");
  await api.scenario("Long one", 60);
  await page.goto(`/suites/new?agent=${agent}`);
  await page.getByRole("checkbox", { name: /Long one/ }).check();
  await page.getByLabel("Repeats").fill("2");
  // Run is disabled until the preflight check has run.
  await page.getByRole("button", { name: "Check again" }).click();
  await expect(page.getByRole("checkbox", { name: /Long one/ })).toBeChecked();
  await page.getByRole("button", { name: "Run 2 conversations" }).click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  const id = new URL(page.url()).pathname.split("/").pop() ?? "";
  await expect(page.getByRole("log").getByRole("article").nth(1)).toBeVisible();
  await page.getByRole("button", { name: "Cancel suite" }).click();
  await expect(page.getByText("Cancellation requested. The transcript so far is kept.")).toBeVisible();
  await expect(page.getByRole("region", { name: "Progress" })).toContainText("2 Canceled");
  const suite = await api.suite(id);
  expect(isFinal(suite.status)).toBe(true);
  await page.locator("table.runs").getByRole("link", { name: "Long one #1", exact: true }).click();
  await expect(page.locator(".verdict")).toContainText("Canceled");
  await expect(page.locator(".transcript .turn").first()).toContainText("Long one, question 1");
});

test("buttons add, move and remove scenario turns", async ({ page }) => {
  await createAccount(page);
  await page.goto("/scenarios/new");
  const turn = (n: number) => page.getByRole("group", { name: `Turn ${n}`, exact: true });
  const message = (n: number) => turn(n).getByLabel("Message");
  await page.locator("#name").fill("By hand");
  await message(1).fill("first");
  await page.getByRole("button", { name: "Add turn" }).click();
  await expect(page.locator("#name")).toHaveValue("By hand");
  await message(2).fill("second");
  await turn(2).getByLabel("Speaker").selectOption("user");
  await page.getByRole("button", { name: "Add turn" }).click();
  await message(3).fill("third");
  await turn(3).getByLabel("Speaker").selectOption("user");
  await page.getByRole("button", { name: "Move turn 3 up" }).click();
  await expect(message(2)).toHaveValue("third");
  await page.getByRole("button", { name: "Move turn 1 down" }).click();
  await expect(message(1)).toHaveValue("third");
  await page.getByRole("button", { name: "Remove turn 3" }).click();
  await expect(turn(3)).toBeHidden();
  await expect(message(1)).toHaveValue("third");
  await expect(message(2)).toHaveValue("first");

  // A validation problem is shown at the field, and everything typed is kept.
  await message(2).fill("");
  await page.getByRole("button", { name: "Add behavior" }).click();
  await page.getByLabel("What the agent should do").fill("Answers");
  await page.getByRole("button", { name: "Save scenario" }).click();
  const summary = page.getByRole("alert");
  await expect(summary).toContainText("1 problem to fix");
  await expectAccessible(page);
  await expect(message(2)).toHaveAccessibleDescription(/must not be empty/i);
  await expect(message(1)).toHaveValue("third");
  await expect(page.locator("#name")).toHaveValue("By hand");
  await summary.getByRole("link").click();
  await expect(message(2)).toBeFocused();
  await message(2).fill("corrected");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
  await expect(message(1)).toHaveValue("third");
  await expect(message(2)).toHaveValue("corrected");
});

test("Enter in a field saves the form", async ({ page }) => {
  await createAccount(page);
  await page.goto("/scenarios/new");
  await page.getByLabel("Message").fill("Hello");
  await page.locator("#name").fill("By Enter");
  await page.locator("#name").press("Enter");
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
});

test("chosen theme persists across pages", async ({ page }) => {
  await page.goto("/sign-in");
  const background = () =>
    page.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
  const light = await background();
  await page.getByRole("button", { name: "Dark" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page).toHaveURL(/\/sign-in$/);
  expect(await background()).not.toBe(light);
  await page.goto("/sign-up");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.getByRole("button", { name: "Light" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "light");
  expect(await background()).toBe(light);
});
