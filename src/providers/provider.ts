/**
 * What is known of one API provider. Pure data: the built-in ones are in catalogue.ts, registry.ts lays the
 * configuration over them, and nothing here sends anything.
 *
 * Header names are lower-case, addresses are absolute and without a slash at the end.
 */

import type { Secret } from '../base/secret.ts';

/** Describes one provider. */
export interface Provider {
  readonly name: string;
  /** Tells where the description comes from: built in, built in and changed by configuration, or configuration alone. */
  readonly source: 'built-in' | 'overridden' | 'configured';
  /** Is where the OpenAI-compatible endpoints begin. */
  readonly baseUrl: string;
  /** Is the header the key goes into: `authorization` holds `Bearer <key>`, any other the key alone. */
  readonly authHeader: string;
  /** Holds what is sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly needsKey: boolean;
  /** Is what its keys usually look like: a hint, no law. */
  readonly keyShape: KeyShape;
  /** Is where it lists its models, or null where it lists none. */
  readonly modelsUrl: string | null;
  /** Tells whether the list is shown to anybody: then it proves nothing about a key. */
  readonly modelsArePublic: boolean;
  /** Names its models where no endpoint lists them. */
  readonly models: readonly string[];
  /** Is a free endpoint that proves a key, or null where there is none. */
  readonly keyCheck: KeyCheck | null;
  /** Tells whether a streamed request may hold `stream_options.include_usage`; some providers refuse it, and count all the same. */
  readonly streamUsageOption: boolean;
  /** Bounds the wait for the first byte of an answer and between two bytes, in milliseconds. */
  readonly timeoutMs: number;
}

/** Is what keys usually look like; lengths are in characters, the prefix included. */
export interface KeyShape {
  readonly prefix?: string;
  readonly minLength?: number;
}

/** Describes an endpoint that proves a key, and how its answer is read: a JSON document with a 2xx status is a yes, unless a field says no. */
export interface KeyCheck {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  /** Lists the statuses that mean "this key is wrong"; any other refusal proves nothing. */
  readonly invalidStatuses: readonly number[];
  /** Names fields of the document of which each has to be `true`. */
  readonly mustBeTrue: readonly string[];
  /** Names fields of the document of which none may be `true`. */
  readonly mustNotBeTrue: readonly string[];
}

/** Is the limit where neither catalogue nor configuration sets one: reasoning models may think for a minute before the first byte. */
export const DEFAULT_TIMEOUT_MS = 120_000;

/**
 * Returns the headers of a request to the provider, with the key revealed in one of them.
 *
 * The compression that HTTP libraries offer by default is not asked for, so that bytes arrive when they are sent and an
 * answer cannot grow beyond its limit by being unpacked.
 */
export function requestHeaders(provider: Provider, key: Secret | null): Record<string, string> {
  const headers: Record<string, string> = {
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': 'aipassd',
    ...provider.headers,
  };
  if (key !== null) {
    headers[provider.authHeader] = provider.authHeader === 'authorization' ? `Bearer ${key.reveal()}` : key.reveal();
  }
  return headers;
}
