import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { RECONNECTED, RECONNECTING, streamNotice } from "../../support/stream-notice";
import { createAccount } from "../../support/accounts";
import { FaultyProxy } from "../../support/proxy";
import { expect, hydrated, test } from "../../support/test";

// The browser logs requests to the stopped server and 502 responses of the proxy.
test.use({ expectedErrors: [/net::ERR_.*\/api\/v1\/suites\/[0-9a-f-]+\/events|status of 502/] });

const TURNS = 40;
const NAMES = ["North", "South", "East", "West"];

/** The turns of the followed run on the live page. */
async function shownTurns(page: Page): Promise<string[]> {
  const turns = page.getByRole("log", { name: "Transcript" }).getByRole("article");
  return turns.evaluateAll((all) => all.map((turn) => turn.querySelector(".message-text")?.textContent ?? ""));
}

test("open page survives graceful server restarts", async ({
  page,
  server,
  visit,
}) => {
  test.setTimeout(120_000);
  await createAccount(page);
  const api = new Api(page.request);
  const scenarios: string[] = [];
  for (const name of NAMES) {
    scenarios.push(await api.scenario(name, TURNS));
  }
  const suite = await api.startSuite(await api.agent(), scenarios, { concurrency: 4 });
  const run = suite.runs[0]?.id ?? "";
  await visit(`/suites/${suite.id}?run=${run}`);
  const log = page.getByRole("log", { name: "Transcript" });
  for (const stop of [1, 2]) {
    // New turns appear before each stop.
    const before = (await shownTurns(page)).length;
    await expect.poll(async () => (await shownTurns(page)).length).toBeGreaterThan(before + 3);
    const stopRequested = Date.now();
    expect(await server.terminate(), "exit code").toBe(0);
    expect(Date.now() - stopRequested, "shutdown time in ms").toBeLessThan(20_000);
    // The browser reconnects after two seconds, so the notice is shown.
    await expect(streamNotice(page)).toHaveText(RECONNECTING);
    const known = await shownTurns(page);
    await server.restart();
    const started = Date.now();
    await expect(streamNotice(page)).toHaveText(RECONNECTED);
    console.log(`measured: back ${Date.now() - started} ms after start ${stop} of the server`);
    await expect(streamNotice(page).filter({ hasText: RECONNECTING })).toBeHidden();
    expect((await shownTurns(page)).slice(0, known.length), "turns shown before stay").toEqual(known);
  }
  await expect(log).toBeVisible();
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible({
    timeout: 60_000,
  });
  const after = await api.waitUntilFinal(suite.id);
  expect(after.counts.error).toBe(0);
  for (const ended of after.runs) {
    expect(ended.recoveries, `recoveries of ${ended.scenario.name}`).toBe(0);
    expect(ended.transcript.map((turn) => turn.index)).toEqual(
      Array.from({ length: TURNS * 2 }, (_, index) => index),
    );
  }
  const followed = after.runs.find((ended) => ended.id === run)?.transcript ?? [];
  expect(await shownTurns(page)).toEqual(followed.map((turn) => turn.message));
});

test("page behind a proxy recovers from 502 responses", async ({
  page,
  server,
}) => {
  await createAccount(page);
  const api = new Api(page.request);
  const suite = await api.startSuite(await api.agent(), [await api.scenario("Proxy", 60)]);
  const run = suite.runs[0]?.id ?? "";
  const proxy = await FaultyProxy.to(server.url);
  try {
    await page.goto(`${proxy.url}/suites/${suite.id}?run=${run}`);
    await hydrated(page);
    await expect.poll(async () => (await shownTurns(page)).length).toBeGreaterThan(1);
    proxy.respond502();
    // The browser does not retry a rejected stream, so the page polls.
    const refused = page.waitForResponse((response) => response.status() === 502);
    await refused;
    const reconnected = page.waitForResponse(
      (response) => response.url().includes("/events?after=") && response.status() === 200,
      { timeout: 15_000 },
    );
    proxy.restore();
    await reconnected;
    await expect(streamNotice(page)).toHaveText(RECONNECTED);
    const before = (await shownTurns(page)).length;
    await expect.poll(async () => (await shownTurns(page)).length).toBeGreaterThan(before + 3);
    // Reads the page first: the server has at least these turns.
    const known = await shownTurns(page);
    const { transcript } = await api.run(run);
    const said = transcript.map((turn) => turn.message);
    expect(known).toEqual(said.slice(0, known.length));
    expect(known.length).toBeGreaterThan(before);
    await api.post(`/suites/${suite.id}/cancel`, {}, 202);
    await api.waitUntilFinal(suite.id);
  } finally {
    await proxy.close();
  }
});
