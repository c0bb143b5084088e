import { chmod } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { startClientProgram } from '../../support/client-program.ts';
import { startTestServer } from '../../support/test-server.ts';

/** "nobody" on Linux, and nobody's on macOS. */
const OTHER_UID = 65_534;

it('another user gets FORBIDDEN from the socket itself, and what to do', async () => {
  await using test = await startTestServer();
  // The folders let everybody pass, so that nothing but the socket's own mode refuses.
  await chmod(test.home.path, 0o711);
  await chmod(dirname(test.socket), 0o711);
  const isRoot = process.getuid?.() === 0;
  // Only root can become another user; anybody else can be refused by a socket that lets nobody in.
  if (!isRoot) await chmod(test.socket, 0);
  const become = `process.setgroups([]); process.setgid(${OTHER_UID}); process.setuid(${OTHER_UID});`;
  await using program = startClientProgram(
    test.socket,
    `
      ${isRoot ? become : ''}
      const failure = await connect({ socket }).catch((error) => error);
      console.log(JSON.stringify({ uid: process.getuid(), code: failure.code, hint: failure.hint }));
    `,
  );
  const { stdout, stderr } = await program.result();
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toStrictEqual({
    uid: isRoot ? OTHER_UID : process.getuid?.(),
    code: 'FORBIDDEN',
    hint: expect.stringContaining('aipassd run'),
  });
  expect(test.contexts).toHaveLength(0);
});

it('another user whom a folder keeps out is told which one', async () => {
  await using test = await startTestServer();
  const isRoot = process.getuid?.() === 0;
  await chmod(test.home.path, 0o711);
  const closed = dirname(test.socket);
  if (!isRoot) await chmod(closed, 0);
  const become = `process.setgroups([]); process.setgid(${OTHER_UID}); process.setuid(${OTHER_UID});`;
  await using program = startClientProgram(
    test.socket,
    `
      ${isRoot ? become : ''}
      const failure = await connect({ socket }).catch((error) => error);
      console.log(JSON.stringify({ code: failure.code, message: failure.message, hint: failure.hint }));
    `,
  );
  const { stdout } = await program.result();
  if (!isRoot) await chmod(closed, 0o700);
  expect(JSON.parse(stdout)).toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining(test.socket),
    hint: expect.stringContaining(`ls -ld ${closed}`),
  });
});
