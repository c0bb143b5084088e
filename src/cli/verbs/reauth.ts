/**
 * `aipassd reauth`: has the user consent anew, in a browser here, in one elsewhere, or by a device code.
 */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { plainText } from '../../base/plain-text.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { ConsentChunk } from '../../protocol/oauth.ts';
import { UsageError } from '../usage-error.ts';
import type { Output } from '../output.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';
import { ACCOUNT_DETAIL, ACCOUNT_OPTION, accountOf, scopesOf } from './account-option.ts';

const USAGE = '<name> [--account A] [--scopes S,…] [--device] [--no-browser] [--port N] [--timeout S] [--json]';

/** Asks for consent; what was there before stays in use until the new consent is given. */
export const reauth: Verb = {
  name: 'reauth',
  usage: USAGE,
  summary: 'consent to an OAuth account, for the first time or anew',
  details: [
    ACCOUNT_DETAIL,
    '--scopes S,…  what to ask for; without it what the account has (for Google, "drive.file" is enough of a name)',
    '--device      show a code to enter on any device',
    '--no-browser  open no browser; paste the address that yours ends up at',
    '--port N      the port of 127.0.0.1 that the browser comes back to',
    '--timeout S   how long to wait, in seconds (600 without it)',
    '--json        print the result as a document',
  ],
  options: {
    ...JSON_OPTION,
    ...ACCOUNT_OPTION,
    scopes: { type: 'string' },
    device: { type: 'boolean' },
    'no-browser': { type: 'boolean' },
    port: { type: 'string' },
    timeout: { type: 'string' },
  },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const name = accountOf(args, `reauth ${USAGE}`);
    const port = numberOf(args.text('port'), 'port', 65_535);
    const timeoutSeconds = numberOf(args.text('timeout'), 'timeout', 3600);
    const aipass = await connect();
    let stopReading: (() => void) | undefined;
    try {
      const result = await aipass.request(
        'oauth.reauth',
        { name, scopes: scopesOf(args), device: args.flag('device'), port, timeoutSeconds },
        {
          signal,
          onChunk: (chunk) => {
            if (!isChunk(chunk)) return;
            showPrompt(chunk, out, !args.flag('no-browser'));
            if (chunk.prompt.kind === 'browser') stopReading = readPasted(aipass, chunk.flow, out);
          },
        },
      );
      if (args.flag('json')) out.json(result);
      else {
        out.line(`${result.name}: consented`, `  scopes  ${result.scopes.join(' ') || 'none named'}`);
        if (result.refusedScopes.length > 0) {
          out.warn(`not granted: ${result.refusedScopes.join(', ')}`, 'consent again, and allow all of them');
        }
        if (!result.renewable) {
          out.warn('the provider gave no refresh token', 'if its tokens expire, you will have to consent again then');
        }
      }
      return 0;
    } finally {
      stopReading?.();
    }
  },
};

/** Says on stderr what to do, so that stdout has nothing but the result. */
function showPrompt({ prompt }: ConsentChunk, out: Output, mayOpen: boolean): void {
  if (prompt.kind === 'device') {
    out.hint(`open  ${prompt.verificationUriComplete ?? prompt.verificationUri}`);
    out.hint(`and enter the code  ${prompt.userCode}`);
    return;
  }
  const opened = mayOpen && prompt.listening && openBrowser(prompt.url);
  out.hint(`${opened ? 'a browser opens; if not, open' : 'open this address in a browser'}:`);
  process.stderr.write(`\n${plainText(prompt.url, 16_384)}\n\n`);
  out.hint(
    prompt.listening
      ? `if the browser runs elsewhere it cannot come back: paste the address that it ends up at (${prompt.redirectUri}…)`
      : `then paste the address that the browser ends up at (${prompt.redirectUri}…)`,
  );
}

/** Reads pasted addresses until stopped. */
function readPasted(aipass: Aipass, flow: string, out: Output): () => void {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const url = line.trim();
    if (url === '') return;
    // What is wrong with it ends the consent itself, and is said there.
    aipass.request('oauth.redirect', { flow, url }).catch(() => out.hint('the consent is over'));
  });
  return () => {
    lines.close();
    process.stdin.destroy();
  };
}

/** Opens the user's browser where there is one; never waits for it. */
function openBrowser(url: string): boolean {
  const mac = process.platform === 'darwin';
  const graphical = mac || process.env['DISPLAY'] !== undefined || process.env['WAYLAND_DISPLAY'] !== undefined;
  if (!graphical || process.env['SSH_CONNECTION'] !== undefined) return false;
  const child = spawn(mac ? 'open' : 'xdg-open', [url], { detached: true, stdio: 'ignore' });
  child.on('error', () => {});
  child.unref();
  return true;
}

function numberOf(text: string | undefined, name: string, most: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,5}$/.test(text) && Number(text) <= most) return Number(text);
  throw new UsageError(`--${name} is a number up to ${most}`, `usage: aipassd reauth ${USAGE}`);
}

function isChunk(value: unknown): value is ConsentChunk {
  return typeof value === 'object' && value !== null && 'flow' in value && 'prompt' in value;
}
