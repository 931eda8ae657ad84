import path from "node:path";
import { defineConfig } from "@playwright/test";
import { chromiumPath } from "./support/chromium";

// `cargo xtask test` says where results go; by hand they stay beside the tests.
const results =
  process.env.REHEARSAL_END2END_RESULTS ?? path.join(import.meta.dirname ?? __dirname, "results");

export default defineConfig({
  testDir: "tests",
  outputDir: path.join(results, "artefacts"),
  reporter: [["list"], ["json", { outputFile: path.join(results, "report.json") }]],
  // A test that passes only the second time has found something.
  retries: 0,
  forbidOnly: !!process.env.CI,
  fullyParallel: false,
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: {
    // Every start of the browser has a fresh profile: Playwright makes one.
    launchOptions: {
      executablePath: chromiumPath(),
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
  },
  projects: [
    // What needs JavaScript: tests/js. What works without it: tests/nojs.
    // What must be the same either way: tests/both.
    { name: "js", testMatch: ["js/**/*.spec.ts", "both/**/*.spec.ts"] },
    {
      name: "nojs",
      testMatch: ["nojs/**/*.spec.ts", "both/**/*.spec.ts"],
      use: { javaScriptEnabled: false },
    },
  ],
});
