/**
 * Writes and removes opaque secrets, byte for byte as they are given. Only this file and
 * credentials' own readers touch `<provider>/<slug>`.
 */

import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createFileAtomic, writeFileAtomic } from '../base/atomic-write.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { isRecord, parseJson } from '../base/json.ts';
import { parseSecretName } from './secret-name.ts';

/** Largest secret, in bytes: the largest that the vault reads. */
const MAX_BYTES = 1024 * 1024;

/** What a writer of secrets is wired with. */
export interface SecretWriterDeps {
  /** Folder of the secrets. */
  readonly folder: string;
  /** Reads the folder into the vault. */
  readonly reload: () => Promise<void>;
}

/**
 * Writes a secret; it is served when the promise resolves. A JSON document gets the ending `.json`.
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
  if (bytes.length === 0 || bytes.length > MAX_BYTES) {
    throw new AipassError('BAD_REQUEST', `a secret has 1 to ${MAX_BYTES} bytes (got ${bytes.length})`, {
      hint: 'store a file of another size elsewhere',
    });
  }
  const existing = await findFile(folder, provider, slug);
  if (existing !== undefined && !replace) {
    throw new AipassError('CONFLICT', `the secret ${provider}/${slug} exists already`, {
      hint: 'replace it on purpose, or choose another name',
    });
  }
  const isDocument = isRecord(parseJson(Buffer.from(bytes).toString('utf8')));
  const path = join(folder, provider, isDocument ? `${slug}.json` : slug);
  if (replace) await writeFileAtomic(path, bytes);
  else await createFileAtomic(path, bytes).catch(rethrowExisting);
  // A document comes before a raw file of the same name, so the other one must not stay.
  if (existing !== undefined && existing !== path) await rm(existing, { force: true });
  await reload();
}

/** Removes a secret. Throws NOT_FOUND. */
export async function removeSecret({ folder, reload }: SecretWriterDeps, name: string): Promise<void> {
  const { provider, slug } = parseSecretName(name);
  const path = await findFile(folder, provider, slug);
  if (path === undefined) {
    throw new AipassError('NOT_FOUND', `there is no secret ${provider}/${slug}`, {
      hint: 'see the secrets: aipassd get-secret --list',
    });
  }
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
