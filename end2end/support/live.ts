import type { Locator, Page } from "@playwright/test";

/** What a live page says while its stream is away for over two seconds. */
export const LOST = "Connection lost, reconnecting. The suite goes on on the server.";
/** What it says for some seconds once it has everything again. */
export const BACK = "Back, caught up.";

/**
 * The line in which a live page tells of its stream. The polite line for screen
 * readers says the same words a little later, so that the text alone finds two.
 */
export function streamNotice(page: Page): Locator {
  return page.locator("p.wire");
}
