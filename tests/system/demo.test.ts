import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { runProgram } from '../support/run-program.ts';
import { makeTempHome } from '../support/temp-home.ts';

it('the demo shows a key lent, a pool failing over, a token renewed and the usage, and leaves nothing behind', async () => {
  await using home = makeTempHome();
  const root = new URL('../../', import.meta.url).pathname;
  const { code, stdout, stderr } = await runProgram(process.execPath, ['demo/demo.ts'], {
    cwd: root,
    env: { ...home.env, TMPDIR: home.path },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('Because blue light scatters most.');
  expect(stdout).toContain('finish reason "stop"');
  expect(stdout).toContain('answered with DEMO_API_KEY_2');
  expect(stdout).toMatch(/renewed: demo-token-\d+, valid for 60 min/);
  expect(stdout).toMatch(/demo \(default\) +2 keys: 1 ready, 1 cooling down \(ready in (?:2 min|1 min 5\d s)\)/);
  expect(stdout).toMatch(/DEMO_API_KEY_2 +1 /);
  expect(readdirSync(home.path)).toEqual([]);
});
