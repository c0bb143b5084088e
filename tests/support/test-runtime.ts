/**
 * The record that parts of the daemon are opened with, for tests that open some of them.
 */

import { join } from 'node:path';
import { systemClock, type Clock } from '../../src/base/clock.ts';
import { parseConfig } from '../../src/base/config.ts';
import { EventHub, type Runtime, Warnings } from '../../src/base/runtime.ts';
import { Redactor } from '../../src/base/redactor.ts';
import { StateStore } from '../../src/base/state-store.ts';
import { ConfigReloader } from '../../src/service/config-reloader.ts';
import { recordingLogger } from './recording-logger.ts';
import type { TempHome } from './temp-home.ts';

/** A runtime, and the reloader behind its configuration. */
export interface TestRuntime extends Runtime {
  readonly reloader: ConfigReloader;
}

/** Makes a runtime over a temporary home; `config` is the document of its configuration. */
export function testRuntime(
  home: TempHome,
  { config = {}, clock = systemClock }: { readonly config?: unknown; readonly clock?: Clock } = {},
): TestRuntime {
  const { paths } = home;
  const logger = recordingLogger();
  const initial = parseConfig(JSON.stringify(config), paths.config);
  const read = () => initial;
  const reloader = new ConfigReloader({ path: paths.config, read, initial, restart: 'restart it', clock, logger });
  return {
    version: '1.2.3',
    paths,
    config: reloader,
    network: { httpsProxy: null, httpProxy: null, noProxy: [], caCertificates: null },
    reloader,
    clock,
    random: Math.random,
    logger,
    redactor: new Redactor(),
    events: new EventHub(),
    state: new StateStore({ path: join(home.path, 'state.json'), clock, logger }),
    warnings: new Warnings(),
  };
}
