/**
 * Runs a target on texts of every kind, and on its corpus: one file for each text that once broke
 * it, or is worth trying.
 */

import { hash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import type { FuzzTarget } from './targets.ts';

const CORPUS = fileURLToPath(new URL('corpus', import.meta.url));

/** Reads the texts that are kept for a target. */
export function readCorpus(target: FuzzTarget): string[] {
  const folder = join(CORPUS, target.name);
  try {
    return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  } catch {
    return [];
  }
}

/** Keeps a text for a target, and returns the path of its file. */
export function keep(target: FuzzTarget, text: string): string {
  const folder = join(CORPUS, target.name);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${hash('sha256', text).slice(0, 16)}.txt`);
  writeFileSync(path, text);
  return path;
}

/** Result of a target: the number of texts, and the smallest one that broke it. */
export interface FuzzOutcome {
  readonly runs: number;
  readonly broken: { readonly text: string; readonly reason: string } | null;
}

/** Runs a target for a number of texts, or for a time. */
export async function fuzz(
  target: FuzzTarget,
  bounds: { readonly numRuns?: number; readonly milliseconds?: number },
): Promise<FuzzOutcome> {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...target.pieces) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
    { weight: 1, arbitrary: fc.constantFrom(...readCorpus(target), '') },
  );
  const text = fc.oneof(
    { weight: 4, arbitrary: fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 400 }) },
    { weight: 1, arbitrary: fc.json() },
  );
  const outcome = await fc.check(
    fc.asyncProperty(text, async (one) => target.run(one)),
    {
      numRuns: bounds.numRuns ?? Number.MAX_SAFE_INTEGER,
      ...(bounds.milliseconds === undefined ? {} : { interruptAfterTimeLimit: bounds.milliseconds }),
      examples: readCorpus(target).map((one): [string] => [one]),
    },
  );
  const [broken] = outcome.failed && outcome.counterexample ? outcome.counterexample : [];
  return {
    runs: outcome.numRuns,
    broken: broken === undefined ? null : { text: broken, reason: String(outcome.errorInstance) },
  };
}
