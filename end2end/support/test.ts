import AxeBuilder from "@axe-core/playwright";
import { test as base, expect, type Page } from "@playwright/test";
import { Server } from "./server";

interface ForEachTest {
  /**
   * Console errors that a test means to cause, such as the browser's own line
   * about a page that was answered with 422: `test.use({ expectedErrors: [/422/] })`.
   */
  expectedErrors: RegExp[];
  /** Fails the test on any other console error, and on any page error. */
  strictConsole: void;
  /** Opens a path of the server and waits until the page is alive. */
  visit: (path: string) => Promise<void>;
}

interface ForEachWorker {
  /** More settings (`REHEARSAL_…`) for the server of a file. */
  serverSettings: Record<string, string>;
  /** The server: one a worker and set of settings, with data of its own. */
  server: Server;
}

export const test = base.extend<ForEachTest, ForEachWorker>({
  // Each test signs up somebody of its own in the same server.
  serverSettings: [{ REHEARSAL_SIGN_UP: "open" }, { scope: "worker", option: true }],

  server: [
    async ({ serverSettings }, use) => {
      const server = await Server.start(serverSettings);
      await use(server);
      await server.stop();
    },
    { scope: "worker" },
  ],

  baseURL: async ({ server }, use) => {
    await use(server.url);
  },

  expectedErrors: [[], { option: true }],

  strictConsole: [
    async ({ context, server, expectedErrors }, use, testInfo) => {
      const errors: string[] = [];
      const note = (text: string) => {
        if (!expectedErrors.some((expected) => expected.test(text))) {
          errors.push(text);
        }
      };
      // Of the context: every page counts, those that the test opens too.
      context.on("console", (message) => {
        if (message.type() === "error") {
          note(`${message.text()} (${message.location().url})`);
        }
      });
      context.on("weberror", (error) => note(`uncaught: ${error.error().message}`));
      await use();
      if (testInfo.status !== testInfo.expectedStatus || errors.length > 0) {
        await testInfo.attach("server.log", { body: server.log(), contentType: "text/plain" });
      }
      expect(errors, "errors in the browser's console").toEqual([]);
    },
    { auto: true },
  ],

  visit: async ({ page, javaScriptEnabled }, use) => {
    await use(async (path) => {
      await page.goto(path);
      if (javaScriptEnabled !== false) {
        await hydrated(page);
      }
    });
  },
});

export { expect };

/** Waits until the page has come alive: an effect of the application says so. */
export async function hydrated(page: Page): Promise<void> {
  await expect(page.locator("body[data-hydrated]")).toBeAttached();
}

/** No violation of WCAG 2.2 A and AA, and of axe's best practices, on this page. */
export async function expectAccessible(page: Page): Promise<void> {
  await expectNoViolations(page, (axe) =>
    axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]),
  );
}

/** The same of the colours alone: all that another theme changes. */
export async function expectContrast(page: Page): Promise<void> {
  await expectNoViolations(page, (axe) => axe.withRules(["color-contrast"]));
}

async function expectNoViolations(
  page: Page,
  rules: (axe: AxeBuilder) => AxeBuilder,
): Promise<void> {
  const scriptless = await page.evaluate(() => matchMedia("(scripting: none)").matches);
  const examined = scriptless ? await twin(page) : page;
  const { violations } = await rules(new AxeBuilder({ page: examined })).analyze();
  if (scriptless) {
    await examined.context().close();
  }
  const told = violations.map(({ id, help, nodes }) => ({
    id,
    help,
    where: nodes.map((node) => node.target.join(" ")),
  }));
  expect(told, "accessibility violations").toEqual([]);
}

/**
 * The same document where scripts may run: axe is one and needs timers. The
 * page's own scripts are taken out, and what stands in `noscript` stays.
 */
async function twin(page: Page): Promise<Page> {
  const browser = page.context().browser();
  if (!browser) {
    throw new Error("This page has no browser of its own.");
  }
  const dark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  const context = await browser.newContext({
    // Said aloud, because the project's settings are the default here.
    javaScriptEnabled: true,
    storageState: await page.context().storageState(),
    viewport: page.viewportSize(),
    colorScheme: dark ? "dark" : "light",
  });
  const html = (await page.content())
    .replace(/<script\b[^]*?<\/script>/gi, "")
    .replace(/<\/?noscript\b[^>]*>/gi, "");
  const copy = await context.newPage();
  await copy.route(
    (url) => url.href === page.url(),
    (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html }),
  );
  await copy.goto(page.url());
  return copy;
}
