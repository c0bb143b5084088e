import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { runProgram } from '../support/run-program.ts';
import { makeTempHome } from '../support/temp-home.ts';

it('the demo shows a key lent and a completion streamed, and leaves nothing behind', async () => {
  await using home = makeTempHome();
  const root = new URL('../../', import.meta.url).pathname;
  const { code, stdout, stderr } = await runProgram(process.execPath, ['demo/demo.ts'], {
    cwd: root,
    env: { ...home.env, TMPDIR: home.path },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('Because blue light scatters most.');
  expect(stdout).toContain('finish reason "stop"');
  expect(stdout).toContain('aipassd');
  expect(readdirSync(home.path)).toEqual([]);
});
