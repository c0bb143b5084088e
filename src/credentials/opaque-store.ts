/**
 * The held opaque secrets: `<provider>/<slug>.json` or `<provider>/<slug>`, served as text, as a
 * document or as bytes.
 *
 * Reads memory only, so that no name can lead out of the store. As in AIPass, `.json` comes first,
 * then the raw file, trimmed. store-folder.ts reads the folders.
 */

import { AipassError } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';
import type { SecretInfo } from '../protocol/operations.ts';
import { parseJson, textOf } from './opaque-secret.ts';
import { parseSecretName } from './secret-name.ts';

/** Content that is not UTF-8 text, held in base64. */
export class BinarySecret extends Secret {
  constructor(bytes: Buffer) {
    super(bytes.toString('base64'));
  }
}

/**
 * Content by `<provider>/<file name>`, with its byte order mark. A file that ends in `.json` holds
 * valid JSON.
 */
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
  const parsed = content && parseJson(content.reveal().replace(/^\uFEFF/, ''));
  return parsed?.kind === 'document' ? { value: parsed.document } : undefined;
}
