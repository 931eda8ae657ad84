import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A model provider that speaks chat completions, and that can be taken down. */
export class Provider {
  /** Whether it answers 503 to everything. */
  down = true;
  /** Whether it accepts no key. */
  locked = false;

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
        const [status, answer] = provider.says();
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(answer));
      });
    });
    return provider;
  }

  private says(): [number, object] {
    if (this.locked) {
      return [401, { error: { message: "No such key here." } }];
    }
    return this.down ? [503, { error: { message: "Down." } }] : [200, ANSWER];
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
