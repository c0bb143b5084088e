/**
 * `aipassd stats`: who used what. `aipassd caller-usage` is the same for one caller, by model.
 */

import { csvLine } from '../../protocol/csv.ts';
import { USAGE_GROUPINGS, USAGE_STATUSES, type UsageQuery } from '../../protocol/usage.ts';
import { ORGANIZATION_OPTION } from '../credential-text.ts';
import { choice, flag, integer, JSON_FLAG, requiredWord, textOption, TIME_RANGE } from '../options.ts';
import { FIGURE_COLUMNS, figureCells, printUsage } from '../usage-text.ts';
import { defineVerb, type VerbContext } from '../verb.ts';

/** How a query's answer is printed. */
type Form = 'text' | 'json' | 'csv';

/** Shows sums of usage. */
export const stats = defineVerb({
  name: 'stats',
  summary: 'show who used what: requests, cost, tokens, errors, latency',
  parameters: {
    ...TIME_RANGE,
    by: choice('G', USAGE_GROUPINGS, 'in groups'),
    caller: textOption('C', 'only what this caller used', { completion: 'callers' }),
    status: choice('S', USAGE_STATUSES, 'only calls that ended so'),
    organization: ORGANIZATION_OPTION,
    limit: integer('N', [1, 750], 'maximum number of groups (100 without it, 750 at most)'),
    json: JSON_FLAG,
    csv: flag('print the groups as CSV', ['json']),
  },
  run: ({ json, csv, ...query }, context) => show(query, json ? 'json' : csv ? 'csv' : 'text', context),
});

/** Shows what one caller used. */
export const callerUsage = defineVerb({
  name: 'caller-usage',
  summary: 'show what one caller used, by model; the same as stats --by model --caller C',
  parameters: {
    caller: requiredWord('name of the caller; aipassd stats --by caller lists them', 'callers'),
    ...TIME_RANGE,
    organization: ORGANIZATION_OPTION,
    json: JSON_FLAG,
  },
  run: ({ json, ...query }, context) => show({ ...query, by: 'model' }, json ? 'json' : 'text', context),
});

async function show(query: UsageQuery, form: Form, { out, connect, signal }: VerbContext): Promise<number> {
  const aipass = await connect();
  if (form === 'text') {
    await printUsage(aipass, query, signal, out);
    return 0;
  }
  const answer = await aipass.stats(query, { signal });
  if (form === 'json') out.json(answer);
  else {
    const groups = query.by === undefined ? [{ name: 'total', figures: answer.total }] : answer.groups;
    out.text(csvLine(FIGURE_COLUMNS));
    for (const { name, figures } of groups) out.text(csvLine(figureCells(name, figures)));
  }
  return 0;
}
