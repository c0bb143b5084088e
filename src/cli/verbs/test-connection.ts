/**
 * `aipassd test`: asks a provider whether it answers, and whether it accepts the key.
 */

import { AipassError } from '../../base/errors.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Tests the way to a provider. */
export const testConnection: Verb = {
  name: 'test',
  usage: '[provider] [--json]',
  summary: 'ask a provider whether it answers and accepts the key',
  options: JSON_OPTION,
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const aipass = await connect();
    const { defaultProvider, providers } = await aipass.request('provider.list', {});
    const name = args.positionals[0] ?? defaultProvider;
    const provider = providers.find((one) => one.name === name);
    const isKeyless = provider !== undefined && !provider.needsKey && provider.keys.length === 0;

    const [verdict] = isKeyless ? [] : await aipass.validate(name, { online: true, signal });
    if (verdict?.verdict === 'invalid') {
      throw new AipassError('PROVIDER_REJECTED', `${name} does not accept ${verdict.keyId}: ${verdict.detail}`, {
        hint: `replace ${verdict.keyId} in the .env file`,
      });
    }
    const models = await aipass.models(name, { signal });
    const proof = verdict?.verdict === 'valid' ? 'the key is accepted' : (verdict?.detail ?? 'it needs no key');
    if (args.flag('json')) out.json({ provider: name, models: models.length, key: verdict ?? null });
    else out.line(`Connection successful: ${name} answers, ${models.length} models available; ${proof}`);
    return 0;
  },
};
