/**
 * Reads the file of an account, and that of the client it belongs to. Everything that can be wrong is an outcome.
 */

import { stat } from 'node:fs/promises';
import { readSecretFile } from '../credentials/secret-file.ts';
import type { Secret } from '../base/secret.ts';
import type { Warning } from '../base/warning.ts';
import { accountBasis, parseAccount, parseClient, type AccountDocument } from './account-document.ts';
import { GOOGLE, parseAccountName } from './account-name.ts';
import { FieldError } from './json-fields.ts';

/** Is what came of reading an account's file. */
export type AccountReading =
  | {
      readonly kind: 'read';
      readonly document: AccountDocument;
      /** Names the grant; see accountBasis. */
      readonly basis: string;
      readonly warnings: readonly Warning[];
    }
  | { readonly kind: 'missing' }
  /** `unsafe` tells that others could have changed it. */
  | { readonly kind: 'unusable'; readonly unsafe: boolean; readonly warning: Warning };

/** Is an OAuth client as a file names it. */
export interface ClientIdentity {
  readonly clientId: string;
  readonly clientSecret: Secret | null;
}

/** Reads an account; `name` decides the form that is expected. */
export async function readAccount(name: string, file: string): Promise<AccountReading> {
  const outcome = await readSecretFile(file);
  if (outcome.kind === 'missing') return outcome;
  if (outcome.kind !== 'read') {
    return { kind: 'unusable', unsafe: outcome.kind === 'refused', warning: firstOf(outcome.warnings, file) };
  }
  try {
    const document = parseAccount(outcome.text, parseAccountName(name)?.provider === GOOGLE);
    return { kind: 'read', document, basis: accountBasis(document), warnings: outcome.warnings };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const hint = `mend ${file}, or delete it and run: aipassd reauth ${name.replace('.', ' --account ')}`;
    return { kind: 'unusable', unsafe: false, warning: { subject: file, problem: error.message, hint } };
  }
}

/** Returns a text that changes with every change of an account's file, or of the file of its client, or of their modes. Is no secret. */
export async function accountStamp(files: {
  readonly file: string;
  readonly clientFile: string | null;
}): Promise<string> {
  const own = await fileStamp(files.file);
  return files.clientFile === null ? own : `${own}, ${await fileStamp(files.clientFile)}`;
}

async function fileStamp(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [ino, size, mtimeNs, ctimeNs].join(' ');
  } catch {
    return 'none';
  }
}

/** Reads client id and secret: the account's own, else those of its client file; undefined where neither has any. */
export async function readClient(
  document: AccountDocument | null,
  clientFile: string | null,
): Promise<ClientIdentity | undefined> {
  if (document?.clientId !== null && document?.clientId !== undefined) {
    return { clientId: document.clientId, clientSecret: document.clientSecret };
  }
  if (clientFile === null) return undefined;
  const outcome = await readSecretFile(clientFile);
  if (outcome.kind !== 'read') return undefined;
  try {
    return parseClient(outcome.text);
  } catch (error) {
    if (error instanceof FieldError) return undefined;
    throw error;
  }
}

function firstOf(warnings: readonly Warning[], file: string): Warning {
  return warnings[0] ?? { subject: file, problem: 'cannot be used', hint: `check ${file}` };
}
