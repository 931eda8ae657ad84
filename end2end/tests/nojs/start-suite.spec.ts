import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { Provider } from "../../support/provider";
import { expect, expectAccessible, test } from "../../support/test";

test("preflight problems are shown without JavaScript", async ({ page }) => {
  const provider = await Provider.start();
  try {
    provider.rejectsKeys = true;
    await createAccount(page);
    const api = new Api(page.request);
    const [agent, scenario] = [await api.agentFor(provider.url), await api.ruleScenario("Hours")];
    await page.goto(`/suites/new?agent=${agent}&scenario=${scenario}`);
    await page.getByLabel("Repeats").fill("99");
    await page.getByRole("button", { name: "Check again" }).click();
    const before = page.getByRole("complementary", { name: "Preflight check" });
    await expect(before).toContainText("Repeats: must be from 1 to 20.");
    await expect(page.getByRole("button", { name: "Run", exact: true })).toBeDisabled();
    await page.getByLabel("Repeats").fill("2");
    await page.getByRole("button", { name: "Check again" }).click();
    const run = page.getByRole("button", { name: "Run 2 conversations" });
    await expect(run).toBeEnabled();

    // The connection fails in the meantime: the form shows why, with a link.
    await api.waitUntilFinal((await api.startSuite(agent, [scenario])).id);
    await run.click();
    const summary = page.getByRole("alert");
    await expect(summary).toContainText(/Agent, connection: is suspended: .*401/);
    await expectAccessible(page);
    await summary.getByRole("link", { name: "View details" }).click();
    await expect(page.getByText("Status:")).toContainText("Suspended");
  } finally {
    await provider.stop();
  }
});

test("button never starts another number of runs than it says", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Hours", 1)];
  await page.goto(`/suites/new?agent=${agent}&scenario=${scenario}`);
  await page.getByLabel("Repeats").fill("3");
  await page.getByRole("button", { name: "Run 1 conversation" }).click();
  await expect(page.getByRole("alert")).toContainText("This would run 3 conversations instead of 1");
  expect(await api.suites()).toEqual([]);
  await page.getByRole("button", { name: "Run 3 conversations" }).click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
});

test("choosing all active scenarios hides the individual ones", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  await api.scenario("Hours", 1);
  await page.goto(`/suites/new?agent=${agent}`);
  await page.getByRole("checkbox", { name: /Hours Information/ }).check();
  await page.getByRole("checkbox", { name: "All active scenarios" }).check();
  await expect(page.locator(".scenario-list")).toBeHidden();
  await page.getByRole("button", { name: "Check again" }).click();
  await expect(page.getByRole("button", { name: /^Run \d+ conversations$/ })).toBeVisible();
  await expectAccessible(page);
});

test("lists refresh while a suite runs", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const suite = await api.startSuite(await api.agent(), [await api.scenario("Long one", 60)]);
  const refresh = page.locator("meta[http-equiv=refresh]");
  for (const path of ["/", "/suites"]) {
    await page.goto(path);
    await expect(refresh).toBeAttached();
  }
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await expect(page.locator("tbody .chip").first()).toHaveText(/Canceled/);
  await expect(refresh).not.toBeAttached();
});

test("a scenario can be saved without expected behaviors", async ({ page }) => {
  await createAccount(page);
  await page.goto("/scenarios/new");
  await page.locator("#name").fill("Plain");
  await page.getByLabel("Message").fill("Hello");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
  await page.getByRole("button", { name: "Add behavior" }).click();
  await expect(page.getByLabel("What the agent should do")).toHaveAttribute("aria-required", "true");
});

test("select-all is hidden without JavaScript, and an empty selection is reported", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  await api.agent();
  await api.scenario("Hours", 1);
  await page.goto("/scenarios");
  await expect(page.locator("input[aria-label='Select all']")).toBeHidden();
  await page.getByRole("button", { name: "Run selected" }).click();
  await expect(page.getByText("You did not select any scenarios.")).toBeVisible();
});
