/**
 * `npm run test:clients`: real clients, unmodified, from npm and PyPI, through `aipassd exec`
 * against a mock of their provider. What a registry does not give is reported and skipped.
 *
 * Of each client: its text arrives; the mock saw keys of the pool and nothing of the client's own
 * token; `aipassd stats` has the tokens; a 429 on the first key is not seen by it.
 *
 * Clients are installed into `.cache/clients` once. `npm run test:clients -- codex curl` runs some
 * of them.
 */

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileLines } from '../../src/cli/exec-environment.ts';
import { connect, type Aipass } from '../../src/client/index.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { Program } from '../support/run-program.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';
import { HELLO, startDialectMock, TOKENS, type DialectMock } from './mock.ts';

const CACHE = fileURLToPath(new URL('../../.cache/clients/', import.meta.url));
const PROGRAMS = fileURLToPath(new URL('programs/', import.meta.url));
const NODE_FOLDER = join(CACHE, 'node');

/** Time for one client, in milliseconds: some start slowly. */
const CLIENT_MS = 120_000;
const INSTALL_MS = 600_000;

/** Client, and how it is installed and run. */
interface Client {
  readonly name: string;
  /** Packages that it needs, with exact versions; of the system where there is none. */
  readonly npm?: readonly string[];
  readonly pip?: readonly string[];
  /** Folder of its Python packages; one of its own where its pins would replace those of others. */
  readonly venv?: string;
  /** Program of a compiled language: its file, and the commands that make it in its folder. */
  readonly make?: { readonly folder: string; readonly file: string; readonly script: string };
  /** Program and arguments after `aipassd exec … --`, or by itself with `isOverSocket`. */
  readonly command: readonly string[];
  /** Whether it asks `gateway.sock` without `aipassd exec`. */
  readonly isOverSocket?: boolean;
  readonly options?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Files of the home that it needs. */
  readonly files?: Readonly<Record<string, string>>;
  /** How often its output has the text. */
  readonly texts: number;
}

const pythonBinary = (name: string, venv = 'python'): string => join(CACHE, venv, 'bin', name);
const nodeProgram = (name: string): readonly string[] => [process.execPath, join(NODE_FOLDER, name)];
const pythonProgram = (name: string): readonly string[] => [pythonBinary('python'), join(PROGRAMS, name)];
const binary = (name: string): string => join(NODE_FOLDER, 'node_modules', '.bin', name);
const CHAT = '{"model":"gpt-5-mini","messages":[{"role":"user","content":"hi"}]}';

const CLIENTS: readonly Client[] = [
  { name: 'openai-node', npm: ['openai@7.59.0'], command: nodeProgram('openai.mjs'), texts: 7 },
  { name: 'openai-python', pip: ['openai==3.57.0'], command: pythonProgram('use_openai.py'), texts: 6 },
  { name: 'anthropic-node', npm: ['@anthropic-ai/sdk@1.14.0'], command: nodeProgram('anthropic.mjs'), texts: 4 },
  { name: 'anthropic-python', pip: ['anthropic==2.14.0'], command: pythonProgram('use_anthropic.py'), texts: 2 },
  { name: 'google-genai-node', npm: ['@google/genai@3.3.0'], command: nodeProgram('genai.mjs'), texts: 3 },
  { name: 'google-genai-python', pip: ['google-genai==3.6.1'], command: pythonProgram('use_genai.py'), texts: 3 },
  {
    name: 'go',
    make: {
      folder: 'go',
      file: 'main.go',
      script: `[ -f go.mod ] || go mod init client
        go get github.com/openai/openai-go/v3@v3.98.0 github.com/anthropics/anthropic-sdk-go/v2@v2.15.0 \
          google.golang.org/genai@v1.77.0 && go mod tidy && go build -o client .`,
    },
    command: [join(CACHE, 'go', 'client')],
    texts: 7,
  },
  {
    name: 'rust',
    make: {
      folder: 'rust/src',
      file: 'main.rs',
      script: `cd .. && { [ -f Cargo.toml ] || cargo init --name client .; }
        cargo add async-openai@=0.43.0 --features full && cargo add tokio@1 --features full &&
          cargo add futures@0.3 && cargo build --quiet`,
    },
    command: [join(CACHE, 'rust', 'target', 'debug', 'client')],
    texts: 2,
  },
  {
    name: 'java',
    make: {
      folder: 'java/src/main/java',
      file: 'Main.java',
      script: `cd ../../.. && cat >pom.xml <<END
        <project xmlns="http://maven.apache.org/POM/4.0.0">
          <modelVersion>4.0.0</modelVersion>
          <groupId>client</groupId><artifactId>client</artifactId><version>1</version>
          <properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target></properties>
          <dependencies>
            <dependency><groupId>com.openai</groupId><artifactId>openai-java</artifactId><version>4.101.0</version></dependency>
            <dependency><groupId>com.anthropic</groupId><artifactId>anthropic-java</artifactId><version>3.14.0</version></dependency>
          </dependencies>
        </project>
END
        mvn -q -B compile dependency:copy-dependencies`,
    },
    command: [
      'java',
      '-cp',
      ['classes', 'dependency/*'].map((name) => join(CACHE, 'java', 'target', name)).join(':'),
      'Main',
    ],
    texts: 3,
  },
  {
    name: 'curl',
    command: [
      'sh',
      '-c',
      `curl -sS "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" -H 'Content-Type: application/json' -d '${CHAT}'`,
    ],
    texts: 1,
  },
  {
    name: 'claude-code',
    npm: ['@anthropic-ai/claude-code@2.1.197'],
    command: [binary('claude'), '-p', 'hi'],
    env: { DISABLE_AUTOUPDATER: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    texts: 1,
  },
  {
    name: 'codex',
    npm: ['@openai/codex@0.171.0'],
    // The shell puts in what only the run knows; the address in the environment is not read.
    command: [
      'sh',
      '-c',
      `exec ${binary('codex')} -c "openai_base_url=\\"$OPENAI_BASE_URL\\"" exec --skip-git-repo-check hi </dev/null`,
    ],
    texts: 1,
  },
  {
    name: 'ai-sdk',
    npm: ['ai@7.0.173', '@ai-sdk/openai@4.0.118', '@ai-sdk/anthropic@4.0.105', '@ai-sdk/openai-compatible@3.0.92'],
    command: nodeProgram('ai-sdk.mjs'),
    texts: 4,
  },
  { name: 'langchain-node', npm: ['@langchain/openai@1.6.0'], command: nodeProgram('langchain.mjs'), texts: 3 },
  { name: 'langchain-python', pip: ['langchain-openai==1.7.4'], command: pythonProgram('use_langchain.py'), texts: 3 },
  {
    name: 'langchain-others-node',
    npm: ['@langchain/anthropic@1.5.11', '@langchain/google-genai@2.3.2'],
    command: nodeProgram('langchain-others.mjs'),
    texts: 4,
  },
  {
    name: 'langchain-others-python',
    pip: [
      'langchain-anthropic==1.7.10',
      'langchain-google-genai==4.4.3',
      'langchain-groq==1.1.3',
      'langchain-mistralai==1.1.6',
    ],
    venv: 'langchain',
    command: [pythonBinary('python', 'langchain'), join(PROGRAMS, 'use_langchain_others.py')],
    texts: 8,
  },
  {
    name: 'pydantic-ai',
    pip: ['pydantic-ai-slim[openai,anthropic,google]==2.68.0'],
    venv: 'pydantic-ai',
    command: [pythonBinary('python', 'pydantic-ai'), join(PROGRAMS, 'use_pydantic_ai.py')],
    texts: 8,
  },
  {
    name: 'openai-agents-node',
    npm: ['@openai/agents@0.20.0'],
    command: nodeProgram('openai-agents.mjs'),
    texts: 2,
  },
  {
    name: 'openai-agents-python',
    pip: ['openai-agents==0.24.0', 'openai==3.57.0'],
    command: pythonProgram('use_openai_agents.py'),
    texts: 3,
  },
  { name: 'mistral-node', npm: ['@mistralai/mistralai@2.7.0'], command: nodeProgram('mistral.mjs'), texts: 2 },
  { name: 'mistral-python', pip: ['mistralai==3.7.0'], command: pythonProgram('use_mistral.py'), texts: 2 },
  { name: 'groq-node', npm: ['groq-sdk@1.6.0'], command: nodeProgram('groq.mjs'), texts: 2 },
  { name: 'groq-python', pip: ['groq==1.7.0'], command: pythonProgram('use_groq.py'), texts: 3 },
  {
    name: 'instructor',
    pip: ['instructor==1.17.0', 'openai==3.3.0'],
    venv: 'instructor',
    command: [pythonBinary('python', 'instructor'), join(PROGRAMS, 'use_instructor.py')],
    texts: 2,
  },
  {
    name: 'socket-node',
    npm: ['openai@7.59.0', '@anthropic-ai/sdk@1.14.0', 'ai@7.0.173', '@ai-sdk/openai@4.0.118', 'undici@8.13.1'],
    command: nodeProgram('socket.mjs'),
    isOverSocket: true,
    texts: 4,
  },
  {
    name: 'socket-python',
    pip: ['openai==3.57.0', 'anthropic==2.14.0', 'google-genai==3.6.1', 'langchain-openai==1.7.4'],
    command: pythonProgram('use_socket.py'),
    isOverSocket: true,
    texts: 4,
  },
  {
    name: 'socket-curl',
    command: [
      'sh',
      '-c',
      `curl -sS --unix-socket "$GATEWAY_SOCKET" http://aipassd/openai/v1/chat/completions -H 'Content-Type: application/json' -d '${CHAT}'`,
    ],
    isOverSocket: true,
    texts: 1,
  },
  {
    name: 'socket-claude-code',
    npm: ['@anthropic-ai/claude-code@2.1.197'],
    // Its own way over a Unix socket, meant for its remote sessions.
    command: [
      'sh',
      '-c',
      `ANTHROPIC_UNIX_SOCKET="$GATEWAY_SOCKET" ANTHROPIC_BASE_URL=http://localhost ANTHROPIC_AUTH_TOKEN=unused exec ${binary('claude')} -p hi`,
    ],
    env: { DISABLE_AUTOUPDATER: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    isOverSocket: true,
    texts: 1,
  },
  { name: 'litellm', pip: ['litellm==1.110.2'], command: pythonProgram('use_litellm.py'), texts: 5 },
  {
    name: 'llm',
    pip: ['llm==0.36'],
    command: [pythonBinary('llm'), '-m', 'gpt-4o-mini', '--no-stream', 'hi'],
    texts: 1,
  },
  {
    name: 'llm-anthropic',
    pip: ['llm==0.36', 'llm-anthropic==0.30'],
    venv: 'llm',
    command: [pythonBinary('llm', 'llm'), '-m', 'claude-3-opus', 'hi'],
    texts: 1,
  },
  {
    name: 'aider',
    pip: ['aider-chat==0.86.2'],
    venv: 'aider',
    command: [
      pythonBinary('aider', 'aider'),
      '--model',
      'openai/gpt-4o-mini',
      '--message',
      'hi',
      '--no-git',
      '--yes-always',
      '--no-check-update',
    ],
    env: { AIDER_ANALYTICS: 'false' },
    texts: 1,
  },
  {
    name: 'continue',
    npm: ['@continuedev/cli@1.5.47'],
    command: [binary('cn'), '-p', 'hi', '--config', 'config.yaml'],
    files: {
      'config.yaml': linesFor('cn').join('\n'),
    },
    texts: 1,
  },
  {
    name: 'cline',
    npm: ['cline@3.0.65'],
    // It reads neither address nor key from the environment: its own command stores them in a
    // folder of this run.
    command: [
      'sh',
      '-c',
      [
        `cline() { ${binary('cline')} "$@" --data-dir run </dev/null; }`,
        'cline auth -p openai-compatible -k "$OPENAI_API_KEY" -b "$OPENAI_BASE_URL" -m gpt-4o-mini',
        "cline -P openai-compatible 'say hi'",
      ].join('\n'),
    ],
    texts: 1,
  },
  {
    name: 'gemini-cli',
    npm: ['@google/gemini-cli@0.61.0'],
    command: [binary('gemini'), '--skip-trust', '-m', 'gemini-2.5-flash', '-p', 'hi'],
    files: { '.gemini/settings.json': '{ "security": { "auth": { "selectedType": "gemini-api-key" } } }' },
    texts: 1,
  },
  {
    name: 'opencode',
    npm: ['opencode-ai@1.18.33'],
    command: [binary('opencode'), 'run', '--model', 'openai/gpt-5-mini', 'hi'],
    files: {
      '.config/opencode/opencode.json': JSON.stringify({
        provider: { openai: { options: { baseURL: '{env:OPENAI_BASE_URL}', apiKey: '{env:OPENAI_API_KEY}' } } },
      }),
    },
    texts: 1,
  },
];

/** Returns the lines that `aipassd exec --print` shows for a program. */
function linesFor(program: string): readonly string[] {
  const routes = { openai: 'openai', anthropic: null, gemini: null, providers: ['openai'], known: [] };
  return fileLines(program, 'http://127.0.0.1', routes)?.lines ?? [];
}

/** Keys of the pool; none of them is anywhere else. */
const KEYS: Readonly<Record<string, string>> = Object.fromEntries(
  ['OPENAI', 'ANTHROPIC', 'GOOGLE', 'GROQ', 'MISTRAL'].flatMap((provider) =>
    ['', '_2', '_3', '_4'].map((number) => [
      `${provider}_API_KEY${number}`,
      `canary-${provider}${number}-0123456789abcdef0123456789abcdef`,
    ]),
  ),
);

/** Result of one client. */
type Result = { readonly kind: 'passed' } | { readonly kind: 'skipped' | 'failed'; readonly reason: string };

const only = process.argv.slice(2);
const results: { readonly name: string; readonly result: Result }[] = [];
for (const client of CLIENTS.filter(({ name }) => only.length === 0 || only.includes(name))) {
  const started = performance.now();
  const missing = install(client);
  const result: Result = missing === undefined ? await tryClient(client) : { kind: 'skipped', reason: missing };
  results.push({ name: client.name, result });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const reason = result.kind === 'passed' ? '' : `: ${result.reason}`;
  process.stdout.write(`${result.kind.padEnd(8)} ${client.name.padEnd(20)} ${seconds.padStart(6)} s${reason}\n`);
}
const count = (kind: Result['kind']): number => results.filter(({ result }) => result.kind === kind).length;
process.stdout.write(`clients: ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped\n`);
process.exitCode = count('failed') === 0 ? 0 : 1;

/** Installs what a client needs, and returns why that is not possible. */
function install({ npm = [], pip = [], venv, make, command }: Client): string | undefined {
  if (make) {
    const folder = join(CACHE, make.folder);
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(PROGRAMS, make.file), join(folder, make.file));
    const failure = run('sh', ['-c', make.script], { cwd: folder });
    if (failure !== undefined) return `${make.folder}: ${failure}`;
  }
  mkdirSync(NODE_FOLDER, { recursive: true });
  if (!existsSync(join(NODE_FOLDER, 'package.json')))
    writeFileSync(join(NODE_FOLDER, 'package.json'), '{"private":true}');
  const absent = npm.filter((spec) => !isInstalled(spec));
  if (absent.length > 0) {
    const failure = run('npm', ['install', '--no-audit', '--no-fund', '--save-exact', ...absent], { cwd: NODE_FOLDER });
    if (failure !== undefined) return `npm: ${failure}`;
  }
  // Programs find their packages from where they are.
  for (const name of command.filter((word) => word.startsWith(NODE_FOLDER) && word.endsWith('.mjs'))) {
    copyFileSync(join(PROGRAMS, basename(name)), name);
  }
  if (pip.length === 0) return undefined;
  const python = pythonBinary('python', venv);
  if (!existsSync(python)) {
    const failure = run('python3', ['-m', 'venv', dirname(dirname(python))]);
    if (failure !== undefined) return `python: ${failure}`;
  }
  const failure = run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...pip]);
  return failure === undefined ? undefined : `pip: ${failure}`;
}

function isInstalled(spec: string): boolean {
  const at = spec.lastIndexOf('@');
  const path = join(NODE_FOLDER, 'node_modules', spec.slice(0, at), 'package.json');
  if (!existsSync(path)) return false;
  const document: unknown = JSON.parse(readFileSync(path, 'utf8'));
  return typeof document === 'object' && document !== null && Reflect.get(document, 'version') === spec.slice(at + 1);
}

/** Runs an installer, and returns the end of its complaint where it failed. */
function run(program: string, args: readonly string[], options: { readonly cwd?: string } = {}): string | undefined {
  const { status, stderr, error } = spawnSync(program, args, { ...options, encoding: 'utf8', timeout: INSTALL_MS });
  if (status === 0) return undefined;
  return error?.message ?? stderr.trim().split('\n').at(-1) ?? `exit code ${status}`;
}

/** Runs one client against a daemon of its own. */
async function tryClient(client: Client): Promise<Result> {
  await using mock = await startDialectMock();
  await using home = await prepareHome(client, mock);
  await using daemon = await DaemonProcess.start(home);
  const aipass = await connect({ socket: home.paths.socket, caller: 'test-clients' });
  try {
    mock.limitNext();
    const { isOverSocket = false, options = [], command } = client;
    const words = isOverSocket ? command : [process.execPath, CLI_PATH, 'exec', ...options, '--', ...command];
    const env = { ...home.env, ...client.env, ...(isOverSocket ? { GATEWAY_SOCKET: home.paths.gatewaySocket } : {}) };
    const [file = '', ...args] = words;
    await using program = new Program(file, args, { env, cwd: home.path });
    const { code, stdout, stderr } = await program.result(CLIENT_MS);
    const texts = stdout.split(HELLO).length - 1;
    if (code !== 0 || texts < client.texts) {
      const output = `${stdout}\n${stderr}`.trim().slice(-600);
      return { kind: 'failed', reason: `exit code ${code}, ${texts} of ${client.texts} texts:\n${output}` };
    }
    const problem = findProblem(mock) ?? (await findMissingUsage(aipass, mock, client)) ?? findLeak(daemon);
    return problem === undefined ? { kind: 'passed' } : { kind: 'failed', reason: problem };
  } finally {
    await aipass.close();
  }
}

async function prepareHome(client: Client, mock: DialectMock): Promise<TempHome> {
  const home = makeTempHome();
  await home.writeKeys(KEYS);
  await home.writeConfig({
    defaultProvider: 'openai',
    providers: {
      openai: { baseUrl: `${mock.origin}/v1` },
      anthropic: { baseUrl: `${mock.origin}/v1` },
      google: { baseUrl: `${mock.origin}/v1beta/openai` },
      groq: { baseUrl: `${mock.origin}/openai/v1` },
      mistral: { baseUrl: `${mock.origin}/v1` },
    },
  });
  for (const [name, text] of Object.entries(client.files ?? {})) {
    const path = join(home.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return home;
}

/**
 * Checks that the mock saw keys of the pool, at least two of them, and nothing that belongs to the
 * client.
 */
function findProblem({ seen }: DialectMock): string | undefined {
  const known = new Set(Object.values(KEYS));
  const used = new Set<string>();
  for (const { credentials, path, everything } of seen) {
    if (everything.includes('aip-')) return `the token of the run reached the provider (${path})`;
    if (credentials.length !== 1) return `${credentials.length} credentials came with ${path}`;
    for (const credential of credentials) {
      if (!known.has(credential)) return `a credential that is not of the pool came with ${path}`;
      used.add(credential);
    }
  }
  return used.size >= 2 ? undefined : 'the refused key was not followed by another one';
}

/**
 * Checks that the usage of the run is what the mock gave, and that no call ended in a failure. Over
 * the Unix socket, calls are recorded under the names of the SDKs.
 */
async function findMissingUsage(
  aipass: Aipass,
  mock: DialectMock,
  { command, isOverSocket = false }: Client,
): Promise<string | undefined> {
  const { total, groups } = await aipass.stats({ by: 'caller' });
  const name = basename(command[0] ?? '');
  const figures = isOverSocket ? total : groups.find((one) => one.name === name)?.figures;
  if (figures === undefined) return `nothing is recorded for ${name}`;
  const { requests, failed, tokens } = figures;
  if (failed > 0) return `${failed} of ${requests} calls are recorded as failed`;
  const isCounted = tokens.prompt > 0 && tokens.prompt % TOKENS.input === 0 && tokens.completion % TOKENS.output === 0;
  return isCounted
    ? undefined
    : `the tokens are ${tokens.prompt} in and ${tokens.completion} out (${mock.seen.length} requests)`;
}

/** Checks that no key is in the daemon's output. */
function findLeak({ stdout, stderr }: DaemonProcess): string | undefined {
  return Object.values(KEYS).some((key) => `${stdout}${stderr}`.includes(key)) ? 'a key is in the log' : undefined;
}
