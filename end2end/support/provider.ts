import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A mock provider of the chat completions API. */
export class Provider {
  /** Responds with 503 to every request. */
  isDown = true;
  /** Responds with 401 to every request. */
  rejectsKeys = false;
  /** The responses that are held back; `undefined` responds at once. */
  private held?: (() => void)[];

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
        const respond = () => {
          const [status, body] = provider.response();
          response.writeHead(status, { "content-type": "application/json" });
          response.end(JSON.stringify(body));
        };
        if (provider.held) {
          provider.held.push(respond);
        } else {
          respond();
        }
      });
    });
    return provider;
  }

  /** Holds back all responses until `release`. */
  hold(): void {
    this.held = [];
  }

  release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    held.forEach((respond) => respond());
  }

  private response(): [number, object] {
    if (this.rejectsKeys) {
      return [401, { error: { message: "No such key here." } }];
    }
    return this.isDown ? [503, { error: { message: "Down." } }] : [200, COMPLETION];
  }

  async stop(): Promise<void> {
    this.http.closeAllConnections();
    await new Promise((closed) => this.http.close(closed));
  }
}

const COMPLETION = {
  choices: [
    {
      index: 0,
      finish_reason: "stop",
      message: { role: "assistant", content: "We are open from nine to five." },
    },
  ],
  usage: { prompt_tokens: 10, completion_tokens: 8 },
};
