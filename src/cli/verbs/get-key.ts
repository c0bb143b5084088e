/**
 * `aipassd get-key`: shows a provider's key masked, or prints it.
 */

import { JSON_OPTION, type Verb } from '../verb.ts';

/** Shows or reveals a key. */
export const getKey: Verb = {
  name: 'get-key',
  usage: '[provider] [--reveal] [--json]',
  summary: "show a provider's API key, masked; print it with --reveal",
  details: ['--reveal  print the key itself on stdout, and nothing else', '--json    print a document'],
  options: { ...JSON_OPTION, reveal: { type: 'boolean' } },
  maxPositionals: 1,
  async run(args, { out, connect }) {
    const aipass = await connect();
    const provider = args.positionals[0] ?? (await aipass.request('provider.list', {})).defaultProvider;
    if (args.flag('reveal')) {
      const released = await aipass.request('key.get', { provider });
      if (args.flag('json')) out.json(released);
      else out.line(released.key);
      return 0;
    }
    const { keys } = await aipass.request('key.list', { provider });
    const [first] = keys;
    if (args.flag('json')) {
      out.json(first);
    } else if (first) {
      out.line(`API key retrieved for ${first.provider}`, `  Key: ${first.masked}  (${first.keyId})`);
      if (keys.length > 1) out.line(`  and ${keys.length - 1} more in its pool: see aipassd status`);
      if (first.reason !== undefined) out.warn(`${first.keyId}: ${first.reason}`, 'see: aipassd validate --online');
    }
    return 0;
  },
};
