import type { Locator, Page } from "@playwright/test";

/** Shown when the stream has been disconnected for over two seconds. */
export const RECONNECTING = "Connection lost, reconnecting. The suite continues on the server.";
/** Shown for a few seconds after the stream is back. */
export const RECONNECTED = "Reconnected.";

/**
 * The visible stream notice. The screen reader region repeats its text later, so
 * the text alone is not unique.
 */
export function streamNotice(page: Page): Locator {
  return page.locator("p.stream-notice");
}
