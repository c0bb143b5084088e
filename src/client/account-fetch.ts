/**
 * A `fetch` whose requests carry the token of an OAuth account. They go straight to the address;
 * the daemon only gives the token. One that the API refuses is reported to the daemon, and the
 * request is repeated once with another.
 */

import { AipassError } from '../base/errors.ts';
import { isLoopbackHost } from '../base/loopback.ts';
import type { TokenValue } from '../protocol/oauth.ts';

/** Options of one request. */
export type AccountRequestInit = RequestInit & {
  /** Account whose token the request carries. */
  readonly account: string;
};

/** Gives tokens; the client does. */
export interface TokenSource {
  token(
    name: string,
    options: {
      readonly minValidSeconds?: number | undefined;
      readonly scopes?: readonly string[] | undefined;
      readonly refused?: string | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<TokenValue>;
}

/**
 * Sends one request as fetch does, with the account's token.
 *
 * @throws AipassError as Aipass.token does, BAD_REQUEST for an address without encryption, and
 * TypeError as fetch does.
 */
export async function fetchAsAccount(
  source: TokenSource,
  input: string | URL | Request,
  { account, ...init }: AccountRequestInit,
): Promise<Response> {
  const given = input instanceof Request ? input : undefined;
  const address = new URL(input instanceof Request ? input.url : input);
  assertEncrypted(address);
  const signal = init.signal ?? given?.signal;
  const headers = new Headers(init.headers ?? given?.headers);
  const send = async ({ tokenType, accessToken }: TokenValue, to: string | URL | Request): Promise<Response> => {
    headers.set('authorization', `${tokenType} ${accessToken}`);
    return await fetch(to, { ...init, headers });
  };
  const canRepeat = !isStream(init.body);
  const token = await source.token(account, { signal });
  const answer = await send(token, canRepeat ? (given?.clone() ?? input) : input);
  // fetch leaves the token out where a redirect goes to another site: a refusal there is not one of
  // the token.
  if (answer.status !== 401 || new URL(answer.url).origin !== address.origin) return answer;
  // Reported also where nothing can be repeated: the next request has another token then.
  const next = await source.token(account, { signal, refused: token.accessToken });
  if (!canRepeat || next.accessToken === token.accessToken) return answer;
  await answer.body?.cancel();
  return await send(next, input);
}

function assertEncrypted({ protocol, hostname }: URL): void {
  if (protocol === 'https:' || isLoopbackHost(hostname)) return;
  throw new AipassError(
    'BAD_REQUEST',
    `aipass.fetch: a token goes to https addresses only (got ${protocol}//${hostname})`,
    {
      hint: 'use the https address of the API',
    },
  );
}

/** Returns whether a body is a stream, which is read once and cannot be sent again. */
function isStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}
