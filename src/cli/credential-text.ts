/**
 * Provider credentials as the command line shows them.
 */

import { AipassError } from '../base/errors.ts';
import type { Aipass } from '../client/aipass.ts';
import type { Credential, CredentialUsage, NamedUsageWindow } from '../protocol/credential.ts';
import { formatBar, formatCount, formatDuration, formatLocalTime } from './format.ts';
import { textOption } from './options.ts';
import type { Output } from './output.ts';

/** Least length of a shortened id, in characters. */
const SHORT_ID = 8;

/** Width of a cell, so that a table of credentials fits 60 columns. */
const CELL = 14;

/** Width of the bar of a window, in columns. */
const BAR = 12;

/** Option of every verb that is about the credentials of one organization. */
export const ORGANIZATION_OPTION = textOption('O', 'the organization; without it, the one that is yours');

/** Prints credentials as a table of at most 60 columns. */
export function printCredentials(credentials: readonly Credential[], out: Output): void {
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

/** Prints every field of a credential. */
export function printCredential(one: Credential, out: Output): void {
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

/** Prints what a provider reports of a credential. */
export function printUsage(usage: CredentialUsage, out: Output): void {
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
export async function findCredential(
  aipass: Aipass,
  word: string,
  organization: string | undefined,
): Promise<Credential> {
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
