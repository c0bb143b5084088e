/**
 * `aipassd import`: takes over the keys of any project's `.env`, or the usage that AIPass recorded.
 * The content of the file decides which. The file itself is never changed.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { CredentialImportReport } from '../../protocol/credential.ts';
import { formatCost, formatCount } from '../format.ts';
import type { Output } from '../output.ts';
import { confirm, readNamedFile } from '../prompt.ts';
import { defineVerb, flag, JSON_FLAG, ORGANIZATION_OPTION, requiredWord, type VerbContext } from '../verb.ts';

export const importFile = defineVerb({
  name: 'import',
  summary: "import the keys of another project's .env, or AIPass's usage file",
  details: ['The file is not changed. Keys that aipassd already has are skipped.'],
  parameters: {
    file: requiredWord("a .env, or AIPass's api_json/usage_tracker_data.json", 'files'),
    yes: flag('import the keys without asking'),
    'dry-run': flag('only show which keys would be imported', ['yes']),
    organization: ORGANIZATION_OPTION,
    json: JSON_FLAG,
  },
  async run({ file, json, ...options }, context) {
    const hint =
      'write the path of a .env; AIPass keeps its usage as api_json/usage_tracker_data.json in its own folder';
    const text = (await readNamedFile(file, hint)).toString();
    const aipass = await context.connect();
    // A .env never begins with a brace, and JSON that is broken is reported as such.
    if (/^\s*[[{]/.test(text)) return importUsage(aipass, text, json, context);
    return importKeys(aipass, { file, text }, { ...options, json }, context);
  },
});

async function importKeys(
  aipass: Aipass,
  { file, text }: { readonly file: string; readonly text: string },
  options: {
    readonly yes: boolean;
    readonly 'dry-run': boolean;
    readonly organization: string | undefined;
    readonly json: boolean;
  },
  { out, signal }: VerbContext,
): Promise<void> {
  const { yes, 'dry-run': dryRun, organization, json } = options;
  const found = await aipass.credentials.import({ organization, text, dry_run: true }, { signal });
  const count = found.keys.filter((key) => key.known_as === null).length;
  if (!json) printFound(found, out);
  if (dryRun || count === 0) {
    if (json) out.json(found);
    else if (count === 0) {
      const isEmpty = found.keys.length + found.skipped.length === 0;
      out.line(isEmpty ? `Nothing to import: ${file} holds no API key` : 'Nothing to import');
    }
    return;
  }
  const keys = formatCount(count, 'key');
  if (!yes) {
    const refusal = new AipassError('BAD_REQUEST', `this would import ${keys}; nothing was changed`, {
      hint: 'add --yes if that is meant',
    });
    await confirm(`Import ${keys}?`, refusal, signal);
  }
  const taken = await aipass.credentials.import({ organization, text }, { signal });
  if (json) out.json(taken);
  else out.line(`Imported ${keys}: ${taken.keys.flatMap((key) => key.key_id ?? []).join(', ')}`);
}

/** Prints the keys of a file by provider, and what is left out with the reason. */
function printFound({ keys, skipped }: CredentialImportReport, out: Output): void {
  const sorted = keys.toSorted((a, b) => (a.provider < b.provider ? -1 : a.provider > b.provider ? 1 : 0));
  out.table(
    [
      ...sorted.map((key) => [
        key.provider,
        key.variable,
        key.masked,
        key.known_as === null ? 'new' : `there as ${key.known_as}`,
      ]),
      ...skipped.map(({ variable, reason }) => ['', variable, '', `skipped: ${reason}`]),
    ],
    { wrapLast: true },
  );
}

async function importUsage(aipass: Aipass, text: string, json: boolean, { out, signal }: VerbContext): Promise<void> {
  const report = await aipass.usage.import(text, { signal });
  if (json) return out.json(report);
  if (report.repeated) out.line('This file was imported before; nothing was changed.');
  else {
    out.line(
      `Imported ${report.added} of ${report.generations} generations`,
      `  already known: ${report.known}, unreadable: ${report.unreadable}`,
    );
  }
  const { carried } = report;
  if (carried.callers > 0) {
    out.line(
      `  totals of ${formatCount(carried.callers, 'caller')} beyond them: ${formatCount(carried.requests, 'request')}, ` +
        `${formatCost(carried.costMicros)}, ${formatCount(carried.tokens, 'token')}`,
    );
  }
  const { requests, costMicros, tokens } = report.unaccounted;
  if (requests + costMicros + tokens > 0) {
    out.warn(
      `the daily totals of the file hold ${requests} more requests, ${formatCost(costMicros)} and ${tokens} tokens`,
      'the file does not name their callers, so they are not imported: keep the file',
    );
  }
}
