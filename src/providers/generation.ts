/**
 * Asks a provider for its record of a generation, OpenRouter's `GET /generation?id=…`. usage/ reads
 * the answer.
 */

import { systemClock, type Clock } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';
import { askJson, type JsonAnswer } from './http.ts';
import type { Provider } from './provider.ts';

/**
 * Asks once, whatever the status of the answer.
 *
 * @throws AipassError as `askJson`.
 */
export function fetchGeneration(
  provider: Provider,
  key: Secret,
  generationId: string,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<JsonAnswer> {
  const url = new URL(`${provider.baseUrl}/generation`);
  url.searchParams.set('id', generationId);
  return askJson(provider, key, { method: 'GET', url: url.href }, signal, clock);
}
