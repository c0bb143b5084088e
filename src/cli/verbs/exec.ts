/**
 * The HTTP gateway from the command line: `aipassd exec` runs a program that was not written for
 * aipassd through it, and `gateway-token` makes tokens for callers of the loopback listener.
 *
 * The connection to the daemon is the lease: the token and the listener of the run end with it,
 * also when this process is killed. A daemon that restarted is asked for both again. The program
 * keeps the terminal, gets the signals, and its exit code is this command's.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { basename, join, resolve as resolvePath } from 'node:path';
import { type Backoff, backoffMs } from '../../base/backoff.ts';
import { foregroundClock } from '../../base/clock.ts';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { resolvePaths } from '../../base/paths.ts';
import { plainText } from '../../base/plain-text.ts';
import { shellQuote } from '../../base/shell-quote.ts';
import { delay } from '../../base/timers.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { GatewayAccess, GatewayDescription, GatewayOpenParams } from '../../protocol/gateway.ts';
import {
  buildEnvironment,
  environmentChanges,
  fileLines,
  gitVariables,
  googleCredentials,
  missingProvider,
  PROGRAMS_WITH_FILES,
  type Variables,
} from '../exec-environment.ts';
import type { Output } from '../output.ts';
import {
  defineVerb,
  flag,
  integer,
  JSON_FLAG,
  optionalWord,
  restWords,
  textListOption,
  textOption,
  UsageError,
  type VerbContext,
} from '../verb.ts';

/** Signals that are sent to one process; a terminal sends the others to both. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGWINCH'];
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];

/** This command line as git runs it for a password. */
const CREDENTIAL_HELPER = [process.execPath, resolvePath(process.argv[1] ?? ''), 'git-credential'] as const;

/** Exit codes of shells for a program that cannot be run, and for one that is not there. */
const EXIT_NOT_RUNNABLE = 126;
const EXIT_NOT_FOUND = 127;

/** Waits between two attempts to get the access back. */
const REOPEN_BACKOFF: Backoff = { firstMs: 100, maxMs: 2000, jitter: 0.2 };

/** Time for which the access may be gone before its user is warned, in milliseconds. */
const PATIENCE_MS = 5000;

export const exec = defineVerb({
  name: 'exec',
  summary: 'run a program whose LLM calls go through aipassd, without a key in its environment',
  details: [
    'Sets OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL, ANTHROPIC_API_KEY, GOOGLE_GEMINI_BASE_URL, GEMINI_API_KEY and the same names for every other provider with a key, and removes real keys from the environment.',
    'Their token is valid for this run only. Usage is recorded under the name of the program.',
  ],
  parameters: {
    provider: textListOption(
      'P',
      'let the program use this provider only (all that have keys without it)',
      'providers',
    ),
    google: textOption('NAME', 'serve Google credentials of this OAuth account to the program', {
      completion: 'accounts',
    }),
    git: flag('let git in the program take its passwords from the secrets git/<host>, without one in its environment'),
    print: flag(
      `show what would be set, and for ${PROGRAMS_WITH_FILES.join(', ')} the lines of its configuration file`,
    ),
    program: restWords('program to run, and its arguments'),
  },
  async run({ provider: providers, google, git, print: isPrinted, program: words }, context) {
    const { out, connect, signal } = context;
    const [program, ...args] = words;
    const more = git ? gitVariables(process.env, CREDENTIAL_HELPER) : {};
    if (isPrinted) {
      const aipass = await connect();
      const described = await aipass.request('gateway.describe', { providers }, { signal });
      print(program, described, more, out);
      warnOfMissing(program, providers, described.routes, out);
      return;
    }
    if (program === undefined) {
      throw new UsageError(
        'exec: <program …> is missing',
        'usage: aipassd exec [--provider P] -- program [argument …]',
      );
    }
    const aipass = await connect();
    const name = plainText(basename(program), 128);
    const run = { program: name, providers, google, ...(git ? { git } : {}) };
    const { port, token, routes } = await aipass.request('gateway.open', run, { signal });
    warnOfMissing(program, providers, routes, out);
    const gateway = { origin: `http://127.0.0.1:${port}`, token, routes };
    const env = { ...buildEnvironment(process.env, program, gateway), ...more };
    const folder = google === undefined ? undefined : mkdtempSync(join(tmpdir(), 'aipassd-'));
    const stopKeeping = keepAccess(aipass, run, { port, token }, out);
    try {
      if (google === undefined || folder === undefined) return await runProgram(program, args, env, context);
      const path = join(folder, 'google.json');
      writeFileSync(path, JSON.stringify(googleCredentials(google, gateway)), { mode: 0o600 });
      return await runProgram(program, args, { ...env, GOOGLE_APPLICATION_CREDENTIALS: path }, context);
    } finally {
      stopKeeping();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    }
  },
});

/** Warns where a program needs a provider that this run cannot use. */
function warnOfMissing(
  program: string | undefined,
  chosen: readonly string[] | undefined,
  routes: GatewayDescription['routes'],
  out: Pick<Output, 'warn'>,
): void {
  const missing = program === undefined ? undefined : missingProvider(program, routes);
  if (program === undefined || missing === undefined) return;
  const name = plainText(basename(program), 128);
  if (chosen === undefined || chosen.includes(missing)) {
    out.warn(`${name} needs ${missing}, which has no key`, `aipassd add ${missing}`);
  } else out.warn(`${name} needs ${missing}, which this run may not use`, `add --provider ${missing}`);
}

/** Runs a program in this terminal and returns its exit code, as shells give it. */
async function runProgram(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  { out, withUsersUmask }: Pick<VerbContext, 'out' | 'withUsersUmask'>,
): Promise<number> {
  let stopForwarding: (() => void) | undefined;
  try {
    const child = withUsersUmask(() => spawn(program, args, { stdio: 'inherit', env }));
    stopForwarding = forwardSignals(child);
    return await exitCodeOf(child);
  } catch (error) {
    const code = systemErrorCode(error);
    const isMissing = code === 'ENOENT';
    out.error(
      new AipassError('NOT_FOUND', `cannot run ${plainText(program, 200)}: ${code ?? 'unknown reason'}`, {
        hint: isMissing ? 'check its name and PATH' : 'check that it is a program that you may run',
      }),
    );
    return isMissing ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
  } finally {
    stopForwarding?.();
  }
}

function exitCodeOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** The terminal sent the signal to the program, too. */
function ignore(): void {}

/** Passes signals on to a program; the returned function ends that. */
function forwardSignals(child: ChildProcess): () => void {
  const isTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, pass);
  for (const signal of FROM_TERMINAL) process.on(signal, isTerminal ? ignore : pass);
  return () => {
    for (const signal of FORWARDED) process.off(signal, pass);
    for (const signal of FROM_TERMINAL) process.off(signal, isTerminal ? ignore : pass);
  };
}

/**
 * Keeps the access of a run until the returned function is called, through restarts of the daemon.
 * The program has port and token in its environment, where nobody can change them. So the daemon is
 * asked to serve the same ones again; it gets the hash of the token, and checks every right anew.
 */
function keepAccess(
  aipass: Pick<Aipass, 'request' | 'onLost'>,
  run: GatewayOpenParams,
  { port, token }: Pick<GatewayAccess, 'port' | 'token'>,
  out: Pick<Output, 'error' | 'note'>,
): () => void {
  const ended = new AbortController();
  const params = { ...run, port, tokenHash: createHash('sha256').update(token).digest('hex') };
  let isReopening = false;
  const reopen = async (): Promise<void> => {
    const lostAt = foregroundClock.monotonic();
    let reported: string | undefined;
    for (let failures = 1; !ended.signal.aborted; failures += 1) {
      const waited = await delay(foregroundClock, backoffMs(REOPEN_BACKOFF, failures, Math.random), ended.signal);
      if (waited === 'aborted') return;
      try {
        await aipass.request('gateway.reopen', params, { signal: ended.signal });
        if (reported !== undefined) out.note(`aipassd serves ${run.program} again`);
        return;
      } catch (error) {
        const failure = error instanceof AipassError ? error : new AipassError('INTERNAL', 'the request failed');
        const isOld = foregroundClock.monotonic() - lostAt >= PATIENCE_MS;
        if (!isOld || ended.signal.aborted || failure.message === reported) continue;
        reported = failure.message;
        const { code, message, hint } = failure;
        const problem = `${run.program} has no access to aipassd since its daemon restarted: ${message}`;
        out.error(new AipassError(code, problem, { hint }));
      }
    }
  };
  const onLost = (): void => {
    // A lost attempt is repeated by itself.
    if (isReopening) return;
    isReopening = true;
    void reopen().finally(() => {
      isReopening = false;
    });
  };
  const stopListening = aipass.onLost(onLost);
  return () => {
    stopListening();
    ended.abort();
  };
}

/** Shows what a run would set, and the lines of the program's configuration file. */
function print(program: string | undefined, { port, routes }: GatewayDescription, more: Variables, out: Output): void {
  const origin = `http://127.0.0.1:${port ?? '<port>'}`;
  const changes = environmentChanges(process.env, program ?? '', { origin, token: '<token>', routes });
  for (const [name, value] of Object.entries({ ...changes, ...more })) {
    if (value === undefined) out.line(`unset ${name}`);
    else out.line(`export ${name}=${shellQuote(value)}`);
  }
  const lines = program === undefined ? undefined : fileLines(program, origin, routes);
  if (lines !== undefined) out.line('', `# in ${lines.file}`, ...lines.lines);
  if (port === null) {
    out.note('the port is another one for each run: set gateway.port in the configuration for a fixed one');
  }
}

export const gatewayToken = defineVerb({
  name: 'gateway-token',
  summary: 'make a token for a caller of the HTTP gateway on loopback; without a name, list them',
  details: [
    'The token is shown once, and stored as a hash. Only one Unix user can present it, and gateway.port must be set in the configuration. A program that aipassd exec runs needs none.',
  ],
  parameters: {
    name: optionalWord('name that the requests are recorded under'),
    see: flag('allow it to read metrics, the status and provider credentials'),
    admin: flag('allow it to change provider credentials, where its user may'),
    uid: integer('N', [0, 0xffff_fffe], 'Unix user that may present it; your own without it'),
    remove: flag('remove the token of that name', ['see', 'admin']),
    json: JSON_FLAG,
  },
  async run({ name, see, admin, uid, remove: isRemoved, json }, { out, connect, signal }) {
    const aipass = await connect();
    if (name === undefined) {
      const { tokens } = await aipass.request('gateway.token.list', {}, { signal });
      if (json) out.json(tokens);
      else {
        const rows = tokens.map((one) => [
          one.name,
          String(one.uid),
          one.rights.join(', '),
          new Date(one.createdAt).toISOString(),
        ]);
        if (rows.length > 0) out.table([['name', 'uid', 'rights', 'made'], ...rows]);
        else out.line('there is no token yet: aipassd gateway-token <name> makes one');
      }
      return;
    }
    if (isRemoved) {
      const { removed } = await aipass.request('gateway.token.remove', { name }, { signal });
      if (!removed) {
        throw new AipassError('NOT_FOUND', `there is no token of that name (got "${name}")`, {
          hint: 'list them: aipassd gateway-token',
        });
      }
      return;
    }
    const created = await aipass.request('gateway.token.create', { name, uid, see, admin }, { signal });
    if (json) out.json(created);
    else out.line(created.token);
    if (created.replaced) out.note(`this token replaced the earlier one of "${name}", which is not valid any more`);
    if (created.port === null) {
      out.warn(
        'no listener takes this token: gateway.port is not set',
        `add "gateway": { "port": 8788 } to ${resolvePaths().config}, then restart the daemon`,
      );
    }
  },
});
