import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { BACK, LOST, streamNotice } from "../../support/live";
import { signedUp } from "../../support/people";
import { Wire } from "../../support/proxy";
import { expect, hydrated, test } from "../../support/test";

// The browser's own lines about requests while nobody is there, and a proxy's no.
test.use({ expectedErrors: [/net::ERR_.*\/api\/v1\/suites\/[0-9a-f-]+\/events|status of 502/] });

const TURNS = 24;
const NAMES = ["North", "South", "East", "West"];

/** What the live page shows of the followed run, turn by turn. */
async function shown(page: Page): Promise<string[]> {
  const turns = page.getByRole("log", { name: "Transcript" }).getByRole("article");
  return turns.evaluateAll((all) => all.map((turn) => turn.querySelector(".said")?.textContent ?? ""));
}

test("a server that is stopped and started again leaves an open page whole", async ({
  page,
  server,
  visit,
}) => {
  test.setTimeout(120_000);
  await signedUp(page);
  const api = new Api(page.request);
  const scenarios: string[] = [];
  for (const name of NAMES) {
    scenarios.push(await api.scenario(name, TURNS));
  }
  const suite = await api.start(await api.agent(), scenarios, { concurrency: 4 });
  const run = suite.runs[0]?.id ?? "";
  await visit(`/suites/${suite.id}?run=${run}`);
  const log = page.getByRole("log", { name: "Transcript" });
  for (const stop of [1, 2]) {
    // Something new is shown before each stop.
    const before = (await shown(page)).length;
    await expect.poll(async () => (await shown(page)).length).toBeGreaterThan(before + 3);
    const asked = Date.now();
    expect(await server.terminate(), "it ends in good order").toBe(0);
    expect(Date.now() - asked, "ms until it is gone").toBeLessThan(8000);
    // A stream that was ended is come back to after two seconds: then it is seen.
    await expect(streamNotice(page)).toHaveText(LOST);
    const known = await shown(page);
    await server.startAgain();
    const started = Date.now();
    await expect(streamNotice(page)).toHaveText(BACK);
    expect(Date.now() - started, `ms until it is back, stop ${stop}`).toBeLessThan(6000);
    await expect(streamNotice(page).filter({ hasText: LOST })).toBeHidden();
    expect((await shown(page)).slice(0, known.length), "what stood there stays").toEqual(known);
  }
  await expect(log).toBeVisible();
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible({
    timeout: 60_000,
  });
  const after = await api.finished(suite.id);
  expect(after.counts.error).toBe(0);
  for (const ended of after.runs) {
    expect(ended.recoveries, `recoveries of ${ended.scenario.name}`).toBe(0);
    expect(ended.transcript.map((turn) => turn.index)).toEqual(
      Array.from({ length: TURNS * 2 }, (_, index) => index),
    );
  }
  const followed = after.runs.find((ended) => ended.id === run)?.transcript ?? [];
  expect(await shown(page)).toEqual(followed.map((turn) => turn.message));
});

test("a page behind a proxy that answered 502 meanwhile is live again by itself", async ({
  page,
  server,
}) => {
  await signedUp(page);
  const api = new Api(page.request);
  const suite = await api.start(await api.agent(), [await api.scenario("Proxy", 60)]);
  const run = suite.runs[0]?.id ?? "";
  const wire = await Wire.to(server.url);
  try {
    await page.goto(`${wire.url}/suites/${suite.id}?run=${run}`);
    await hydrated(page);
    await expect.poll(async () => (await shown(page)).length).toBeGreaterThan(1);
    wire.refuse();
    // A browser gives such a stream up for good; the page asks for everything.
    const refused = page.waitForResponse((answer) => answer.status() === 502);
    await refused;
    const again = page.waitForResponse(
      (answer) => answer.url().includes("/events?after=") && answer.status() === 200,
      { timeout: 15_000 },
    );
    wire.mend();
    await again;
    await expect(streamNotice(page)).toHaveText(BACK);
    const before = (await shown(page)).length;
    await expect.poll(async () => (await shown(page)).length).toBeGreaterThan(before + 3);
    // The page first: what it shows by now, the server knows.
    const known = await shown(page);
    const { transcript } = await api.run(run);
    const said = transcript.map((turn) => turn.message);
    expect(known).toEqual(said.slice(0, known.length));
    expect(known.length).toBeGreaterThan(before);
    await api.post(`/suites/${suite.id}/cancel`, {}, 202);
    await api.finished(suite.id);
  } finally {
    await wire.close();
  }
});
