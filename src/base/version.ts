/**
 * The version of this package. scripts/write-version.ts writes it, and `npm version` runs that: a
 * bundled client has no package.json beside it.
 */

export const VERSION = '0.1.0';
