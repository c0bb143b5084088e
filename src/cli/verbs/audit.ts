/**
 * Records of the daemon: `aipassd audit` shows what was released and changed, and whether the
 * record of it is intact. `logs` shows the last lines of the log, and what is added to it. Both
 * read the file itself, so that they work while no daemon runs.
 */

import { readLines } from '../../audit/lines.ts';
import { type AuditRecord, parseLine } from '../../audit/record.ts';
import { verifyAudit } from '../../audit/verify.ts';
import { defineVerb, flag, integer, JSON_FLAG, textOption, type VerbContext } from '../verb.ts';
import { open, stat } from 'node:fs/promises';
import { foregroundClock } from '../../base/clock.ts';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { parseJsonObject } from '../../base/json.ts';
import { plainText } from '../../base/plain-text.ts';
import { delay } from '../../base/timers.ts';
import { formatLocalTime } from '../format.ts';
import type { Output } from '../output.ts';

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
  for await (const { text } of readLines(path)) {
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
  throw new AipassError('CONFLICT', `the audit is not intact: line ${outcome.line} ${outcome.problem}`, {
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

/** Number of lines that are shown without `--last`. */
const DEFAULT_LINES = 50;

/** Maximum amount of a log that is read to find its last lines, in bytes. */
const MAX_TAIL_BYTES = 4 * 1024 * 1024;

/** Time between two reads of a followed log, in milliseconds. */
const FOLLOW_MS = 500;

export const logs = defineVerb({
  name: 'logs',
  summary: "show the last lines of the daemon's log",
  parameters: {
    last: integer('N', [1, 100_000], `show the last N lines (${DEFAULT_LINES} without it)`),
    follow: flag('print new lines until Ctrl-C'),
    json: flag('print the lines as they are in the file, as JSON'),
  },
  async run({ last = DEFAULT_LINES, follow, json }, context) {
    const { out, signal } = context;
    const path = await logPath(context);
    let { text, end } = await readFrom(path, null);
    for (const line of text.split('\n').filter(Boolean).slice(-last)) printLine(line, json, out);
    if (!follow) return;
    for (;;) {
      await delay(foregroundClock, FOLLOW_MS, signal);
      signal.throwIfAborted();
      ({ text, end } = await readFrom(path, end));
      for (const line of text.split('\n').filter(Boolean)) printLine(line, json, out);
    }
  },
});

/** Returns the path of the log: what the running daemon reports, else the usual place. */
async function logPath({ connect, paths }: VerbContext): Promise<string> {
  try {
    const { log } = (await (await connect()).status()).paths;
    if (log !== null) return log;
  } catch (error) {
    if (error instanceof AipassError && error.code === 'DAEMON_UNREACHABLE') return paths.log;
    throw error;
  }
  throw new AipassError('NOT_FOUND', 'the daemon writes no log file (log.file of its configuration is null)', {
    hint: 'under systemd, see: journalctl --user -u aipassd',
  });
}

/** Reads whole lines from a place, or the last ones. A rotated file is read anew. */
async function readFrom(path: string, from: number | null): Promise<{ readonly text: string; readonly end: number }> {
  try {
    const { size } = await stat(path);
    const start = from === null ? Math.max(0, size - MAX_TAIL_BYTES) : size < from ? 0 : from;
    const bytes = await readBytes(path, start, size - start);
    const whole = bytes.lastIndexOf(0x0a) + 1;
    return { text: bytes.toString('utf8', 0, whole), end: start + whole };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' && from !== null) return { text: '', end: 0 };
    throw code === 'ENOENT'
      ? new AipassError('NOT_FOUND', `there is no log yet: ${path}`, {
          hint: 'start the daemon: aipassd run; where it runs, see: aipassd status',
        })
      : error;
  }
}

async function readBytes(path: string, start: number, length: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, start);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

const COLOURS: Readonly<Record<string, 'red' | 'yellow' | 'gray'>> = { error: 'red', warn: 'yellow', debug: 'gray' };

function printLine(line: string, json: boolean, out: Output): void {
  if (json) {
    out.text(`${line}\n`);
    return;
  }
  const entry = parseJsonObject(line);
  if (!entry) {
    out.line(plainText(line, 4000));
    return;
  }
  const { timestamp, level, message, fields } = entry;
  const at = Date.parse(String(timestamp));
  const colour = COLOURS[String(level)];
  const word = String(level).padEnd(5);
  const more = fields === undefined ? '' : ` ${JSON.stringify(fields)}`;
  out.line(
    `${Number.isNaN(at) ? '-' : formatLocalTime(at)} ${colour === undefined ? word : out.style(colour, word)} ${plainText(`${String(message)}${more}`, 4000)}`,
  );
}
