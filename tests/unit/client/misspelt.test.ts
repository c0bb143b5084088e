import { describe, expect, it } from 'vitest';
import { Aipass } from '../../../src/client/aipass.ts';

/** Calls a method that the types know nothing of, as a program without types may. */
async function call(name: string): Promise<unknown> {
  const aipass = new Aipass({ socket: '/nonexistent/aipassd.sock', caller: undefined, client: 'test' });
  const method: unknown = Reflect.get(aipass, name);
  if (typeof method !== 'function') throw new TypeError(`${name} is no function`);
  return await Reflect.apply(method, aipass, [{}]);
}

describe('a method that there is not', () => {
  it.each([
    ['complte', 'complete'],
    ['valdate', 'validate'],
    ['gogle', 'google'],
    ['calender', 'calendar'],
  ])('is told with the one that is meant: %s', async (name, meant) => {
    await expect(call(name)).rejects.toMatchObject({
      name: 'AipassError',
      code: 'NOT_FOUND',
      message: `aipass has no method "${name}", and googleapis knows no service "${name}"`,
      hint: expect.stringContaining(`did you mean "${meant}"? For a service of Google: `),
    });
  });

  it('is not compared with what is nothing like it', async () => {
    await expect(call('teleporter')).rejects.toMatchObject({
      hint: expect.stringMatching(/^For a service of Google: /),
    });
  });

  it('is none where googleapis knows the service, which then says what is wrong itself', async () => {
    await expect(call('forms')).rejects.toMatchObject({
      message: expect.stringContaining('googleapis knows no version'),
    });
  });
});
