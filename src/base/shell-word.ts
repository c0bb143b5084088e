/**
 * Words of a command that people paste into a shell.
 */

/** Quotes a path for a hint, where a shell would not take it as it is. */
export function shellWord(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
