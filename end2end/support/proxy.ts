import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy that can disconnect or respond with 502. */
export class FaultyProxy {
  private readonly sockets = new Set<Socket>();
  private isDisconnected = false;
  private responds502 = false;

  private constructor(
    private readonly server: Server,
    /** Base URL of the proxy. */
    readonly url: string,
  ) {}

  /** A proxy to a local server. */
  static async to(target: string): Promise<FaultyProxy> {
    const port = Number(new URL(target).port);
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const address = server.address();
    const own = typeof address === "object" && address ? address.port : 0;
    const proxy = new FaultyProxy(server, `http://127.0.0.1:${own}`);
    server.on("connection", (client) => proxy.join(client, connect(port, "127.0.0.1")));
    return proxy;
  }

  private join(client: Socket, upstream: Socket): void {
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    if (this.isDisconnected) {
      client.destroy();
      return;
    }
    if (this.responds502) {
      upstream.destroy();
      client.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return;
    }
    client.pipe(upstream).pipe(client);
  }

  /** Closes all connections and rejects new ones. */
  disconnect(): void {
    this.isDisconnected = true;
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }

  /** Responds to every request with 502, like a proxy without its upstream. */
  respond502(): void {
    this.disconnect();
    this.isDisconnected = false;
    this.responds502 = true;
  }

  /** Forwards connections again. */
  restore(): void {
    this.isDisconnected = false;
    this.responds502 = false;
  }

  async close(): Promise<void> {
    this.disconnect();
    await new Promise<void>((closed) => this.server.close(() => closed()));
  }
}
