/**
 * The house rules that search the sources, as functions over a list of sources. So a bad source can
 * prove that the search can fail. Each returns the places that break its rule, as "path: what".
 */

import type { Source } from './sources.ts';

type Rule = (sources: readonly Pick<Source, 'path' | 'text'>[]) => string[];

/**
 * Finds docstrings that begin as no API documentation does; "Names of" and "Names that" are noun
 * phrases.
 */
export const weakDocstrings: Rule = (sources) =>
  find(sources, ({ text }) => text.matchAll(/\/\*\*[\s*]*(?:Is|Says|Tells|Has|Knows|Names(?! of\b| that\b))\b.*/g));

/** Finds lines of comments over 100 columns. */
export const longComments: Rule = (sources) =>
  find(sources, ({ text }) => text.matchAll(/^(?=.{101}) *(?:\/\*\*|\*|\/\/) .*$/gmu));

/** Words that one sentence of a comment may have. */
const SENTENCE_WORDS = 25;

/** Finds sentences of comments that are longer than SENTENCE_WORDS. */
export const longSentences: Rule = (sources) =>
  find(sources, ({ text }) =>
    commentsOf(text)
      // A table has no sentences.
      .map((comment) => comment.replaceAll(/\/\*+| *\*+\/|^ *\* \|.*|^ *\* ?|^ *\/\/ ?/gm, ' ').replaceAll(/\s+/g, ' '))
      .flatMap((comment) => comment.trim().split(/(?<=[.;:?!]) (?=[A-Z`@"(-])| (?=@param)/))
      .filter((sentence) => sentence.split(' ').length > SENTENCE_WORDS)
      .map((sentence) => [sentence]),
  );

/** Finds "is no X" in strings; "there is no" and "is no longer" are English. */
export const isNoInStrings: Rule = (sources) =>
  find(sources, ({ text }) =>
    stringsOf(text).flatMap((literal) => [...literal.matchAll(/(?<!\bthere )\bis no (?!longer\b).*/gi)]),
  );

/**
 * Finds uses of Node's own `fetch` as a value; types, and functions and properties of that name,
 * are not uses of it.
 */
export const globalFetch: Rule = (sources) =>
  find(sources, ({ text }) =>
    withoutTexts(text).matchAll(
      /(?:(?<!\b(?:typeof|get)\s)(?<![\w.#$])fetch\s*(?=[(,;)}\]])|\bglobalThis\.fetch\b).*/g,
    ),
  );

/**
 * Finds values that are imported from `node:http` where a file is loaded, and not where a request
 * goes out.
 */
export const eagerHttp: Rule = (sources) =>
  find(sources, ({ text }) => text.matchAll(/^import (?!type\b)[^;]*from 'node:(?:https?|http2)';/gm));

/**
 * Finds bags of parameters of another suffix than `Options` (what a user may set) and `Deps` (what
 * is wired).
 */
export const bagNames: Rule = (sources) =>
  find(sources, ({ text }) =>
    withoutTexts(text).matchAll(
      /\b(?:interface|class|type) \w*(?:Parts|Surroundings|Facts|Tools|Subject|Start|Control|Recorder|Judging|Data)(?= ?[<={]| extends| implements).*/g,
    ),
  );

/**
 * Finds decisions by a status that may be about a key, which the table of failures makes. Lists of
 * transient statuses are among them: one function has theirs.
 */
export const judgedStatuses: Rule = (sources) =>
  find(sources, ({ text }) =>
    withoutTexts(text).matchAll(
      /(?:[=!]==|\bcase|[<>]=?) ?(?:40[123]|42[59])\b.*|(?:new Set\(\[|\[(?=[^\]]*\]\.includes\())[^\]]*\b(?:40[123]|42[59])\b.*/g,
    ),
  );

/** Finds time that does not come from an injected clock. */
export const bareTime: Rule = (sources) =>
  find(sources, ({ text }) =>
    withoutTexts(text).matchAll(
      /(?:(?<![.\w#$])set(?:Timeout|Interval)(?=\(| as\b)|\b(?:performance|Date)\.now\b|\bnew Date\(\)).*/g,
    ),
  );

/** Finds actions for users that stand outside the one file of messages about accounts. */
export const strayRemedies: Rule = (sources) =>
  find(
    sources.filter(({ path }) => path.startsWith('src/refreshers/') && path !== 'src/refreshers/messages.ts'),
    ({ text }) => text.matchAll(/\b(?:remedy|hint)\b\s*[:=]\s*(?:[^,;\n]*\?\s*)?['"`].*/g),
  );

/** Finds checks that are switched off. */
export const suppressions: Rule = (sources) =>
  find(sources, ({ text }) => text.matchAll(/@ts-(?:ignore|nocheck|expect-error)|oxlint-disable|\bas any\b/g));

/** Finds files that do not begin with what they own. */
export const missingHeaders: Rule = (sources) =>
  sources.filter(({ text }) => !text.replace(/^#!.*\n/, '').startsWith('/**')).map(({ path }) => path);

/** Finds files behind names that mean nothing. */
export const vagueNames: Rule = (sources) =>
  sources
    .filter(({ path }) => /\/(?:utils?|helpers?|types|common|manager|service)\.ts$/.test(path))
    .map(({ path }) => path);

/**
 * Finds paths of sources in a document, written as code, that lead nowhere; `exists` judges a path
 * from the project's folder.
 */
export function deadPaths(documents: Parameters<Rule>[0], exists: (path: string) => boolean): string[] {
  return find(documents, ({ text }) =>
    [...text.matchAll(/`((?:src|tests|bench|scripts)\/[\w./-]*|[a-z]+\/[\w/-]+\.ts)`/g)]
      .map((match) => match[1] ?? '')
      .filter((path) => !exists(path) && !exists(`src/${path}`))
      .map((path) => [path]),
  );
}

/**
 * Finds names of code, written as such in documents and comments, that no code has any more. Only
 * names of several words count: the others are words, too.
 */
export function deadNames(documents: Parameters<Rule>[0], sources: Parameters<Rule>[0]): string[] {
  const code = sources.flatMap(({ text }) => [...tokens(text)].filter(({ kind }) => kind !== 'comment'));
  const known = new Set(code.flatMap(({ text }) => text.match(/[A-Za-z_$][\w$]*/g) ?? []));
  return find(documents, ({ path, text }) =>
    (path.endsWith('.ts') ? commentsOf(text) : [text])
      .flatMap((prose) => [...prose.matchAll(/`([A-Za-z]\w*)(?:\(\))?`|\b([a-z]\w*)\(\)/g)])
      .map(([, quoted, called]) => quoted ?? called ?? '')
      .filter((name) => /[a-z][A-Z]/.test(name) && !known.has(name))
      .map((name) => [name]),
  );
}

function find(
  sources: Parameters<Rule>[0],
  search: (source: Parameters<Rule>[0][number]) => Iterable<readonly string[]>,
): string[] {
  return sources.flatMap((source) => [...search(source)].map(([match = '']) => `${source.path}: ${match.trim()}`));
}

/** Returns the string literals of a source, and the fixed parts of its templates. */
export function stringsOf(text: string): string[] {
  return [...tokens(text)].filter(({ kind }) => kind === 'string').map((token) => token.text);
}

/** Returns a source without its comments and strings. */
function withoutTexts(text: string): string {
  return [...tokens(text)].map((token) => (token.kind === 'code' ? token.text : ' ')).join('');
}

interface Token {
  readonly kind: 'code' | 'string' | 'comment';
  readonly text: string;
}

/**
 * Matches a comment, a regular expression where one can stand, a string, or the beginning of a
 * template.
 */
const LEXEME =
  /\/\*[\s\S]*?\*\/|\/\/.*|(?<=(?:^|[(,=:[!&|?{};+>]|\breturn)\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[dgimsuvy]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`/g;

/** Lists the comments of a source; those of one line each that follow one another are one. */
function commentsOf(text: string): string[] {
  const comments: string[] = [];
  let isOpen = false;
  for (const token of tokens(text)) {
    if (token.kind === 'comment') {
      const isLine = token.text.startsWith('//');
      if (isOpen && isLine) comments.push(`${comments.pop() ?? ''}\n${token.text}`);
      else comments.push(token.text);
      isOpen = isLine;
    } else isOpen &&= /^\n? *$/.test(token.text);
  }
  return comments;
}

/**
 * Splits a source into code, strings and comments; good enough for sources that Prettier has
 * formatted.
 */
function* tokens(text: string): Generator<Token> {
  let at = 0;
  const lexeme = new RegExp(LEXEME.source, 'g');
  for (let match = lexeme.exec(text); match; match = lexeme.exec(text)) {
    yield { kind: 'code', text: text.slice(at, match.index) };
    const [found] = match;
    if (found === '`') {
      const end = templateEnd(text, match.index + 1);
      yield* templateTokens(text.slice(match.index + 1, end - 1));
      lexeme.lastIndex = end;
    } else if (found.startsWith('/*') || found.startsWith('//')) yield { kind: 'comment', text: found };
    else if (found.startsWith('/')) yield { kind: 'code', text: 'regExp' };
    else yield { kind: 'string', text: found.slice(1, -1) };
    at = lexeme.lastIndex;
  }
  yield { kind: 'code', text: text.slice(at) };
}

/** Yields a template as one string, with its expressions as code beside it. */
function* templateTokens(content: string): Generator<Token> {
  let fixed = '';
  for (let at = 0; at < content.length; at += 1) {
    if (content.startsWith('${', at)) {
      const end = expressionEnd(content, at + 2);
      yield* tokens(content.slice(at + 2, end - 1));
      fixed += '${}';
      at = end - 1;
    } else {
      fixed += content[at];
    }
  }
  yield { kind: 'string', text: fixed };
}

/** Returns the index after the end of a template whose content begins at `from`. */
function templateEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '`') return at + 1;
    else if (text.startsWith('${', at)) at = expressionEnd(text, at + 2) - 1;
  }
  return text.length;
}

/** Returns the index after the brace that closes an expression of a template. */
function expressionEnd(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '`') at = templateEnd(text, at + 1) - 1;
    else if (letter === "'" || letter === '"') at = text.indexOf(letter, at + 1);
    else if (letter === '{') depth += 1;
    else if (letter === '}' && --depth === 0) return at + 1;
  }
  return text.length;
}
