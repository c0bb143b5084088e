import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** Returns the languages that a process has loaded, and a message of zod. */
function loadZod(prepare: string): { readonly languages: number; readonly message: string } {
  const program = `
    ${prepare}
    const { z } = await import('zod');
    console.log(Object.keys(z.locales).length + ' ' + z.string().safeParse(1).error.issues[0].message);
  `;
  const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
  const [languages = '', ...message] = printed.trimEnd().split(' ');
  return { languages: Number(languages), message: message.join(' ') };
}

it('loads zod in one language, where it would load all', () => {
  const { languages, message } = loadZod('');
  const module = new URL('../../../src/base/english-zod.ts', import.meta.url).href;
  expect(loadZod(`await import(${JSON.stringify(module)});`)).toEqual({ languages: 1, message });
  expect(languages).toBeGreaterThan(1);
});
