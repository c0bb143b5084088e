/**
 * OAuth accounts: `aipassd token` prints a fresh access token. `reauth` asks the user for consent
 * (in a browser here, in one elsewhere, or by a device code). `refresh` refreshes tokens now.
 * `revoke` ends a grant, at its provider and here.
 *
 * An account is named by one word (`google.work`), or with `--account work`.
 */

import { plainText } from '../../base/plain-text.ts';
import { splitList } from '../../base/split-list.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { ConsentChunk } from '../../protocol/oauth.ts';
import type { Output } from '../output.ts';
import {
  defineVerb,
  flag,
  integer,
  JSON_FLAG,
  optionalWord,
  requiredWord,
  textOption,
  type VerbContext,
} from '../verb.ts';

const ACCOUNT_NAME = 'name of the account, such as google or google.work';

/** Parameters of a verb that is about one account. */
const ACCOUNT = {
  name: requiredWord(ACCOUNT_NAME, 'accounts'),
  account: textOption('A', 'one of several accounts: "google --account work" is "google.work"'),
} as const;

function fullName(name: string, account: string | undefined): string {
  return account === undefined || account === 'default' ? name : `${name}.${account}`;
}

/** Returns the scopes of `--scopes`, or undefined where there is none. */
function scopesOf(option: string | undefined): readonly string[] | undefined {
  const found = splitList(option ?? '');
  return found.length === 0 ? undefined : found;
}

export const token = defineVerb({
  name: 'token',
  summary: "print an OAuth account's access token; refreshes it first if it is about to expire",
  parameters: {
    ...ACCOUNT,
    'min-valid': integer('S', [0, 604_800], 'minimum remaining validity in seconds (60 without it)'),
    scopes: textOption('S,…', 'scopes that the token must have'),
    refused: textOption(
      'TAG',
      'refresh it first if it is the token with this tag, which an API refused; - reads the token from stdin',
    ),
    json: JSON_FLAG,
  },
  async run({ name, account, 'min-valid': minValidSeconds, scopes, refused, json }, context) {
    const { out, connect, readStdin, signal } = context;
    const aipass = await connect();
    const value = await aipass.token(fullName(name, account), {
      signal,
      minValidSeconds,
      scopes: scopesOf(scopes),
      refused: refused === '-' ? (await readStdin()).trim() : refused,
    });
    if (json) out.json(value);
    else out.line(value.accessToken);
  },
});

export const refresh = defineVerb({
  name: 'refresh',
  summary: "refresh one OAuth account's token, or all, now",
  parameters: { ...ACCOUNT, name: optionalWord(`${ACCOUNT_NAME}; all without it`, 'accounts'), json: JSON_FLAG },
  async run({ name, account, json }, { out, connect, signal }) {
    const aipass = await connect();
    const params = name === undefined ? {} : { name: fullName(name, account) };
    const { results } = await aipass.request('oauth.refresh', params, { signal });
    if (json) out.json(results);
    else {
      for (const one of results) {
        out.line(`${one.name}  ${one.outcome}${one.reason === null ? '' : `: ${one.reason}`}`);
        if (one.action !== null) out.hint(one.action);
      }
      if (results.length === 0) out.line('there is no OAuth account yet: aipassd reauth <name> makes one');
    }
    return results.every((one) => ['refreshed', 'superseded', 'kept'].includes(one.outcome)) ? 0 : 2;
  },
});

export const revoke = defineVerb({
  name: 'revoke',
  summary: "revoke an OAuth account's grant at its provider, and delete its tokens here",
  parameters: { ...ACCOUNT, json: JSON_FLAG },
  async run({ name, account, json }, { out, connect, signal }) {
    const aipass = await connect();
    const result = await aipass.request('oauth.revoke', { name: fullName(name, account) }, { signal });
    if (json) return out.json(result);
    out.line(`${result.name}: the tokens are deleted here`);
    if (result.atProvider) out.line('  and the provider has ended the grant');
    else {
      out.warn(
        'the grant still exists at the provider, which has no endpoint to revoke it',
        'end the access in your account settings there',
      );
    }
  },
});

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
    timeout: integer('S', [1, 3600], 'maximum wait in seconds (600 without it)'),
    json: JSON_FLAG,
  },
  async run(values, context) {
    const { out, connect, signal } = context;
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
            showPrompt(chunk, context, !values['no-browser']);
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
    } finally {
      stopReading?.();
    }
  },
});

/** Prints on stderr what to do, so that stdout has nothing but the result. */
function showPrompt(
  { prompt }: ConsentChunk,
  { out, withUsersUmask }: Pick<VerbContext, 'out' | 'withUsersUmask'>,
  mayOpen: boolean,
): void {
  if (prompt.kind === 'device') {
    out.hint(`open  ${prompt.verificationUriComplete ?? prompt.verificationUri}`);
    out.hint(`and enter the code  ${prompt.userCode}`);
    return;
  }
  const opened = mayOpen && prompt.listening && withUsersUmask(() => openBrowser(prompt.url));
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
  const lines = process.getBuiltinModule('node:readline').createInterface({ input: process.stdin });
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
  const { spawn } = process.getBuiltinModule('node:child_process');
  const child = spawn(mac ? 'open' : 'xdg-open', [url], { detached: true, stdio: 'ignore' });
  child.on('error', () => {});
  child.unref();
  return true;
}
