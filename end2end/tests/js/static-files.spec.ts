import { expect, test } from "../../support/test";

test("static files have content hashes and immutable caching", async ({
  page,
  visit,
}) => {
  const files: string[] = [];
  page.on("response", async (response) => {
    const path = new URL(response.url()).pathname;
    if (path.startsWith("/pkg/")) {
      expect.soft(response.status(), path).toBe(200);
      expect.soft(response.headers()["cache-control"], path).toContain("immutable");
      expect.soft(response.headers()["content-encoding"], path).toMatch(/^(br|gzip)$/);
      files.push(path);
    }
  });
  await visit("/");
  for (const ending of [".js", "_bg.wasm", "_split.js", ".css"]) {
    expect(files.filter((file) => file.endsWith(ending)).length, ending).toBeGreaterThan(0);
  }
  for (const file of files) {
    expect(file).toMatch(/^\/pkg\/(rehearsal\.[0-9a-f]{16}|snippets\/)/);
  }
});
