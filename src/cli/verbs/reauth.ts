/**
 * `aipassd reauth`: asks the user for consent, in a browser here, in one elsewhere, or by a device
 * code.
 */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { plainText } from '../../base/plain-text.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { ConsentChunk } from '../../protocol/oauth.ts';
import { flag, integer, JSON_FLAG, textOption } from '../options.ts';
import type { Output } from '../output.ts';
import { defineVerb } from '../verb.ts';
import { ACCOUNT, fullName, scopesOf } from './account-option.ts';

/** Asks for consent; what was there before stays in use until the new consent is given. */
export const reauth = defineVerb({
  name: 'reauth',
  summary: 'consent to an OAuth account or to an MCP server by its address, for the first time or anew',
  parameters: {
    ...ACCOUNT,
    scopes: textOption(
      'S,…',
      'scopes to ask for; without it, those of the account (Google: short names such as "drive.file")',
    ),
    device: flag('show a code to enter on any device'),
    'no-browser': flag('open no browser; paste the address that yours ends at'),
    port: integer('N', [0, 65_535], 'port of 127.0.0.1 for the redirect'),
    timeout: integer('S', [0, 3600], 'maximum wait in seconds (600 without it)'),
    json: JSON_FLAG,
  },
  async run(values, { out, connect, signal }) {
    const { json, device, port, timeout: timeoutSeconds } = values;
    const isServer = /^https?:/i.test(values.name);
    const name = isServer ? values.name : fullName(values.name, values.account);
    const account = isServer ? values.account : undefined;
    const scopes = scopesOf(values.scopes);
    const aipass = await connect();
    let stopReading: (() => void) | undefined;
    try {
      const result = await aipass.request(
        'oauth.reauth',
        { name, account, scopes, device, port, timeoutSeconds },
        {
          signal,
          onChunk: (chunk) => {
            if (!isChunk(chunk)) return;
            showPrompt(chunk, out, !values['no-browser']);
            if (chunk.prompt.kind === 'browser') stopReading = readPasted(aipass, chunk.flow, out);
          },
        },
      );
      if (json) out.json(result);
      else {
        out.line(`${result.name}: consented`, `  scopes  ${result.scopes.join(' ') || 'none named'}`);
        if (result.refusedScopes.length > 0) {
          out.warn(
            `not granted: ${result.refusedScopes.join(', ')}`,
            'consent again and allow all of them: what was asked for is asked for again',
          );
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
});

/** Prints on stderr what to do, so that stdout has nothing but the result. */
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
    // A wrong address ends the consent itself, which reports why.
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

function isChunk(value: unknown): value is ConsentChunk {
  return typeof value === 'object' && value !== null && 'flow' in value && 'prompt' in value;
}
