/**
 * `aipassd test`: asks a provider whether it answers, and whether it accepts the key.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { Operations } from '../../protocol/operations.ts';
import type { KeyVerdict } from '../../protocol/provider.ts';
import { formatCount } from '../format.ts';
import { JSON_FLAG, optionalWord } from '../options.ts';
import { defineVerb } from '../verb.ts';

/** Tests the way to a provider. */
export const testConnection = defineVerb({
  name: 'test',
  summary: 'ask a provider whether it answers and accepts the key',
  parameters: { provider: optionalWord('the provider; the default one without it', 'providers'), json: JSON_FLAG },
  async run({ provider: wanted, json }, { out, connect, signal }) {
    const aipass = await connect();
    const { defaultProvider, providers } = await aipass.request('provider.list', {});
    const name = wanted ?? defaultProvider;
    const provider = providers.find((one) => one.name === name);
    const isKeyless = provider !== undefined && !provider.needsKey && provider.keys.length === 0;

    const [verdict] = isKeyless ? [] : await aipass.validate(name, { online: true, signal });
    if (verdict?.verdict === 'invalid') {
      throw new AipassError('PROVIDER_REJECTED', `${name} does not accept ${verdict.keyId}: ${verdict.detail}`, {
        hint: `replace it: aipassd credential rotate ${verdict.keyId}`,
      });
    }
    const isAccepted = verdict?.verdict === 'valid';
    const { asked, models } = await askModels(aipass, name, signal);
    const wasTested = isAccepted || asked;
    if (json) out.json({ provider: name, tested: wasTested, models: models.length, key: verdict ?? null });
    if (!wasTested) throw notTested(name, verdict, models[0]?.id);
    const proof = isAccepted ? 'the key is accepted' : (verdict?.detail ?? 'it needs no key');
    const list = asked ? `${formatCount(models.length, 'model')} available; ` : '';
    if (!json) out.line(`Connection successful: ${name} answers, ${list}${proof}`);
    return 0;
  },
});

/**
 * Asks for the models. A provider without a list, of which none is known, has not failed the test.
 */
async function askModels(
  aipass: Aipass,
  provider: string,
  signal: AbortSignal,
): Promise<Pick<Operations['provider.models']['result'], 'asked' | 'models'>> {
  try {
    return await aipass.request('provider.models', { provider }, { signal });
  } catch (error) {
    if (!(error instanceof AipassError) || error.code !== 'NOT_FOUND') throw error;
    return { asked: false, models: [] };
  }
}

/**
 * Returns the error for a provider that answered nothing that was asked, because there was nothing
 * to ask or no answer.
 */
function notTested(name: string, verdict: KeyVerdict | undefined, model = 'M'): AipassError {
  const reason =
    verdict?.checked === 'online'
      ? verdict.detail
      : `${verdict?.detail ?? 'it needs no key'}, and it has no list of models to ask for`;
  return new AipassError('NOT_FOUND', `${name} was not tested: ${reason}`, {
    hint: `test it with a small completion: aipassd call ping --provider ${name} --model ${model}`,
  });
}
