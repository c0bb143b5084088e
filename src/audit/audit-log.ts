/**
 * The append-only audit: `audit.jsonl`, mode 0600, open as long as the daemon runs.
 *
 * `flush` hands recorded entries to the operating system, where they survive the end of this
 * process. It runs once a turn of the event loop by itself, and is called before any reply leaves.
 * No value leaves before its entry is written. Where the file takes no entries (a full disk), they
 * wait in memory and requests go on, up to a bound. Past it, nothing is released.
 */

import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { openTrusted } from '../base/file-trust.ts';
import { makeFolder } from '../base/make-folder.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { Warning } from '../base/warning.ts';
import { leadsTo, LineBuffer, readStretch, readTail, writeAll } from './audit-log-file.ts';
import { readLines } from './lines.ts';
import {
  hashLine,
  parseLine,
  printAnchor,
  printPlace,
  printRecord,
  PRUNE_OPERATION,
  type AuditEntry,
  type ChainPlace,
} from './record.ts';

/** Maximum size of entries that wait for a disk that takes none, in bytes: some 50,000 entries. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Flags of the file: every write goes to its end, and its last line is read when it is opened. */
const APPEND = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;

/**
 * Opens the audit, or begins one. A line that a crash cut short is taken out, and an entry of the
 * chain records that.
 */
export function openAuditLog(path: string, clock: Clock): AuditLog {
  makeFolder(dirname(path));
  const fd = openTrusted('the audit', path, APPEND, 0o600);
  const tail = readTail(fd);
  // What cannot be read may be evidence: it stays, and is only ended.
  if (tail.torn > 0) {
    if (tail.unreadable) writeSync(fd, '\n');
    else ftruncateSync(fd, tail.end);
  }
  const auditLog = new AuditLog(path, clock, fd, tail.place);
  const note = (detail: string) =>
    auditLog.record({ caller: null, operation: 'audit.repair', credential: null, outcome: 'changed', detail });
  if (tail.unreadable) note('the last entry was unreadable: the chain begins anew after it');
  else if (tail.torn > 0) note(`removed ${tail.torn} bytes of an entry that was cut short`);
  return auditLog;
}

/** The audit of one daemon. */
export class AuditLog {
  readonly #path: string;
  readonly #clock: Clock;
  #fd: number | null;
  #last: ChainPlace;
  /** Entries that were chained but are not in the file yet. */
  readonly #waiting = new LineBuffer();
  #willFlush = false;
  #failure: string | null = null;
  #pruning = false;
  /**
   * Whether the path does not lead to our file and none could be made: entries wait, and do not go
   * into the lost one.
   */
  #isLost = false;

  constructor(path: string, clock: Clock, fd: number, last: ChainPlace) {
    this.#path = path;
    this.#clock = clock;
    this.#fd = fd;
    this.#last = last;
  }

  /** Last entry of the chain. */
  get last(): ChainPlace {
    return this.#last;
  }

  /**
   * Chains one entry; it is written with the next flush.
   *
   * @throws AipassError INTERNAL when too much waits already: what is not recorded must not be
   * done.
   */
  record(entry: AuditEntry): void {
    if (this.#fd === null || this.#waiting.waiting > MAX_WAITING_BYTES) {
      throw new AipassError('INTERNAL', `the audit takes no entries: ${this.#failure ?? 'it is closed'}`, {
        hint: `free some space, or fix ${this.#path}; what cannot be recorded is not done`,
      });
    }
    if (!this.#willFlush) {
      this.#willFlush = true;
      setImmediate(this.#flushAtLast);
    }
    this.#append(printRecord(entry, this.#clock.now(), this.#last));
  }

  /** Writes waiting entries; a disk that takes none is a warning, not an error. */
  flush(): void {
    if (this.#fd === null || this.#isLost || this.#waiting.waiting === 0) return;
    try {
      this.#waiting.writeTo(this.#fd);
      this.#failure = null;
    } catch (error) {
      this.#failure = systemErrorCode(error) ?? 'unknown reason';
    }
  }

  /** Returns the warning about a file that takes no entries, or null. */
  warning(): Warning | null {
    if (this.#failure === null) return null;
    return {
      subject: this.#path,
      problem: `the audit cannot be written: ${this.#failure}`,
      hint: `free some space on its disk, or fix it: ls -ld ${shellQuote(this.#path)}`,
    };
  }

  /**
   * Checks that the path still leads to the file, and continues in a new one where it does not;
   * entries wait until it can.
   */
  check(): void {
    if (this.#fd === null || this.#pruning) return;
    if (leadsTo(this.#path, this.#fd)) {
      // The file was away for a moment and is back.
      if (this.#isLost) this.#failure = null;
      this.#isLost = false;
      return;
    }
    let reopened: number;
    try {
      makeFolder(dirname(this.#path));
      reopened = openTrusted('the audit', this.#path, APPEND, 0o600);
    } catch (error) {
      this.#isLost = true;
      this.#failure = systemErrorCode(error) ?? (error instanceof AipassError ? error.message : 'unknown reason');
      return;
    }
    closeSync(this.#fd);
    this.#fd = reopened;
    this.#isLost = false;
    this.#waiting.rewind();
    // The chain continues: the gap before these entries is what a check must find. Past the bound,
    // too.
    const detail = 'the file was removed: earlier entries are missing';
    const entry = { caller: null, operation: 'audit.repair', credential: null, outcome: 'changed', detail } as const;
    this.#append(printRecord(entry, this.#clock.now(), this.#last));
    this.flush();
  }

  /** Removes entries that the rule does not keep, and returns how many. One prune at a time. */
  async prune(rule: PruneRule): Promise<number> {
    if (this.#fd === null || this.#pruning) return 0;
    this.#pruning = true;
    try {
      return await this.#pruneOnce(this.#fd, rule);
    } finally {
      this.#pruning = false;
    }
  }

  /**
   * Writes waiting entries, makes them durable, and closes.
   *
   * @throws AipassError INTERNAL where entries could not be written and are lost now.
   */
  async close(): Promise<void> {
    if (this.#fd === null) return;
    this.flush();
    this.check();
    const fd = this.#fd;
    this.#fd = null;
    try {
      if (this.#waiting.waiting === 0) await promisify(fsync)(fd);
    } finally {
      closeSync(fd);
    }
    const lost = this.#waiting.waiting;
    if (lost === 0 && !this.#isLost) return;
    const problem = this.#isLost
      ? `entries of the audit are lost: ${this.#path} is not the file that they were written to (${this.#failure})`
      : `the last ${lost} bytes of the audit are lost: ${this.#failure}`;
    throw new AipassError('INTERNAL', problem, { hint: `free some space, or fix ${this.#path}` });
  }

  readonly #flushAtLast = (): void => {
    this.#willFlush = false;
    this.flush();
  };

  #append(line: string): void {
    this.#last = { seq: this.#last.seq + 1, hash: hashLine(this.#waiting.add(line)) };
  }

  async #pruneOnce(fd: number, rule: PruneRule): Promise<number> {
    this.flush();
    const { size } = fstatSync(fd);
    const cut = await findCut(this.#path, size, rule);
    if (cut === null) return 0;

    const copyPath = `${this.#path}.pruning`;
    const copy = await open(copyPath, 'w', 0o600);
    let kept = false;
    try {
      await copy.write(`${printAnchor(cut.place)}\n`);
      const copied = await copyMost({ path: this.#path, fd }, copy, cut.offset);
      await copy.sync();
      // From here to the rename nothing is awaited, so that no entry can get into the old file any
      // more.
      if (this.#fd !== fd) return 0;
      this.flush();
      const rest = fstatSync(fd).size - copied;
      if (rest < 0 || this.#waiting.waiting > 0) return 0;
      if (rest > 0) writeAll(copy.fd, readStretch(fd, copied, rest));
      const detail = printPlace(cut.place);
      const line = printRecord(
        { caller: null, operation: PRUNE_OPERATION, credential: null, outcome: 'changed', detail },
        this.#clock.now(),
        this.#last,
      );
      writeAll(copy.fd, Buffer.from(`${line}\n`));
      const reopened = openSync(copyPath, 'a+', 0o600);
      renameSync(copyPath, this.#path);
      kept = true;
      closeSync(fd);
      this.#fd = reopened;
      this.#last = { seq: this.#last.seq + 1, hash: hashLine(line) };
    } finally {
      await copy.close();
      if (!kept) await rm(copyPath, { force: true });
    }
    return cut.records;
  }
}

/** Entries that are kept: those since `before` (epoch milliseconds), and at most `maxBytes`. */
export interface PruneRule {
  readonly before: number;
  readonly maxBytes: number;
}

/** Where the kept part begins, and what is removed. */
interface PruneCut {
  /** Offset of the first byte that stays. */
  readonly offset: number;
  /** Last entry that is removed; an anchor stands for it. */
  readonly place: ChainPlace;
  readonly records: number;
}

/** Finds the cut in a file of `size` bytes, or null where nothing is to be removed. */
async function findCut(path: string, size: number, rule: PruneRule): Promise<PruneCut | null> {
  if (size === 0) return null;
  // Half, so that a full file is not rewritten for every entry that follows.
  const mustReach = size > rule.maxBytes ? size - Math.floor(rule.maxBytes / 2) : 0;
  let cut: PruneCut | null = null;
  let records = 0;
  for await (const line of readLines(path)) {
    if (!line.ended || line.end > size) break;
    const parsed = parseLine(line.text);
    // A broken line is evidence: it and what follows stay until the file is too long.
    if (parsed === null) {
      if (line.end >= mustReach) break;
      continue;
    }
    if ('anchor' in parsed) continue;
    if (parsed.at >= rule.before && line.end > mustReach) break;
    records += 1;
    cut = { offset: line.end, place: { seq: parsed.seq, hash: hashLine(line.text) }, records };
  }
  return cut;
}

/**
 * Rest that is copied at once while nothing else runs, in bytes: a few hundred microseconds' worth.
 */
const SMALL_BYTES = 256 * 1024;

/**
 * Copies an open audit from an offset on, except for a small rest of what is appended meanwhile;
 * returns where that begins.
 */
async function copyMost(
  audit: { readonly path: string; readonly fd: number },
  copy: FileHandle,
  from: number,
): Promise<number> {
  let copied = from;
  for (let end = fstatSync(audit.fd).size; end > copied && (copied === from || end - copied > SMALL_BYTES);) {
    for await (const chunk of createReadStream(audit.path, { start: copied, end: end - 1 })) {
      if (chunk instanceof Buffer) await copy.writeFile(chunk);
    }
    copied = end;
    end = fstatSync(audit.fd).size;
  }
  return copied;
}
