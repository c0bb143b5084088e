/**
 * Reads the project's own sources, for tests about them.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** One source file and what it imports, types included. */
export interface Source {
  /** The path from the project's folder. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

/** Matches the module of every static and dynamic import and re-export. */
const IMPORT = /(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)['"]([^'"]+)['"]/gm;

/** Reads all files below a folder whose name ends as given; what is installed there is not ours. */
export function readSources(folder: string, ending = '.ts'): Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending) && !/(?:^|\/)(?:\.|node_modules\/)/.test(name))
    .toSorted()
    .map((name) => {
      const text = readFileSync(join(ROOT, folder, name), 'utf8');
      return { path: join(folder, name), text, imports: importsOf(text) };
    });
}

/** Returns the modules that a source imports or re-exports, types included. */
export function importsOf(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? '');
}

/** Reads a document of the project. */
export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}
