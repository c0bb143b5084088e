/**
 * The append-only audit: `audit.jsonl`, mode 0600, open as long as the daemon runs.
 *
 * `flush` hands what was recorded to the operating system, where it survives the end of this process. It runs once a
 * tick by itself, and whoever sends a value out calls it before: no value leaves before its line is written. Where the
 * file takes no lines (a full disk), they wait in memory and requests go on, up to a bound; past it nothing is released.
 */

import { closeSync, fstatSync, fsync, ftruncateSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import type { Warning } from '../base/warning.ts';
import { LineBuffer } from './line-buffer.ts';
import { copyMost, findCut, type PruneRule } from './prune.ts';
import {
  PRUNE_OPERATION,
  hashLine,
  printAnchor,
  printPlace,
  printRecord,
  type AuditEntry,
  type ChainPlace,
} from './record.ts';
import { leadsTo, readStretch, readTail, writeAll } from './tail.ts';

/** Is how many bytes of lines may wait for a disk that takes none: some 50,000 lines. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Keeps the audit of one daemon. */
export interface AuditJournal {
  /**
   * Chains one line; it is written with the next flush.
   *
   * @throws AipassError INTERNAL when too much waits already: what is not recorded must not be done.
   */
  record(entry: AuditEntry): void;
  /** Writes what waits; a disk that takes nothing is no error here, but a warning. */
  flush(): void;
  /** Is the last line of the chain. */
  readonly last: ChainPlace;
  /** Returns what keeps lines out of the file, or null. */
  warning(): Warning | null;
  /** Looks whether the path still leads to the file, and goes on in a new one where it does not; lines wait until it can. */
  check(): void;
  /** Takes away lines that the rule does not keep, and returns how many. One prune at a time. */
  prune(rule: PruneRule): Promise<number>;
  /**
   * Writes what waits, makes it durable, and closes.
   *
   * @throws AipassError INTERNAL where lines could not be written and are lost now.
   */
  close(): Promise<void>;
}

/** Opens the audit, or begins one. A line that a crash cut short is taken out, and an entry of the chain records that. */
export function openJournal(path: string, clock: Clock): AuditJournal {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fd = openSync(path, 'a+', 0o600);
  const tail = readTail(fd);
  // What cannot be read may be evidence: it stays, and only gets an end.
  if (tail.torn > 0) {
    if (tail.unreadable) writeSync(fd, '\n');
    else ftruncateSync(fd, tail.end);
  }
  const journal = new FileJournal(path, clock, fd, tail.place);
  const note = (detail: string) =>
    journal.record({ caller: null, operation: 'audit.repair', credential: null, outcome: 'changed', detail });
  if (tail.unreadable) note('the last line was unreadable: the chain begins anew after it');
  else if (tail.torn > 0) note(`took out ${tail.torn} bytes of a line that was cut short`);
  return journal;
}

class FileJournal implements AuditJournal {
  readonly #path: string;
  readonly #clock: Clock;
  #fd: number | null;
  #last: ChainPlace;
  /** Holds what was chained but is not in the file yet. */
  readonly #waiting = new LineBuffer();
  #willFlush = false;
  #failure: string | null = null;
  #pruning = false;
  /** Tells that the path leads to no file of ours and none could be made: lines wait, and do not go into the lost one. */
  #isLost = false;

  constructor(path: string, clock: Clock, fd: number, last: ChainPlace) {
    this.#path = path;
    this.#clock = clock;
    this.#fd = fd;
    this.#last = last;
  }

  get last(): ChainPlace {
    return this.#last;
  }

  record(entry: AuditEntry): void {
    if (this.#fd === null || this.#waiting.waiting > MAX_WAITING_BYTES) {
      throw new AipassError('INTERNAL', `the audit takes no lines: ${this.#failure ?? 'it is closed'}`, {
        hint: `make room or mend ${this.#path}; what cannot be recorded is not done`,
      });
    }
    if (!this.#willFlush) {
      this.#willFlush = true;
      process.nextTick(this.#flushAtLast);
    }
    this.#append(printRecord(entry, this.#clock.now(), this.#last));
  }

  flush(): void {
    if (this.#fd === null || this.#isLost || this.#waiting.waiting === 0) return;
    try {
      this.#waiting.writeTo(this.#fd);
      this.#failure = null;
    } catch (error) {
      this.#failure = systemErrorCode(error) ?? 'unknown reason';
    }
  }

  warning(): Warning | null {
    if (this.#failure === null) return null;
    return {
      subject: this.#path,
      problem: `the audit cannot be written: ${this.#failure}`,
      hint: 'make room on the disk, or mend its mode',
    };
  }

  check(): void {
    if (this.#fd === null || this.#pruning) return;
    if (leadsTo(this.#path, this.#fd)) {
      // It was away for a moment, and is back where it was.
      if (this.#isLost) this.#failure = null;
      this.#isLost = false;
      return;
    }
    let reopened: number;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      reopened = openSync(this.#path, 'a+', 0o600);
    } catch (error) {
      this.#isLost = true;
      this.#failure = systemErrorCode(error) ?? 'unknown reason';
      return;
    }
    closeSync(this.#fd);
    this.#fd = reopened;
    this.#isLost = false;
    this.#waiting.rewind();
    // The chain goes on where it was: the gap before these lines is what a check must find. Past the bound, too.
    const detail = 'the file was taken away: earlier lines are missing';
    const entry = { caller: null, operation: 'audit.repair', credential: null, outcome: 'changed', detail } as const;
    this.#append(printRecord(entry, this.#clock.now(), this.#last));
    this.flush();
  }

  async prune(rule: PruneRule): Promise<number> {
    if (this.#fd === null || this.#pruning) return 0;
    this.#pruning = true;
    try {
      return await this.#pruneOnce(this.#fd, rule);
    } finally {
      this.#pruning = false;
    }
  }

  async close(): Promise<void> {
    if (this.#fd === null) return;
    if (this.#isLost) this.check();
    this.flush();
    const fd = this.#fd;
    this.#fd = null;
    try {
      if (this.#waiting.waiting === 0) await promisify(fsync)(fd);
    } finally {
      closeSync(fd);
    }
    const lost = this.#waiting.waiting;
    if (lost === 0) return;
    const problem = `the last ${lost} bytes of the audit are lost: ${this.#failure}`;
    throw new AipassError('INTERNAL', problem, { hint: `make room or mend ${this.#path}` });
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
      // From here to the rename nothing waits, so that no line can get into the old file any more.
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
