/**
 * Which Node runs aipassd. Old versions load this file too: nothing in it may need a new one.
 */

/** Version of Node: major and minor. */
export type NodeVersion = readonly [major: number, minor: number];

/** Oldest Node that runs the daemon and the command line, as in `engines` of package.json. */
export const OLDEST_NODE: NodeVersion = [24, 0];

/** Returns whether a version such as `24.21.0` is at least another. */
export function isNodeAtLeast(version: string, [oldestMajor, oldestMinor]: NodeVersion): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}
