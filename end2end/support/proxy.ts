import { connect, createServer, type Server, type Socket } from "node:net";

/** A wire between browser and server that can be cut and mended. */
export class Wire {
  private readonly sockets = new Set<Socket>();
  private isCut = false;
  private refuses = false;

  private constructor(
    private readonly server: Server,
    /** Where the browser finds the server. */
    readonly url: string,
  ) {}

  /** A wire to a server on this machine. */
  static async to(target: string): Promise<Wire> {
    const port = Number(new URL(target).port);
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const address = server.address();
    const own = typeof address === "object" && address ? address.port : 0;
    const wire = new Wire(server, `http://127.0.0.1:${own}`);
    server.on("connection", (near) => wire.join(near, connect(port, "127.0.0.1")));
    return wire;
  }

  private join(near: Socket, far: Socket): void {
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    if (this.isCut) {
      near.destroy();
      return;
    }
    if (this.refuses) {
      far.destroy();
      near.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return;
    }
    near.pipe(far).pipe(near);
  }

  /** From now on nothing comes through; what was open breaks. */
  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }

  /** From now on each request is refused, as by a proxy whose server is gone. */
  refuse(): void {
    this.cut();
    this.isCut = false;
    this.refuses = true;
  }

  /** Lets everything through again. */
  mend(): void {
    this.isCut = false;
    this.refuses = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((closed) => this.server.close(() => closed()));
  }
}
