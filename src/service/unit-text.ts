/**
 * Fills in the unit files and the plist of this package: the same files that a reader finds in `systemd/` and `launchd/`,
 * with this machine's absolute paths. Pure: texts in, text out.
 */

/** Is what the installed service runs and knows. All paths are absolute. */
export interface ServiceFacts {
  /** Is the program and its arguments, without `run`: Node and `dist/cli.js`. */
  readonly command: readonly string[];
  /** Is set for the service, by name. */
  readonly environment: Readonly<Record<string, string>>;
  /** Lists what it must be able to write besides the template's own folders. */
  readonly writable: readonly string[];
}

/** Is the line of the template that names the program. */
const UNIT_COMMAND = 'ExecStart=/usr/bin/aipassd run';

/** Prints a unit from its template. Throws when the template has no line to fill in. */
export function printUnit(template: string, facts: ServiceFacts): string {
  if (!template.includes(`\n${UNIT_COMMAND}\n`)) throw new Error(`the unit template has no line "${UNIT_COMMAND}"`);
  const added = [
    // systemd takes the program's own path as it is, except for its specifiers.
    `ExecStart=${[...facts.command, 'run'].map(quoteArgument).join(' ')}`,
    ...Object.entries(facts.environment).map(([name, value]) => `Environment=${quoteWord(`${name}=${value}`)}`),
    ...facts.writable.map((path) => `ReadWritePaths=${quoteWord(`-${path}`)}`),
  ];
  return template.replace(UNIT_COMMAND, () => added.join('\n'));
}

/** Quotes a word as systemd.syntax(7) reads it, with `%` doubled, because it begins a specifier. */
export function quoteWord(word: string): string {
  assertPlain(word);
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;
}

/** Quotes a word of a command line, where `$` begins a variable too (systemd.service(5)). */
function quoteArgument(word: string): string {
  return quoteWord(word).replaceAll('$', '$$$$');
}

/** Is what the plist template runs, and the home in which its log is. */
const PLIST_COMMAND = '<string>/usr/local/bin/aipassd</string>';
const PLIST_ENVIRONMENT = '<dict/>';
const PLIST_HOME = '/Users/you/';

/** Prints the plist from its template; `home` is the user's. Throws when the template has nothing to fill in. */
export function printPlist(template: string, facts: ServiceFacts, home: string): string {
  if (!template.includes(PLIST_COMMAND) || !template.includes(PLIST_ENVIRONMENT)) {
    throw new Error('the plist template has no command or environment to fill in');
  }
  const command = facts.command.map((word) => `<string>${escapeXml(word)}</string>`).join('\n    ');
  const variables = Object.entries(facts.environment).map(
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

/** Refuses what no path or variable can be written with in either format. */
function assertPlain(text: string): void {
  if (/\p{Cc}/u.test(text)) throw new Error('a path or variable of the service holds a control character');
}
