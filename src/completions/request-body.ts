/**
 * From the caller's parameters to the body that the provider gets. Pure.
 */

import { toFields } from '../providers/json-fields.ts';
import type { Provider } from '../providers/provider.ts';
import type { CompletionParams } from '../protocol/completion.ts';

/** Lists the parameters that are ours and stay here. */
const OWN_PARAMETERS = new Set(['provider', 'extraBody', 'stream']);

/**
 * Builds the body of a chat request.
 *
 * A streamed one asks for its usage where the provider takes that option, unless the caller decided on it;
 * `stream_options: null` leaves the option out.
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
  if (params.stream !== true) return body;

  body['stream'] = true;
  if (body['stream_options'] === null) delete body['stream_options'];
  else if (provider.streamUsageOption) {
    body['stream_options'] = { include_usage: true, ...toFields(body['stream_options']) };
  }
  return body;
}
