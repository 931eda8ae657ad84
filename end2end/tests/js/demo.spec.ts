import { expect, hydrated, test } from "../../support/test";
import { Api } from "../../support/api";
import { createAccount, signUpWithForm } from "../../support/accounts";

test("one click on an empty database produces a finished suite", async ({ page }) => {
  await signUpWithForm(page);
  await hydrated(page);
  await expect(page.getByText("The demo model is not a real model.")).toBeVisible();
  await expect(page.getByText("Its results tell you nothing about a real model.")).toBeVisible();
  await expect(page.getByRole("link", { name: "Connect a real model" })).toBeVisible();

  const clicked = Date.now();
  await page.getByRole("button", { name: "Run the demo" }).click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  await hydrated(page);
  const suiteUrl = page.url();
  const id = suiteUrl.split("/").pop() ?? "";

  // Progress is visible: the bar grows and turns appear.
  const bar = page.getByRole("progressbar", { name: "Completed runs" });
  const log = page.getByRole("log", { name: "Transcript" });
  const done = async () => Number(await bar.getAttribute("value"));
  await expect(log.getByRole("article").first()).toBeVisible();
  const seen: number[] = [];
  const finished = page.getByRole("heading", { name: "Runs, failures first" });
  await expect
    .poll(
      async () => {
        seen.push(await done());
        return finished.isVisible();
      },
      { timeout: 60_000, intervals: [100] },
    )
    .toBe(true);
  expect(Date.now() - clicked, "from the click to the report").toBeLessThan(60_000);
  const total = Number(await bar.getAttribute("max"));
  expect(new Set(seen).size, `steps seen: ${seen.join(" ")}`).toBeGreaterThan(2);
  expect(seen, "progress never decreases").toEqual([...seen].sort((a, b) => a - b));
  expect(await done()).toBe(total);

  // The page matches the API.
  const suite = await new Api(page.request).suite(id);
  expect(suite.status).toBe("finished");
  expect(suite.counts.passed).toBeGreaterThan(0);
  expect(suite.counts.failed).toBeGreaterThan(0);
  expect(suite.counts.error).toBe(0);
  const progress = page.getByRole("region", { name: "Progress" });
  await expect(progress).toContainText("Finished");
  await expect(progress).toContainText(`${suite.counts.passed} Passed`);
  await expect(progress).toContainText(`${suite.counts.failed} Failed`);

  // A reload shows the same report.
  const report = async () => ({
    progress: await progress.innerText(),
    runs: await page.locator("table.runs tbody tr").allInnerTexts(),
  });
  const before = await report();
  expect(before.runs).toHaveLength(total);
  await page.reload();
  await hydrated(page);
  expect(page.url()).toBe(suiteUrl);
  await expect(finished).toBeVisible();
  expect(await report()).toEqual(before);
});

test("demo report says that its model is not real", async ({ page, visit }) => {
  await signUpWithForm(page);
  await page.getByRole("button", { name: "Run the demo" }).click();
  await page.waitForURL(/\/suites\//);
  const agent = page.locator("main").getByRole("link", { name: /front desk \(demo\)/ });
  await expect(agent.first()).toBeVisible();
  await expect(page.locator("main")).toContainText(/demo model/);
  await visit("/settings/connections");
  await expect(page.locator("main")).toContainText("built in, not a real model");
});

test("demo judge fails only the scenarios that should fail", async ({ page }) => {
  await createAccount(page);
  const started = await page.request.post("/forms/demo", { form: {}, maxRedirects: 0 });
  const id = started.headers().location?.split("/").pop() ?? "";
  const suite = await new Api(page.request).waitUntilFinal(id);
  const verdicts = Object.fromEntries(suite.runs.map((run) => [run.scenario.name, run.status]));
  expect(verdicts).toMatchObject({
    "First contact": "passed",
    "A booking where all goes well": "passed",
    "Booking a cleaning": "passed",
    "Hours, price, parking": "passed",
    "Too expensive": "passed",
    "A real person, please": "passed",
    // The agent discloses an address, promises a refund and ignores anger.
    "Who is calling?": "failed",
    "Money back": "failed",
    "The third call": "failed",
  });
});
