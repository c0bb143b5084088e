/**
 * `aipassd audit`: what was released and changed, and whether the record of it is intact. Reads the file itself, so that
 * it works while no daemon runs.
 */

import { AipassError } from '../../base/errors.ts';
import { plainText } from '../../base/plain-text.ts';
import { readLines, readTexts } from '../../audit/lines.ts';
import { parseLine, type AuditRecord } from '../../audit/record.ts';
import { verifyAudit } from '../../audit/verify.ts';
import { UsageError } from '../usage-error.ts';
import { JSON_OPTION, type Verb, type VerbContext } from '../verb.ts';

const DEFAULT_LINES = 50;

/** Shows or checks the audit. */
export const audit: Verb = {
  name: 'audit',
  usage: '[--last N] [--credential ID] [--verify] [--json]',
  summary: 'show who got which credential and what was changed; check that the record is intact',
  details: [
    `--last N         show the last N lines (${DEFAULT_LINES}); 0 for all`,
    '--credential ID  only lines of this credential, such as openrouter/OPENROUTER_API_KEY',
    '--verify         check the chain, line by line, and its end against the running daemon',
  ],
  options: {
    ...JSON_OPTION,
    verify: { type: 'boolean' },
    last: { type: 'string' },
    credential: { type: 'string' },
  },
  maxPositionals: 0,
  async run(args, context) {
    if (args.flag('verify')) return verify(context, args.flag('json'));
    const last = Number(args.text('last') ?? DEFAULT_LINES);
    if (!Number.isSafeInteger(last) || last < 0)
      throw new UsageError('--last takes a number', 'try: aipassd audit --last 20');
    const records = await readRecords(context.paths.audit, args.text('credential'), last);
    if (args.flag('json')) context.out.json({ records });
    else if (records.length === 0) context.out.line(nothing(args.text('credential')));
    else context.out.table(records.map(describe));
    return 0;
  },
};

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
    // Twice as many are kept as are wanted, so that not every line moves all others.
    if (last > 0 && records.length > last * 2) records = records.slice(-last);
  }
  return last === 0 ? records : records.slice(-last);
}

function describe(record: AuditRecord): string[] {
  const { caller } = record;
  const who =
    caller === null ? 'aipassd' : `uid ${caller.uid ?? '?'} pid ${caller.pid ?? '?'} ${caller.name ?? ''}`.trim();
  return [
    new Date(record.at).toISOString(),
    record.outcome,
    record.operation,
    record.credential ?? '-',
    who,
    caller?.executable ?? '-',
    record.detail ?? '',
  ];
}

async function verify({ paths, out, connect }: VerbContext, json: boolean): Promise<number> {
  // The daemon is asked first: what it writes while the file is read comes after its answer.
  const end = await daemonsEnd(connect);
  const outcome = await verifyAudit(readLines(paths.audit), end);
  if (json) out.json({ ...outcome, comparedWithDaemon: end !== undefined });
  else if (outcome.kind === 'intact') {
    out.line(`the audit is intact: ${outcome.records} lines, the last is number ${outcome.last.seq}`);
    if (outcome.cutShort) out.warn('half a line follows, as a crash leaves it; the daemon takes it out when it starts');
    if (end === undefined) out.warn('no daemon runs that could say whether lines are missing at the end');
  }
  if (outcome.kind === 'intact') return 0;
  throw new AipassError('INTERNAL', `the audit is not intact: line ${outcome.line} ${outcome.problem}`, {
    hint: `somebody changed ${paths.audit}: look at it before you trust it`,
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
