import type { Page } from "@playwright/test";
import { Api, isFinal, type Turn } from "../../support/api";
import { BACK, LOST, streamNotice } from "../../support/live";
import { signedUp } from "../../support/people";
import { Wire } from "../../support/proxy";
import { expect, hydrated, test } from "../../support/test";

// The browser's own lines about requests that did not get through.
test.use({ expectedErrors: [/net::ERR_.*\/api\/v1\/suites\/[0-9a-f-]+\/events/] });

const TURNS = 40;

/** What the live page shows of the followed run, turn by turn. */
async function shown(page: Page): Promise<{ ids: string[]; said: string[] }> {
  const turns = page.getByRole("log", { name: "Transcript" }).getByRole("article");
  return turns.evaluateAll((all) => ({
    ids: all.map((turn) => turn.id),
    said: all.map((turn) => turn.querySelector(".said")?.textContent ?? ""),
  }));
}

/** Nothing is missing and nothing is there twice. */
async function expectSame(page: Page, turns: Turn[]): Promise<void> {
  expect(await shown(page)).toEqual({
    ids: turns.map((turn) => `t${turn.index}`),
    said: turns.map((turn) => turn.message),
  });
}

/** A script is said once, in its order, each turn answered once. */
function expectWhole(transcript: Turn[], name: string): void {
  expect(transcript.map((turn) => turn.index)).toEqual(transcript.map((_, index) => index));
  const user = transcript.filter((turn) => turn.speaker === "user").map((turn) => turn.message);
  expect(user).toEqual(
    Array.from({ length: TURNS }, (_, n) => `${name}, question ${n + 1}: when are you open?`),
  );
  expect(transcript.filter((turn) => turn.speaker === "agent")).toHaveLength(TURNS);
}

/** Waits until a run has said so much more on the server. */
async function talksOn(api: Api, run: string, more: number): Promise<void> {
  const said = async () => (await api.run(run)).transcript.length;
  const before = await said();
  await expect.poll(said, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + more);
}

test("a stream that was cut loses no turn and doubles none", async ({ page, server }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const suite = await api.start(await api.agent(), [await api.scenario("Cut", TURNS)]);
  const run = suite.runs[0]?.id ?? "";
  const wire = await Wire.to(server.url);
  try {
    await page.goto(`${wire.url}/suites/${suite.id}?run=${run}`);
    await hydrated(page);
    const log = page.getByRole("log", { name: "Transcript" });
    await expect(log.getByRole("article").nth(1)).toBeVisible();
    wire.cut();
    await expect(streamNotice(page)).toHaveText(LOST);
    // It is true: the suite goes on on the server, and the page does not know.
    const known = (await shown(page)).ids.length;
    await talksOn(api, run, 6);
    expect((await shown(page)).ids.length).toBe(known);
    expect(isFinal((await api.suite(suite.id)).status), "still running").toBe(false);

    const mended = Date.now();
    wire.mend();
    await expect(streamNotice(page)).toHaveText(BACK);
    // Printed, not judged: the browser waits for two seconds of its own clock.
    console.log(`measured: a cut stream was back ${Date.now() - mended} ms after the wire`);
    await expect(streamNotice(page).filter({ hasText: LOST })).toBeHidden();
    await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible({
      timeout: 30_000,
    });
    const { transcript } = await api.run(run);
    expectWhole(transcript, "Cut");
    await expectSame(page, transcript);
  } finally {
    await wire.close();
  }
});

test("a server killed in mid-suite loses no turn and doubles none", async ({
  page,
  server,
  visit,
}) => {
  test.setTimeout(120_000);
  await signedUp(page);
  const api = new Api(page.request);
  const names = ["Red", "Green", "Blue", "Grey"];
  const scenarios: string[] = [];
  for (const name of names) {
    scenarios.push(await api.scenario(name, TURNS));
  }
  const suite = await api.start(await api.agent(), scenarios, { concurrency: 4 });
  const run = suite.runs[0]?.id ?? "";
  await visit(`/suites/${suite.id}?run=${run}`);
  const kills = 3;
  for (let kill = 0; kill < kills; kill += 1) {
    await talksOn(api, run, 6);
    await server.kill();
    // The first time a person reads it, the page has been alone for 2 s.
    await expect(streamNotice(page)).toHaveText(LOST);
    await server.startAgain();
  }
  await expect(streamNotice(page)).toHaveText(BACK);
  await expect(page.getByRole("heading", { name: "Runs, failures first" })).toBeVisible({
    timeout: 60_000,
  });
  const after = await api.finished(suite.id);
  expect(after.progress.done).toBe(names.length);
  expect(after.counts.error).toBe(0);
  for (const ended of after.runs) {
    expectWhole(ended.transcript, ended.scenario.name);
    expect(ended.recoveries, `recoveries of ${ended.scenario.name}`).toBeLessThanOrEqual(kills);
  }
  await expectSame(page, after.runs.find((ended) => ended.id === run)?.transcript ?? []);
});

test("another run can be followed, and its address shows it to others", async ({ page, visit }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("Left", 6), await api.scenario("Right", 6)];
  const suite = await api.start(await api.agent(), scenarios);
  await visit(`/suites/${suite.id}`);
  await page.getByRole("link", { name: "Show what is said in Right" }).click();
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
  await expect(heading, "a chosen run stays").toBeVisible();
  await expectSame(page, (await api.run(right ?? "")).transcript);
});

test("who comes in the middle stands at the end, and stays where they scroll to", async ({
  page,
  visit,
}) => {
  await signedUp(page);
  const api = new Api(page.request);
  const suite = await api.start(await api.agent(), [await api.scenario("Middle", 120)]);
  const run = suite.runs[0]?.id ?? "";
  await talksOn(api, run, 20);
  await visit(`/suites/${suite.id}`);
  const log = page.getByRole("log", { name: "Transcript" });
  const below = () => log.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
  const count = () => log.getByRole("article").count();
  await expect.poll(below).toBeLessThan(48);
  const before = await count();
  await expect.poll(count).toBeGreaterThan(before + 1);
  await expect.poll(below, { message: "it follows" }).toBeLessThan(48);

  // Somebody reads further up: nothing moves under them, and the news is told.
  await log.evaluate((e) => e.scrollTo({ top: 0 }));
  const news = page.getByRole("button", { name: /new turns? ↓/ });
  await expect(news).toBeVisible();
  expect(await log.evaluate((e) => e.scrollTop)).toBe(0);
  await news.click();
  await expect.poll(below).toBeLessThan(48);
  await expect(news).toBeHidden();
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await api.finished(suite.id);
});
