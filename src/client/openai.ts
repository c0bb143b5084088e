/**
 * Clients of the openai package whose requests go through the daemon. Owns that package, an
 * optional peer dependency that is loaded at the first use.
 */

import { AipassError } from '../base/errors.ts';
import { GATEWAY_HOST, type GatewayFetch } from './gateway-fetch.ts';

/** Options of a client. */
export interface OpenaiOptions {
  /** Provider that is asked; without it the daemon's default one. */
  readonly provider?: string | undefined;
  /** Options for the package's own constructor (`maxRetries`, `timeout`, …). */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** Creates a client; see Aipass.openai. @throws AipassError NOT_FOUND. */
export async function openOpenai(
  gatewayFetch: GatewayFetch,
  { provider, options = {} }: OpenaiOptions,
): Promise<unknown> {
  const { OpenAI } = await loadOpenai();
  return new OpenAI({
    // The package wants a key; the daemon removes it.
    apiKey: 'aipassd',
    ...options,
    baseURL: `http://${GATEWAY_HOST}${provider === undefined ? '' : `/${provider}`}/v1`,
    fetch: gatewayFetch,
  });
}

async function loadOpenai() {
  try {
    return await import('openai');
  } catch (cause) {
    throw new AipassError('NOT_FOUND', 'the package openai is not installed here', {
      hint: 'npm install openai',
      cause,
    });
  }
}
