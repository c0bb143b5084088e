/**
 * All verbs, in the order in which help lists them.
 */

import type { Verb } from '../verb.ts';
import { call } from './call.ts';
import { getKey } from './get-key.ts';
import { getSecret } from './get-secret.ts';
import { init } from './init.ts';
import { listProviders } from './list-providers.ts';
import { models } from './models.ts';
import { run } from './run.ts';
import { status } from './status.ts';
import { testConnection } from './test-connection.ts';
import { validate } from './validate.ts';

/** Lists every verb. */
export const VERBS: readonly Verb[] = [
  run,
  init,
  status,
  getKey,
  getSecret,
  validate,
  testConnection,
  models,
  call,
  listProviders,
];
