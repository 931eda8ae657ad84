import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, hydrated, test } from "../../support/test";

test("overview and suite list update while a suite runs", async ({ page, context }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Long one", 60)];
  const suite = await api.startSuite(agent, [scenario]);
  const list = await context.newPage();
  await page.goto("/");
  await hydrated(page);
  await list.goto("/suites");
  await hydrated(list);
  await expect(page.getByRole("heading", { name: "Running now" })).toBeVisible();
  await expect(list.locator("tbody .chip").first()).toHaveText(/Running|Queued/);
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await expect(page.getByRole("heading", { name: "Running now" })).toBeHidden();
  await expect(page.locator("tbody .chip").first()).toHaveText(/Canceled/);
  await expect(list.locator("tbody .chip").first()).toHaveText(/Canceled/);
});

test("Back restores the filter that is applied", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios");
  const category = page.getByRole("search").getByLabel("Category");
  for (const one of ["booking", "stress"]) {
    await category.selectOption(one);
    await page.getByRole("button", { name: "Filter", exact: true }).click();
    await expect(page).toHaveURL(new RegExp(`category=${one}`));
    await hydrated(page);
  }
  await page.goBack();
  await expect(page).toHaveURL(/category=booking/);
  await hydrated(page);
  await expect(category).toHaveValue("booking");
});

test("Back after sign-out shows no private data", async ({ page, visit }) => {
  const { email } = await createAccount(page);
  await new Api(page.request).agent("My very own");
  await visit("/agents");
  await expect(page.getByText("My very own")).toBeVisible();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByText("You are signed out.")).toBeVisible();
  await page.goBack();
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await expect(page.getByText("My very own")).toBeHidden();
  await expect(page.getByText(email)).toBeHidden();
});

test.describe("unknown filter values in the URL", () => {
  test.use({ expectedErrors: [/status of 422/] });

  test("offer a link to the unfiltered list", async ({ page, visit }) => {
    await createAccount(page);
    for (const query of ["after=zzz", "status=zzz"]) {
      await visit(`/suites?${query}`);
      await expect(page.getByText("Try again")).toBeHidden();
      await page.getByRole("link", { name: "Clear filters" }).click();
      await expect(page).toHaveURL(/\/suites\??$/);
      await expect(page.getByRole("heading", { name: "No suites yet" })).toBeVisible();
    }
  });
});

test("deleting a connection in use links to the agent that uses it", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  await api.agent("Desk");
  await visit("/settings/connections");
  await page.getByRole("link", { name: "Demo" }).click();
  await page.getByText("Delete…").click();
  await page.getByRole("button", { name: "Delete this connection" }).click();
  await expect(page.getByRole("alert")).toContainText("the agent “Desk” uses it");
  await page.getByRole("alert").getByRole("link", { name: "View details" }).click();
  await expect(page).toHaveURL(/\/agents\/[0-9a-f-]{36}$/);
});

test("signed-in users are redirected from the sign-in page", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/sign-in?next=/agents");
  await expect(page).toHaveURL(/\/agents$/);
  await visit("/sign-up");
  await expect(page).toHaveURL(/\/$/);
  await visit("/settings");
  await expect(page).toHaveURL(/\/settings\/connections$/);
});
