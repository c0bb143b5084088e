/**
 * Where the key of a credential may be sent: https anywhere in public, or http on this machine.
 *
 * A key must not reach a service of the local network because somebody wrote its address into a
 * credential. So private and link-local addresses are refused unless the configuration lists them:
 * `checkCredentialUrl` checks addresses written in a URL, and `createGuardedLookup` those that a
 * name resolves to. Behind a proxy, the proxy resolves names, and nothing checks them.
 */

import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { AipassError } from '../base/errors.ts';
import { ExchangeFailure } from './http-exchange.ts';
import type { DialectEndpoint, Provider } from './provider.ts';

/**
 * Addresses that are not public (RFC 1918, 3927, 4193, 4291, 6598 and the like). Loopback is judged
 * apart.
 */
const PRIVATE = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  PRIVATE.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of [
  // Also what wraps an IPv4 address: compatible, translated, Teredo, 6to4.
  ['::', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2001::', 32],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const)
  PRIVATE.addSubnet(net, bits, 'ipv6');

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Reason of a refused connection; the address itself would reveal the network to callers. */
const NOT_PUBLIC = 'the base URL of its credential leads to an address that is not public';

/** Kind of an address: `loopback`, `private` or `public`. */
function addressKind(address: string): 'loopback' | 'private' | 'public' {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
  if (LOOPBACK.check(plain, family)) return 'loopback';
  return PRIVATE.check(plain, family) ? 'private' : 'public';
}

/**
 * Returns a base URL without a slash at its end.
 *
 * @throws AipassError BAD_REQUEST for what is not an absolute URL, and for a user name, a query or
 * a fragment in it. Also for http elsewhere than on this machine, and for a private address that
 * `allowedHosts` does not list.
 */
export function checkCredentialUrl(text: string, allowedHosts: readonly string[]): string {
  if (!URL.canParse(text)) throw badUrl('is not a URL', 'begin with https://');
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.username !== '' || url.password !== '') throw badUrl('holds a user name or password', 'remove it');
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(text)) {
    throw badUrl('holds a query or a fragment', 'cut it before the "?" or "#"');
  }
  const kind = isIP(host) === 0 ? (isLocalName(host) ? 'loopback' : 'public') : addressKind(host);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && kind === 'loopback')) {
    throw badUrl('needs https', 'only an address of this machine may use http');
  }
  if (kind === 'private' && !allowedHosts.includes(host)) {
    throw badUrl(`${host} is an address of a private network`, 'list it in network.allowedHosts of the configuration');
  }
  return url.href.replace(/\/+$/, '');
}

/**
 * Makes the lookup of requests to the base URL of a credential. It fails with an ExchangeFailure
 * where any address of the name is not public. A name of this machine
 * (`localhost`) may be loopback, and `allowedHosts` anything.
 *
 * @param resolve resolves names; the system does without it.
 */
export function createGuardedLookup(
  allowedHosts: () => readonly string[],
  resolve: LookupFunction = systemLookup,
): LookupFunction {
  return (hostname, options, callback) => {
    if (allowedHosts().includes(hostname)) {
      resolve(hostname, options, callback);
      return;
    }
    resolve(hostname, { ...options, all: true }, (error, found, family) => {
      if (error) {
        callback(error, '');
        return;
      }
      const addresses: readonly LookupAddress[] =
        typeof found === 'string' ? [{ address: found, family: family ?? isIP(found) }] : found;
      const permitted = isLocalName(hostname) ? 'loopback' : 'public';
      const [first] = addresses;
      if (!first || addresses.some(({ address }) => addressKind(address) !== permitted)) {
        callback(new ExchangeFailure('not-public', NOT_PUBLIC), '');
      } else if (options.all === true) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    });
  };
}

/**
 * Returns the provider with every address moved below another base URL, for a credential that has
 * one. Configured headers stay behind: they can hold secrets, and whoever may change an address
 * need not be allowed to see them. `lookup` resolves the name in the base URL.
 */
export function withBaseUrl(provider: Provider, baseUrl: string | null | undefined, lookup?: LookupFunction): Provider {
  if (baseUrl === null || baseUrl === undefined) return provider;
  const move = (url: string): string => moveUrl(url, provider.baseUrl, baseUrl);
  const moveEndpoint = (endpoint: DialectEndpoint): DialectEndpoint => ({
    ...endpoint,
    baseUrl: move(endpoint.baseUrl),
    headers: {},
  });
  const { openai, anthropic, gemini } = provider.dialects;
  return {
    ...provider,
    baseUrl,
    lookup,
    headers: provider.builtInHeaders,
    dialects: {
      openai: moveEndpoint(openai),
      ...(anthropic ? { anthropic: moveEndpoint(anthropic) } : {}),
      ...(gemini ? { gemini: moveEndpoint(gemini) } : {}),
    },
    modelsUrl: provider.modelsUrl === null ? null : move(provider.modelsUrl),
    keyCheck: provider.keyCheck === null ? null : { ...provider.keyCheck, url: move(provider.keyCheck.url) },
  };
}

/**
 * Moves a URL; one outside of the old base URL, such as that of another dialect, keeps its path on
 * the new origin.
 */
function moveUrl(url: string, from: string, to: string): string {
  const base = to.replace(/\/+$/, '');
  if (url === from || url.startsWith(`${from}/`) || url.startsWith(`${from}?`)) return base + url.slice(from.length);
  const { pathname, search } = new URL(url);
  return new URL(pathname + search, base).href;
}

function badUrl(problem: string, hint: string): AipassError {
  return new AipassError('BAD_REQUEST', `base_url: ${problem}`, { hint });
}

function isLocalName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}
