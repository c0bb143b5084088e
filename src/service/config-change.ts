/**
 * What a new configuration changes, and which of it takes effect without a restart. Pure.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../base/config-schema.ts';

/** Settings that differ, by name: those that take effect at once, and those that need a restart. */
export interface ConfigChange {
  readonly applied: readonly string[];
  readonly needRestart: readonly string[];
}

/** Settings that are read at each use, or applied when they change; everything else needs a restart. */
const APPLIED: ReadonlySet<string> = new Set([
  '$schema',
  'access',
  'audit',
  'limits.frameBytes',
  'limits.inFlight',
  'limits.perUser',
  'limits.requestsPerSecond',
]);

/** Matches what is fixed when the pool of a provider is made. */
const FIXED_OF_PROVIDER = /^providers\.[^.]+\.pool$/;

/** Matches the sections whose settings are compared one by one: a provider, too, so that it is named. */
const COMPARED_DEEPER = /^(?:limits|log|network|schedules|usage|providers(?:\.[^.]+)?)$/;

/** Compares two configurations. */
export function compareConfigs(before: Config, after: Config): ConfigChange {
  const changed = [...differences(before, after, '')].toSorted();
  return {
    applied: changed.filter(isApplied),
    needRestart: changed.filter((name) => !isApplied(name)),
  };
}

function isApplied(name: string): boolean {
  return APPLIED.has(name) || (name.startsWith('providers.') && !FIXED_OF_PROVIDER.test(name));
}

function* differences(before: object, after: object, prefix: string): Generator<string> {
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const old: unknown = Reflect.get(before, name);
    const now: unknown = Reflect.get(after, name);
    if (isDeepStrictEqual(old, now)) continue;
    if (
      COMPARED_DEEPER.test(`${prefix}${name}`) &&
      typeof old === 'object' &&
      old !== null &&
      typeof now === 'object' &&
      now !== null
    ) {
      yield* differences(old, now, `${prefix}${name}.`);
    } else {
      yield `${prefix}${name}`;
    }
  }
}
