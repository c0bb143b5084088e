/**
 * Labels programs that speak plain HTTP, for the records. Names and sessions are labels for
 * people, not proof: the kernel's word about the user is kept beside them.
 */

import type { IncomingHttpHeaders } from 'node:http';
import { plainText } from '../base/plain-text.ts';
import { MAX_CALLER_LENGTH, MAX_SESSION_LENGTH } from '../protocol/messages.ts';

/** Header by which our own client states the caller of `connect({ caller })`, percent-encoded. */
const CALLER_HEADER = 'x-aipass-caller';

/** Headers by which clients name their session: Claude Code, Codex, opencode and our own client. */
const SESSION_HEADERS = ['x-claude-code-session-id', 'session-id', 'x-session-id'] as const;

/** Returns the caller's name, and its client as it names itself. */
export function callerName(
  headers: IncomingHttpHeaders,
  tokenName: string | undefined,
): { readonly name: string | null; readonly client: string | null } {
  const agent = text(headers['user-agent'], MAX_CALLER_LENGTH);
  const stated = text(decoded(headers[CALLER_HEADER]), MAX_CALLER_LENGTH);
  return { name: tokenName ?? stated ?? productOf(agent), client: agent };
}

/** Returns the session that a request belongs to, or null where it names none. */
export function sessionOf(headers: IncomingHttpHeaders): string | null {
  for (const name of SESSION_HEADERS) {
    const session = text(headers[name], MAX_SESSION_LENGTH);
    if (session !== null) return session;
  }
  return null;
}

/**
 * Returns the product of a User-Agent without its version (RFC 9110, 10.1.5): `claude-cli/2.1.197
 * (external)` is `claude-cli`. What follows the slash without being a version belongs to the name:
 * `OpenAI/Python 3.57.0`.
 */
function productOf(agent: string | null): string | null {
  const [, name, version] = /^([^\s/(]+)(?:\/([^\s(]+))?/.exec(agent ?? '') ?? [];
  if (name === undefined) return null;
  return version === undefined || /^v?\d/.test(version) ? name : `${name}/${version}`;
}

/** Decodes a name that a header field could not hold as it is. */
function decoded(name: string | string[] | undefined): string | string[] | undefined {
  try {
    return typeof name === 'string' ? decodeURIComponent(name) : name;
  } catch {
    return name;
  }
}

function text(value: string | readonly string[] | undefined, maxLength: number): string | null {
  return typeof value === 'string' && value.trim() !== '' ? plainText(value, maxLength) : null;
}
