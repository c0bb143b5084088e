/**
 * What a client can subscribe to with `event.subscribe`.
 */

/** Maps the name of each event to its data. */
export interface Events {
  /** The vault read something new: the variables and secrets that appeared, changed or went, by name. */
  'secrets-changed': { readonly names: readonly string[] };
}

/** Names one event. */
export type EventName = keyof Events;

/** Lists every event. */
export const EVENT_NAMES = ['secrets-changed'] as const satisfies readonly EventName[];
