/**
 * `aipassd import <file>`: takes over the usage that AIPass recorded.
 */

import { readFile } from 'node:fs/promises';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { UsageError } from '../usage-error.ts';
import { printCost } from '../usage-text.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Imports AIPass's usage file. */
export const importUsage: Verb = {
  name: 'import',
  usage: '<usage_tracker_data.json> [--json]',
  summary: "take over AIPass's usage file, once",
  details: ['--json  print the report as a document'],
  options: JSON_OPTION,
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const [path] = args.positionals;
    if (path === undefined) throw new UsageError('a file is needed', 'usage: aipassd import <usage_tracker_data.json>');
    const text = await read(path);
    const aipass = await connect();
    const report = await aipass.usage.import(text, { signal });
    if (args.flag('json')) {
      out.json(report);
      return 0;
    }
    if (report.repeated) out.line('This file was imported before; nothing was done.');
    else {
      out.line(
        `Imported ${report.added} of ${report.generations} generations`,
        `  known already: ${report.known}, unreadable: ${report.unreadable}`,
      );
    }
    const { requests, costMicros, tokens } = report.unaccounted;
    if (requests + costMicros + tokens > 0) {
      out.warn(
        `the daily totals of the file hold ${requests} more requests, ${printCost(costMicros)} and ${tokens} tokens`,
        'they do not say whose they were, and are not imported: keep the file',
      );
    }
    return 0;
  },
};

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new AipassError('NOT_FOUND', `cannot read ${path}: ${systemErrorCode(error) ?? 'unknown reason'}`, {
      hint: 'AIPass keeps it as api_json/usage_tracker_data.json in its own folder',
    });
  }
}
