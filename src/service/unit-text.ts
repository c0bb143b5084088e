/**
 * Fills this machine's absolute paths into the unit files and the plist of `systemd/` and
 * `launchd/`. Pure.
 */

/** What the installed service runs. All paths are absolute. */
export interface ServiceProgram {
  /** Program and arguments without `run`: Node and `dist/cli.js`. */
  readonly command: readonly string[];
  /** Environment variables of the service. */
  readonly environment: Readonly<Record<string, string>>;
  /** Folders that it must be able to write besides those of the template. */
  readonly writable: readonly string[];
}

/** Line of the template with the program. */
const UNIT_COMMAND = 'ExecStart=/usr/bin/aipassd run';

/** Prints a unit from its template. Throws if the template has no line to fill in. */
export function printUnit(template: string, service: ServiceProgram): string {
  if (!template.includes(`\n${UNIT_COMMAND}\n`)) throw new Error(`the unit template has no line "${UNIT_COMMAND}"`);
  const added = [
    // systemd takes the program's own path as it is, except for its specifiers.
    `ExecStart=${[...service.command, 'run'].map(quoteArgument).join(' ')}`,
    ...Object.entries(service.environment).map(([name, value]) => `Environment=${quoteWord(`${name}=${value}`)}`),
    ...service.writable.map((path) => `ReadWritePaths=${quoteWord(`-${path}`)}`),
  ];
  return template.replace(UNIT_COMMAND, () => added.join('\n'));
}

/** Quotes a word as systemd.syntax(7) reads it, with `%` doubled, because it begins a specifier. */
function quoteWord(word: string): string {
  assertPlain(word);
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;
}

/** Quotes a word of a command line, where `$` begins a variable too (systemd.service(5)). */
function quoteArgument(word: string): string {
  return quoteWord(word).replaceAll('$', '$$$$');
}

/** Program and home of the plist template. */
const PLIST_COMMAND = '<string>/usr/local/bin/aipassd</string>';
const PLIST_ENVIRONMENT = '<dict/>';
const PLIST_HOME = '/Users/you/';

/**
 * Prints the plist from its template; `home` is the user's. Throws when the template has nothing to
 * fill in.
 */
export function printPlist(template: string, service: ServiceProgram, home: string): string {
  if (!template.includes(PLIST_COMMAND) || !template.includes(PLIST_ENVIRONMENT)) {
    throw new Error('the plist template has no command or environment to fill in');
  }
  const command = service.command.map((word) => `<string>${escapeXml(word)}</string>`).join('\n    ');
  const variables = Object.entries(service.environment).map(
    ([name, value]) => `    <key>${escapeXml(name)}</key>\n    <string>${escapeXml(value)}</string>\n`,
  );
  return template
    .replace(PLIST_COMMAND, () => command)
    .replace(PLIST_ENVIRONMENT, () => (variables.length === 0 ? '<dict/>' : `<dict>\n${variables.join('')}  </dict>`))
    .replaceAll(PLIST_HOME, () => `${escapeXml(home)}/`);
}

function escapeXml(text: string): string {
  assertPlain(text);
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Rejects control characters, which neither format can quote. */
function assertPlain(text: string): void {
  if (/\p{Cc}/u.test(text)) throw new Error('a path or variable of the service holds a control character');
}
