import AxeBuilder from "@axe-core/playwright";
import { test as base, expect, type Page } from "@playwright/test";
import { Server } from "./server";

interface ForEachTest {
  /**
   * Console errors that a test expects, such as the message of the browser about
   * a response with status 422: `test.use({ expectedErrors: [/422/] })`.
   */
  expectedErrors: RegExp[];
  /** Fails the test on any other console or page error. */
  strictConsole: void;
  /** Opens a path and waits for hydration. */
  visit: (path: string) => Promise<void>;
}

interface ForEachWorker {
  /** Additional settings (`REHEARSAL_…`) for the server. */
  serverSettings: Record<string, string>;
  /** One server with its own data per worker and settings. */
  server: Server;
}

export const test = base.extend<ForEachTest, ForEachWorker>({
  // Each test creates its own account on the shared server.
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
      // Listens on the context to include all pages that the test opens.
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

/** Waits for hydration. An effect of the application sets the attribute. */
export async function hydrated(page: Page): Promise<void> {
  await expect(page.locator("body[data-hydrated]")).toBeAttached();
}

/** No violation of WCAG 2.2 A and AA, and of axe's best practices, on this page. */
export async function expectAccessible(page: Page): Promise<void> {
  await expectNoViolations(page, (axe) =>
    axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]),
  );
}

/** Checks contrast only, because a theme changes nothing else. */
export async function expectContrast(page: Page): Promise<void> {
  await expectNoViolations(page, (axe) => axe.withRules(["color-contrast"]));
}

async function expectNoViolations(
  page: Page,
  rules: (axe: AxeBuilder) => AxeBuilder,
): Promise<void> {
  const scriptless = await page.evaluate(() => matchMedia("(scripting: none)").matches);
  const examined = scriptless ? await copyWithScripting(page) : page;
  const { violations } = await rules(new AxeBuilder({ page: examined })).analyze();
  if (scriptless) {
    await examined.context().close();
  }
  const violating = violations.map(({ id, help, nodes }) => ({
    id,
    help,
    where: nodes.map((node) => node.target.join(" ")),
  }));
  expect(violating, "accessibility violations").toEqual([]);
}

/**
 * A copy of the page in a context with scripting, which axe needs. The scripts of
 * the page are removed, and the content of `noscript` is kept.
 */
async function copyWithScripting(page: Page): Promise<Page> {
  const browser = page.context().browser();
  if (!browser) {
    throw new Error("This page has no browser of its own.");
  }
  const dark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  const context = await browser.newContext({
    // Explicit, because the default is the setting of the project.
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
