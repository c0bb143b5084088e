/**
 * `aipassd import`: takes over the usage that AIPass recorded.
 */

import { readFile } from 'node:fs/promises';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { formatCount } from '../format.ts';
import { JSON_FLAG, requiredWord } from '../options.ts';
import { formatCost } from '../usage-text.ts';
import { defineVerb } from '../verb.ts';

/** Imports AIPass's usage file. */
export const importUsage = defineVerb({
  name: 'import',
  summary: "take over AIPass's usage file, once",
  parameters: {
    file: requiredWord("AIPass's api_json/usage_tracker_data.json", 'files'),
    json: JSON_FLAG,
  },
  async run({ file, json }, { out, connect, signal }) {
    const text = await read(file);
    const aipass = await connect();
    const report = await aipass.usage.import(text, { signal });
    if (json) {
      out.json(report);
      return 0;
    }
    if (report.repeated) out.line('This file was imported before; nothing was changed.');
    else {
      out.line(
        `Imported ${report.added} of ${report.generations} generations`,
        `  known already: ${report.known}, unreadable: ${report.unreadable}`,
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
    return 0;
  },
});

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new AipassError('NOT_FOUND', `cannot read ${path} (${systemErrorCode(error) ?? 'unknown reason'})`, {
      hint: 'AIPass keeps it as api_json/usage_tracker_data.json in its own folder',
    });
  }
}
