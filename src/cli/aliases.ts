/**
 * Words that people type out of habit, and the command that they mean here. A verb of the same name
 * always goes first.
 */

import type { Paths } from '../base/paths.ts';
import { serviceCommands } from '../base/start-command.ts';

/** Words that stand for a command, with the words of that command. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  accounts: ['status', '--all'],
  'add-key': ['add'],
  ask: ['call'],
  auth: ['reauth'],
  chat: ['call'],
  check: ['doctor'],
  complete: ['call'],
  completions: ['completion'],
  credential: ['credential', 'list'],
  credentials: ['credential', 'list'],
  daemon: ['run'],
  diagnose: ['doctor'],
  explain: ['pool', 'explain'],
  health: ['doctor'],
  history: ['audit'],
  info: ['status'],
  key: ['get-key'],
  keys: ['pool'],
  list: ['list-providers'],
  log: ['logs'],
  login: ['reauth'],
  logout: ['revoke'],
  ls: ['list-providers'],
  pools: ['pool'],
  prompt: ['call'],
  providers: ['list-providers'],
  prune: ['cleanup'],
  ps: ['status'],
  renew: ['refresh'],
  secret: ['get-secret'],
  secrets: ['get-secret', '--list'],
  serve: ['run'],
  'set-key': ['add'],
  setup: ['init'],
  usage: ['stats'],
  verify: ['validate'],
  version: ['--version'],
  whoami: [],
};

/** Words for which `aliasOf` has a command. */
export const ALIAS_NAMES: readonly string[] = Object.keys(ALIASES);

/** Returns the words of the command that a word stands for, or undefined. */
export function aliasOf(word: string): readonly string[] | undefined {
  return Object.hasOwn(ALIASES, word) ? ALIASES[word] : undefined;
}

/** Returns what to do instead of a command that does not exist here, or undefined. */
export function pointerOf(word: string, paths: Paths): string | undefined {
  const { start, stop, restart } = serviceCommands(paths.socket);
  switch (word) {
    case 'start':
    case 'up':
      return start === 'aipassd run'
        ? 'run: aipassd run; or install it as a service: aipassd install'
        : `run: ${start}`;
    case 'stop':
    case 'down':
    case 'kill':
      return stop === null
        ? 'press Ctrl-C where aipassd runs, or send its process (aipassd status) SIGTERM'
        : `run: ${stop}`;
    case 'restart':
    case 'reload':
      return restart === null
        ? 'press Ctrl-C where aipassd runs and start it again; a changed configuration is read without that'
        : `run: ${restart}; a changed configuration is read without that`;
    case 'enable':
      return 'run: aipassd install';
    case 'disable':
      return 'run: aipassd uninstall';
    case 'set':
    case 'put':
    case 'new':
      return 'run: aipassd add <provider>; for another secret: aipassd set-secret <provider>/<slug>';
    case 'rm':
    case 'remove':
    case 'delete':
    case 'unset':
      return 'see: aipassd credential rm <id>, aipassd remove-secret <provider>/<slug>, aipassd revoke <account>';
    case 'edit':
    case 'env':
      return `edit ${paths.envFile}; a running daemon reads it at once`;
    case 'config':
    case 'configure':
    case 'settings':
      return `edit ${paths.config}; a running daemon reads it at once, and aipassd doctor checks it`;
    case 'get':
    case 'show':
    case 'read':
      return 'see: aipassd get-key [provider], aipassd get-secret <provider>/<slug>, aipassd token <account>';
    case 'update':
    case 'upgrade':
      return 'install the new version as you installed this one, then restart the daemon';
    default:
      return undefined;
  }
}
