import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A model provider that speaks chat completions, and that can be taken down. */
export class Provider {
  /** Whether it answers 503 to everything. */
  down = true;

  private constructor(
    private readonly http: HttpServer,
    /** The base URL of an `openai` connection. */
    readonly url: string,
  ) {}

  static async start(): Promise<Provider> {
    const http = createServer();
    await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
    const { port } = http.address() as AddressInfo;
    const provider = new Provider(http, `http://127.0.0.1:${port}/v1`);
    http.on("request", (request, response) => {
      request.resume().on("end", () => {
        response.writeHead(provider.down ? 503 : 200, { "content-type": "application/json" });
        response.end(JSON.stringify(provider.down ? { error: { message: "Down." } } : ANSWER));
      });
    });
    return provider;
  }

  async stop(): Promise<void> {
    this.http.closeAllConnections();
    await new Promise((closed) => this.http.close(closed));
  }
}

const ANSWER = {
  choices: [
    {
      index: 0,
      finish_reason: "stop",
      message: { role: "assistant", content: "We are open from nine to five." },
    },
  ],
  usage: { prompt_tokens: 10, completion_tokens: 8 },
};
