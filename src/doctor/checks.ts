/**
 * The checks of `aipassd doctor`, foundations first. A check changes nothing and throws nothing,
 * and no finding holds a secret.
 */

import { lstat, open, readFile, stat, statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readLines } from '../audit/lines.ts';
import { verifyAudit } from '../audit/verify.ts';
import { systemClock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { OTHERS_READ, OTHERS_WRITE, trustWarnings } from '../base/file-trust.ts';
import {
  describeCertificateFailure,
  describeNetwork,
  type NetworkReport,
  type NetworkSettings,
  openNetwork,
} from '../base/network.ts';
import type { Paths } from '../base/paths.ts';
import { shellQuote } from '../base/shell-quote.ts';
import { VERSION } from '../base/version.ts';
import type { ProviderInfo } from '../protocol/provider.ts';
import type { Status } from '../protocol/status.ts';
import { readUsableConfig } from '../providers/open.ts';
import { readWeakened } from '../service/sandbox.ts';

export interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'warning' | 'problem';
  readonly text: string;
  /** Action, usually a command; present unless the verdict is `ok`. */
  readonly hint?: string;
}

interface Findings {
  readonly ok: (text: string) => Finding;
  readonly warning: (text: string, hint: string) => Finding;
  readonly problem: (text: string, hint: string) => Finding;
}

function findingsOf(check: string): Findings {
  return {
    ok: (text) => ({ check, verdict: 'ok', text }),
    warning: (text, hint) => ({ check, verdict: 'warning', text, hint }),
    problem: (text, hint) => ({ check, verdict: 'problem', text, hint }),
  };
}

export interface DoctorDeps {
  readonly paths: Paths;
  /** User whose daemon and files are checked. */
  readonly uid: number;
  readonly nativeWorks: boolean;
  /** Path and expected text of the unit or plist; without a text it only has to exist. */
  readonly unit: { readonly path: string; readonly text: string | null };
  readonly installCommand: string;
  readonly askStatus: () => Promise<Status>;
  /** Environment of this process, which the daemon may not share. */
  readonly env: Record<string, string | undefined>;
  /** Whether the checks may contact providers. */
  readonly online: boolean;
}

export async function* runChecks(deps: DoctorDeps): AsyncGenerator<Finding> {
  const { paths } = deps;
  const shellProxy = deps.env['https_proxy'] || deps.env['HTTPS_PROXY'] || undefined;
  yield findingsOf('node').ok(`Node ${process.versions.node}`);
  yield judgeNative(deps.nativeWorks);
  const owner = await ownerOf(paths.socket);
  if (owner === null || owner === deps.uid) yield* checkOwn(deps);
  else yield foreignFiles(paths.socket, owner);
  const { status, findings } = await checkDaemon(deps.askStatus);
  yield* findings;
  if (status?.network !== undefined) {
    yield* checkNetwork(status.network, shellProxy);
    const { httpsProxy, httpProxy, noProxy } = status.network;
    const proxy = httpsProxy ?? httpProxy;
    // The daemon has its proxy from its own environment, which this shell does not share.
    if (proxy !== null && shellProxy === undefined && deps.env['HTTPS_PROXY'] === undefined)
      openNetwork({ proxy, noProxy }, deps.env);
  }
  if (deps.online && status !== null) yield* await checkProviders(status.providers.filter((one) => one.baseUrl !== ''));
}

/** Checks the files of the daemon's own user. */
async function* checkOwn({ paths, uid, unit, installCommand, env }: DoctorDeps): AsyncGenerator<Finding> {
  const config = checkConfig(paths.config);
  // The providers are asked on the way that the daemon takes.
  openNetwork(config.network, env);
  for (const rule of pathRules(paths, config.servesOthers)) yield await checkPath(rule, uid);
  yield await checkFreeSpace(paths.state);
  yield config.finding;
  yield await checkDatabase(paths.state, uid, config.database);
  yield await checkAudit(paths.audit);
  yield await checkUnit(unit.path, unit.text, installCommand);
}

function foreignFiles(socket: string, owner: number): Finding {
  const text = `the daemon behind ${socket} is that of uid ${owner}, who can check its files with: aipassd doctor`;
  return findingsOf('files').ok(`${text}; for the daemon of a whole machine: sudo aipassd doctor --system`);
}

/** Without native calls peers cannot be identified, and other users are rejected. */
function judgeNative(works: boolean): Finding {
  const { ok, warning } = findingsOf('native');
  return works
    ? ok('the kernel identifies callers')
    : warning(
        'koffi does not load, so the kernel cannot identify callers',
        'npm ls koffi, then install the package again',
      );
}

interface PathRule {
  readonly path: string;
  readonly kind: 'folder' | 'file' | 'socket';
  /** Mode bits that must not be set. */
  readonly forbidden: number;
  /** Action for a missing path; without one the path may be missing. */
  readonly whenMissing?: string;
  /** Whether root may own it as well. */
  readonly rootMayOwn?: true;
}

const OTHERS = 0o077;

function pathRules(paths: Paths, servesOthers: boolean): PathRule[] {
  return [
    { path: paths.secretsRoot, kind: 'folder', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: paths.secrets, kind: 'folder', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: paths.envFile, kind: 'file', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: join(paths.secrets, 'google_creds.json'), kind: 'file', forbidden: OTHERS },
    { path: join(paths.secrets, 'oauth'), kind: 'folder', forbidden: OTHERS },
    { path: paths.config, kind: 'file', forbidden: OTHERS_WRITE, rootMayOwn: true },
    { path: paths.state, kind: 'folder', forbidden: OTHERS, whenMissing: 'start the daemon once: aipassd run' },
    { path: paths.audit, kind: 'file', forbidden: OTHERS },
    // The daemon's rule: passing through is harmless.
    { path: paths.runtime, kind: 'folder', forbidden: servesOthers ? OTHERS_WRITE : OTHERS_READ | OTHERS_WRITE },
    {
      path: paths.socket,
      kind: 'socket',
      // The kernel then identifies each peer.
      forbidden: servesOthers ? 0 : OTHERS,
      whenMissing: 'start the daemon: aipassd install, or aipassd run',
    },
  ];
}

/** Checks the kind, owner and mode of a path. */
async function checkPath(rule: PathRule, uid: number): Promise<Finding> {
  const { ok, warning, problem } = findingsOf('files');
  const word = shellQuote(rule.path);
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(rule.path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT')
      return problem(`${rule.path} cannot be checked: ${code ?? 'unknown reason'}`, `ls -ld ${word}`);
    if ((await lstat(rule.path).catch(() => null))?.isSymbolicLink() === true)
      return problem(`${rule.path} is a link to nothing`, `rm ${word}`);
    return rule.whenMissing === undefined
      ? ok(`${rule.path} does not exist, which is fine`)
      : warning(`${rule.path} does not exist`, rule.whenMissing);
  }
  const is = found.isDirectory() ? 'folder' : found.isFile() ? 'file' : found.isSocket() ? 'socket' : 'other';
  if (is !== rule.kind) return problem(`${rule.path} is not a ${rule.kind}`, `check it: ls -ld ${word}`);
  if (found.uid !== uid && !(rule.rootMayOwn && found.uid === 0))
    return problem(`${rule.path} belongs to uid ${found.uid}, not ${uid}`, `sudo chown ${uid} ${word}`);
  if ((found.mode & rule.forbidden) !== 0) {
    const allowed = (found.mode & 0o777 & ~rule.forbidden).toString(8).padStart(3, '0');
    return problem(
      `${rule.path} is accessible to other users: mode ${printMode(found.mode)}`,
      `chmod ${allowed} ${word}`,
    );
  }
  return ok(`${rule.path}: mode ${printMode(found.mode)}, owner ${found.uid}`);
}

function printMode(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

/** Returns the owner of a path, or null if it can't be read. */
export async function ownerOf(path: string): Promise<number | null> {
  const found = await stat(path).catch(() => null);
  return found?.uid ?? null;
}

/** Free space below which the log, the audit and the usage of a busy day may not fit. */
const WARN_FREE_BYTES = 1024 ** 3;
const LEAST_FREE_BYTES = 100 * 1024 ** 2;

async function checkFreeSpace(path: string): Promise<Finding> {
  const { ok, warning, problem } = findingsOf('disk');
  try {
    const disk = await statfs(path);
    const freeBytes = disk.bavail * disk.bsize;
    const text = `${Math.floor(freeBytes / 1024 ** 2)} MB free for ${path}`;
    const hint = 'free some space: state, usage and audit are written there';
    if (freeBytes < LEAST_FREE_BYTES) return problem(text, hint);
    return freeBytes < WARN_FREE_BYTES ? warning(text, hint) : ok(text);
  } catch (error) {
    return warning(
      `cannot read the free space of the disk of ${path}: ${systemErrorCode(error) ?? 'unknown reason'}`,
      'start the daemon once: it makes the folder',
    );
  }
}

/** Checks the configuration; returns what other checks need of it. */
export function checkConfig(path: string): {
  readonly finding: Finding;
  readonly servesOthers: boolean;
  readonly database: string | undefined;
  readonly network: NetworkSettings;
} {
  const { ok, problem } = findingsOf('configuration');
  try {
    const { access, usage, network } = readUsableConfig(path, systemClock);
    return {
      finding: ok(`${path} is in order`),
      servesOthers: Object.values(access).some((list) => list.users.length + list.groups.length > 0),
      database: usage.database,
      network,
    };
  } catch (error) {
    const hint = error instanceof AipassError ? error.hint : undefined;
    const message = error instanceof Error ? error.message : String(error);
    return { finding: problem(message, hint ?? `edit ${path}`), servesOthers: false, database: undefined, network: {} };
  }
}

/** First bytes of a SQLite database (https://sqlite.org/fileformat2.html, section 1.3). */
const SQLITE_MAGIC = 'SQLite format 3\0';

/** Checks who writes the usage database, and its format; `setting` is the configuration's. */
async function checkDatabase(stateFolder: string, uid: number, setting = 'usage.db'): Promise<Finding> {
  const { ok, problem } = findingsOf('database');
  if (/^postgres(?:ql)?:\/\//i.test(setting)) return ok("usage is kept in PostgreSQL: see the daemon's status");
  const path = resolve(stateFolder, setting);
  const [fault] = trustWarnings([path], uid);
  if (fault) return problem(`${path} is not used, ${fault.subject}: ${fault.problem}`, fault.hint);
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(SQLITE_MAGIC.length), 0, SQLITE_MAGIC.length, 0);
      // A new database has no bytes until its first table.
      if (bytesRead === 0 || buffer.toString('latin1') === SQLITE_MAGIC) return ok(`${path} is a database`);
      return problem(
        `${path} is not a SQLite database`,
        `move it away and start the daemon again: mv ${shellQuote(path)} ${shellQuote(`${path}.broken`)}`,
      );
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return ok('no usage database yet');
    return problem(`${path} cannot be read: ${code ?? 'unknown reason'}`, `chmod 600 ${shellQuote(path)}`);
  }
}

async function checkAudit(path: string): Promise<Finding> {
  const { ok, problem } = findingsOf('audit');
  try {
    const outcome = await verifyAudit(readLines(path));
    return outcome.kind === 'intact'
      ? ok(
          `the audit is intact: ${outcome.records} lines${outcome.cutShort ? ', and an incomplete last line from a crash' : ''}`,
        )
      : problem(
          `line ${outcome.line} of ${path} ${outcome.problem}`,
          `the audit was changed: examine it, then move it away`,
        );
  } catch (error) {
    return problem(
      `${path} cannot be read: ${systemErrorCode(error) ?? 'unknown reason'}`,
      `chmod 600 ${shellQuote(path)}`,
    );
  }
}

/** Asks the daemon for its status; a failure explains why it does not run. */
export async function checkDaemon(
  ask: () => Promise<Status>,
): Promise<{ readonly status: Status | null; readonly findings: Finding[] }> {
  const { ok, warning, problem } = findingsOf('daemon');
  let status: Status;
  try {
    status = await ask();
  } catch (error) {
    const reason = error instanceof AipassError ? error : new AipassError('INTERNAL', String(error));
    return { status: null, findings: [problem(reason.message, reason.hint ?? 'aipassd install')] };
  }
  const findings = [ok(`it runs: pid ${status.pid}, version ${status.version}, Node ${status.node}`)];
  if (status.version !== VERSION) {
    findings.push(
      warning(
        `it is version ${status.version}, installed is ${VERSION}`,
        status.restart === undefined ? 'restart it' : `restart it: ${status.restart}`,
      ),
    );
  }
  const fresh = status.accounts.filter(({ action }) => action === null);
  if (fresh.length > 0) {
    const tokens = fresh.map(({ name, state }) => `${name} is ${state}`).join(', ');
    findings.push(findingsOf('tokens').ok(tokens));
  }
  for (const { subject, problem: text, hint } of status.warnings) findings.push(warning(`${subject}: ${text}`, hint));
  return { status, findings };
}

/** Checks that the unit or plist is up to date; with null, that it exists. */
async function checkUnit(path: string, expected: string | null, install: string): Promise<Finding> {
  const { ok, warning } = findingsOf('unit');
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return warning(`${path} does not exist: the daemon does not start by itself`, install);
  if (expected === null) return ok(`${path} exists`);
  const { whole, leftOut, reason } = readWeakened(text);
  if (leftOut.length > 0 && whole === expected) {
    const names = leftOut.map((line) => line.slice(0, line.indexOf('=') + 1)).join(', ');
    return warning(
      `${path} runs without part of its sandbox, because ${reason}: ${names}`,
      `allow it, then: ${install}`,
    );
  }
  return text === expected
    ? ok(`${path} is up to date`)
    : warning(`${path} does not match this version, Node and package`, install);
}

/** Time limit of one request, in milliseconds. */
const REACH_LIMIT_MS = 5000;

/** Sends a request to each provider, and compares the clock with the first date in an answer. */
async function checkProviders(providers: readonly ProviderInfo[]): Promise<Finding[]> {
  const results = await Promise.all(providers.map(reach));
  const clock = results.find((result) => result.clock !== undefined)?.clock;
  return [...results.map((result) => result.finding), ...(clock === undefined ? [] : [clock])];
}

/** Describes the daemon's way to the network; warns where only this shell has a proxy. */
function checkNetwork(report: NetworkReport, shellProxy: string | undefined): Finding[] {
  const { ok, warning } = findingsOf('network');
  const lines = describeNetwork(report);
  const findings = (
    lines.length === 0 ? ['the daemon uses no proxy and the usual certificate authorities'] : lines
  ).map((line) => ok(line));
  if (shellProxy !== undefined && report.httpsProxy === null) {
    findings.push(
      warning('HTTPS_PROXY is set here, and the daemon uses no proxy', 'set "network.proxy" in its configuration'),
    );
  }
  return findings;
}

async function reach({ name, baseUrl }: ProviderInfo): Promise<{ finding: Finding; clock?: Finding }> {
  const { ok, problem } = findingsOf('providers');
  const begun = performance.now();
  try {
    const response = await fetch(baseUrl, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(REACH_LIMIT_MS),
    });
    await response.body?.cancel();
    const tripMs = performance.now() - begun;
    const finding = ok(`${name} answers (${Math.round(tripMs)} ms)`);
    const date = response.headers.get('date');
    return date === null ? { finding } : { finding, clock: judgeClock(Date.now(), date, tripMs) };
  } catch (error) {
    const code = failureOf(error);
    const certificate = describeCertificateFailure(code, new URL(baseUrl).host);
    return {
      finding: problem(
        `${name} cannot be reached: ${certificate?.problem ?? code}`,
        certificate?.hint ?? `curl -sI ${baseUrl}`,
      ),
    };
  }
}

/** Returns why a fetch failed, without its message, which could quote the request. */
function failureOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `no answer within ${REACH_LIMIT_MS / 1000} s`;
  const cause = error instanceof Error ? error.cause : undefined;
  return systemErrorCode(cause) ?? systemErrorCode(error) ?? 'no connection';
}

/** Allowed clock skew, in milliseconds: Google refuses assertions that are some minutes off. */
const WARN_SKEW_MS = 30_000;
const MAX_SKEW_MS = 300_000;

/** Compares the clock with the `Date` of a server, which has whole seconds. */
function judgeClock(ownMs: number, serverDate: string, tripMs: number): Finding {
  const { ok, warning, problem } = findingsOf('clock');
  const serverMs = Date.parse(serverDate);
  if (Number.isNaN(serverMs)) return ok('no server sent its time');
  const offMs = Math.max(0, Math.abs(ownMs - serverMs) - tripMs - 1000);
  const text = `the clock is ${Math.round(offMs / 1000)} s off a server's`;
  const hint = 'set the clock: timedatectl set-ntp true (Linux), System Settings > Date & Time (macOS)';
  if (offMs > MAX_SKEW_MS) return problem(text, hint);
  return offMs > WARN_SKEW_MS ? warning(text, hint) : ok(offMs === 0 ? "the clock agrees with a server's" : text);
}
