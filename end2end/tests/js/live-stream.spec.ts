import type { Page } from "@playwright/test";
import { Api, isFinal, type Turn } from "../../support/api";
import { RECONNECTED, RECONNECTING, streamNotice } from "../../support/stream-notice";
import { createAccount } from "../../support/accounts";
import { FaultyProxy } from "../../support/proxy";
import { expect, hydrated, test } from "../../support/test";

// The browser logs failed requests.
test.use({ expectedErrors: [/net::ERR_.*\/api\/v1\/suites\/[0-9a-f-]+\/events/] });

const TURNS = 40;

/** The turns of the followed run on the live page. */
async function shownTurns(page: Page): Promise<{ ids: string[]; messages: string[] }> {
  const turns = page.getByRole("log", { name: "Transcript" }).getByRole("article");
  return turns.evaluateAll((all) => ({
    ids: all.map((turn) => turn.id),
    messages: all.map((turn) => turn.querySelector(".message-text")?.textContent ?? ""),
  }));
}

/** The page shows exactly these turns, without gaps and duplicates. */
async function expectTranscript(page: Page, turns: Turn[]): Promise<void> {
  expect(await shownTurns(page)).toEqual({
    ids: turns.map((turn) => `t${turn.index}`),
    messages: turns.map((turn) => turn.message),
  });
}

/** Every script message was sent once and in order, and answered once. */
function expectCompleteScript(transcript: Turn[], name: string): void {
  expect(transcript.map((turn) => turn.index)).toEqual(transcript.map((_, index) => index));
  const user = transcript.filter((turn) => turn.speaker === "user").map((turn) => turn.message);
  expect(user).toEqual(
    Array.from({ length: TURNS }, (_, n) => `${name}, question ${n + 1}: when are you open?`),
  );
  expect(transcript.filter((turn) => turn.speaker === "agent")).toHaveLength(TURNS);
}

/** Waits until a run has this many more turns on the server. */
async function waitForNewTurns(api: Api, run: string, more: number): Promise<void> {
  const count = async () => (await api.run(run)).transcript.length;
  const before = await count();
  await expect.poll(count, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + more);
}

test("interrupted stream loses and duplicates no turn", async ({ page, server }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const suite = await api.startSuite(await api.agent(), [await api.scenario("Cut", TURNS)]);
  const run = suite.runs[0]?.id ?? "";
  const proxy = await FaultyProxy.to(server.url);
  try {
    await page.goto(`${proxy.url}/suites/${suite.id}?run=${run}`);
    await hydrated(page);
    const log = page.getByRole("log", { name: "Transcript" });
    await expect(log.getByRole("article").nth(1)).toBeVisible();
    proxy.disconnect();
    await expect(streamNotice(page)).toHaveText(RECONNECTING);
    // The suite continues on the server while the page is disconnected.
    const known = (await shownTurns(page)).ids.length;
    await waitForNewTurns(api, run, 6);
    expect((await shownTurns(page)).ids.length).toBe(known);
    expect(isFinal((await api.suite(suite.id)).status), "still running").toBe(false);

    const restoredAt = Date.now();
    proxy.restore();
    await expect(streamNotice(page)).toHaveText(RECONNECTED);
    // Printed only, because the browser itself waits two seconds.
    console.log(`measured: the stream reconnected ${Date.now() - restoredAt} ms after the proxy was restored`);
    await expect(streamNotice(page).filter({ hasText: RECONNECTING })).toBeHidden();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible({
      timeout: 30_000,
    });
    const { transcript } = await api.run(run);
    expectCompleteScript(transcript, "Cut");
    await expectTranscript(page, transcript);
  } finally {
    await proxy.close();
  }
});

test("killed server loses and duplicates no turn", async ({
  page,
  server,
  visit,
}) => {
  test.setTimeout(120_000);
  await createAccount(page);
  const api = new Api(page.request);
  const names = ["Red", "Green", "Blue", "Grey"];
  const scenarios: string[] = [];
  for (const name of names) {
    scenarios.push(await api.scenario(name, TURNS));
  }
  const suite = await api.startSuite(await api.agent(), scenarios, { concurrency: 4 });
  const run = suite.runs[0]?.id ?? "";
  await visit(`/suites/${suite.id}?run=${run}`);
  const kills = 3;
  for (let kill = 0; kill < kills; kill += 1) {
    await waitForNewTurns(api, run, 6);
    await server.kill();
    // The notice appears after 2 s.
    await expect(streamNotice(page)).toHaveText(RECONNECTING);
    await server.restart();
  }
  await expect(streamNotice(page)).toHaveText(RECONNECTED);
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible({
    timeout: 60_000,
  });
  const after = await api.waitUntilFinal(suite.id);
  expect(after.progress.done).toBe(names.length);
  expect(after.counts.error).toBe(0);
  for (const ended of after.runs) {
    expectCompleteScript(ended.transcript, ended.scenario.name);
    expect(ended.recoveries, `recoveries of ${ended.scenario.name}`).toBeLessThanOrEqual(kills);
  }
  await expectTranscript(page, after.runs.find((ended) => ended.id === run)?.transcript ?? []);
});

test("followed run is in the URL", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("Left", 6), await api.scenario("Right", 6)];
  const suite = await api.startSuite(await api.agent(), scenarios);
  await visit(`/suites/${suite.id}`);
  await page.getByRole("link", { name: "Show transcript of Right" }).click();
  const heading = page.getByRole("heading", { level: 2, name: "Right" });
  await expect(heading).toBeVisible();
  const right = suite.runs.find((run) => run.scenario.name === "Right")?.id;
  await expect(page).toHaveURL(new RegExp(`\\?run=${right}$`));
  await expect(page.getByRole("log")).toContainText("Right, question 1");
  await page.reload();
  await hydrated(page);
  await expect(heading).toBeVisible();
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible({
    timeout: 30_000,
  });
  await expect(heading, "the chosen run stays followed").toBeVisible();
  await expectTranscript(page, (await api.run(right ?? "")).transcript);
});

test("transcript opens at the end and keeps the reader's scroll position", async ({
  page,
  visit,
}) => {
  await createAccount(page);
  const api = new Api(page.request);
  const suite = await api.startSuite(await api.agent(), [await api.scenario("Middle", 120)]);
  const run = suite.runs[0]?.id ?? "";
  await waitForNewTurns(api, run, 20);
  await visit(`/suites/${suite.id}`);
  const log = page.getByRole("log", { name: "Transcript" });
  const below = () => log.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
  const count = () => log.getByRole("article").count();
  await expect.poll(below).toBeLessThan(48);
  const before = await count();
  await expect.poll(count).toBeGreaterThan(before + 1);
  await expect.poll(below, { message: "the transcript scrolls along" }).toBeLessThan(48);

  // After scrolling up, new turns do not move the transcript but show a button.
  await log.evaluate((e) => e.scrollTo({ top: 0 }));
  const news = page.getByRole("button", { name: /new turns? ↓/ });
  await expect(news).toBeVisible();
  expect(await log.evaluate((e) => e.scrollTop)).toBe(0);
  await news.click();
  await expect.poll(below).toBeLessThan(48);
  await expect(news).toBeHidden();
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await api.waitUntilFinal(suite.id);
});
