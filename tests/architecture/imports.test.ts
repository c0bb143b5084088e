import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { importsOf, readSources, readText, ROOT, type Source } from './sources.ts';

interface Cruise {
  readonly summary: {
    readonly totalCruised: number;
    readonly violations: readonly { readonly rule: { readonly name: string } }[];
  };
}

function cruise(folder: string): Cruise {
  const tool = join(ROOT, 'node_modules/.bin/depcruise');
  const { stdout } = spawnSync(
    process.execPath,
    [tool, '--config', '.dependency-cruiser.js', '--output-type', 'json', 'src'],
    {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  const result: Cruise = JSON.parse(stdout);
  return result;
}

describe('import directions', () => {
  it('point one way everywhere, types included, without a cycle', () => {
    const { summary } = cruise(ROOT);
    expect(summary.totalCruised).toBeGreaterThan(100);
    expect(summary.violations).toEqual([]);
  });

  it('are what ARCHITECTURE.md shows', async () => {
    const { default: config }: { readonly default: { readonly forbidden: readonly { readonly comment?: string }[] } } =
      await import(pathToFileURL(join(ROOT, '.dependency-cruiser.js')).href);
    const rules = config.forbidden.flatMap(({ comment = '' }) => {
      const [, folder, allowed] = /^src\/(\w+) may import (.*)$/.exec(comment) ?? [];
      return folder === undefined || allowed === undefined ? [] : `${folder.padEnd(13)}${allowed}`;
    });
    expect(rules.length).toBe(foldersOf('src').length);
    expect(readText('ARCHITECTURE.md')).toContain(`\`\`\`\n${rules.join('\n')}\n\`\`\`\n`);
  });

  it('are looked at: whatever breaks one of the rules is found, a type import too', async () => {
    const { default: config }: { readonly default: { readonly forbidden: readonly { readonly name: string }[] } } =
      await import(pathToFileURL(join(ROOT, '.dependency-cruiser.js')).href);
    const names = config.forbidden.map(({ name }) => name);
    const folders = names.flatMap((name) => /^(.*)-imports$/.exec(name)?.[1] ?? []);
    expect(folders.toSorted()).toEqual(foldersOf('src'));
    const folder = mkdtempSync(join(process.env['TMPDIR'] ?? '/tmp', 'aipc-'));
    const write = (path: string, text: string): void => {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    };
    try {
      for (const name of ['.dependency-cruiser.js', 'tsconfig.json', 'package.json']) write(name, readText(name));
      symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
      for (const one of folders) {
        write(`src/${one}/fine.ts`, 'export type Fine = 1;\n');
        // Only the command line imports the client, and it not the server.
        const foreign = one === 'cli' ? 'ipc' : one === 'client' ? 'credentials' : 'client';
        write(`src/${one}/wrong.ts`, `export type { Fine } from '../${foreign}/fine.ts';\n`);
      }
      write('src/new/wrong.ts', "export type { Fine } from '../base/fine.ts';\n");
      write('src/run.ts', "export type { Fine } from './client/fine.ts';\n");
      write('src/base/root.ts', "import type { Fine } from '../run.ts';\nexport type Root = Fine;\n");
      write('src/base/cycle.ts', "import type { B } from './back.ts';\nexport type A = B;\n");
      write('src/base/back.ts', "import type { A } from './cycle.ts';\nexport type B = A | 1;\n");
      write('src/base/gone.ts', "import './nowhere.ts';\nimport 'vitest';\n");
      const rules = cruise(folder).summary.violations.map((violation) => violation.rule.name);
      expect([...new Set(rules)].toSorted()).toEqual(names.toSorted());
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Lists the folders in a folder of the repository, by name. */
function foldersOf(path: string): string[] {
  const entries = readdirSync(join(ROOT, path), { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() ? entry.name : [])).toSorted();
}

describe('outside packages', () => {
  const manifest: { readonly dependencies: Record<string, string>; readonly devDependencies: Record<string, string> } =
    JSON.parse(readText('package.json'));
  const sources = readSources('src');
  const owners = ownersOf(sources);

  /** Packages that stand in the manifest only because another one needs them beside it. */
  const PEER_OF: Readonly<Record<string, string>> = { hono: '@hono/zod-openapi' };

  it('each have one owner file; only schemas stand where they are used', () => {
    expect(shared(owners)).toEqual([]);
  });

  it('are searched for: a second owner is found, by whichever import, and a file of ours is none', () => {
    const winston = { path: 'src/base/log-sink.ts', text: '', imports: ['winston', './other.ts', 'node:fs', 'zod'] };
    const second = { path: 'src/gateway/bad.ts', text: '', imports: ['winston/lib/winston/config', 'zod'] };
    expect(shared(ownersOf([winston]))).toEqual([]);
    expect(shared(ownersOf([winston, second]))).toEqual(['winston: src/base/log-sink.ts, src/gateway/bad.ts']);
    const text =
      "import type { A } from 'winston';\nconst b = await import('kysely');\nexport { c } from 'pg';\nimport 'koffi';\n";
    expect(importsOf(text)).toEqual(['winston', 'kysely', 'pg', 'koffi']);
  });

  it('are exact versions, each used, owned and explained in ARCHITECTURE.md', () => {
    const rows = readText('ARCHITECTURE.md')
      .split('\n')
      .filter((line) => line.startsWith('| '));
    for (const [name, version] of Object.entries(manifest.dependencies)) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
      const [owner = 'no owner'] = owners.get(PEER_OF[name] ?? name) ?? [];
      const row = rows.find((line) => line.split('|')[1]?.includes(name));
      expect(row, `${name} is explained`).toContain(name === 'zod' ? 'schemas' : owner.replace('src/', ''));
    }
    for (const [name, version] of Object.entries(manifest.devDependencies))
      expect(version, name).toMatch(/^\d+\.\d+\.\d+/);
  });
});

/** Maps each outside package to the files that import it. */
function ownersOf(sources: readonly Source[]): Map<string, string[]> {
  const owners = new Map<string, string[]>();
  for (const { path, imports } of sources) {
    for (const name of imports) {
      if (name.startsWith('.') || name.startsWith('node:')) continue;
      const packageName = name.split('/', name.startsWith('@') ? 2 : 1).join('/');
      owners.set(packageName, [...(owners.get(packageName) ?? []), path]);
    }
  }
  return owners;
}

/** Returns the packages with more than one owner; schemas may stand where they are used. */
function shared(owners: ReadonlyMap<string, readonly string[]>): string[] {
  return [...owners]
    .map(([name, files]) => [name, new Set(files)] as const)
    .filter(([name, files]) => name !== 'zod' && files.size > 1)
    .map(([name, files]) => `${name}: ${[...files].join(', ')}`);
}

describe('the client library', () => {
  it('loads nothing but its own files and node: modules', () => {
    const script = `
      import { registerHooks } from 'node:module';
      registerHooks({ load(url, context, next) { console.log(url); return next(url, context); } });
      await import(${JSON.stringify(pathToFileURL(join(ROOT, 'dist/client/index.js')).href)});`;
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(status).toBe(0);
    const loaded = stdout.trim().split('\n');
    const ours = pathToFileURL(join(ROOT, 'dist/')).href;
    const own = loaded.filter((url) => url.startsWith(ours)).map((url) => url.slice(ours.length));
    expect(own.length).toBeGreaterThan(5);
    expect(loaded.filter((url) => !url.startsWith(ours) && !url.startsWith('node:'))).toEqual([]);
    expect(own.filter((path) => !/^(client|protocol|base)\//.test(path))).toEqual([]);
  });
});
