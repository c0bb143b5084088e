/**
 * From a client's request to the one that a provider gets: the same bytes with another key. Pure.
 *
 * Header fields of the connection, of the client's own credentials and of compression stay here;
 * all others pass.
 */

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { parseJson, readField, toRecord } from '../base/json.ts';
import { holdsToken } from '../protocol/gateway.ts';
import type { Dialect } from '../providers/provider.ts';
import type { RequestKind } from './dialects.ts';
import { JsonScanner, type FoundMember } from './json-scan.ts';

/** Fields that belong to the connection (RFC 9110, 7.6.1) or to how the body is sent, and ours. */
const CONNECTION_FIELDS = new Set([
  'accept-encoding',
  'connection',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'trailers',
  'transfer-encoding',
  'upgrade',
  'x-organization',
]);

/**
 * Fields of a request that do not pass. Clients send a credential in some of them: theirs is good
 * here, and never at a provider.
 */
const WITHHELD_FROM_PROVIDER = new Set([
  ...CONNECTION_FIELDS,
  'content-length',
  'authorization',
  'x-api-key',
  'x-goog-api-key',
  'api-key',
  'cookie',
]);

/**
 * Fields of an answer that do not pass. Some of them mean something to browsers, or to a connection
 * to the provider itself.
 */
const WITHHELD_FROM_CLIENT = new Set([
  ...CONNECTION_FIELDS,
  'alt-svc',
  'clear-site-data',
  'set-cookie',
  'strict-transport-security',
]);

/** Parameters of a query in which clients send a credential. */
const CREDENTIAL_PARAMETERS = new Set(['key', 'access_token']);

/**
 * Returns the fields of a request that go to the provider. Those of the connection do not, and no
 * credential does, whatever the field that holds a token of ours is called.
 */
export function passedHeaders(headers: Readonly<IncomingHttpHeaders>): OutgoingHttpHeaders {
  const nominated = nominatedBy(headers.connection);
  const passed: OutgoingHttpHeaders = {};
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || WITHHELD_FROM_PROVIDER.has(name)) continue;
    if (name.startsWith('proxy-') || name.startsWith('x-aipass-') || nominated.has(name)) continue;
    if (typeof value === 'string' ? holdsToken(value) : value.some(holdsToken)) continue;
    passed[name] = value;
  }
  return passed;
}

/**
 * Returns the fields of an answer that are passed on to the client: nothing for browsers, which the
 * gateway does not serve.
 */
export function answeredHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const nominated = nominatedBy(headers['connection']);
  const passed: Record<string, string> = {};
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || WITHHELD_FROM_CLIENT.has(name)) continue;
    if (name.startsWith('proxy-') || name.startsWith('access-control-') || nominated.has(name)) continue;
    passed[name] = value;
  }
  return passed;
}

const NO_FIELDS: ReadonlySet<string> = new Set();

/** Returns the fields that belong to the connection because its field `connection` names them. */
function nominatedBy(connection: string | undefined): ReadonlySet<string> {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return NO_FIELDS;
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
}

/**
 * Returns a query (empty, or from its `?` on) without the parameters that hold a credential; the
 * rest stays as it was written.
 */
export function passedQuery(query: string): string {
  if (query === '' || query === '?') return '';
  const passed = query
    .slice(1)
    .split('&')
    .filter((pair) => !CREDENTIAL_PARAMETERS.has(decode(pair.split('=')[0] ?? '').toLowerCase()))
    .filter((pair) => !holdsToken(decode(pair)));
  return passed.length === 0 ? '' : `?${passed.join('&')}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

interface RequestSummary {
  readonly model: string | undefined;
  /** Further models that the request lets its provider choose from (OpenRouter's `models`). */
  readonly models?: readonly string[] | undefined;
  readonly isStreamed: boolean;
  /**
   * The body that asks for the usage of a stream, where that is a chat and its client did not ask.
   * Only that one member is parsed and printed again.
   */
  readonly askingBody?: Buffer | undefined;
}

const USAGE_WISH = '"stream_options":{"include_usage":true},';

const READ_MEMBERS = ['model', 'models', 'stream', 'stream_options'] as const;

/** Reads a request's models and whether it is streamed. */
export function readRequest(request: {
  readonly dialect: Dialect;
  readonly kind: RequestKind;
  readonly path: string;
  readonly body: Buffer | null;
}): RequestSummary {
  const { dialect, kind, path, body } = request;
  if (dialect === 'gemini') {
    const model = /\/models\/([^/:]+)(?::(\w+))?/.exec(path);
    return {
      model: model?.[1] === undefined ? undefined : decode(model[1]),
      isStreamed: model?.[2] === 'streamGenerateContent',
    };
  }
  if (!body || !startsLikeObject(body)) return { model: body ? modelOfForm(body) : undefined, isStreamed: false };
  const members = new Map<string, FoundMember>();
  const scanner = new JsonScanner(READ_MEMBERS, (member) => members.set(member.name, member));
  scanner.push(body);
  const model = parseMember(members.get('model'));
  const models = parseMember(members.get('models'));
  const isStreamed = members.get('stream')?.text.trim() === 'true';
  return {
    model: typeof model === 'string' ? model : undefined,
    ...(Array.isArray(models) ? { models: models.filter((one) => typeof one === 'string') } : {}),
    isStreamed,
    ...(isStreamed && kind === 'chat' && scanner.isWhole
      ? { askingBody: askForUsage(body, scanner.rootOpensAt, members.get('stream_options')) }
      : {}),
  };
}

/** Returns a request for another model: in its path, or in the one member of its body. */
export function withModel(
  request: { readonly dialect: Dialect; readonly path: string; readonly body: Buffer | null },
  model: string,
): { readonly path: string; readonly body: Buffer | null } {
  const { dialect, path, body } = request;
  if (dialect === 'gemini') {
    return {
      path: path.replace(/(\/models\/)[^/:]+/, (_all, before) => `${before}${encodeURIComponent(model)}`),
      body,
    };
  }
  if (!body || !startsLikeObject(body)) return { path, body };
  let member: FoundMember | undefined;
  new JsonScanner(['model'], (found) => (member = found)).push(body);
  if (!member) return { path, body };
  const text = Buffer.from(JSON.stringify(model));
  return { path, body: Buffer.concat([body.subarray(0, member.start), text, body.subarray(member.end)]) };
}

function askForUsage(body: Buffer, rootOpensAt: number, options: FoundMember | undefined): Buffer | undefined {
  const given = parseMember(options);
  if (readField(given, 'include_usage') === true) return undefined;
  const [start, end, text] = options
    ? [options.start, options.end, JSON.stringify({ ...toRecord(given), include_usage: true })]
    : [rootOpensAt + 1, rootOpensAt + 1, USAGE_WISH];
  return Buffer.concat([body.subarray(0, start), Buffer.from(text), body.subarray(end)]);
}

function parseMember(member: FoundMember | undefined): unknown {
  return member && parseJson(member.text);
}

function startsLikeObject(body: Buffer): boolean {
  for (let at = 0; at < 64; at += 1) {
    const byte = body[at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return byte === 0x7b;
  }
  return false;
}

/** Returns the `model` of a multipart form, whose text fields come without a file name. */
function modelOfForm(body: Buffer): string | undefined {
  const at = body.indexOf('name="model"');
  if (at === -1) return undefined;
  const field = body.toString('latin1', at, at + 512);
  return /^name="model"(?:\r?\n[^\r\n]+)*\r?\n\r?\n([^\r\n]{1,256})\r?\n/.exec(field)?.[1];
}
