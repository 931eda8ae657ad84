import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { Provider } from "../../support/provider";
import { expect, expectAccessible, test } from "../../support/test";

test("what stands against a start is told without a script too", async ({ page }) => {
  const provider = await Provider.start();
  try {
    provider.locked = true;
    await signedUp(page);
    const api = new Api(page.request);
    const [agent, scenario] = [await api.agentOf(provider.url), await api.ruled("Hours")];
    await page.goto(`/suites/new?agent=${agent}&scenario=${scenario}`);
    await page.getByLabel("Repeats").fill("99");
    await page.getByRole("button", { name: "Check again" }).click();
    const before = page.getByRole("complementary", { name: "Before it starts" });
    await expect(before).toContainText("Repeats: must be from 1 to 20.");
    await expect(page.getByRole("button", { name: "Run", exact: true })).toBeDisabled();
    await page.getByLabel("Repeats").fill("2");
    await page.getByRole("button", { name: "Check again" }).click();
    const run = page.getByRole("button", { name: "Run 2 conversations" });
    await expect(run).toBeEnabled();

    // Refused in the meantime: the form says why, with the way to mend it.
    await api.finished((await api.start(agent, [scenario])).id);
    await run.click();
    const summary = page.getByRole("alert");
    await expect(summary).toContainText(/Agent, connection: is stopped: .*401/);
    await expectAccessible(page);
    await summary.getByRole("link", { name: "Look at it" }).click();
    await expect(page.getByText("Circuit:")).toContainText("Stopped");
  } finally {
    await provider.stop();
  }
});

test("all active ones hide the single ones", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  await api.scenario("Hours", 1);
  await page.goto(`/suites/new?agent=${agent}`);
  await page.getByRole("checkbox", { name: /Hours Information/ }).check();
  await page.getByRole("checkbox", { name: "All active ones" }).check();
  await expect(page.locator(".pick")).toBeHidden();
  await page.getByRole("button", { name: "Check again" }).click();
  // Some of the built-in ones need tools, which is told beside it.
  await expect(page.getByRole("button", { name: /^Run \d+ conversations$/ })).toBeVisible();
  await expectAccessible(page);
});

test("lists refresh themselves while something runs", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const suite = await api.start(await api.agent(), [await api.scenario("Long one", 60)]);
  const refresh = page.locator("meta[http-equiv=refresh]");
  for (const path of ["/", "/suites"]) {
    await page.goto(path);
    await expect(refresh).toBeAttached();
  }
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await expect(page.locator("tbody .chip").first()).toHaveText(/Cancelled/);
  await expect(refresh).not.toBeAttached();
});

test("a scenario needs no expected behaviour", async ({ page }) => {
  await signedUp(page);
  await page.goto("/scenarios/new");
  await page.locator("#name").fill("Plain");
  await page.getByLabel("Message").fill("Hello");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
  await page.getByRole("button", { name: "Add behaviour" }).click();
  await expect(page.getByLabel("What the agent does")).toHaveAttribute("aria-required", "true");
});

test("no box that does nothing, and nothing selected is said", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  await api.agent();
  await api.scenario("Hours", 1);
  await page.goto("/scenarios");
  await expect(page.locator("input[aria-label='Select all']")).toBeHidden();
  await page.getByRole("button", { name: "Run selected" }).click();
  await expect(page.getByText("No scenario was ticked in the list.")).toBeVisible();
});
