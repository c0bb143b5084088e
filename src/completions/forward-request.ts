/**
 * From a client's request to the one that a provider gets: the same bytes with another key. Pure.
 *
 * Header fields of the connection, of the client's own credentials and of compression stay here;
 * all others pass.
 */

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { isRecord, parseJson } from '../base/json.ts';
import { holdsToken, quotesToken } from '../protocol/gateway.ts';
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
    if (typeof value === 'string' ? quotesToken(value) : value.some(quotesToken)) continue;
    if (holdsToken(name)) continue;
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
    .filter((pair) => !quotesToken(pair));
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
   * The wish is put in between; all other bytes are the client's.
   */
  readonly askingBody?: Buffer | undefined;
}

const USAGE_WISH = '"include_usage":true';

const READ_MEMBERS = ['model', 'models', 'stream', 'stream_options'] as const;

/** Reads a request's models and whether it is streamed. */
export function readRequest(request: {
  readonly dialect: Dialect;
  readonly kind: RequestKind;
  readonly path: string;
  readonly body: Buffer | null;
  readonly contentType?: string | undefined;
}): RequestSummary {
  const { dialect, kind, path, body, contentType = '' } = request;
  if (dialect === 'gemini') {
    const model = /\/models\/([^/:]+)(?::(\w+))?/.exec(path);
    return {
      model: model?.[1] === undefined ? undefined : decode(model[1]),
      isStreamed: model?.[2] === 'streamGenerateContent',
    };
  }
  if (body && /^\s*multipart\//i.test(contentType)) {
    const [model, ...others] = modelsOfForm(body, contentType);
    return { model, ...(others.length === 0 ? {} : { models: others }), isStreamed: false };
  }
  if (!body || !startsLikeObject(body)) return { model: undefined, isStreamed: false };
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
  const put = (start: number, end: number, text: string): Buffer =>
    Buffer.concat([body.subarray(0, start), Buffer.from(text), body.subarray(end)]);
  if (!options) return put(rootOpensAt + 1, rootOpensAt + 1, `"stream_options":{${USAGE_WISH}},`);
  const given = parseMember(options);
  if (given === null) return put(options.start, options.end, `{${USAGE_WISH}}`);
  // The provider refuses what is not an object.
  if (!isRecord(given)) return undefined;
  const wish = given['include_usage'];
  // Some providers take more for a wish than `true`.
  if (wish !== undefined && wish !== null && wish !== false) return undefined;
  let found: FoundMember | undefined;
  const own = body.subarray(options.start, options.end);
  new JsonScanner(['include_usage'], (member) => (found = member)).push(own);
  if (found) return put(options.start + found.start, options.start + found.end, 'true');
  const at = body.lastIndexOf('}', options.end - 1);
  return put(at, at, Object.keys(given).length === 0 ? USAGE_WISH : `,${USAGE_WISH}`);
}

function parseMember(member: FoundMember | undefined): unknown {
  return member && parseJson(member.text);
}

function startsLikeObject(body: Buffer): boolean {
  let at = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
  while (body[at] === 0x20 || body[at] === 0x09 || body[at] === 0x0a || body[at] === 0x0d) at += 1;
  return body[at] === 0x7b;
}

/** Longest header section of a part of a form that is read, longest model, and most parts. */
const MAX_PART_HEAD = 2048;
const MAX_FORM_MODEL = 256;
const MAX_PARTS = 1000;

/** Type of a form: one boundary, and no other parameter but a plain one (RFC 7578, RFC 2046). */
const FORM_TYPE =
  /^multipart\/form-data(?:\s*;\s*charset=[\w-]+)?\s*;\s*boundary=(?:"([\w'()+,./:=? -]{1,70})"|([\w'()+./:=?-]{1,70}))(?:\s*;\s*charset=[\w-]+)?\s*;?\s*$/i;

/** Header section of a part: whole lines, none of them folded (RFC 9110, 5). */
const PART_HEAD = /^(?:[\w!#$%&'*+.^`|~-]+:[^\r\n]*\r\n)*[\w!#$%&'*+.^`|~-]+:[^\r\n]*$/;

/** The disposition of a part, whose parameters are all plain (RFC 7578, 4.2). */
const DISPOSITION =
  /^content-disposition:[ \t]*form-data((?:[ \t]*;[ \t]*[\w-]+\*?=(?:"(?:[^"\\\r\n]|\\.)*"|[\w.%'+!#$&^`|~-]+))*)[ \t]*;?[ \t]*$/i;

const CRLF = Buffer.from('\r\n');
const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * Returns every `model` of a multipart form: which of several counts differs between providers.
 * None are returned of a form that programs may read differently, as if its model were not known.
 */
function modelsOfForm(body: Buffer, contentType: string): string[] {
  const [, quoted, plain] = FORM_TYPE.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return [];
  const delimiter = Buffer.from(`--${boundary}`);
  const models: string[] = [];
  let parts = 0;
  let at = body.indexOf(delimiter);
  // Before the first part there is nothing, or the end of a line.
  if (at !== 0 && !(at === CRLF.length && isAt(body, 0, '\r\n'))) return [];
  for (;;) {
    at += delimiter.length;
    if (isAt(body, at, '--')) {
      const end = at + 2;
      const isEnd = end === body.length || (end + 2 === body.length && isAt(body, end, '\r\n'));
      return isEnd ? models : [];
    }
    parts += 1;
    if (!isAt(body, at, '\r\n') || parts > MAX_PARTS) return [];
    const headEnd = body.subarray(at, at + MAX_PART_HEAD).indexOf(HEAD_END);
    if (headEnd <= 0) return [];
    const name = nameOfPart(body.toString('latin1', at + 2, at + headEnd));
    const from = at + headEnd + HEAD_END.length;
    at = body.indexOf(delimiter, from);
    // Wherever the boundary stands, somebody may take it for one.
    if (name === undefined || at === -1 || !isAt(body, at - CRLF.length, '\r\n')) return [];
    if (name !== 'model') continue;
    const value = body.toString('utf8', from, Math.min(at - CRLF.length, from + MAX_FORM_MODEL + 1));
    if (value.length > MAX_FORM_MODEL || /[\r\n]/.test(value)) return [];
    models.push(value);
  }
}

function isAt(body: Buffer, at: number, text: string): boolean {
  return at >= 0 && body.toString('latin1', at, at + text.length) === text;
}

/** Returns the name of a part, or undefined where programs may take it for different ones. */
function nameOfPart(head: string): string | undefined {
  if (!PART_HEAD.test(head) || /^content-transfer-encoding:/im.test(head)) return undefined;
  const [disposition, ...others] = head.split('\r\n').filter((line) => /^content-disposition:/i.test(line));
  const parameters = DISPOSITION.exec(disposition ?? '')?.[1];
  if (parameters === undefined || others.length > 0) return undefined;
  const named = [...parameters.matchAll(/;[ \t]*([\w-]+\*?)=(?:"((?:[^"\\]|\\.)*)"|([\w.%'+!#$&^`|~-]+))/g)].filter(
    ([, parameter = '']) => /^name\*?$/i.test(parameter),
  );
  const [, parameter, quoted, plain] = named[0] ?? [];
  const name = quoted ?? plain;
  const isPlain = named.length === 1 && parameter?.endsWith('*') === false && !/\\|=\?/.test(name ?? '\\');
  return isPlain ? name : undefined;
}
