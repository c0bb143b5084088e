/**
 * Access to the HTTP gateway over loopback: parameters and results of `gateway.*`.
 */

/** Beginning of every access token, by which scanners for leaked secrets recognise one. */
export const TOKEN_PREFIX = 'aip-';

/** Random part of a token, in characters of base64url: 256 bits. */
const TOKEN_CHARS = 43;

const TOKEN = new RegExp(`${TOKEN_PREFIX}[A-Za-z0-9_-]{${TOKEN_CHARS}}`);

/** Returns whether a text holds an access token of a gateway, this one's or another's. */
export function holdsToken(text: string): boolean {
  return text.includes(TOKEN_PREFIX) && TOKEN.test(text);
}

/** Number of times that a text is decoded: clients and servers may each decode. */
const MAX_DECODINGS = 3;

/** Returns whether a text holds a token of a gateway, as it is, percent-encoded or in Basic. */
export function quotesToken(text: string): boolean {
  if (holdsToken(text)) return true;
  if (text.length < TOKEN_PREFIX.length + TOKEN_CHARS) return false;
  let read = text;
  for (let round = 0; round < MAX_DECODINGS && read.includes('%'); round += 1) {
    read = read.replaceAll(/%([0-7][0-9a-f])/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
    if (holdsToken(read)) return true;
  }
  const basic = /^basic\s+(\S+)/i.exec(text)?.[1];
  return basic !== undefined && holdsToken(Buffer.from(basic, 'base64').toString('latin1'));
}

/** Variable of a run of `aipassd exec` with the origin of its listener. */
export const GATEWAY_VARIABLE = 'AIPASSD_GATEWAY';

/** Parameters of `gateway.open`. */
export interface GatewayOpenParams {
  /** Name of the program, under which its requests are recorded. */
  readonly program: string;
  /** Providers that the program may use; all without it. */
  readonly providers?: readonly string[] | undefined;
  /** OAuth account whose tokens the program may have; needs the right `reveal`. */
  readonly google?: string | undefined;
  /** Whether its git takes passwords from the secrets; needs the right `reveal`. */
  readonly git?: boolean | undefined;
}

/** Access that a run still has after a restart of the daemon. */
export interface EarlierAccess {
  readonly port: number;
  /** SHA-256 of the token, in hexadecimal. */
  readonly tokenHash: string;
}

/** Parameters of `gateway.reopen`: those of the run, and what its program got by `gateway.open`. */
export interface GatewayReopenParams extends GatewayOpenParams, EarlierAccess {}

/** Which provider serves which dialect, or null where none has a key. */
export interface GatewayRoutes {
  readonly openai: string | null;
  readonly anthropic: string | null;
  readonly gemini: string | null;
  /** Every provider that may be used. */
  readonly providers: readonly string[];
  /** All known providers: a program of the gateway gets no key of theirs. */
  readonly known: readonly string[];
}

/** Access of one run; it ends with the connection on which it was opened. */
export interface GatewayAccess {
  readonly port: number;
  /** Token of the run: a secret as long as it lasts. */
  readonly token: string;
  readonly routes: GatewayRoutes;
}

/** Token of a named caller, without its value. */
export interface NamedToken {
  /** Name that requests are recorded under. */
  readonly name: string;
  /** Unix user that may present it. */
  readonly uid: number;
  readonly rights: readonly ('see' | 'use' | 'admin')[];
  /** Epoch milliseconds. */
  readonly createdAt: number;
}

/** Addresses and variables that a run would get. */
export interface GatewayDescription {
  /** Configured port of the loopback listener, or null where each run may get another one. */
  readonly port: number | null;
  readonly routes: GatewayRoutes;
}
