/**
 * A built daemon on a temporary home with a loopback provider called "local": what most system
 * tests begin with.
 */

import { connect, type Aipass } from '../../src/client/index.ts';
import { DaemonProcess } from './daemon-process.ts';
import { startLoopbackProvider, type LoopbackProvider } from './loopback-provider.ts';
import { runCli, type CliOptions } from './run-cli.ts';
import type { ProgramResult } from './run-program.ts';
import { makeTempHome, type TempHome } from './temp-home.ts';

/** The key that the home holds for the provider "local". */
export const LOCAL_KEY = 'lk-canary-0123456789abcdefghij';

/** The key that the home holds for openrouter. */
export const OPENROUTER_KEY = `sk-or-v1-canary${'0123456789abcdef'.repeat(4)}`;

/** Settings laid over the usual configuration; `local` are those of the provider "local". */
export interface TestDaemonOptions {
  readonly local?: object;
  readonly [setting: string]: unknown;
}

/**
 * Starts a built daemon on a temporary home with a loopback provider called "local". `await using`
 * ends all of it.
 */
export function createTestDaemon(options: TestDaemonOptions = {}): Promise<TestDaemon> {
  return TestDaemon.start(options);
}

/** Everything at once. `await using` ends it. */
export class TestDaemon implements AsyncDisposable {
  readonly home: TempHome;
  readonly provider: LoopbackProvider;
  daemon: DaemonProcess;
  readonly #clients: Aipass[] = [];

  private constructor(home: TempHome, provider: LoopbackProvider, daemon: DaemonProcess) {
    this.home = home;
    this.provider = provider;
    this.daemon = daemon;
  }

  /** Starts all of it; see createTestDaemon. */
  static async start({ local, ...rest }: TestDaemonOptions): Promise<TestDaemon> {
    const home = makeTempHome();
    const provider = await startLoopbackProvider();
    await home.writeKeys({ LOCAL_API_KEY: LOCAL_KEY, OPENROUTER_API_KEY: OPENROUTER_KEY });
    await home.writeConfig({
      defaultProvider: 'local',
      providers: { local: { baseUrl: provider.baseUrl, ...local } },
      ...rest,
    });
    return new TestDaemon(home, provider, await DaemonProcess.start(home));
  }

  /** Connects a client. */
  async connect(caller = 'test'): Promise<Aipass> {
    const client = await connect({ caller, socket: this.home.paths.socket });
    this.#clients.push(client);
    return client;
  }

  /** Runs one command. */
  cli(args: readonly string[], options?: CliOptions): Promise<ProgramResult> {
    return runCli(this.home, args, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.close();
    await this.daemon.kill();
    await this.provider.close();
    await this.home.remove();
  }
}
