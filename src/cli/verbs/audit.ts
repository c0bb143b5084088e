/**
 * `aipassd audit`: what was released and changed, and whether the record of it is intact. Reads the
 * file itself, so that it works while no daemon runs.
 */

import { readLines, readTexts } from '../../audit/lines.ts';
import { type AuditRecord, parseLine } from '../../audit/record.ts';
import { verifyAudit } from '../../audit/verify.ts';
import { AipassError } from '../../base/errors.ts';
import { plainText } from '../../base/plain-text.ts';
import { formatLocalTime } from '../format.ts';
import { defineVerb, flag, integer, JSON_FLAG, textOption, type VerbContext } from '../verb.ts';

/** Number of entries that are shown without `--last`. */
const DEFAULT_ENTRIES = 50;

export const audit = defineVerb({
  name: 'audit',
  summary: 'show who got which credential and what was changed; check that the record is intact',
  parameters: {
    last: integer('N', [0, 1_000_000_000], `show the last N entries (${DEFAULT_ENTRIES}); 0 for all`),
    credential: textOption('ID', 'only entries of this credential, such as openrouter/OPENROUTER_API_KEY'),
    verify: flag('check the chain, entry by entry, and its end against the running daemon'),
    json: JSON_FLAG,
  },
  async run({ last = DEFAULT_ENTRIES, credential, verify, json }, context) {
    if (verify) return verifyChain(context, json);
    const records = await readRecords(context.paths.audit, credential, last);
    if (json) context.out.json({ records });
    else if (records.length === 0) context.out.line(nothing(credential));
    else context.out.table(records.map(describe), { stack: true });
  },
});

function nothing(credential: string | undefined): string {
  return credential === undefined
    ? 'nothing was released or changed yet'
    : `nothing of ${plainText(credential, 128)} was released or changed`;
}

async function readRecords(path: string, credential: string | undefined, last: number): Promise<AuditRecord[]> {
  let records: AuditRecord[] = [];
  for await (const text of readTexts(path)) {
    const line = parseLine(text);
    if (line === null || 'anchor' in line) continue;
    if (credential !== undefined && line.credential !== credential) continue;
    records.push(line);
    // Twice as many are kept as are wanted, so that not every entry moves all others.
    if (last > 0 && records.length > last * 2) records = records.slice(-last);
  }
  return last === 0 ? records : records.slice(-last);
}

function describe(record: AuditRecord): string[] {
  const { caller } = record;
  const who =
    caller === null ? 'aipassd' : `uid ${caller.uid ?? '?'} pid ${caller.pid ?? '?'} ${caller.name ?? ''}`.trim();
  return [
    formatLocalTime(record.at),
    record.outcome,
    record.operation,
    `${record.organization === undefined ? '' : `${record.organization}: `}${record.credential ?? '-'}`,
    who,
    caller?.executable ?? '-',
    record.detail ?? '',
  ];
}

async function verifyChain({ paths, out, connect }: VerbContext, json: boolean): Promise<void> {
  // The daemon is asked first: what it writes while the file is read comes after its answer.
  const end = await daemonsEnd(connect);
  const outcome = await verifyAudit(readLines(paths.audit), end);
  if (json) out.json({ ...outcome, comparedWithDaemon: end !== undefined });
  else if (outcome.kind === 'intact') {
    out.line(`the audit is intact: ${outcome.records} entries, the last is number ${outcome.last.seq}`);
    if (outcome.cutShort)
      out.warn('an unfinished entry follows, as a crash leaves it; the daemon removes it when it starts');
    if (end === undefined) out.warn('no daemon runs, so entries that are missing at the end cannot be detected');
  }
  if (outcome.kind === 'intact') return;
  throw new AipassError('INTERNAL', `the audit is not intact: line ${outcome.line} ${outcome.problem}`, {
    hint: `${paths.audit} was changed: inspect it before you trust it`,
  });
}

async function daemonsEnd(connect: VerbContext['connect']): Promise<{ seq: number; hash: string } | undefined> {
  try {
    return (await (await connect()).status()).audit;
  } catch (error) {
    if (error instanceof AipassError && error.code === 'DAEMON_UNREACHABLE') return undefined;
    throw error;
  }
}
