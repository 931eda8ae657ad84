import { existsSync } from "node:fs";

/** The Chromium that `cargo xtask test` found, or one at a usual path. */
export function chromiumPath(): string {
  const named = process.env.REHEARSAL_CHROMIUM;
  const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const found = named ?? places.find((place) => existsSync(place));
  if (!found) {
    throw new Error("No Chromium: install one, or name it in REHEARSAL_CHROMIUM.");
  }
  return found;
}
