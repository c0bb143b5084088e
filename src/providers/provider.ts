/**
 * Description of one API provider. Pure data: the built-in ones are in catalogue.ts, registry.ts
 * lays the configuration over them, and nothing here sends anything.
 *
 * Header names are lower-case, addresses are absolute and without a slash at the end.
 */

import type { LookupFunction } from 'node:net';
import type { Secret } from '../base/secret.ts';

/**
 * Shape of requests and answers: `openai` (chat, responses, embeddings, images, audio), `anthropic`
 * (messages), `gemini` (generateContent).
 */
export type Dialect = 'openai' | 'anthropic' | 'gemini';

export interface DialectEndpoint {
  /**
   * Address that a client of the dialect takes as its base URL: `…/v1` for `openai`
   * (`/chat/completions` follows), the part before `/v1/messages` for `anthropic`, the part before
   * `/v1beta/models/…` for `gemini`.
   */
  readonly baseUrl: string;
  /**
   * Header that the key goes into, lower-case: `authorization` holds `Bearer <key>`, any other the
   * key alone.
   */
  readonly authHeader: string;
  /**
   * Headers sent with every request of the dialect, besides those of the provider; names
   * lower-case.
   */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Provider {
  readonly name: string;
  /**
   * Source of the description: built in, built in and changed by the configuration, or the
   * configuration alone.
   */
  readonly source: 'built-in' | 'overridden' | 'configured';
  /** Base URL of the OpenAI-compatible endpoints. */
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Those of the header fields that are built in. The configured ones can hold secrets of their
   * own.
   */
  readonly builtInHeaders: Readonly<Record<string, string>>;
  /** Endpoint of each dialect that the provider speaks; `openai` is where completions go. */
  readonly dialects: { readonly openai: DialectEndpoint } & Readonly<Partial<Record<Dialect, DialectEndpoint>>>;
  readonly needsKey: boolean;
  /** Usual shape of its keys: a hint. */
  readonly keyShape: KeyShape;
  /** URL of its list of models, or null where there is none. */
  readonly modelsUrl: string | null;
  /** True where the list is public: then it proves nothing about a key. */
  readonly modelsArePublic: boolean;
  /** Its models, where no endpoint lists them. */
  readonly models: readonly string[];
  /** Free endpoint that proves a key, or null where there is none. */
  readonly keyCheck: KeyCheck | null;
  /**
   * True where a streamed request may hold `stream_options.include_usage`; some providers refuse
   * it, and send the usage anyway.
   */
  readonly streamUsageOption: boolean;
  /** Longest wait for the first byte of an answer and between two bytes, in milliseconds. */
  readonly timeoutMs: number;
  /** Resolves the names in its addresses, where these come from a credential. */
  readonly lookup?: LookupFunction | undefined;
  /**
   * Treatment of an answer whose caller goes away: it is cancelled, or read on for the bill
   * (`drain`).
   */
  readonly onAbort: 'cancel' | 'drain';
}

/** Usual shape of keys; lengths are in characters, the prefix included. */
export interface KeyShape {
  /** Prefixes of which a key has one; absent where keys have none in common. */
  readonly prefixes?: readonly string[] | undefined;
  readonly minLength?: number | undefined;
}

/**
 * Endpoint that proves a key: a JSON document with a 2xx status is a yes, unless one of the fields
 * denies it.
 */
export interface KeyCheck {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  /** Statuses that mean "this key is wrong"; any other refusal proves nothing. */
  readonly invalidStatuses: readonly number[];
  /** Fields of the document of which each has to be `true`. */
  readonly mustBeTrue: readonly string[];
  /** Fields of the document of which none may be `true`. */
  readonly mustNotBeTrue: readonly string[];
}

/**
 * Time limit where neither catalogue nor configuration sets one, in milliseconds: reasoning models
 * may take a minute before the first byte.
 */
export const DEFAULT_TIMEOUT_MS = 120_000;

/**
 * Returns the headers of a request to the provider, with the key revealed in one of them.
 *
 * The compression that HTTP libraries offer by default is not asked for. So bytes arrive when they
 * are sent and an answer cannot grow beyond its limit by being unpacked.
 */
export function requestHeaders(
  { headers: configured, dialects: { openai } }: Pick<Provider, 'headers' | 'dialects'>,
  key: Secret | null,
): Record<string, string> {
  const headers: Record<string, string> = {
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': 'aipassd',
    ...configured,
    ...openai.headers,
  };
  if (key !== null) {
    headers[openai.authHeader] = authValue(openai.authHeader, key);
  }
  return headers;
}

/** Returns the value of the header field that carries the key. */
export function authValue(header: string, key: Secret): string {
  return header === 'authorization' ? `Bearer ${key.reveal()}` : key.reveal();
}
