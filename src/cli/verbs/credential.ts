/**
 * `aipassd init`, `add` and `credential …`: provider credentials of an organization. A credential
 * is named by its id or a unique beginning of it, by its variable, or as `<provider>/<name>`.
 *
 * A key comes from a hidden prompt or from standard input. It is never read from the command line,
 * where every program of the machine could read it.
 */

import { AipassError } from '../../base/errors.ts';
import { maskKey, Secret } from '../../base/secret.ts';
import type { Aipass } from '../../client/aipass.ts';
import type {
  Credential,
  CredentialUpdateParams,
  CredentialUsage,
  NamedUsageWindow,
} from '../../protocol/credential.ts';
import { formatBar, formatCount, formatDuration, formatLocalTime } from '../format.ts';
import type { Output } from '../output.ts';
import { confirm, readKey } from '../prompt.ts';
import {
  defineVerb,
  flag,
  JSON_FLAG,
  optionalWord,
  ORGANIZATION_OPTION,
  requiredWord,
  textOption,
  UsageError,
  type ValuesOf,
  type Verb,
  type VerbContext,
} from '../verb.ts';

/** Makes `.env` from the template where there is none. */
export const init = defineVerb({
  name: 'init',
  summary: 'create the file for the API keys, if it is missing',
  parameters: {},
  async run(_values, { out, paths }) {
    const { initEnvFile } = await import('../../credentials/template.ts');
    const isNew = (await initEnvFile(paths.envFile)) === 'created';
    out.line(isNew ? `Created ${paths.envFile}` : `${paths.envFile} already exists, and was left as it is`);
    out.line('Put your keys into it, or run: aipassd add <provider>. A running daemon picks them up at once.');
  },
});

const ID = requiredWord('its id, a unique beginning of it, its variable, or <provider>/<name>');
const COMMON = { organization: ORGANIZATION_OPTION, json: JSON_FLAG } as const;

/** Source of a key, as a hint. */
const KEY_SOURCE = 'paste the key when asked, or send it on standard input';

const ADD_DETAILS = [
  'The key is read from a hidden prompt, or from standard input: aipassd add openai < key.txt',
  'The provider is asked whether it accepts the key, free of charge; a refused key is not saved.',
];

const ADD_PARAMETERS = {
  provider: requiredWord('the provider', 'providers'),
  name: textOption('NAME', 'name of the credential; without it, "default" or the number of its variable'),
  force: flag('save it although its shape is unusual or the provider refuses it'),
  ...COMMON,
};

export const add = defineVerb({
  name: 'add',
  summary: 'add an API key: from a hidden prompt or from standard input',
  details: ADD_DETAILS,
  secretFrom: KEY_SOURCE,
  parameters: ADD_PARAMETERS,
  run: addKey,
});

/** Adds a key, or a credential without one or with an address of its own. */
export const credentialAdd = defineVerb({
  name: 'credential add',
  summary: 'add a credential: as aipassd add does, or with a base URL of its own, or without a key',
  details: ADD_DETAILS,
  secretFrom: KEY_SOURCE,
  parameters: {
    ...ADD_PARAMETERS,
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
  },
});

async function addKey(
  { provider, name, force, organization, json }: ValuesOf<typeof ADD_PARAMETERS>,
  context: VerbContext,
): Promise<void> {
  assertProviderName(provider);
  const { out, connect, signal } = context;
  const aipass = await connect();
  const key = await readKey(`API key of ${provider}`, context);
  const created = await aipass.credentials.add(
    { organization, provider, api_key: key, account_key: name, force },
    { signal },
  );
  if (json) return out.json(created);
  out.line(`Added ${created.key_id ?? provider}  ${maskKey(new Secret(key))}`);
  await printProviderVerdict(aipass, created.id, { organization, signal }, out);
}

/** Prints the provider's verdict; one that cannot be asked is not a failure here. */
async function printProviderVerdict(
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
function assertProviderName(word: string): void {
  const looksLikeKey = word.length > 24 || (/\d{4}/.test(word) && word.length > 16) || !/^[\w.-]+$/.test(word);
  if (!looksLikeKey) return;
  throw new UsageError(
    '<provider>: not the name of a provider',
    `if that was a key, replace it: other programs could read it. ${KEY_SOURCE}; see: aipassd list-providers`,
  );
}

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
  },
});

export const credentialShow = defineVerb({
  name: 'credential show',
  summary: 'show a credential, without its key',
  parameters: { id: ID, ...COMMON },
  async run({ id, organization, json }, { out, connect }) {
    const found = await findCredential(await connect(), id, organization);
    if (json) out.json(found);
    else printCredential(found, out);
  },
});

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
    return update(aipass, found.id, change, common, context);
  },
});

export const credentialOn = defineSwitch('on', 'enable a credential', true);

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
  },
});

/** Asks a provider about a key that is not saved. Exits with 2 where it is not accepted. */
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

/** Exits with 2 where the provider does not accept the key. */
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
        hint: `add --yes if that is meant, or keep it unused: aipassd credential off ${id}`,
      });
      await confirm(`Remove ${name}?`, refusal, signal);
    }
    await aipass.credentials.delete(found.id, { organization, signal });
    if (json) out.json(found);
    else out.line(`Removed ${name}`);
  },
});

function defineSwitch(word: 'on' | 'off', summary: string, active: boolean): Verb {
  return defineVerb({
    name: `credential ${word}`,
    summary,
    parameters: { id: ID, ...COMMON },
    async run({ id, ...common }, context) {
      const aipass = await context.connect();
      const found = await findCredential(aipass, id, common.organization);
      return update(aipass, found.id, { active }, common, context);
    },
  });
}

async function update(
  aipass: Aipass,
  id: string,
  change: Omit<CredentialUpdateParams, 'id' | 'organization'>,
  { organization, json }: { readonly organization: string | undefined; readonly json: boolean },
  { out, signal }: Pick<VerbContext, 'out' | 'signal'>,
): Promise<void> {
  const updated = await aipass.credentials.update({ id, organization, ...change }, { signal });
  if (json) out.json(updated);
  else printCredential(updated, out);
}

/** Least length of a shortened id, in characters. */
const SHORT_ID = 8;

/** Width of a cell, so that a table of credentials fits 60 columns. */
const CELL = 14;

/** Width of the bar of a window, in columns. */
const BAR = 12;

/** Prints credentials as a table of at most 60 columns. */
function printCredentials(credentials: readonly Credential[], out: Output): void {
  const length = shortLength(credentials.map(({ id }) => id));
  out.table(
    [
      ['id', 'provider', 'name', 'key', 'state'],
      ...credentials.map((one) => [
        one.id.slice(0, length),
        one.provider,
        one.account_key,
        formatLastFour(one),
        one.active ? 'on' : 'off',
      ]),
    ],
    { maxCell: CELL },
  );
}

function printCredential(one: Credential, out: Output): void {
  out.table([
    ['id', one.id],
    ['provider', one.provider],
    ['name', one.account_key],
    ['shown as', one.display_name],
    ['key', one.has_api_key ? `${formatLastFour(one)} in ${one.key_id ?? '?'}` : 'none'],
    ['base URL', one.base_url ?? "the provider's own"],
    ['state', one.active ? 'on' : 'off: not used'],
    ['created', formatLocalTime(Date.parse(one.created_at))],
    ['changed', `${formatLocalTime(Date.parse(one.updated_at))} (revision ${one.revision})`],
  ]);
}

function printUsage(usage: CredentialUsage, out: Output): void {
  out.line(
    `${usage.provider}/${usage.account_key}  ${
      usage.reachable ? out.style('green', 'accepted') : out.style('red', usage.error ?? 'not accepted')
    }`,
  );
  const { windows, credits, models } = usage;
  if (windows.length > 0) {
    out.table(windows.map(windowRow), { indent: 2, wrapLast: true });
  } else if (usage.reachable) out.line('  limits: the provider reports none');
  if (credits?.remaining !== undefined && credits.remaining !== null) {
    const limit = credits.limit === null ? '' : ` of ${credits.limit}`;
    out.line(`  credit: ${credits.remaining}${limit} ${credits.currency} left`);
  }
  if (models !== null) out.line(`  models: ${models.length}`);
  if (usage.sample_model !== null) {
    out.line(
      `  sample: ${usage.sample_model}, ${usage.sample_input_tokens ?? '?'} tokens in, ${usage.sample_output_tokens ?? '?'} out, ${usage.sample_latency_ms ?? '?'} ms`,
    );
  }
}

function windowRow({ name, limit, remaining, pct_used: used, reset_in_ms: resetInMs }: NamedUsageWindow): string[] {
  const share = used !== null ? used / 100 : limit === null || remaining === null ? null : 1 - remaining / limit;
  const left =
    remaining === null ? (used === null ? 'unknown' : `${used} % used`) : `${remaining}/${limit ?? '?'} left`;
  const reset = resetInMs === null ? '' : `, anew in ${formatDuration(resetInMs)}`;
  return [name, share === null ? '' : formatBar(share, BAR), `${left}${reset}`];
}

/**
 * Returns the credential of an id, of a unique beginning of one, of a variable
 * (`OPENAI_API_KEY_2`), or of `<provider>/<name>`.
 *
 * @throws AipassError NOT_FOUND, BAD_REQUEST for a word that several match.
 */
async function findCredential(aipass: Aipass, word: string, organization: string | undefined): Promise<Credential> {
  const all = await aipass.credentials.list({ organization });
  const exact = all.find((one) => [one.id, one.key_id, `${one.provider}/${one.account_key}`].includes(word));
  if (exact) return exact;
  const found = word.length < 4 ? [] : all.filter(({ id }) => id.startsWith(word.toLowerCase()));
  const [only] = found;
  if (only && found.length === 1) return only;
  if (found.length > 1) {
    throw new AipassError('BAD_REQUEST', `${formatCount(found.length, 'credential')} begin with ${word}`, {
      hint: 'write more of the id; see: aipassd credential list',
    });
  }
  throw new AipassError('NOT_FOUND', `there is no credential ${word}`, { hint: 'see: aipassd credential list' });
}

function formatLastFour({ api_key_last_four: last, has_api_key: hasKey }: Credential): string {
  if (!hasKey) return 'none';
  return last === null ? '****' : `…${last}`;
}

/** Returns the length at which the beginnings of all ids differ. */
function shortLength(ids: readonly string[]): number {
  let length = SHORT_ID;
  while (length < 36 && new Set(ids.map((id) => id.slice(0, length))).size < ids.length) length++;
  return length;
}
