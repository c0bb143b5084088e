/**
 * Reads a provider's error document. Such a document can echo a key or a prompt, so only known
 * fields are shown. They are its message, its code and its type, as plain text, redacted, and cut.
 */

import { toRecord } from '../base/json.ts';
import { plainText } from '../base/plain-text.ts';
import { Redactor } from '../base/redactor.ts';
import type { Secret } from '../base/secret.ts';

/** Longest reason that is shown, in characters. */
const MAX_REASON = 300;

/**
 * Part of a message that is read, in characters, and of a code: a provider may quote a whole
 * request. It is longer than what is shown, so that a key at the cut is still found.
 */
const MAX_READ = 4096;
const MAX_CODE = 256;

/** Masks secrets in a text. */
export type Redact = (text: string) => string;

/**
 * Returns a masking that knows the key in use besides what the given redactor knows. `sentByCaller`
 * returns what the caller had the provider read: an error that quotes it must not reveal whether it
 * is part of a secret.
 */
export function redactWith(key: Secret | null, redactor?: Redactor, sentByCaller?: () => string): Redact {
  const own = redactorOf(key);
  return (text) => {
    const masked = own.redact(text, sentByCaller);
    return redactor ? redactor.redact(masked, sentByCaller) : masked;
  };
}

/** Returns whether a text quotes what a masking of `redactWith` knows, whatever it looks like. */
export function quotesWith(
  key: Secret | null,
  redactor: Redactor,
  sentByCaller: () => string,
): (text: string) => boolean {
  const own = redactorOf(key);
  return (text) => own.quotes(text, sentByCaller) || redactor.quotes(text, sentByCaller);
}

/** Makes a redactor that knows one key alone. */
function redactorOf(key: Secret | null): Redactor {
  const own = new Redactor();
  if (key !== null) own.learn([key.reveal()]);
  return own;
}

/**
 * Returns the reason that an error document gives, safe to be shown, or undefined where it gives
 * none.
 *
 * Read are the shapes of OpenAI (`error.message`, `.code`, `.type`), Google (the same in a list,
 * with `.status`), Mistral and Cohere (`message` on top). Also those of FastAPI (`detail`),
 * ElevenLabs and Tavily (`detail` is an object), Cloudflare and ModelScope (`errors`), Ollama and
 * xAI (`error` is a text).
 */
export function safeReason(document: unknown, redact: Redact): string | undefined {
  const { message, codes } = readError(document);
  const [code] = codes;
  const parts = [message, code !== undefined && message?.includes(code) !== true ? `(${code})` : undefined];
  const text = parts.filter((part) => part !== undefined).join(' ');
  return text === '' ? undefined : plainText(redact(plainText(text, MAX_READ)), MAX_REASON);
}

/**
 * The known fields of an error document; `codes` are its code, status and type as far as they are
 * texts, in this order.
 */
export interface ReadError {
  readonly message: string | undefined;
  readonly codes: readonly string[];
  /** HTTP status in the document itself. */
  readonly status: number | undefined;
}

/** Reads the known fields of an error document, unredacted: for decisions, never for display. */
export function readError(document: unknown): ReadError {
  const outer = firstOf(document);
  const inner = toRecord(outer['error']);
  const detail = toRecord(outer['detail']);
  const listed = firstOf(outer['errors']);
  const message = firstText(
    inner['message'],
    outer['error'],
    outer['message'],
    outer['detail'],
    firstDetail(outer['detail']),
    firstDetail(toRecord(outer['message'])['detail']),
    detail['message'],
    detail['error'],
    listed['message'],
    outer['msg'],
    outer['error_msg'],
    outer['err_msg'],
    outer['error_message'],
  );
  const codes = [
    inner['code'],
    inner['status'],
    inner['type'],
    outer['code'],
    outer['type'],
    outer['reason'],
    detail['code'],
    detail['status'],
    listed['code'],
    outer['err_code'],
  ]
    .filter(isText)
    .map((code) => code.slice(0, MAX_CODE));
  const status = [inner['code'], inner['status'], outer['code'], outer['status']]
    .map(readStatus)
    .find((one) => one !== undefined);
  return { message: message?.slice(0, MAX_READ), codes, status };
}

/** Returns whether the content type is that of a web page, in which no error is searched for. */
export function isPage(headers: Readonly<Record<string, string>>): boolean {
  return /^\s*(?:text\/html|application\/xhtml)/i.test(headers['content-type'] ?? '');
}

/** Returns the first entry of a list, or the value itself. */
function firstOf(value: unknown): Readonly<Record<string, unknown>> {
  return toRecord(Array.isArray(value) ? value[0] : value);
}

function firstText(...values: readonly unknown[]): string | undefined {
  return values.find(isText);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}

/** Returns the first message of pydantic's list of problems. */
function firstDetail(detail: unknown): unknown {
  return Array.isArray(detail) ? toRecord(detail[0])['msg'] : undefined;
}

/** Returns a HTTP status of failure, which some write as a text. */
function readStatus(value: unknown): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined;
  return /^[45]\d\d$/.test(String(value)) ? Number(value) : undefined;
}
