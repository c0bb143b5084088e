/**
 * From the caller's parameters to the body that the provider gets. Pure.
 */

import { toRecord } from '../base/json.ts';
import type { CompletionParams } from '../protocol/completion.ts';
import type { Provider } from '../providers/provider.ts';

/** The parameters that are ours and stay here. */
const OWN_PARAMETERS = new Set([
  'provider',
  'extraBody',
  'stream',
  'fallbacks',
  'maxWaitMs',
  'caller',
  'session',
  'organization',
]);

/**
 * Builds the body of a chat request.
 *
 * Whether it is streamed is always said: some servers stream where it is not. A streamed one asks for its usage where the
 * provider takes that option, unless the caller decided on it; `stream_options: null` leaves the option out.
 */
export function buildRequestBody(
  params: CompletionParams,
  provider: Pick<Provider, 'streamUsageOption'>,
): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(params)) {
    if (!OWN_PARAMETERS.has(name)) body[name] = value;
  }
  Object.assign(body, params.extraBody);
  body['stream'] = params.stream === true;
  if (params.stream !== true) return body;

  if (body['stream_options'] === null) delete body['stream_options'];
  else if (provider.streamUsageOption) {
    body['stream_options'] = { include_usage: true, ...toRecord(body['stream_options']) };
  }
  return body;
}

/** Prints a body. Halves of surrogate pairs are replaced: providers refuse them, and a text cut by length has one easily. */
export function printBody(body: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(body);
  if (!text.includes('\\ud')) return text;
  return JSON.stringify(body, (_name, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value));
}
