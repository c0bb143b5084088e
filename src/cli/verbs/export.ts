/**
 * `aipassd export`: the recorded events, as CSV or JSON lines, however many there are.
 */

import { USAGE_STATUSES } from '../../protocol/usage.ts';
import { ORGANIZATION_OPTION } from '../credential-text.ts';
import { choice, flag, textOption, TIME_RANGE } from '../options.ts';
import { defineVerb } from '../verb.ts';

/** Exports usage events. */
export const exportUsage = defineVerb({
  name: 'export',
  summary: 'print recorded usage events, oldest first, as CSV or as JSON lines',
  parameters: {
    ...TIME_RANGE,
    key: textOption('K', 'only calls with this key, by the name of its variable'),
    status: choice('S', USAGE_STATUSES, 'only calls that ended so'),
    organization: ORGANIZATION_OPTION,
    csv: flag('one line of CSV for each event, with a heading (the default)', ['json']),
    json: flag('one JSON document on each line'),
  },
  async run({ key: keyId, since, until, status, organization, json }, { out, connect, signal }) {
    const aipass = await connect();
    const query = { organization, since, until, keyId, status, format: json ? ('jsonl' as const) : ('csv' as const) };
    await aipass.usage.export(query, (text) => out.text(text), { signal });
    return 0;
  },
});
