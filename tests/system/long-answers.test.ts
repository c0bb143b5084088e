import { expect, it } from 'vitest';
import { chunkOf } from '../support/loopback-provider.ts';
import { LOCAL_KEY, Running } from './running.ts';

const MEGABYTE = 1024 * 1024;
const MESSAGES = [{ role: 'user', content: 'go on' }];

it('a streamed answer of more than 64 MiB fails its own call with what to do, and no other', async () => {
  await using running = await Running.start();
  const piece = 'x'.repeat(13 * MEGABYTE);
  running.provider.queue({
    kind: 'events',
    events: [...Array.from({ length: 5 }, () => chunkOf({ content: piece })), chunkOf({}, 'stop')],
  });
  const aipass = await running.connect();
  const stream = aipass.stream({ model: 'm', messages: MESSAGES });
  await running.provider.nextRequest();
  running.provider.answerWith({ kind: 'paced' });
  const other = aipass.stream({ model: 'm', messages: MESSAGES });
  const request = await running.provider.nextRequest();
  await expect(stream.result).rejects.toMatchObject({
    code: 'BAD_REQUEST',
    message: expect.stringContaining('longer than the limit'),
    hint: expect.stringContaining('max_tokens'),
  });
  await request.stream.push(chunkOf({ content: 'still here' }, 'stop'));
  await request.stream.done();
  expect((await other.result).content).toBe('still here');
  expect(await aipass.key('local')).toBe(LOCAL_KEY);
});
