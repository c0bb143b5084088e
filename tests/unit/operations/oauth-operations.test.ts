import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/base/config.ts';
import { createDispatcher } from '../../../src/operations/dispatcher.ts';
import { oauthOperations } from '../../../src/operations/oauth-operations.ts';
import { ALL_RIGHTS } from '../../../src/callers/access.ts';
import { createProviders } from '../../../src/providers/registry.ts';
import { Consents } from '../../../src/refreshers/consents.ts';
import type { JobOptions, TokenWorker } from '../../../src/refreshers/worker-process.ts';
import { AccountFiles, makeAccountsWith, oauthDocument } from '../../support/account-files.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLogger } from '../../support/recording-logger.ts';

it('a revocation, for which a user waits, goes before refreshes that nobody waits for', async () => {
  await using files = new AccountFiles();
  await files.write('oauth/test.json', oauthDocument('https://issuer.example', { refresh_token: 'rt' }));
  const jobs: [kind: string, isUrgent: boolean | undefined][] = [];
  const worker: TokenWorker = {
    run: ({ kind }, options: JobOptions = {}) => {
      jobs.push([kind, options.isUrgent?.()]);
      return Promise.resolve({ kind: 'revoked', atProvider: true });
    },
  };
  const { accounts } = makeAccountsWith(files, new ManualClock(), worker);
  const providers = createProviders(parseConfig('{}', 'config.jsonc'));
  const operations = oauthOperations({
    accounts,
    consents: new Consents(worker),
    worker,
    record: () => {},
    providers,
  });
  const dispatch = createDispatcher(operations, { logger: recordingLogger(), audit: () => {} });
  const rights = { rights: ALL_RIGHTS, organizations: new Map() };
  const outcome = await dispatch(
    'oauth.revoke',
    { name: 'test' },
    {
      caller: { name: 'test', client: null, ...rights, peer: null, session: 'session-1' },
      signal: new AbortController().signal,
      closed: new AbortController().signal,
      currentRights: () => rights,
      abort: () => {},
      emit: () => {},
      notify: () => {},
    },
  );
  expect(outcome).toEqual({ kind: 'done', result: { name: 'test', atProvider: true } });
  expect(jobs).toEqual([['revoke', true]]);
});
