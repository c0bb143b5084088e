/**
 * Which Node runs aipassd. Old ones load this file, too: nothing in it may need a new one.
 */

/** Is a version of Node: major and minor. */
export type NodeVersion = readonly [major: number, minor: number];

/** Is the oldest Node that runs the daemon and the command line; package.json's `engines` says the same. */
export const OLDEST_NODE: NodeVersion = [24, 0];

/** Tells whether a version such as `24.21.0` is as new as another, or newer. */
export function isNodeAtLeast(version: string, [oldestMajor, oldestMinor]: NodeVersion): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}
