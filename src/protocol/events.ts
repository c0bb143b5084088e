/**
 * What a client can subscribe to with `event.subscribe`.
 */

import type { PoolEvent } from './pool.ts';

/** Is the data of one kind of event of a pool. */
type OfPool<Kind extends PoolEvent['kind']> = Extract<PoolEvent, { readonly kind: Kind }>;

/** Maps the name of each event to its data. */
export interface Events {
  /** The vault read something new: the variables and secrets that appeared, changed or went, by name. */
  'secrets-changed': { readonly names: readonly string[] };
  /** A key rests (or, without a key, the provider): why, and until when. */
  'key-resting': OfPool<'key-resting'>;
  /** A key, or the provider, proved that it serves again. */
  'key-restored': OfPool<'key-restored'>;
  /** A provider does not accept a key; it is out until its file changes or a check passes. */
  'key-quarantined': OfPool<'key-quarantined'>;
  /** No key of a pool is free; told once until one is. */
  'pool-exhausted': OfPool<'pool-exhausted'>;
}

/** Names one event. */
export type EventName = keyof Events;

/** Lists every event. */
export const EVENT_NAMES = [
  'secrets-changed',
  'key-resting',
  'key-restored',
  'key-quarantined',
  'pool-exhausted',
] as const satisfies readonly EventName[];
