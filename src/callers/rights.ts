/**
 * The rights of callers. The dispatcher checks them before a handler runs, and again before a value leaves.
 */

/** One right: see metadata, use a credential through the daemon, reveal its value, or change things. */
export type Right = 'see' | 'use' | 'reveal' | 'admin';

/** All rights: those of the daemon's own user and of root. */
export const ALL_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use', 'reveal', 'admin']);
