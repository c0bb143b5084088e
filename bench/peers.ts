/**
 * Other gateways, measured beside ours where they are installed: Portkey and LiteLLM. `npm run
 * bench:peers` installs them, in the versions below, into `bench/.peers`.
 */

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start, type Running } from './programs.ts';

const FOLDER = fileURLToPath(new URL('.peers/', import.meta.url));

const PORTKEY = '@portkey-ai/gateway@1.15.2';

/**
 * Packages of Portkey in the versions of its own lock file. With newer ones, which npm would take,
 * it answers each stream with 500: @hono/node-server from 1.14 on makes a response of the headers
 * of `fetch`, and Portkey adds fields to them ("TypeError: immutable").
 */
const PORTKEY_OVERRIDES = { hono: '4.9.7', '@hono/node-server': '1.13.5' };

const LITELLM = 'litellm[proxy]==1.106.12';

/** Time for the first answer, in milliseconds: LiteLLM loads its parts with it. */
const FIRST_ANSWER_MS = 60_000;

const portkeyServer = join(FOLDER, 'portkey/node_modules/@portkey-ai/gateway/build/start-server.js');
const litellmCommand = join(FOLDER, 'litellm/bin/litellm');

/**
 * Preloaded into Portkey, which would listen on every interface: a port without an address is one
 * of 127.0.0.1.
 */
const ONLY_LOOPBACK = `data:text/javascript,${encodeURIComponent(`
  import { Server } from 'node:net';
  const { listen } = Server.prototype;
  Server.prototype.listen = function (port, ...rest) {
    if (typeof rest[0] === 'string') rest.shift();
    return listen.call(this, typeof port === 'object' ? { ...port, host: '127.0.0.1' } : { port, host: '127.0.0.1' }, ...rest);
  };
`)}`;

/** Running peer, as a client asks it. */
export interface Peer extends Running {
  readonly name: string;
  readonly port: number;
  /** Bearer token that it wants. */
  readonly token: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether it answers a stream. */
  readonly streams: boolean;
}

/** Starts what is installed; every peer calls the provider on that port of loopback. */
export async function startPeers(folder: string, providerPort: number): Promise<Peer[]> {
  const starts = [
    ...(existsSync(portkeyServer) ? [() => startPortkey(providerPort)] : []),
    ...(existsSync(litellmCommand) ? [() => startLitellm(folder, providerPort)] : []),
  ];
  const peers: Peer[] = [];
  for (const begin of starts) {
    let peer: Omit<Peer, 'streams'> | undefined;
    try {
      peer = await begin();
      peers.push({ ...peer, streams: await answersStreams(peer) });
    } catch (error) {
      reportLeftOut(peer?.name ?? 'another gateway', error);
      await peer?.stop();
    }
  }
  return peers;
}

/** Reports a peer that failed: the others are measured without it. */
export function reportLeftOut(name: string, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  console.log(`${name} failed, and is left out: ${reason.slice(0, 500)}`);
}

/**
 * Installs the peers. What a registry does not give is reported, and left out of the measurements.
 */
export function installPeers(): void {
  mkdirSync(join(FOLDER, 'portkey'), { recursive: true });
  const manifest = { private: true, overrides: PORTKEY_OVERRIDES };
  writeFileSync(join(FOLDER, 'portkey', 'package.json'), JSON.stringify(manifest));
  // One that was installed before would keep its versions.
  rmSync(join(FOLDER, 'portkey', 'node_modules'), { recursive: true, force: true });
  rmSync(join(FOLDER, 'portkey', 'package-lock.json'), { force: true });
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', PORTKEY], join(FOLDER, 'portkey'));
  run('python3', ['-m', 'venv', 'litellm'], FOLDER);
  run(join(FOLDER, 'litellm/bin/python'), ['-m', 'pip', 'install', '--quiet', LITELLM], FOLDER);
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) console.log(`not installed: ${args.at(-1)}: ${error?.message ?? `exit code ${status}`}`);
}

/** Its own choice would be every interface of the machine. */
async function startPortkey(providerPort: number): Promise<Omit<Peer, 'streams'>> {
  const port = await freePort();
  const args = ['--import', ONLY_LOOPBACK, portkeyServer, `--port=${port}`, '--headless'];
  const running = await start(args, { port });
  return {
    ...running,
    name: 'Portkey',
    port,
    token: 'unused',
    headers: {
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${providerPort}/v1`,
    },
  };
}

async function startLitellm(folder: string, providerPort: number): Promise<Omit<Peer, 'streams'>> {
  const port = await freePort();
  const config = join(folder, 'litellm.json');
  const params = { model: 'openai/bench', api_base: `http://127.0.0.1:${providerPort}/v1`, api_key: 'unused' };
  // JSON is YAML.
  writeFileSync(config, JSON.stringify({ model_list: [{ model_name: 'bench', litellm_params: params }] }));
  const args = ['--config', config, '--host', '127.0.0.1', '--port', String(port), '--telemetry', 'False'];
  const key = `sk-${randomBytes(24).toString('hex')}`;
  const env = {
    ...process.env,
    LITELLM_LOCAL_MODEL_COST_MAP: 'True',
    LITELLM_LOG: 'ERROR',
    // It does not start without one.
    LITELLM_MASTER_KEY: key,
  };
  const running = await start(args, { port }, env, litellmCommand);
  return { ...running, name: 'LiteLLM', port, token: key, headers: {} };
}

async function answersStreams({ port, token, headers }: Omit<Peer, 'streams'>): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: 'ping' }], stream: true }),
    signal: AbortSignal.timeout(FIRST_ANSWER_MS),
  });
  await answer.text();
  return answer.ok;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address: AddressInfo | string | null = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
