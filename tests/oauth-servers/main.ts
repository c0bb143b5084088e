/**
 * `npm run test:oauth-servers`: the whole life of an account (consent, three rotations, revocation)
 * at every OAuth and MCP server that this machine can install. Prints a table, what could not be
 * installed and why, and exits 1 when an account came to harm. Downloads are kept in the folder
 * that AIPASSD_OAUTH_SERVERS names, else in the system's temporary folder.
 */

import { systemClock } from '../../src/base/clock.ts';
import { Accounts } from '../../src/refreshers/accounts.ts';
import { Consents } from '../../src/refreshers/consents.ts';
import { WorkerProcesses } from '../../src/refreshers/worker-process.ts';
import { AccountFiles } from '../support/account-files.ts';
import { browse } from './browser.ts';
import { SERVERS, type RunningServer } from './servers.ts';

const MCP_REQUEST = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

/** Result of one server. */
interface Row {
  readonly server: string;
  readonly version: string;
  readonly result: string;
}

const rows: Row[] = [];
let hasFailed = false;
const wanted = process.argv.slice(2);
for (const { name, start } of SERVERS) {
  if (wanted.length > 0 && !wanted.some((one) => name.toLowerCase().includes(one.toLowerCase()))) continue;
  process.stderr.write(`${name} …\n`);
  let running: RunningServer;
  try {
    running = await start();
  } catch (error) {
    rows.push({ server: name, version: '-', result: `not installed: ${firstLine(error)}` });
    continue;
  }
  try {
    const result = running.mcp === undefined ? await useAccount(running) : await useMcp(running.mcp);
    rows.push({ server: name, version: running.version, result });
  } catch (error) {
    hasFailed = true;
    rows.push({ server: name, version: running.version, result: `FAILED: ${firstLine(error)}` });
  } finally {
    await running.stop();
  }
}
for (const { server, version, result } of rows) {
  process.stdout.write(`${server.padEnd(36)} ${version.padEnd(10)} ${result}\n`);
}
process.exit(hasFailed ? 1 : 0);

function open(files: AccountFiles) {
  const worker = new WorkerProcesses();
  const accounts = new Accounts({
    secrets: files.secrets,
    config: {},
    clock: systemClock,
    random: Math.random,
    worker,
    onOutcome: () => {},
    onTokens: () => {},
  });
  return { worker, accounts };
}

/** Consents, renews three times, and revokes; returns what was done. */
async function useAccount({ document, user }: RunningServer): Promise<string> {
  await using files = new AccountFiles();
  await files.write('oauth/test.json', document);
  const { worker, accounts } = open(files);
  const done: string[] = [];
  const consented = await new Consents(worker).run(
    accounts.describe('test'),
    { device: false, port: 0, timeoutMs: 60_000 },
    (_, prompt) => {
      if (prompt.kind === 'browser') void browse(prompt.url, user);
    },
    AbortSignal.timeout(90_000),
  );
  done.push(`consent (${consented.renewable ? 'renewable' : 'not renewable'})`);
  let rotations = 0;
  for (let round = 0; round < 3; round += 1) {
    const [result] = await accounts.refresh('test');
    if (result?.outcome.kind !== 'refreshed')
      throw new Error(`refresh ${round + 1}: ${JSON.stringify(result?.outcome)}`);
    if (result.outcome.rotated) rotations += 1;
  }
  done.push(`3 refreshes (${rotations} rotated)`);
  const { accessToken } = await accounts.token('test', { minValidMs: 10_000, scopes: [] });
  if (accessToken === '') throw new Error('the token is empty');
  const account = accounts.describe('test');
  const report = await worker.run({ kind: 'revoke', account });
  if (report.kind !== 'revoked') throw new Error(`revocation: ${JSON.stringify(report)}`);
  done.push(report.atProvider ? 'revoked there' : 'deleted here (no revocation endpoint)');
  accounts.stop();
  return done.join(', ');
}

/** Consents by the server's address, renews, and asks the server with the token. */
async function useMcp(address: string): Promise<string> {
  await using files = new AccountFiles();
  const { worker, accounts } = open(files);
  const account = await accounts.describeMcp(new URL(address));
  const consented = await new Consents(worker).run(
    account,
    { device: false, port: 0, timeoutMs: 60_000, mcpServer: address },
    (_, prompt) => {
      if (prompt.kind === 'browser') void browse(prompt.url);
    },
    AbortSignal.timeout(90_000),
  );
  const done = [`registered and consented as ${account.name}`];
  if (consented.renewable) {
    const [result] = await accounts.refresh(account.name);
    if (result?.outcome.kind !== 'refreshed') throw new Error(`refresh: ${JSON.stringify(result?.outcome)}`);
    done.push(`refreshed (${result.outcome.rotated ? 'rotated' : 'same refresh token'})`);
  } else done.push('no refresh token');
  const { accessToken } = await accounts.token(account.name, { minValidMs: 10_000, scopes: [] });
  const answer = await fetch(address, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessToken}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify(MCP_REQUEST),
  });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
  await answer.body?.cancel();
  done.push('the server takes the token');
  accounts.stop();
  return done.join(', ');
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]?.slice(0, 300) ?? '';
}
