/**
 * What a caller may do. Checked in the operations table, before a handler runs.
 */

/** Names a right: see metadata, use a credential through the daemon, reveal its value, change things. */
export type Right = 'see' | 'use' | 'reveal' | 'admin';

/** Holds every right: what the daemon's own user has. The socket's mode keeps everybody else out. */
export const ALL_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use', 'reveal', 'admin']);
