/**
 * `aipassd add` and `aipassd credential add`: a new key for a provider. The key comes from a hidden
 * prompt or from standard input, never from the command line, where every program of the machine
 * could read it.
 */

import { AipassError } from '../../base/errors.ts';
import { maskKey, Secret } from '../../base/secret.ts';
import type { Aipass } from '../../client/aipass.ts';
import { ORGANIZATION_OPTION } from '../credential-text.ts';
import { formatCount } from '../format.ts';
import { flag, JSON_FLAG, requiredWord, textOption, type ValuesOf, UsageError } from '../options.ts';
import type { Output } from '../output.ts';
import { readKey } from '../prompt.ts';
import { defineVerb, type VerbContext } from '../verb.ts';

/** Where a verb reads its key, as an advice. */
export const KEY_SOURCE = 'paste the key when asked, or send it on standard input';

const DETAILS = [
  'The key is read from a hidden prompt, or from standard input: aipassd add openai < key.txt',
  'The provider is asked whether it accepts the key, free of charge; a refused key is not saved.',
];

const PARAMETERS = {
  provider: requiredWord('the provider', 'providers'),
  name: textOption('NAME', 'name of the credential; without it, "default" or the number of its variable'),
  force: flag('save it although its shape is unusual or the provider refuses it'),
  organization: ORGANIZATION_OPTION,
  json: JSON_FLAG,
};

/** Adds a key. */
export const add = defineVerb({
  name: 'add',
  summary: 'add an API key: from a hidden prompt or from standard input',
  details: DETAILS,
  secretFrom: KEY_SOURCE,
  parameters: PARAMETERS,
  run: (values, context) => addKey(values, context),
});

/** Adds a key, or a credential without one or with an address of its own. */
export const credentialAdd = defineVerb({
  name: 'credential add',
  summary: 'add a credential: as aipassd add does, or with a base URL of its own, or without a key',
  details: DETAILS,
  secretFrom: KEY_SOURCE,
  parameters: {
    ...PARAMETERS,
    'base-url': textOption('URL', 'where requests with this key go; needs --name'),
    'display-name': textOption('TEXT', 'how the credential is shown; needs --name'),
    'no-key': flag('without a key for now; needs --name', ['force']),
  },
  async run(values, context) {
    const { provider, name, organization, json, 'base-url': baseUrl, 'display-name': shown, 'no-key': noKey } = values;
    if (baseUrl === undefined && shown === undefined && !noKey) return addKey(values, context);
    if (name === undefined) throw new UsageError('--name: is missing', 'name the credential, such as --name team');
    assertProviderName(provider);
    const { out, connect, signal } = context;
    const aipass = await connect();
    const key = noKey ? undefined : await readKey(`API key of ${provider}`, context);
    const created = await aipass.credentials.create(
      { organization, provider, account_key: name, display_name: shown, base_url: baseUrl, api_key: key },
      { signal },
    );
    if (json) out.json(created);
    else if (created.key_id === null) out.line(`Added ${provider}/${name}, without a key`);
    else if (key !== undefined) out.line(`Added ${created.key_id}  ${maskKey(new Secret(key))}`);
    return 0;
  },
});

async function addKey(
  { provider, name, force, organization, json }: ValuesOf<typeof PARAMETERS>,
  context: VerbContext,
): Promise<number> {
  assertProviderName(provider);
  const { out, connect, signal } = context;
  const aipass = await connect();
  const key = await readKey(`API key of ${provider}`, context);
  const created = await aipass.credentials.add(
    { organization, provider, api_key: key, account_key: name, force },
    { signal },
  );
  if (json) {
    out.json(created);
    return 0;
  }
  out.line(`Added ${created.key_id ?? provider}  ${maskKey(new Secret(key))}`);
  await printVerdict(aipass, created.id, { organization, signal }, out);
  return 0;
}

/**
 * Prints what the provider says of a credential; a provider that cannot be asked is not a failure
 * here.
 */
async function printVerdict(
  aipass: Aipass,
  id: string,
  options: { readonly organization: string | undefined; readonly signal: AbortSignal },
  out: Output,
): Promise<void> {
  try {
    const { provider, reachable, error, models } = await aipass.credentials.usage(id, options);
    const count = models === null || models.length === 0 ? '' : `, ${formatCount(models.length, 'model')}`;
    if (reachable) out.line(`${provider} accepts it${count}`);
    else {
      const { providers } = await aipass.request('provider.list', {});
      const isCheckable = providers.find(({ name }) => name === provider)?.hasFreeCheck === true;
      const hint = isCheckable
        ? `see: aipassd validate ${provider} --online`
        : 'the first call shows whether it is accepted';
      out.warn(`${provider} gave no verdict on it: ${error ?? 'no answer'}`, hint);
    }
  } catch (error) {
    if (!(error instanceof AipassError) || error.code === 'CANCELLED') throw error;
    out.warn(`it is saved, and not checked: ${error.message}`, error.hint);
  }
}

/** Refuses a key in the place of the provider without quoting it. */
export function assertProviderName(word: string): void {
  const looksLikeKey = word.length > 24 || (/\d{4}/.test(word) && word.length > 16) || !/^[\w.-]+$/.test(word);
  if (!looksLikeKey) return;
  throw new UsageError(
    '<provider>: not the name of a provider',
    `if that was a key, replace it: other programs could read it. ${KEY_SOURCE}; see: aipassd list-providers`,
  );
}
