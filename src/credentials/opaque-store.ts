/**
 * Opaque secrets, `<provider>/<slug>.json` or `<provider>/<slug>`: their names, how their content
 * is read, those that are held, and how they are written.
 *
 * A name is two plain segments of a path. Names come from callers and from folders: one that could
 * leave the store, hide, or forge a line is invalid. Secrets are served from memory only, as text,
 * as a document or as bytes; folder-scan.ts reads the folders. As in AIPass, `.json` comes first,
 * then the raw file, trimmed. The text of a JSON object is its token, the first field of a list
 * that it has. They are written byte for byte as they are given, and by nothing but this file.
 */

import { rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createFileAtomic, writeFileAtomic } from '../base/atomic-write.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { isRecord, parseJson } from '../base/json.ts';
import { Secret } from '../base/secret.ts';
import type { SecretInfo } from '../protocol/operations.ts';
import { MAX_SECRET_BYTES } from './secret-file.ts';

/** Name of an opaque secret in its two parts. */
export interface SecretName {
  readonly provider: string;
  readonly slug: string;
}

/** Folder of the OAuth accounts, which are served as tokens and never as files. */
export const OAUTH_FOLDER = 'oauth';

/** Folder of the organizations, each with keys of its own. */
export const ORGANIZATIONS_FOLDER = 'organizations';

const MAX_SEGMENT_LENGTH = 255;

/** One segment: no separator, no control or invisible character, and no dot in front. */
const SEGMENT = /^[^./\\\p{C}\p{Zl}\p{Zp}][^/\\\p{C}\p{Zl}\p{Zp}]*$/u;

/** Returns whether a text can be the provider or the slug of a secret. */
export function isSegment(text: string): boolean {
  return text.length <= MAX_SEGMENT_LENGTH && text !== '__pycache__' && SEGMENT.test(text);
}

/**
 * Parses the name of an opaque secret.
 *
 * @throws AipassError BAD_REQUEST if it is not two plain segments, NOT_FOUND if it lies in a
 * reserved folder.
 */
export function parseSecretName(name: string): SecretName {
  const slash = name.indexOf('/');
  const provider = name.slice(0, Math.max(slash, 0));
  const slug = name.slice(slash + 1);
  if (slash === -1 || !isSegment(provider) || !isSegment(slug)) {
    throw new AipassError('BAD_REQUEST', 'this is not the name of a secret', {
      hint: 'name it <provider>/<slug>, for example telegram/bot, without further slashes or leading dots',
    });
  }
  if (provider === OAUTH_FOLDER) {
    throw new AipassError('NOT_FOUND', 'OAuth accounts are not served as secrets', {
      hint: 'ask for a token instead: aipassd token <name>',
    });
  }
  // Some file systems do not distinguish upper case from lower case.
  if (provider.toLowerCase() === ORGANIZATIONS_FOLDER) {
    throw new AipassError('NOT_FOUND', 'the folder of the organizations holds no secrets', {
      hint: 'choose another name before the slash',
    });
  }
  return { provider, slug };
}

/** Fields that hold the one important value of a JSON object, in order of preference. */
const TEXT_FIELDS = ['bot_token', 'api_key', 'token', 'secret', 'password', 'key'];

/** Maximum nesting of a document: printing recurses, and no hand-written document comes near. */
const MAX_DEPTH = 200;

/** Parses a JSON text; undefined for one that is broken or nested deeper than 200 levels. */
export function parseDocument(text: string): { readonly value: unknown } | undefined {
  const value = parseJson(text);
  return value === undefined || leavesOf(value) === undefined ? undefined : { value };
}

/** Returns the text of a JSON document: its important field, a string itself, else the JSON. */
export function textOf(document: unknown): string {
  if (isRecord(document)) {
    const field = TEXT_FIELDS.find((name) => Object.hasOwn(document, name) && document[name] !== null);
    if (field !== undefined) return plainTextOf(document[field]);
  }
  return plainTextOf(document);
}

/** Returns every string in a JSON document, or undefined if it is nested too deeply. */
export function leavesOf(document: unknown): readonly string[] | undefined {
  const leaves: string[] = [];
  const waiting: { readonly value: unknown; readonly depth: number }[] = [{ value: document, depth: 0 }];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { value, depth } = next;
    if (depth > MAX_DEPTH) return undefined;
    if (typeof value === 'string') leaves.push(value);
    else if (typeof value === 'object' && value !== null) {
      for (const inner of Object.values(value)) waiting.push({ value: inner, depth: depth + 1 });
    }
  }
  return leaves;
}

function plainTextOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Content that is not UTF-8 text, held in base64. */
export class BinarySecret extends Secret {
  constructor(bytes: Buffer) {
    super(bytes.toString('base64'));
  }
}

/** Content by `<provider>/<file name>`, with its byte order mark; `.json` is valid JSON. */
export type StoredFiles = ReadonlyMap<string, Secret>;

const JSON_SUFFIX = '.json';

/** Lists the secrets of one provider or of all by name, without their values. */
export function listSecrets(files: StoredFiles, provider?: string): SecretInfo[] {
  const names = new Set<string>();
  for (const file of files.keys()) {
    if (provider === undefined || file.startsWith(`${provider}/`)) names.add(secretNameOf(file));
  }
  return [...names].toSorted().map((name) => ({
    name,
    format: formatOf(files, name),
    chars: lengthOf(files, name),
  }));
}

/**
 * Returns a secret as text or, with `json`, as a document of its own (a raw file gives its text).
 *
 * @throws AipassError BAD_REQUEST for an invalid name, NOT_FOUND if nothing is held under it.
 */
export function readStored(files: StoredFiles, name: string, json: boolean): unknown {
  const { provider, slug } = parseSecretName(name);
  const value = json ? asDocument(files, `${provider}/${slug}`) : asText(files, `${provider}/${slug}`);
  if (value === undefined) throw notFound(`${provider}/${slug}`);
  return value;
}

/**
 * Returns the bytes of a secret exactly as its file has them; of a JSON file, without `whole`,
 * those of its text.
 *
 * @throws AipassError BAD_REQUEST for an invalid name, NOT_FOUND if nothing is held under it.
 */
export function readStoredBytes(files: StoredFiles, name: string, whole: boolean): Buffer {
  const { provider, slug } = parseSecretName(name);
  const json = files.get(`${provider}/${slug}${JSON_SUFFIX}`);
  if (json && !whole) return Buffer.from(asText(files, `${provider}/${slug}`) ?? '');
  const content = json ?? files.get(`${provider}/${slug}`);
  if (content === undefined) throw notFound(`${provider}/${slug}`);
  return Buffer.from(content.reveal(), content instanceof BinarySecret ? 'base64' : 'utf8');
}

function notFound(name: string): AipassError {
  return new AipassError('NOT_FOUND', `there is no secret ${name}`, {
    hint: 'see the secrets: aipassd get-secret --list',
  });
}

/** Returns the name under which a stored file is served. */
export function secretNameOf(file: string): string {
  return isJsonFile(file) ? file.slice(0, -JSON_SUFFIX.length) : file;
}

/** Returns whether a file should hold JSON. */
export function isJsonFile(file: string): boolean {
  return file.endsWith(JSON_SUFFIX) && !file.endsWith(`/${JSON_SUFFIX}`);
}

function asText(files: StoredFiles, name: string): string | undefined {
  const document = documentOf(files, name);
  return document ? textOf(document.value) : rawText(files, name);
}

/** Returns the trimmed text of a raw file; trimming takes the byte order mark as well. */
function rawText(files: StoredFiles, name: string): string | undefined {
  const content = files.get(name);
  if (!(content instanceof BinarySecret)) return content?.reveal().trim();
  throw new AipassError('BAD_REQUEST', `the secret ${name} is not text`, {
    hint: `ask for its bytes: aipassd get-secret ${name} --out FILE`,
  });
}

function formatOf(files: StoredFiles, name: string): SecretInfo['format'] {
  if (files.has(`${name}${JSON_SUFFIX}`)) return 'json';
  return files.get(name) instanceof BinarySecret ? 'binary' : 'text';
}

function lengthOf(files: StoredFiles, name: string): number {
  const content = files.get(`${name}${JSON_SUFFIX}`) ?? files.get(name);
  return content instanceof BinarySecret
    ? Buffer.byteLength(content.reveal(), 'base64')
    : (asText(files, name) ?? '').length;
}

function asDocument(files: StoredFiles, name: string): unknown {
  const document = documentOf(files, name);
  return document ? document.value : rawText(files, name);
}

/** Parses anew for each caller, who may change the result. */
function documentOf(files: StoredFiles, name: string): { readonly value: unknown } | undefined {
  const content = files.get(`${name}${JSON_SUFFIX}`);
  return content && parseDocument(content.reveal().replace(/^\uFEFF/, ''));
}

export interface SecretWriterDeps {
  readonly folder: string;
  readonly reload: () => Promise<void>;
}

/**
 * Writes a secret; it is served when the promise resolves. A JSON document gets the ending
 * `.json`.
 *
 * @throws AipassError CONFLICT where the secret exists and `replace` is not set, BAD_REQUEST for a
 * bad name or size.
 */
export async function writeSecret(
  { folder, reload }: SecretWriterDeps,
  name: string,
  bytes: Uint8Array,
  replace: boolean,
): Promise<void> {
  const { provider, slug } = parseSecretName(name);
  if (bytes.length === 0 || bytes.length > MAX_SECRET_BYTES) {
    throw new AipassError('BAD_REQUEST', `a secret has 1 to ${MAX_SECRET_BYTES} bytes (got ${bytes.length})`, {
      hint: 'store a file of another size elsewhere',
    });
  }
  const existing = await findFile(folder, provider, slug);
  if (existing !== undefined && !replace) {
    throw new AipassError('CONFLICT', `the secret ${provider}/${slug} already exists`, {
      hint: 'replace it on purpose, or choose another name',
    });
  }
  const isDocument = isRecord(parseJson(Buffer.from(bytes).toString('utf8')));
  const path = join(folder, provider, isDocument ? `${slug}.json` : slug);
  const isNewFolder = (await stat(dirname(path)).catch(() => undefined)) === undefined;
  try {
    if (replace) await writeFileAtomic(path, bytes);
    else await createFileAtomic(path, bytes).catch(rethrowExisting);
  } catch (error) {
    // Removes it only if it is empty.
    if (isNewFolder) await rmdir(dirname(path)).catch(() => {});
    throw error;
  }
  // A document comes before a raw file of the same name, so the other one must not stay.
  if (existing !== undefined && existing !== path) await rm(existing, { force: true });
  await reload();
}

/** Removes a secret. Throws NOT_FOUND. */
export async function removeSecret({ folder, reload }: SecretWriterDeps, name: string): Promise<void> {
  const { provider, slug } = parseSecretName(name);
  const path = await findFile(folder, provider, slug);
  if (path === undefined) throw notFound(`${provider}/${slug}`);
  await rm(path);
  await reload();
}

async function findFile(folder: string, provider: string, slug: string): Promise<string | undefined> {
  for (const file of [`${slug}.json`, slug]) {
    const path = join(folder, provider, file);
    const facts = await stat(path).catch(() => undefined);
    if (facts?.isFile() === true) return path;
  }
  return undefined;
}

function rethrowExisting(error: unknown): never {
  // A folder that cannot be made is EEXIST, too.
  const isTaken =
    systemErrorCode(error) === 'EEXIST' && error instanceof Error && 'syscall' in error && error.syscall === 'link';
  if (!isTaken) throw error;
  throw new AipassError('CONFLICT', 'the secret was made by another program at the same moment', {
    hint: 'try again',
    cause: error,
  });
}
