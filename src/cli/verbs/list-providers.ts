/**
 * `aipassd list-providers`: what can be asked, and for what there are keys.
 */

import { JSON_OPTION, type Verb } from '../verb.ts';

/** Lists providers. */
export const listProviders: Verb = {
  name: 'list-providers',
  usage: '[--json]',
  summary: 'list the providers that are known, and how many keys each has',
  options: JSON_OPTION,
  maxPositionals: 0,
  async run(args, { out, connect }) {
    const { defaultProvider, providers } = await (await connect()).request('provider.list', {});
    if (args.flag('json')) {
      out.json({ defaultProvider, providers });
      return 0;
    }
    out.line('Available providers');
    out.table(
      providers.map((one) => [
        `- ${one.name}${one.name === defaultProvider ? ' (default)' : ''}`,
        one.keys.length > 0
          ? `${one.keys.length} ${one.keys.length === 1 ? 'key' : 'keys'}`
          : one.needsKey
            ? 'no key'
            : 'needs no key',
        one.baseUrl,
      ]),
      '  ',
    );
    return 0;
  },
};
