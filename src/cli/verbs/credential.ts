/**
 * `aipassd credential …`: provider credentials of an organization. A credential is named by its id
 * or a unique beginning of it, by its variable, or as `<provider>/<name>`.
 */

import { AipassError } from '../../base/errors.ts';
import type { CredentialUpdateParams } from '../../protocol/credential.ts';
import {
  findCredential,
  ORGANIZATION_OPTION,
  printCredential,
  printCredentials,
  printUsage,
} from '../credential-text.ts';
import { flag, JSON_FLAG, optionalWord, requiredWord, textOption, UsageError } from '../options.ts';
import { confirm, readKey } from '../prompt.ts';
import { defineVerb, type Verb, type VerbContext } from '../verb.ts';
import { assertProviderName, KEY_SOURCE } from './add.ts';

const ID = requiredWord('its id, a unique beginning of it, its variable, or <provider>/<name>');
const COMMON = { organization: ORGANIZATION_OPTION, json: JSON_FLAG } as const;

/** Lists credentials. */
export const credentialList = defineVerb({
  name: 'credential list',
  summary: 'list the provider credentials, without their keys',
  parameters: { provider: optionalWord('of one provider; of all without it', 'providers'), ...COMMON },
  async run({ provider, organization, json }, { out, connect, signal }) {
    const credentials = await (await connect()).credentials.list({ organization, provider }, { signal });
    if (json) out.json(credentials);
    else if (credentials.length > 0) printCredentials(credentials, out);
    else {
      out.note(`there is no credential${provider === undefined ? '' : ` of ${provider}`} yet`);
      out.hint(`add one: aipassd add ${provider ?? '<provider>'}`);
    }
    return 0;
  },
});

/** Shows one credential. */
export const credentialShow = defineVerb({
  name: 'credential show',
  summary: 'show a credential, without its key',
  parameters: { id: ID, ...COMMON },
  async run({ id, organization, json }, { out, connect }) {
    const found = await findCredential(await connect(), id, organization);
    if (json) out.json(found);
    else printCredential(found, out);
    return 0;
  },
});

/** Changes fields of a credential. */
export const credentialSet = defineVerb({
  name: 'credential set',
  summary: 'change how a credential is shown, its base URL, or its key without a test',
  details: ['A new base URL needs the key along: whoever changes where a key goes must have it.'],
  secretFrom: KEY_SOURCE,
  parameters: {
    id: ID,
    'display-name': textOption('TEXT', 'how it is shown'),
    'base-url': textOption('URL', "where its requests go; '' for the provider's own; asks for the key"),
    key: flag('replace the key: from a hidden prompt or from standard input', ['clear-key']),
    'clear-key': flag('remove the key; the credential stays'),
    ...COMMON,
  },
  async run({ id, 'display-name': shown, 'base-url': baseUrl, key, 'clear-key': clearKey, ...common }, context) {
    if (shown === undefined && baseUrl === undefined && !key && !clearKey) {
      throw new UsageError('credential set: nothing to change', 'see: aipassd credential set --help');
    }
    const { organization } = common;
    const aipass = await context.connect();
    const found = await findCredential(aipass, id, organization);
    const needsKey = key || (baseUrl !== undefined && found.has_api_key && !clearKey);
    const apiKey = needsKey ? await readKey(`API key of ${found.provider}/${found.account_key}`, context) : undefined;
    const change = { display_name: shown, base_url: baseUrl, api_key: clearKey ? '' : apiKey };
    return update(found.id, change, common, context);
  },
});

/** Switches a credential on. */
export const credentialOn = defineSwitch('on', 'enable a credential', true);

/** Switches a credential off. */
export const credentialOff = defineSwitch(
  'off',
  'disable a credential; its key is not used until it is on again',
  false,
);

/** Replaces a key after its provider accepted the new one. */
export const credentialRotate = defineVerb({
  name: 'credential rotate',
  summary: 'replace the key of a credential; the old one stays unless the provider accepts the new one',
  secretFrom: KEY_SOURCE,
  parameters: { id: ID, ...COMMON },
  async run({ id, organization, json }, context) {
    const { out, connect, signal } = context;
    const aipass = await connect();
    const { id: whole, provider, account_key: name } = await findCredential(aipass, id, organization);
    const key = await readKey(`new API key of ${provider}/${name}`, context);
    const rotated = await aipass.credentials.rotate(whole, key, { organization, signal });
    if (json) out.json(rotated);
    else out.line(`Replaced the key of ${provider}/${name} (${rotated.key_id ?? 'no variable'})`);
    return 0;
  },
});

/** Asks a provider about a key that is not saved. Ends with 2 where it is not accepted. */
export const credentialTest = defineVerb({
  name: 'credential test',
  summary: 'ask a provider about a key without saving it',
  details: ['Where no free endpoint proves a key, one completion of a few tokens is paid for.'],
  secretFrom: KEY_SOURCE,
  parameters: {
    provider: requiredWord('the provider', 'providers'),
    'base-url': textOption('URL', "where the request goes; without it, the provider's own address"),
    ...COMMON,
  },
  async run({ provider, 'base-url': baseUrl, organization, json }, context) {
    assertProviderName(provider);
    const { out, connect, signal } = context;
    const aipass = await connect();
    const key = await readKey(`API key of ${provider}`, context);
    const usage = await aipass.credentials.test(
      { organization, provider, api_key: key, base_url: baseUrl },
      { signal },
    );
    if (json) out.json(usage);
    else printUsage(usage, out);
    return usage.reachable ? 0 : 2;
  },
});

/** Shows what a provider reports of a credential. Ends with 2 where it does not accept the key. */
export const credentialUsage = defineVerb({
  name: 'credential usage',
  summary: 'show what is left of the limits of a credential, as its provider reports it',
  parameters: {
    id: ID,
    refresh: flag('ask the provider now, and not only once a minute'),
    sample: flag('pay for one completion of a few tokens, which carries the limits of most providers'),
    ...COMMON,
  },
  async run({ id, refresh, sample, organization, json }, { out, connect, signal }) {
    const aipass = await connect();
    const { id: whole } = await findCredential(aipass, id, organization);
    const usage = await aipass.credentials.usage(whole, { organization, refresh, sample, signal });
    if (json) out.json(usage);
    else printUsage(usage, out);
    return usage.reachable ? 0 : 2;
  },
});

/** Removes a credential and its key. */
export const credentialRemove = defineVerb({
  name: 'credential rm',
  summary: 'remove a credential and its key from .env; recorded usage keeps its name',
  parameters: { id: ID, yes: flag('do not ask'), ...COMMON },
  async run({ id, yes, organization, json }, { out, connect, signal }) {
    const aipass = await connect();
    const found = await findCredential(aipass, id, organization);
    const name = `${found.provider}/${found.account_key}${found.has_api_key ? ` and its key ${found.key_id ?? ''}` : ''}`;
    if (!yes) {
      const refusal = new AipassError('BAD_REQUEST', `this would remove ${name}`, {
        hint: 'add --yes if that is meant, or keep it unused: aipassd credential off',
      });
      await confirm(`Remove ${name}?`, refusal, signal);
    }
    await aipass.credentials.delete(found.id, { organization, signal });
    if (json) out.json(found);
    else out.line(`Removed ${name}`);
    return 0;
  },
});

function defineSwitch(word: 'on' | 'off', summary: string, active: boolean): Verb {
  return defineVerb({
    name: `credential ${word}`,
    summary,
    parameters: { id: ID, ...COMMON },
    async run({ id, ...common }, context) {
      const found = await findCredential(await context.connect(), id, common.organization);
      return update(found.id, { active }, common, context);
    },
  });
}

async function update(
  id: string,
  change: Omit<CredentialUpdateParams, 'id' | 'organization'>,
  { organization, json }: { readonly organization: string | undefined; readonly json: boolean },
  { out, connect, signal }: VerbContext,
): Promise<number> {
  const aipass = await connect();
  const updated = await aipass.credentials.update({ id, organization, ...change }, { signal });
  if (json) out.json(updated);
  else printCredential(updated, out);
  return 0;
}
