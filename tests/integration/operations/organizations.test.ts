/**
 * Organizations that a reload of the configuration adds.
 */

import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/base/config.ts';
import type { ConfigSource } from '../../../src/base/runtime.ts';
import { openOrganizations } from '../../../src/operations/open.ts';
import { openProviders } from '../../../src/providers/open.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { testRuntime } from '../../support/test-runtime.ts';
import { until } from '../../support/until.ts';

it('an organization is opened once, also where another reload comes before it is open', async () => {
  await using home = makeTempHome();
  await using stack = new AsyncDisposableStack();
  const runtime = testRuntime(home);
  const { current } = runtime.config;
  const listeners: Parameters<ConfigSource['onChange']>[0][] = [];
  const onChange: ConfigSource['onChange'] = (listener) => {
    listeners.push(listener);
    return () => {};
  };
  // Each vault has a log of its own.
  let vaults = 0;
  const component = (name: string) => {
    if (name === 'credentials') vaults += 1;
    return runtime.logger;
  };
  const organizations = await openOrganizations(
    { ...runtime, config: { current, onChange }, logger: { ...runtime.logger, component } },
    openProviders(runtime, stack),
    stack,
  );
  const next = parseConfig(JSON.stringify({ organizations: { acme: {} } }), home.paths.config);
  const known = [...listeners];
  for (const before of [current, next]) for (const listener of known) listener(next, before);
  await until('it is open', () => organizations.has('acme'));
  expect(vaults).toBe(2);
});
