/**
 * OAuth and MCP servers that accounts are tried with: how each is installed, started and stopped.
 *
 * Everything listens on 127.0.0.1 and ends with this process. A server that cannot be installed
 * here throws the reason.
 */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isRecord, parseJson, readString } from '../../src/base/json.ts';
import { oauthDocument, type Document } from '../support/account-files.ts';
import { OauthServer } from '../support/oauth-server.ts';
import { freePort } from '../support/port-of.ts';
import { until } from '../support/until.ts';
import type { UserFields } from './browser.ts';

/** Server that runs. */
export interface RunningServer {
  readonly version: string;
  /** Document of an account at it. */
  readonly document: Document;
  /** What its user enters into its forms. */
  readonly user?: UserFields;
  /** Address, for an MCP server. */
  readonly mcp?: string;
  stop(): Promise<void>;
}

/**
 * Versions that are installed; a change of one is a change of the table in docs/oauth-providers.md.
 */
const KEYCLOAK = '26.4.7';
const HYDRA = 'v2.3.0';
const HYDRA_POP = 'github.com/gobuffalo/pop/v6=github.com/ory/pop/v6@v6.2.1-0.20241121111754-e5dfc0f3344b';
const AUTHLIB = '1.9.10';
const PYTHON_MCP = '2.3.0';
const MOCK_OAUTH2 = '2.3.0';

const CACHE = process.env['AIPASSD_OAUTH_SERVERS'] ?? join(tmpdir(), 'aipassd-oauth-servers');
const HERE = dirname(fileURLToPath(import.meta.url));
const CLIENT = { client_id: 'app', client_secret: 'app-secret-0123456789abcdef' };

/** Longest time for a server to start, in milliseconds: Keycloak builds itself first. */
const START_LIMIT_MS = 6 * 60_000;

/**
 * Longest time for a download or a build, in milliseconds: Hydra's first build takes 20 minutes on
 * two busy cores.
 */
const INSTALL_LIMIT_MS = 60 * 60_000;

const run = promisify(execFile);

/** Servers, in the order in which they are tried. */
export const SERVERS: readonly { readonly name: string; readonly start: () => Promise<RunningServer> }[] = [
  { name: 'oidc-provider', start: startOidcProvider },
  { name: 'MCP TypeScript SDK (example server)', start: startMcpExample },
  { name: 'MCP Python SDK', start: startPythonMcp },
  { name: 'Authlib', start: startAuthlib },
  { name: 'Keycloak', start: startKeycloak },
  { name: 'Ory Hydra', start: startHydra },
  { name: 'mock-oauth2-server', start: startMockOauth2 },
];

async function startOidcProvider(): Promise<RunningServer> {
  const server = await OauthServer.start();
  return {
    version: await packageVersion('oidc-provider'),
    document: oauthDocument(server.issuer, { scopes: ['offline_access', 'read', 'write'] }),
    stop: async () => await server[Symbol.asyncDispose](),
  };
}

async function startMcpExample(): Promise<RunningServer> {
  const [port, authPort] = [await freePort(), await freePort()];
  const main = import.meta.resolve('@modelcontextprotocol/sdk/server/index.js');
  const entry = fileURLToPath(new URL('../examples/server/simpleStreamableHttp.js', main));
  const child = start(process.execPath, [entry, '--oauth', '--oauth-strict'], {
    MCP_PORT: String(port),
    MCP_AUTH_PORT: String(authPort),
  });
  await listening(child, `http://localhost:${port}/`, `http://localhost:${authPort}/`);
  return {
    version: await packageVersion('@modelcontextprotocol/sdk'),
    document: {},
    mcp: `http://localhost:${port}/mcp`,
    stop: () => stop(child),
  };
}

async function startPythonMcp(): Promise<RunningServer> {
  const python = await pythonWith(`mcp==${PYTHON_MCP}`, 'uvicorn');
  const port = await freePort();
  const child = start(python, [join(HERE, 'mcp_server.py'), String(port)]);
  await listening(child, `http://127.0.0.1:${port}/`);
  return { version: PYTHON_MCP, document: {}, mcp: `http://127.0.0.1:${port}/mcp`, stop: () => stop(child) };
}

async function startAuthlib(): Promise<RunningServer> {
  const python = await pythonWith(`Authlib==${AUTHLIB}`, 'Flask');
  const port = await freePort();
  const child = start(python, [join(HERE, 'authlib_server.py'), String(port)]);
  const issuer = `http://127.0.0.1:${port}`;
  await listening(child, `${issuer}/.well-known/oauth-authorization-server`);
  // The method is not written: the server publishes two, and takes one of them from this client.
  return { version: AUTHLIB, document: { issuer, ...CLIENT, scopes: ['read'] }, stop: () => stop(child) };
}

async function startKeycloak(): Promise<RunningServer> {
  const home = join(CACHE, `keycloak-${KEYCLOAK}`);
  if (!existsSync(home)) {
    const artifact = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK}:zip`;
    await install('mvn', ['-q', '-B', 'dependency:get', `-Dartifact=${artifact}`, '-Dtransitive=false']);
    await install('mvn', ['-q', '-B', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${CACHE}`]);
    await install('unzip', ['-q', '-o', join(CACHE, `keycloak-quarkus-dist-${KEYCLOAK}.zip`), '-d', CACHE]);
  }
  await mkdir(join(home, 'data/import'), { recursive: true });
  await writeFile(join(home, 'data/import/test-realm.json'), JSON.stringify(KEYCLOAK_REALM));
  const port = await freePort();
  const child = start(join(home, 'bin/kc.sh'), [
    'start-dev',
    '--http-host=127.0.0.1',
    `--http-port=${port}`,
    `--http-management-port=${await freePort()}`,
    '--import-realm',
    '--db=dev-mem',
  ]);
  const issuer = `http://127.0.0.1:${port}/realms/test`;
  await listening(child, `${issuer}/.well-known/openid-configuration`);
  return {
    version: KEYCLOAK,
    // With a slash too many, as people type it.
    document: { issuer: `${issuer}/`, ...CLIENT, scopes: ['openid', 'email'] },
    user: { username: 'alice', password: 'alice' },
    stop: () => stop(child),
  };
}

const KEYCLOAK_REALM = {
  realm: 'test',
  enabled: true,
  revokeRefreshToken: true,
  refreshTokenMaxReuse: 0,
  clients: [
    {
      clientId: CLIENT.client_id,
      secret: CLIENT.client_secret,
      redirectUris: ['http://127.0.0.1/*', 'http://127.0.0.1:*'],
      standardFlowEnabled: true,
      attributes: { 'pkce.code.challenge.method': 'S256', 'oauth2.device.authorization.grant.enabled': 'true' },
    },
  ],
  users: [
    {
      username: 'alice',
      enabled: true,
      email: 'alice@example.org',
      emailVerified: true,
      firstName: 'Alice',
      lastName: 'Example',
      credentials: [{ type: 'password', value: 'alice' }],
    },
  ],
};

async function startHydra(): Promise<RunningServer> {
  const folder = join(CACHE, `hydra-${HYDRA}`);
  const binary = join(folder, 'hydra');
  if (!existsSync(binary)) {
    await mkdir(folder, { recursive: true });
    if (!existsSync(join(folder, 'go.mod'))) await install('go', ['mod', 'init', 'servers'], folder);
    // Hydra's own go.mod replaces this module, which a module that only builds it has to repeat.
    await install('go', ['mod', 'edit', `-replace=${HYDRA_POP}`], folder);
    await install('go', ['get', '-tool', `github.com/ory/hydra/v2@${HYDRA}`], folder);
    await install('go', ['build', '-tags', 'sqlite', '-o', binary, 'github.com/ory/hydra/v2'], folder);
  }
  const [port, adminPort, loginPort] = [await freePort(), await freePort(), await freePort()];
  const issuer = `http://127.0.0.1:${port}`;
  const admin = `http://127.0.0.1:${adminPort}`;
  const child = start(binary, ['serve', 'all', '--dev', '--sqa-opt-out'], {
    DSN: 'memory',
    SECRETS_SYSTEM: 'a-secret-of-the-test-0123456789',
    SERVE_PUBLIC_HOST: '127.0.0.1',
    SERVE_PUBLIC_PORT: String(port),
    SERVE_ADMIN_HOST: '127.0.0.1',
    SERVE_ADMIN_PORT: String(adminPort),
    URLS_SELF_ISSUER: issuer,
    URLS_LOGIN: `http://127.0.0.1:${loginPort}/login`,
    URLS_CONSENT: `http://127.0.0.1:${loginPort}/consent`,
  });
  await listening(child, `${issuer}/.well-known/openid-configuration`);
  const made = await fetch(`${admin}/admin/clients`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...CLIENT,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: 'openid offline read',
      redirect_uris: ['http://127.0.0.1/callback'],
      token_endpoint_auth_method: 'client_secret_post',
    }),
  });
  if (!made.ok) throw new Error(`hydra made no client: ${await made.text()}`);
  const login = createServer((request, response) => {
    void acceptHydra(admin, new URL(request.url ?? '/', 'http://127.0.0.1')).then((location) =>
      response.writeHead(302, { location }).end(),
    );
  }).listen(loginPort, '127.0.0.1');
  return {
    version: HYDRA.slice(1),
    document: { issuer, ...CLIENT, scopes: ['openid', 'offline', 'read'] },
    stop: async () => {
      login.close();
      login.closeAllConnections();
      await stop(child);
    },
  };
}

/**
 * Accepts a login or a consent as Hydra's own pages would, and returns where the browser goes next.
 */
async function acceptHydra(admin: string, url: URL): Promise<string> {
  const kind = url.pathname.slice(1);
  const challenge = url.searchParams.get(`${kind}_challenge`) ?? '';
  const address = `${admin}/admin/oauth2/auth/requests/${kind}`;
  const asked = parseJson(await (await fetch(`${address}?${kind}_challenge=${challenge}`)).text());
  const scopes = isRecord(asked) ? asked['requested_scope'] : [];
  const body = kind === 'login' ? { subject: 'alice' } : { grant_scope: scopes };
  const answer = await fetch(`${address}/accept?${kind}_challenge=${challenge}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return readString(parseJson(await answer.text()), 'redirect_to') ?? '/';
}

async function startMockOauth2(): Promise<RunningServer> {
  const folder = join(CACHE, `mock-oauth2-server-${MOCK_OAUTH2}`);
  const jars = join(folder, 'jars');
  if (!existsSync(jars)) {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'pom.xml'), MOCK_POM);
    const parameters = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${jars}`];
    await install('mvn', parameters, folder);
  }
  if (readdirSync(jars).length === 0) throw new Error('no jar was found');
  const port = await freePort();
  const child = start('java', ['-cp', `${jars}/*`, 'no.nav.security.mock.oauth2.StandaloneMockOAuth2ServerKt'], {
    SERVER_HOSTNAME: '127.0.0.1',
    SERVER_PORT: String(port),
    JSON_CONFIG: JSON.stringify({ interactiveLogin: false, rotateRefreshToken: true, httpServer: 'NettyWrapper' }),
  });
  const issuer = `http://127.0.0.1:${port}/default`;
  await listening(child, `${issuer}/.well-known/openid-configuration`);
  return {
    version: MOCK_OAUTH2,
    document: { issuer, ...CLIENT, scopes: ['openid', 'offline_access'] },
    stop: () => stop(child),
  };
}

const MOCK_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>test</groupId><artifactId>servers</artifactId><version>1</version><dependencies><dependency>
<groupId>no.nav.security</groupId><artifactId>mock-oauth2-server</artifactId><version>${MOCK_OAUTH2}</version>
</dependency></dependencies></project>
`;

/** Returns the Python of an environment that has some packages. */
async function pythonWith(...packages: readonly string[]): Promise<string> {
  const folder = join(CACHE, `python-${packages.join('-').replace(/[^\w.-]/g, '')}`);
  const python = join(folder, 'bin/python');
  if (!existsSync(join(folder, 'installed'))) {
    await mkdir(CACHE, { recursive: true });
    await install('python3', ['-m', 'venv', folder]);
    await install(python, ['-m', 'pip', 'install', '--quiet', ...packages]);
    await writeFile(join(folder, 'installed'), '');
  }
  return python;
}

async function install(program: string, parameters: readonly string[], cwd = tmpdir()): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  try {
    await run(program, parameters, { cwd, timeout: INSTALL_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const output = isRecord(error) ? (readString(error, 'stderr') ?? '') + (readString(error, 'stdout') ?? '') : '';
    const isLate = isRecord(error) && error['killed'] === true;
    const found = output.split('\n').find((line) => /error|not found|cannot/i.test(line)) ?? '';
    const why = isLate ? `(not done in ${INSTALL_LIMIT_MS / 60_000} minutes)` : found;
    throw new Error(`${program} ${parameters.slice(0, 3).join(' ')} failed ${why.trim()}`, { cause: error });
  }
}

function start(
  program: string,
  parameters: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  // A group of its own, so that what it started ends with it.
  return spawn(program, parameters, { env: { ...process.env, ...env }, stdio: 'ignore', detached: true });
}

async function listening(child: ChildProcess, ...addresses: readonly string[]): Promise<void> {
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`it ended with ${String(code)}`)));
  });
  const answers = async (): Promise<boolean> => {
    for (const address of addresses) {
      const answer = await fetch(address).catch(() => undefined);
      if (answer === undefined || answer.status >= 500) return false;
      if (address.includes('.well-known') && !answer.ok) return false;
    }
    return true;
  };
  failed.catch(() => {});
  try {
    await Promise.race([until('the server answers', answers, START_LIMIT_MS), failed]);
  } catch (error) {
    await stop(child);
    throw error;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const ended = once(child, 'exit');
  process.kill(-child.pid, 'SIGTERM');
  const late = setTimeout(() => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, 5_000);
  await ended;
  clearTimeout(late);
}

async function packageVersion(name: string): Promise<string> {
  const text = await readFile(join(HERE, '../../node_modules', name, 'package.json'), 'utf8');
  return readString(parseJson(text), 'version') ?? 'unknown';
}
