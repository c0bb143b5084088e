/**
 * The held opaque secrets: `<provider>/<slug>.json` or `<provider>/<slug>`, served as text or as a document.
 *
 * Reads memory only, so that no name can lead out of the store. As in AIPass, `.json` comes first, then the
 * raw file, trimmed. store-folder.ts reads the folders.
 */

import { AipassError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import type { SecretInfo } from '../protocol/operations.ts';
import { parseJson, textOf } from './opaque-secret.ts';
import { parseSecretName } from './secret-name.ts';

/** Content by `<provider>/<file name>`. A file that ends in `.json` holds valid JSON. */
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
    format: files.has(`${name}${JSON_SUFFIX}`) ? 'json' : 'text',
    chars: (asText(files, name) ?? '').length,
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
  if (value === undefined) {
    throw new AipassError('NOT_FOUND', `there is no secret ${provider}/${slug}`, {
      hint: 'see what there is: aipassd get-secret --list',
    });
  }
  return value;
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
  return document ? textOf(document.value) : files.get(name)?.reveal().trim();
}

function asDocument(files: StoredFiles, name: string): unknown {
  const document = documentOf(files, name);
  return document ? document.value : files.get(name)?.reveal().trim();
}

/** Parses anew for each caller, who may change the result. */
function documentOf(files: StoredFiles, name: string): { readonly value: unknown } | undefined {
  const content = files.get(`${name}${JSON_SUFFIX}`);
  const parsed = content && parseJson(content.reveal());
  return parsed?.kind === 'document' ? { value: parsed.document } : undefined;
}
