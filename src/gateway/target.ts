/**
 * The target of a request, read from its request line and headers. Nothing is sent, nobody is
 * asked.
 *
 * A target is refused, never repaired, where it could mean one address to us and another to a
 * provider. Examples are the absolute form, a second host (`//host`), dot segments in any encoding,
 * backslashes, control characters.
 */

import type { IncomingHttpHeaders } from 'node:http';
import { BoundedMap } from '../base/bounded-map.ts';
import { quotesToken } from '../protocol/gateway.ts';
import type { Dialect, DialectEndpoint, Provider } from '../providers/provider.ts';

/** Request for a provider. */
export interface ForwardTarget {
  readonly kind: 'forward';
  readonly provider: string;
  readonly dialect: Dialect;
  /**
   * Path below the base URL of the dialect: `/chat/completions`, `/v1/messages`,
   * `/v1beta/models/m:generateContent`.
   */
  readonly path: string;
  /** Query with its `?`, without `key=`, otherwise byte for byte; empty where there is none. */
  readonly query: string;
}

/** Everything that a request can ask for. */
export type Target =
  | ForwardTarget
  | { readonly kind: 'management'; readonly path: string; readonly query: string }
  | { readonly kind: 'metrics' | 'health' | 'readiness' | 'root' }
  | { readonly kind: 'malformed'; readonly problem: string }
  | { readonly kind: 'unknown'; readonly name: string };

/** Configuration that targets depend on. */
export interface TargetOptions {
  /**
   * Returns the endpoints of a provider by dialect, or undefined for a name that is not a provider.
   */
  readonly dialectsOf: (name: string) => Provider['dialects'] | undefined;
  readonly defaultProvider: string;
}

/** Providers of the dialects that a path without a provider selects. */
const ANTHROPIC = 'anthropic';
const GOOGLE = 'google';

/** Longest request target that is read, in characters. */
const MAX_TARGET_LENGTH = 16 * 1024;

/** Path, or segment of one, that means the same to everybody: nothing to decode, and no dot. */
const PLAIN_PATH = /^[A-Za-z0-9_:~/-]*$/;

/**
 * Number of times that a segment is decoded while it is searched for dot segments: clients and
 * servers may each decode.
 */
const MAX_DECODINGS = 4;

/** Longest target that is remembered, and the most of them. */
const MAX_KNOWN_LENGTH = 128;
const MAX_KNOWN = 256;

/**
 * Targets that name their provider, by the family of the client's headers: most requests have one
 * of a few. They hold as long as the endpoints that they were parsed for.
 */
const knownTargets = new WeakMap<TargetOptions, BoundedMap<string, KnownTarget>>();

interface KnownTarget {
  readonly endpoints: Provider['dialects'];
  readonly target: ForwardTarget;
}

/** Parses the target of a request. */
export function parseTarget(url: string, headers: IncomingHttpHeaders, options: TargetOptions): Target {
  if (url.length > MAX_KNOWN_LENGTH) return parseAnyTarget(url, headers, options);
  const name = `${familyOf(headers)} ${url}`;
  const known = knownTargets.get(options)?.get(name);
  if (known && options.dialectsOf(known.target.provider) === known.endpoints) return known.target;
  const target = parseAnyTarget(url, headers, options);
  // A query may hold a key, which nothing remembers.
  if (target.kind !== 'forward' || !url.startsWith(`/${target.provider}/`) || !PLAIN_PATH.test(url)) return target;
  const endpoints = options.dialectsOf(target.provider);
  if (!endpoints) return target;
  const targets = knownTargets.get(options) ?? new BoundedMap<string, KnownTarget>(MAX_KNOWN);
  knownTargets.set(options, targets);
  targets.set(name, { endpoints, target });
  return target;
}

function parseAnyTarget(url: string, headers: IncomingHttpHeaders, options: TargetOptions): Target {
  const problem = findProblem(url);
  if (problem !== undefined) return { kind: 'malformed', problem };
  const { path: written, segments, query } = splitTarget(url);
  const first = segments[0];
  if (first === undefined) return { kind: 'root' };
  if (segments.length === 1) {
    if (first === 'metrics') return { kind: 'metrics' };
    if (first === 'healthz') return { kind: 'health' };
    if (first === 'readyz') return { kind: 'readiness' };
  }
  if (first === 'api' && segments[1] === 'v1') {
    return { kind: 'management', path: `/${segments.slice(2).join('/')}`, query };
  }

  const forward = (provider: string, tail: readonly string[]): ForwardTarget => {
    const endpoints = options.dialectsOf(provider);
    const wanted = chooseDialect(tail, headers);
    // A provider may serve a path of another dialect below its only base URL.
    const dialect = endpoints !== undefined && endpoints[wanted] === undefined ? 'openai' : wanted;
    const { prefix, resource } = pathOf(tail, dialect, endpoints?.[dialect]);
    const rest = behindSegments(written, segments.length - resource.length);
    return {
      kind: 'forward',
      provider,
      dialect,
      path: `/${[...prefix, ...(rest === '' ? [] : [rest])].join('/')}`,
      query,
    };
  };
  // Google's SDK for Node uploads to the path of Google's answer, below the host of its base URL.
  const isUpload = first === 'upload' && isVersion(segments[1] ?? '');
  if (isVersion(first) || isUpload) return forward(providerOfDialect(segments, headers, options), segments);
  if (options.dialectsOf(first) !== undefined) return forward(first, segments.slice(1));
  // The AI SDK appends `/messages` to a base URL that other clients extend by `/v1/messages`.
  if (first === 'messages' || (first === 'models' && familyOf(headers) === 'anthropic'))
    return forward(ANTHROPIC, segments);
  return { kind: 'unknown', name: decode(first) };
}

/**
 * Returns the dialect in which an error about a request is worded, whatever is wrong with the
 * request.
 */
export function dialectOf(url: string, headers: IncomingHttpHeaders): Dialect {
  const { segments } = splitTarget(url);
  const hasProvider = !isVersion(segments[0] ?? '') && segments[0] !== 'messages';
  return chooseDialect(hasProvider ? segments.slice(1) : segments, headers);
}

/** Returns the values of `key=` in a query. */
export function keysInQuery(url: string): string[] {
  const at = url.indexOf('?');
  if (at === -1) return [];
  return url
    .slice(at + 1)
    .split('&')
    .filter(isKeyParameter)
    .map((parameter) => decode(/^[^=]*=(.*)$/s.exec(parameter)?.[1] ?? ''));
}

function findProblem(url: string): string | undefined {
  if (url.length > MAX_TARGET_LENGTH) return `the target is longer than ${MAX_TARGET_LENGTH} characters`;
  if (!url.startsWith('/')) return 'the target is not a path';
  if (url.startsWith('//')) return 'the target names a host';
  // It would reach the provider, and its log.
  if (quotesToken(url.split('?', 1)[0] ?? '')) return 'the path holds a token';
  if (PLAIN_PATH.test(url)) return undefined;
  if (/[\\#]|[^\x21-\x7e]/.test(url)) return 'the target holds a character that no path may hold';
  const path = url.split('?', 1)[0] ?? '';
  for (const segment of path.split('/')) {
    const problem = findSegmentProblem(segment);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function findSegmentProblem(segment: string): string | undefined {
  if (PLAIN_PATH.test(segment)) return undefined;
  let text = segment;
  for (let round = 0; round < MAX_DECODINGS; round += 1) {
    // Java's servers remove what follows a semicolon before they search for dots (RFC 3986, 3.3).
    if (text.split(/[/\\]/).some((part) => /^\.{1,2}(?:;|$)/.test(part))) return 'the path has a dot segment';
    if (/\p{Cc}/u.test(text)) return 'the path holds a control character';
    let decoded: string;
    try {
      decoded = decodeURIComponent(text);
    } catch {
      return round === 0 ? 'the path is not percent-encoded as RFC 3986 requires' : undefined;
    }
    if (decoded === text) return undefined;
    text = decoded;
  }
  return 'the path is encoded too many times';
}

/** Target in its parts. */
interface SplitTarget {
  /** Path as it was written. */
  readonly path: string;
  /** Segments of the path, empty ones left out. */
  readonly segments: readonly string[];
  /** Query with its `?`, without `key=`. */
  readonly query: string;
}

function splitTarget(url: string): SplitTarget {
  const at = url.indexOf('?');
  const path = at === -1 ? url : url.slice(0, at);
  const segments = segmentsOf(path);
  if (at === -1) return { path, segments, query: '' };
  const kept = url
    .slice(at + 1)
    .split('&')
    .filter((parameter) => !isKeyParameter(parameter));
  const query = kept.join('&');
  return { path, segments, query: query === '' ? '' : `?${query}` };
}

/**
 * Returns what stands behind so many segments of a path, as it was written. An API may have an
 * address with `//` in its paths, or answer one with a slash at its end only.
 */
function behindSegments(path: string, count: number): string {
  let at = 0;
  for (let left = count; left > 0 && at !== -1; left -= 1) {
    while (path[at] === '/') at += 1;
    at = path.indexOf('/', at);
  }
  if (at === -1) return '';
  const rest = path.slice(at).replace(/^\/+/, '');
  // Base URLs that end in a slash double one elsewhere.
  const address = rest.search(/:\/\//);
  const own = address === -1 ? rest.length : address;
  return rest.slice(0, own).replaceAll(/\/{2,}/g, '/') + rest.slice(own);
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}

/** Segments of base URLs: their endpoints live as long as the configuration that they come from. */
const BASE_SEGMENTS = new WeakMap<DialectEndpoint, readonly string[]>();

function baseSegmentsOf(endpoint: DialectEndpoint): readonly string[] {
  const known = BASE_SEGMENTS.get(endpoint);
  if (known) return known;
  const segments = segmentsOf(new URL(endpoint.baseUrl).pathname);
  BASE_SEGMENTS.set(endpoint, segments);
  return segments;
}

function isKeyParameter(parameter: string): boolean {
  return decode(parameter.split('=', 1)[0] ?? '') === 'key';
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Returns the path below the base URL of a dialect: segments of ours, then those of the client.
 * Clients disagree on how much of it belongs to their base URL, so `/v1/messages`, `/messages` and
 * `/v1/v1/messages` are one path.
 */
function pathOf(
  tail: readonly string[],
  dialect: Dialect,
  endpoint: DialectEndpoint | undefined,
): { readonly prefix: readonly string[]; readonly resource: readonly string[] } {
  if (dialect === 'gemini') {
    const hasVersion = tail.some((segment, at) => at < 2 && isVersion(segment));
    return { prefix: hasVersion ? [] : ['v1beta'], resource: tail };
  }
  const base = endpoint === undefined ? [] : baseSegmentsOf(endpoint);
  const own = base.findIndex((_, from) => base.slice(from).every((segment, at) => segment === tail[at]));
  const below = own === -1 ? tail : tail.slice(base.length - own);
  const from = below.findIndex((segment) => segment !== 'v1');
  const resource = from === -1 ? [] : below.slice(from);
  return { prefix: dialect === 'anthropic' ? ['v1'] : [], resource };
}

function providerOfDialect(segments: readonly string[], headers: IncomingHttpHeaders, options: TargetOptions): string {
  switch (chooseDialect(segments, headers)) {
    case 'anthropic':
      return ANTHROPIC;
    case 'gemini':
      return GOOGLE;
    case 'openai':
      return segments[0] === 'v1beta' ? GOOGLE : options.defaultProvider;
  }
}

/** Chooses the dialect: the headers that only one family of clients sends decide, then the path. */
function chooseDialect(tail: readonly string[], headers: IncomingHttpHeaders): Dialect {
  // Google's OpenAI-compatible endpoints are below its native version.
  if (tail[0] === 'openai' || (isVersion(tail[0] ?? '') && tail[1] === 'openai')) return 'openai';
  const family = familyOf(headers);
  if (family !== '') return family;
  const [first, second, third] = tail;
  if (first === 'v1beta' || first === 'v1alpha' || (first === 'upload' && second?.startsWith('v1') === true)) {
    return 'gemini';
  }
  if (/^[^:]+:[A-Za-z]+$/.test(tail.at(-1) ?? '') && tail.includes('models')) return 'gemini';
  const resource = first === 'v1' ? (second === 'v1' ? third : second) : first;
  return resource === 'messages' ? 'anthropic' : 'openai';
}

/** Returns the dialect whose clients send such headers, or nothing where they do not show it. */
function familyOf(headers: IncomingHttpHeaders): Dialect | '' {
  if (headers['anthropic-version'] !== undefined) return 'anthropic';
  return headers['x-goog-api-key'] === undefined ? '' : 'gemini';
}

function isVersion(segment: string): boolean {
  return segment === 'v1' || segment === 'v1beta' || segment === 'v1alpha';
}
