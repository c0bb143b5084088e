/**
 * `aipassd git-credential`: git's passwords from the daemon, by git's protocol for credential
 * helpers (git-credential(1), gitcredentials(7)).
 *
 * The password for a host is the secret `git/<host>`, or `git/<host>:<port>` where the address has
 * a port. It is a token, or a JSON document with `password` and, where one is needed, `username`
 * and `password_expiry_utc`.
 */

import { AipassError } from '../../base/errors.ts';
import { isRecord, readNumber, readString } from '../../base/json.ts';
import { isLoopbackHost } from '../../base/loopback.ts';
import { defineVerb, requiredWord } from '../verb.ts';

export const gitCredential = defineVerb({
  name: 'git-credential',
  summary: 'git credential helper: passwords from the secrets git/<host>',
  details: [
    'aipassd exec --git has git ask it. Elsewhere: git config --global credential.helper "!aipassd git-credential". The secret git/github.com holds a token, or a JSON document with "username" and "password". Passwords go to https addresses only, and to this machine.',
  ],
  parameters: { action: requiredWord('what git asks for: get; store and erase change nothing here', ['get']) },
  async run({ action }, { out, connect, readStdin, signal }) {
    const text = await readStdin();
    // gitcredentials(7): a helper ignores what it does not know.
    const request = action === 'get' ? parseGitRequest(text) : undefined;
    if (request === undefined) return;
    const aipass = await connect();
    try {
      const value = await aipass.secret(request.secret, { json: true, signal });
      out.line(...answerGitRequest(request, value, Date.now()));
    } catch (error) {
      if (!(error instanceof AipassError) || error.code !== 'NOT_FOUND') throw error;
      // git asks its next helper, or its user.
      out.note(`${error.message}: aipassd set-secret ${request.secret} stores one`);
    }
  },
});

export interface GitRequest {
  readonly secret: string;
  readonly username: string | undefined;
}

const FOLDER = 'git';

/** User beside a token: most hosts take any name, GitHub and Bitbucket document this one. */
const TOKEN_USER = 'x-access-token';

/** Fields of a document that may hold the password, in order. */
const PASSWORD_FIELDS = ['password', 'token', 'access_token', 'key'] as const;

/** Name or IPv4 address, or an IPv6 address in brackets, with an optional port. */
const HOST = /^(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/;

/**
 * Parses what git writes to a helper. Returns undefined where no secret may be given. A password
 * does not go over a connection that anybody can read, nor to anything but a host.
 */
export function parseGitRequest(text: string): GitRequest | undefined {
  const fields = new Map(
    text.split(/\r?\n/).flatMap((line): [string, string][] => {
      const at = line.indexOf('=');
      return at === -1 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
    }),
  );
  const host = fields.get('host')?.toLowerCase() ?? '';
  if (!HOST.test(host)) return undefined;
  const protocol = fields.get('protocol');
  if (protocol !== 'https' && !(protocol === 'http' && isLoopbackHost(host.replace(/:\d+$/, '')))) return undefined;
  return { secret: `${FOLDER}/${host}`, username: fields.get('username') };
}

/**
 * Returns the lines that answer a request, none where the secret is another user's or has expired:
 * git 2.39 would use an expired one.
 *
 * @param value is the secret as text or document.
 * @param now in epoch milliseconds.
 * @throws AipassError BAD_REQUEST for a secret that is not a password.
 */
export function answerGitRequest({ secret, username }: GitRequest, value: unknown, now: number): readonly string[] {
  const document = isRecord(value) ? value : { password: value };
  const password = PASSWORD_FIELDS.map((name) => readString(document, name)).find((one) => one !== undefined);
  const owner = readString(document, 'username');
  const expiry = readNumber(document, 'password_expiry_utc');
  if (password === undefined || !isOneLine(password) || (owner !== undefined && !isOneLine(owner))) {
    throw new AipassError('BAD_REQUEST', `the secret ${secret} is not a password for git`, {
      hint: 'store a token of one line, or a JSON document with "username" and "password"',
    });
  }
  if (username !== undefined && owner !== undefined && username !== owner) return [];
  if (expiry !== undefined && expiry * 1000 <= now) return [];
  return [
    `username=${username ?? owner ?? TOKEN_USER}`,
    `password=${password}`,
    ...(expiry === undefined ? [] : [`password_expiry_utc=${expiry}`]),
  ];
}

/** A line end would begin a field of its own. */
function isOneLine(text: string): boolean {
  return text !== '' && !/[\r\n\0]/.test(text);
}
