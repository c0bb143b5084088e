/**
 * `aipassd get-key`: shows a provider's key masked, or prints it.
 */

import { flag, JSON_FLAG, optionalWord } from '../options.ts';
import { defineVerb } from '../verb.ts';

/** Shows or reveals a key. */
export const getKey = defineVerb({
  name: 'get-key',
  summary: "show a provider's API key, masked; print it with --reveal",
  parameters: {
    provider: optionalWord('the provider; the default one without it', 'providers'),
    reveal: flag('print the key itself on stdout, and nothing else'),
    json: JSON_FLAG,
  },
  async run({ provider: name, reveal, json }, { out, connect }) {
    const aipass = await connect();
    const provider = name ?? (await aipass.request('provider.list', {})).defaultProvider;
    if (reveal) {
      const released = await aipass.request('key.get', { provider });
      if (json) out.json(released);
      else out.line(released.key);
      return 0;
    }
    const { keys } = await aipass.request('key.list', { provider });
    const [first] = keys;
    if (json) {
      out.json(first);
    } else if (first) {
      out.line(`${first.provider}  ${first.keyId}  ${first.masked}`);
      if (keys.length > 1) out.line(`and ${keys.length - 1} more in its pool: aipassd pool ${first.provider}`);
      if (first.reason !== undefined)
        out.warn(`${first.keyId}: ${first.reason}`, `see: aipassd validate ${first.provider} --online`);
    }
    return 0;
  },
});
