import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/base/config-schema.ts';
import { listSettings, printReference, type SettingSchema } from '../../scripts/config-reference.ts';
import {
  bagNames,
  deadNames,
  bareTime,
  deadPaths,
  eagerHttp,
  globalFetch,
  isNoInStrings,
  judgedStatuses,
  longComments,
  longSentences,
  missingHeaders,
  strayRemedies,
  stringsOf,
  suppressions,
  vagueNames,
  weakDocstrings,
} from './rules.ts';
import { readSources, readText, ROOT } from './sources.ts';

/** Files that use Node's own fetch, and why they may. */
const MAY_FETCH: ReadonlyMap<string, string> = new Map([
  ['src/client/account-fetch.ts', 'in programs that send requests with fetch anyway, loaded at the first of them'],
  ['src/doctor/checks.ts', 'asks whether an address answers at all; no key leaves'],
  ['src/refreshers/worker/main.ts', 'a process of its own that lives for one exchange; oauth4webapi wants a fetch'],
]);

/** Files that decide by a status, and what they decide. */
const MAY_JUDGE: ReadonlyMap<string, string> = new Map([
  ['src/base/retry-after.ts', 'which statuses are transient'],
  ['src/client/account-fetch.ts', 'whether a token is to be refreshed once: 401'],
  ['src/client/google-services.ts', 'whether a token is to be refreshed once: 401'],
  ['src/client/pooled-caller.ts', 'whether a key is at fault in a client that the daemon never sees'],
  ['src/providers/failure-table.ts', 'what an answer means for a key'],
  ['src/refreshers/worker/mcp.ts', 'whether a server names its authorization server: 401'],
  ['src/refreshers/worker/token-answer.ts', 'which statuses a token endpoint refuses with'],
]);

/** Files of the daemon and of the client that read time, or wait, beside the injected clock. */
const MAY_TELL_TIME: ReadonlyMap<string, string> = new Map([
  ['src/base/atomic-write.ts', 'compares the age of a file, which the system wrote'],
  ['src/base/clock.ts', 'the clock'],
  ['src/base/fair-turns.ts', 'measures its own work within one turn of the event loop'],
  ['src/base/log-sink.ts', 'waits for the disk when the log closes'],
  ['src/base/logger.ts', 'the moment of a line, as people read it'],
  ['src/client/pooled-caller.ts', 'the latency of a client that a program made'],
  ['src/client/session.ts', 'the limit of a request to a daemon, with its own process'],
  ['src/client/transport.ts', 'the limit of a connection to a daemon, with its own process'],
  ['src/client/usage-calls.ts', 'the moment that a program means by "2 days ago"'],
  ['src/client/watched-iteration.ts', 'the limit of a reading that a program may have given up'],
  ['src/gateway/dialect-errors.ts', 'the moment of a recovery, as Codex shows it to people'],
  ['src/gateway/gateway.ts', 'limits of a client that stalls, on a real connection'],
  ['src/gateway/http-endpoint.ts', 'limits of a client that stalls, on a real connection'],
  ['src/gateway/request-body.ts', 'limits of a client that stalls, set by its tests'],
  ['src/ipc/frame-reader.ts', 'measures its own work within one turn of the event loop'],
  ['src/ipc/peer.ts', 'limits of a peer that stalls, on a real connection'],
  ['src/ipc/socket-server.ts', 'limits of a peer that stalls, set by its tests'],
  ['src/protocol/frames.ts', 'since when a frame is incomplete, for the limits of the socket server'],
  ['src/refreshers/hooks.ts', 'the limit of a command of the user, a process of its own'],
  ['src/refreshers/worker/main.ts', 'the limit of its own process'],
  ['src/run.ts', 'the life of the process'],
  ['src/service/last-exit.ts', 'the life of the process'],
  ['src/service/lifetime.ts', 'the life of the process'],
]);

/** Returns a list of one source. */
function source(text: string, path = 'src/base/bad.ts'): { readonly path: string; readonly text: string }[] {
  return [{ path, text }];
}

describe('the house rules', () => {
  const sources = readSources('src');

  it('every source file begins with what it owns', () => {
    expect(missingHeaders(sources)).toEqual([]);
  });

  it('no source file has a name that means nothing', () => {
    expect(vagueNames(sources)).toEqual([]);
  });

  it('a docstring is a noun phrase, or begins with what a function does', () => {
    // But for this file, which has bad ones to show that the search can fail.
    const others = ['tests', 'bench', 'demo', 'scripts', 'examples']
      .flatMap((folder) => readSources(folder))
      .filter(({ path }) => path !== 'tests/architecture/house.test.ts');
    expect(others.length).toBeGreaterThan(300);
    expect(weakDocstrings([...sources, ...others])).toEqual([]);
  });

  it('a line of a comment ends within 100 columns, and a sentence has 25 words at most', () => {
    const all = ['src', 'tests', 'bench', 'demo', 'scripts', 'examples'].flatMap((folder) => readSources(folder));
    expect(longComments(all)).toEqual([]);
    expect(longSentences(all)).toEqual([]);
  });

  it('a message says "is not a", never "is no"', () => {
    expect(isNoInStrings(sources)).toEqual([]);
  });

  it('what a user of an account can do about a failure is worded in one file', () => {
    expect(strayRemedies(sources)).toEqual([]);
  });

  it('bags of parameters are called Options, what a user may set, or Deps, what is wired', () => {
    expect(bagNames(sources)).toEqual([]);
  });

  it("Node's own fetch, which loads a client of 8 MB, is used where it is allowed, and there only", () => {
    const files = new Set(globalFetch(sources).map((place) => place.split(':')[0]));
    expect([...files]).toEqual([...MAY_FETCH.keys()]);
  });

  it('node:http, which loads fetch and WebSocket with it, is loaded when a request goes out', () => {
    expect(eagerHttp(sources)).toEqual([]);
  });

  it('every path of a source that a document names leads somewhere', () => {
    const pages = ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'README.md', 'RELEASING.md', 'SECURITY.md', 'GOALS.md'];
    const documents = [...pages.map((path) => ({ path, text: readText(path) })), ...readSources('docs', '.md')];
    expect(documents.length).toBeGreaterThan(25);
    expect(deadPaths(documents, (path) => existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('what a status means for a key stands in one table, and which ones pass in one function', () => {
    // The gateway chooses statuses for its own answers.
    const deciding = sources.filter(({ path }) => !path.startsWith('src/gateway/'));
    const files = new Set(judgedStatuses(deciding).map((place) => place.split(':')[0]));
    expect([...files]).toEqual([...MAY_JUDGE.keys()]);
  });

  it('time comes from the injected clock, but where it is named why not', () => {
    // A verb and a check of the machine are whole processes, which tests start as such.
    const lasting = sources.filter(({ path }) => !/^src\/(?:cli|doctor)\//.test(path));
    const files = new Set(bareTime(lasting).map((place) => place.split(':')[0]));
    expect([...files]).toEqual([...MAY_TELL_TIME.keys()]);
  });

  it('every name of code that a document or a comment has is in the code', () => {
    const pages = ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/glossary.md'];
    const decisions = readSources('docs/decisions', '.md');
    const documents = [...pages.map((path) => ({ path, text: readText(path) })), ...decisions, ...sources];
    expect(deadNames(documents, [...sources, ...readSources('tests')])).toEqual([]);
  });

  it('no check is switched off in the sources', () => {
    expect(suppressions(sources)).toEqual([]);
  });

  it('config.schema.json is the schema of the configuration (npm run schema writes it anew)', () => {
    const document: Record<string, unknown> = JSON.parse(readText('config.schema.json'));
    const { title, ...schema } = document;
    expect(title).toBe('aipassd configuration');
    expect(schema).toEqual(JSON.parse(JSON.stringify(z.toJSONSchema(configSchema, { io: 'input' }))));
  });

  it('docs/configuration.md describes every setting (npm run schema writes it anew)', () => {
    const schema: SettingSchema = JSON.parse(JSON.stringify(z.toJSONSchema(configSchema, { io: 'input' })));
    const settings = listSettings(schema);
    expect(settings.length).toBeGreaterThan(50);
    for (const { path, schema: setting } of settings) expect(setting.description, path).toMatch(/^[A-Z].*[.]$/s);
    expect(collapse(readText('docs/configuration.md'))).toContain(collapse(printReference(schema)));
    // Counted another way than the reference finds them.
    const printed = new Set(
      printReference(schema)
        .match(/^(?:## |\| )`[^`]+`/gm)
        ?.map((row) => row.split('`')[1]),
    );
    const names = propertyNames(JSON.parse(readText('config.schema.json'))).filter((name) => name !== '$schema');
    expect([...printed].map((path = '') => path.split('.').at(-1) ?? '').toSorted()).toEqual(names.toSorted());
  });
});

describe('the search for broken house rules can fail', () => {
  it.each([
    '/** Is how long it waits. */',
    '/** Says whether it works. */',
    '/** Tells one from another. */',
    '/** Has a text written. */',
    '/**\n * Knows prices.\n */',
    '  /** Names the thing. */',
  ])('for a weak docstring: %j', (text) => {
    expect(weakDocstrings(source(text))).toHaveLength(1);
    const good = '/** Isolates a thing. */\n/** Returns whether it is so. */\n/** Names of things. */';
    expect(weakDocstrings(source(good))).toEqual([]);
  });

  it.each(['/**', ' *', '    //'])('for a comment that is too long: %j', (start) => {
    const words = `${start} ${'x '.repeat(50)}`;
    expect(longComments(source(words))).toHaveLength(1);
    expect(longComments(source(words.slice(0, 100)))).toEqual([]);
  });

  it.each(['/** %. */', '/**\n * Short one.\n * %.\n */', '// %'])('for a sentence that is too long: %j', (comment) => {
    const words = (count: number): string => comment.replace('%', 'Word '.repeat(count).trim());
    expect(longSentences(source(`${words(26)}\n`))).toHaveLength(1);
    expect(longSentences(source(`${words(25)}\n`))).toEqual([]);
    expect(longSentences(source(`${words(20)}\n\n${words(20)}\n`))).toEqual([]);
    expect(longSentences(source(`const text = \`${words(26)}\`;\n`))).toEqual([]);
  });

  it.each([
    "throw new Error('--since is no time');",
    'const text = `${name} is no name: x`;',
    'const text = "it is no text";',
    'const text = `a ${b ? `c is no d` : "e"} f`;',
    'const shape = /[\'"`]/; throw new Error("it is no text");',
  ])('for "is no" in a message: %j', (text) => {
    expect(isNoInStrings(source(text))).toHaveLength(1);
  });

  it.each([
    "// it is no text, and it's a comment",
    '/* is no text */',
    "const text = 'there is no key';",
    "const text = 'it is no longer used';",
    "const text = 'is not a time';",
  ])('but not for English or a comment: %j', (text) => {
    expect(isNoInStrings(source(text))).toEqual([]);
  });

  it.each(["{ remedy: 'start again' }", '{ hint: `see ${file}` }', "const hint = isNew ? 'a' : 'b';"])(
    'for an action that is worded elsewhere: %j',
    (text) => {
      expect(strayRemedies(source(text, 'src/refreshers/account.ts'))).toHaveLength(1);
      expect(strayRemedies(source(text, 'src/refreshers/messages.ts'))).toEqual([]);
      expect(strayRemedies(source('{ hint: warning.hint }', 'src/refreshers/account.ts'))).toEqual([]);
    },
  );

  it.each([
    'await fetch(url);',
    'run({ fetch });',
    'run({ clock, fetch, });',
    'const send = globalThis.fetch;',
    'function run(send: typeof fetch = fetch) {}',
    'const send = fetch;',
  ])("for a use of Node's own fetch: %j", (text) => {
    expect(globalFetch(source(text))).toHaveLength(1);
  });

  it.each([
    'interface A { readonly fetch: typeof fetch; }',
    'await this.#options.fetch(url);',
    'run({ fetch: tools.fetch });',
    '// fetch(url)',
    "const text = 'fetch(url)';",
    'await fetchModels(provider);',
    'class A { get fetch(): Send {} }',
  ])('but not for another thing of that name: %j', (text) => {
    expect(globalFetch(source(text))).toEqual([]);
  });

  it.each([
    "import { request } from 'node:http';",
    "import http from 'node:https';",
    "import {\n  type Server,\n  createServer,\n} from 'node:http';",
  ])('for an eager import of node:http: %j', (text) => {
    expect(eagerHttp(source(text))).toHaveLength(1);
    const good = "import type { Server } from 'node:http';\nimport { connect } from 'node:net';\n// from 'node:http';";
    expect(eagerHttp(source(good))).toEqual([]);
  });

  it.each([
    'const timer = setTimeout(run, 10);',
    'setInterval(() => {}, 10);',
    "import { setTimeout as delay } from 'node:timers/promises';",
    'const at = Date.now();',
    'run({ now: performance.now });',
    'const text = new Date().toISOString();',
  ])('for time beside the clock: %j', (text) => {
    expect(bareTime(source(text))).toHaveLength(1);
    const good =
      "socket.setTimeout(5);\nclearTimeout(timer);\nnew Date(at);\nclock.now();\n// Date.now()\n'Date.now()';";
    expect(bareTime(source(good))).toEqual([]);
  });

  it('for a path that leads nowhere', () => {
    const text = 'see `src/base/gone.ts`, `base/gone.ts`, `src/base/json.ts`, `base/json.ts`, `src/base` and `a.ts`';
    const there = new Set(['src/base/json.ts', 'src/base']);
    expect(deadPaths(source(text, 'docs/a.md'), (path) => there.has(path))).toEqual([
      'docs/a.md: src/base/gone.ts',
      'docs/a.md: base/gone.ts',
    ]);
  });

  it('for a name that the code does not have', () => {
    const code = source("// makeNothing\nfunction makeThing() { return 'keyCheck'; }");
    const page = source('`makeNothing`, `makeThing()`, `keyCheck`, `word` and nowhereFound()', 'docs/a.md');
    expect(deadNames(page, code)).toEqual(['docs/a.md: makeNothing', 'docs/a.md: nowhereFound']);
    const comment = source('/** Calls `makeNothing()`. */\nconst text = `makeOther`;');
    expect(deadNames(comment, code)).toEqual(['src/base/bad.ts: makeNothing']);
  });

  it.each([
    'export interface GatewayParts {',
    'interface Start {',
    'type RequestFacts = { readonly a: 1 };',
    'class Surroundings<T> {',
    'interface AttemptSubject extends Other {',
    'export interface ThreadData {',
    'interface HttpControl {',
    'type EventRecorder = { readonly a: 1 };',
    'interface Judging {',
  ])('for a bag with a suffix of its own: %j', (text) => {
    expect(bagNames(source(text))).toHaveLength(1);
    const good = "// interface Parts {\nimport { type Parts } from 'x';\ninterface PartsList {\ntype FreshStart_ = 1;";
    expect(bagNames(source(good))).toEqual([]);
  });

  it.each([
    'if (status === 429) wait();',
    'switch (status) {\n  case 401:\n}',
    'const OTHERS = new Set([400, 402]);',
    'return [401, 403].includes(status);',
    'return answer.status !== 403;',
    'return status === 425 || status >= 500;',
    'const patient = [408, 425].includes(status);',
  ])('for a decision by a status that may be about a key: %j', (text) => {
    expect(judgedStatuses(source(text))).toHaveLength(1);
    const good = "const check = { invalidStatuses: [401] }; // === 429\nif (status === 404) report('case 401');";
    expect(judgedStatuses(source(good))).toEqual([]);
  });

  it.each(['// @ts-expect-error', '// oxlint-disable-next-line', 'const a = b as any;', '// @ts-ignore'])(
    'for a check that is switched off: %j',
    (text) => {
      expect(suppressions(source(text))).toHaveLength(1);
    },
  );

  it('for a file without a header, and for a name that means nothing', () => {
    expect(missingHeaders(source('import x from "y";'))).toEqual(['src/base/bad.ts']);
    expect(missingHeaders(source('#!/usr/bin/env node\n/** Owns it. */'))).toEqual([]);
    expect(vagueNames(source('', 'src/base/utils.ts'))).toEqual(['src/base/utils.ts']);
  });

  it('for a setting: one in an object that may be null, in a list, or behind a name is found', () => {
    const child = { type: 'object', properties: { b: { type: 'string' } } };
    const schema: SettingSchema = {
      properties: {
        nullable: { anyOf: [child, { type: 'null' }] },
        list: { type: 'array', items: child },
        record: { type: 'object', additionalProperties: { anyOf: [child, { type: 'null' }] } },
      },
    };
    const paths = listSettings(schema).map(({ path }) => path);
    expect(paths).toEqual(['nullable', 'nullable.b', 'list', 'list[].b', 'record', 'record.<name>.b']);
    expect(propertyNames(schema)).toEqual(['nullable', 'b', 'list', 'b', 'record', 'b']);
    expect(printReference(schema)).toContain('| `nullable.b` | string |');
  });

  it('strings are told from comments, regular expressions and the expressions of templates', () => {
    const text = "const a = /'/; // it's\nconst b = 'b'; /* \"x\" */ const c = `d${f('e')}g`;";
    expect(stringsOf(text)).toEqual(['b', 'e', 'd${}g']);
  });
});

/** Returns the names under every `properties` of a JSON schema, at any depth. */
function propertyNames(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) =>
    key === 'properties'
      ? Object.entries(value).flatMap(([name, child]) => [name, ...propertyNames(child)])
      : propertyNames(value),
  );
}

/** Removes what Prettier adds when it aligns tables. */
function collapse(markdown: string): string {
  return markdown.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---').replaceAll('\\', '');
}
