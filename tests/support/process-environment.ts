/**
 * The environment of a running daemon as the kernel shows it. The daemon is not dumpable, so that
 * only root may read it.
 */

import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

/**
 * Returns the environment of a process for root; asserts for everybody else that the kernel refuses
 * it, and returns ''.
 */
export function readEnvironmentOf(pid: number): string {
  const path = `/proc/${pid}/environ`;
  if (process.getuid?.() === 0) return readFileSync(path, 'utf8');
  expect(() => readFileSync(path, 'utf8')).toThrow(/EACCES/);
  return '';
}
