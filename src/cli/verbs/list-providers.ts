/**
 * `aipassd list-providers`: the known providers, and how many keys each has.
 */

import { formatCount } from '../format.ts';
import { JSON_FLAG } from '../options.ts';
import { defineVerb } from '../verb.ts';

/** Lists providers. */
export const listProviders = defineVerb({
  name: 'list-providers',
  summary: 'list the known providers, and how many keys each has',
  parameters: { json: JSON_FLAG },
  async run({ json }, { out, connect }) {
    const { defaultProvider, providers } = await (await connect()).request('provider.list', {});
    if (json) {
      out.json({ defaultProvider, providers });
      return 0;
    }
    out.line('Available providers');
    out.table(
      providers.map((one) => [
        `- ${one.name}${one.name === defaultProvider ? ' (default)' : ''}`,
        one.keys.length > 0 ? formatCount(one.keys.length, 'key') : one.needsKey ? 'no key' : 'needs no key',
        one.baseUrl,
      ]),
      { indent: 2 },
    );
    return 0;
  },
});
