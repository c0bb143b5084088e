import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readVersion } from '../../../src/base/version.ts';

it('readVersion returns the version of package.json', () => {
  const manifest: { version: string } = JSON.parse(readFileSync('package.json', 'utf8'));
  expect(readVersion()).toBe(manifest.version);
});
