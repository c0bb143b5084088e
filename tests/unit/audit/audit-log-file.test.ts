import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { LineBuffer } from '../../../src/audit/audit-log-file.ts';

it('a line that one file took in part is written to the next one as a whole', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aip-lines-'));
  // A pipe that nobody reads takes a part, as a disk does that is just full.
  const pipe = join(folder, 'pipe');
  execFileSync('sh', ['-c', 'mkfifo "$0"', pipe]);
  const full = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const lines = new LineBuffer();
  for (let i = 0; i < 200; i += 1) lines.add(`${i} ${'x'.repeat(1000)}`);
  const before = lines.waiting;
  expect(() => lines.writeTo(full)).toThrow('EAGAIN');
  expect(lines.waiting).toBeLessThan(before);
  closeSync(full);

  // More room must not lose the part that was written.
  for (let i = 200; i < 600; i += 1) lines.add(`${i} ${'x'.repeat(1000)}`);
  lines.rewind();
  const path = join(folder, 'next');
  const next = openSync(path, 'a');
  lines.writeTo(next);
  closeSync(next);
  const written = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  expect(written.filter((line) => !/^\d+ x{1000}$/.test(line))).toEqual([]);
  expect(written.at(-1)).toMatch(/^599 /);
  expect(lines.waiting).toBe(0);
  rmSync(folder, { recursive: true });
});
