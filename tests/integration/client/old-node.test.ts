import { expect, it } from 'vitest';
import { startClientProgram } from '../../support/client-program.ts';
import { answering, startFakeDaemon } from '../../support/fake-daemon.ts';

it('a program whose Node has no Promise.withResolvers yet, as Node 20, asks and calls through a pool', async () => {
  const results: Readonly<Record<string, unknown>> = {
    'key.get': { provider: 'local', keyId: 'LOCAL_API_KEY', key: 'a-key' },
    'pool.lease': { leaseId: 'l1', provider: 'local', keyId: 'LOCAL_API_KEY', key: 'pooled-key' },
  };
  await using test = await startFakeDaemon(answering((op) => results[op] ?? {}));
  await using program = startClientProgram(
    test.socket,
    `
      delete Promise.withResolvers;
      const aipass = await connect({ socket });
      const { signal } = new AbortController();
      const pooled = aipass.pooled('local', (key) => ({ read: () => key }), { signal });
      console.log(await aipass.key(), await pooled.read());
      await aipass.close();
    `,
  );
  expect(await program.result()).toMatchObject({ code: 0, stdout: 'a-key pooled-key\n', stderr: '' });
});
