/**
 * An open usage database, whichever kind it is.
 */

import type { DialectName } from './migrations.ts';
import type { UsageDb } from './schema.ts';

/** Is an open database with its tables up to date. */
export interface StoreConnection {
  readonly db: UsageDb;
  readonly dialect: DialectName;
  /** Gives a little of the room that pruning freed back to the disk; returns whether there is more to give. */
  shrink(): Promise<boolean>;
  /** Returns how large the database is, in bytes. */
  bytes(): Promise<number>;
  close(): Promise<void>;
}
