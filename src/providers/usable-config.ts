/**
 * Checks a configuration as a whole: its text, its schedules, and the providers that are made from
 * it.
 *
 * The start, a reload and `doctor` all use this check, so that they accept the same configurations.
 */

import type { Clock } from '../base/clock.ts';
import { readConfig } from '../base/config.ts';
import type { Config } from '../base/config-schema.ts';
import { assertSchedule } from '../base/schedule.ts';
import { createProviders } from './registry.ts';

/**
 * Reads a configuration that a daemon can run with; a file that does not exist is an empty one.
 *
 * @throws AipassError BAD_REQUEST naming what is wrong, or the system's reason why the file cannot
 * be read.
 */
export function readUsableConfig(path: string, clock: Pick<Clock, 'now'>): Config {
  const config = readConfig(path);
  for (const [name, pattern] of Object.entries(config.schedules)) {
    assertSchedule(pattern, `"schedules.${name}" in ${path}`, clock.now());
  }
  createProviders(config);
  return config;
}
