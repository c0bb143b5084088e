/**
 * Calls any API with a pool of keys. Usage: node examples/pooled-client.ts <provider> <URL>
 *
 * Every call leases a key, and reports how the call ended. A call that meets a limit continues with
 * another key.
 */

import { AipassError, connect } from 'aipassd';

/** Stands for the client class of some API. */
class Client {
  readonly #key: string;

  constructor(key: string) {
    this.#key = key;
  }

  async get(url: string): Promise<string> {
    const response = await fetch(url, { headers: { authorization: `Bearer ${this.#key}` } });
    if (!response.ok) throw Object.assign(new Error(`HTTP ${response.status}`), { status: response.status });
    return response.text();
  }
}

const [provider = 'coingecko', url = 'https://api.coingecko.com/api/v3/ping'] = process.argv.slice(2);
await using aipass = await connect({ caller: 'example-pooled' });
const client = aipass.pooled(provider, (key) => new Client(key));
try {
  console.log(await client.get(url));
} catch (error) {
  if (!(error instanceof AipassError)) throw error;
  console.error(`${error.code}: ${error.message}\n  ${error.hint ?? ''}`);
  process.exitCode = 1;
}
