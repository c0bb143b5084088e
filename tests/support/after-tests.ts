/**
 * Cleaning up after the tests of a file, in modules that programs without a test runner use too
 * (soak, fuzz, bench).
 */

/**
 * Makes the runner call back after the last test of the file; without a runner nothing is called.
 */
export async function afterTests(cleanUp: () => Promise<void> | void): Promise<void> {
  if (process.env['VITEST'] === undefined) return;
  const { afterAll } = await import('vitest');
  afterAll(cleanUp);
}
