/**
 * The way of every request of this process to the network: through a proxy or not, and which
 * certificate authorities are trusted. Settings of the configuration come before the variables
 * HTTPS_PROXY, HTTP_PROXY, NO_PROXY and NODE_EXTRA_CA_CERTS.
 *
 * Node has one place for each (http.setGlobalProxyFromEnv, tls.setDefaultCACertificates), which
 * node:http and fetch obey alike. What applies is also put back into the environment, from which
 * workers inherit it.
 */

import type * as Http from 'node:http';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type * as Tls from 'node:tls';
import { systemErrorCode } from './errors.ts';
import { splitList } from './split-list.ts';
import type { Warning } from './warning.ts';

export interface NetworkSettings {
  /** Proxy for http and https, as a URL; it may hold a user name and a password. */
  readonly proxy?: string | undefined;
  /** Hosts that are reached without it, as in NO_PROXY. */
  readonly noProxy?: readonly string[] | undefined;
  /** Path of a PEM file with certificate authorities to trust besides the usual ones. */
  readonly caCertificates?: string | undefined;
}

/** The network as it is used. Holds no secret: the credentials of a proxy are left out. */
export interface NetworkReport {
  readonly httpsProxy: string | null;
  readonly httpProxy: string | null;
  /** Hosts that are reached without a proxy; empty where there is none. */
  readonly noProxy: readonly string[];
  /** PEM file with further certificate authorities, or null. */
  readonly caCertificates: string | null;
}

/** Network of a daemon without settings for it. */
export const NO_NETWORK: NetworkReport = { httpsProxy: null, httpProxy: null, noProxy: [], caCertificates: null };

export interface OpenNetwork {
  readonly report: NetworkReport;
  /** Credentials of proxies, for the redactor. */
  readonly secrets: readonly string[];
  readonly warnings: readonly Warning[];
}

type Environment = Record<string, string | undefined>;

/** Hosts that no proxy can reach for us. */
const LOOPBACK = ['localhost', '127.0.0.1', '::1', '[::1]'];

/** Time for which an idle connection is kept, in milliseconds, as Node's own agent does. */
const KEPT_MS = 5000;

/** Whether this process was set up to use a proxy; undefined until it is asked for. */
let isProxied: boolean | undefined;

/** Sets up the network of this process, and of processes that inherit `env`. */
export function openNetwork(settings: NetworkSettings, env: Environment = process.env): OpenNetwork {
  const warnings: Warning[] = [];
  if (settings.proxy !== undefined) setBoth(env, ['HTTPS_PROXY', 'HTTP_PROXY'], settings.proxy);
  const httpsProxy = readProxy(env, 'HTTPS_PROXY', warnings);
  const httpProxy = readProxy(env, 'HTTP_PROXY', warnings);
  const hasProxy = httpsProxy !== null || httpProxy !== null;
  isProxied = hasProxy;
  const noProxy = hasProxy ? noProxyHosts(settings, env) : [];
  if (hasProxy) {
    setBoth(env, ['NO_PROXY'], noProxy.flatMap(formsForNode).join(','));
    env['NODE_USE_ENV_PROXY'] = '1';
    useProxy(env, warnings);
  }
  const caCertificates = useCertificates(settings, env, warnings);
  const proxies = [httpsProxy, httpProxy].filter((url) => url !== null);
  return {
    report: {
      httpsProxy: httpsProxy && withoutCredentials(httpsProxy),
      httpProxy: httpProxy && withoutCredentials(httpProxy),
      noProxy,
      caCertificates,
    },
    secrets: proxies.flatMap(credentialsOf),
    warnings,
  };
}

/** Returns whether requests may have to go through a proxy; node:http decides for each. */
export function usesProxy(): boolean {
  return (isProxied ??= process.env['NODE_USE_ENV_PROXY'] === '1');
}

/** Returns an agent for one request on a connection of its own; false stands for Node's own. */
export function singleUseAgent(protocol: string): Http.Agent | false {
  return usesProxy() && createAgent(protocol, {});
}

const separateAgents = new Map<string, Http.Agent>();

/** Returns an agent that keeps connections as the usual one does, apart from it. */
export function separateAgent(protocol: string): Http.Agent {
  const known = separateAgents.get(protocol);
  if (known) return known;
  const agent = createAgent(protocol, { keepAlive: true, timeout: KEPT_MS });
  separateAgents.set(protocol, agent);
  return agent;
}

function createAgent(protocol: string, options: Http.AgentOptions): Http.Agent {
  const { Agent } = process.getBuiltinModule(protocol === 'https:' ? 'node:https' : 'node:http');
  return new Agent(usesProxy() ? { ...options, proxyEnv: process.env } : options);
}

/** Describes the network in short texts, one for each thing that is in use. */
export function describeNetwork({ httpsProxy, httpProxy, noProxy, caCertificates }: NetworkReport): string[] {
  const lines: string[] = [];
  const except = noProxy.length === 0 ? '' : `, but not to ${noProxy.join(', ')}`;
  if (httpsProxy !== null) {
    lines.push(`${httpsProxy === httpProxy ? 'everything' : 'https'} goes through the proxy ${httpsProxy}${except}`);
  }
  if (httpProxy !== null && httpProxy !== httpsProxy) lines.push(`http goes through the proxy ${httpProxy}${except}`);
  if (caCertificates !== null) lines.push(`certificate authorities in ${caCertificates} are trusted, too`);
  return lines;
}

const COMPANY_HINT =
  'if the network of a company signs it, set "network.caCertificates" in the configuration (or NODE_EXTRA_CA_CERTS) to the PEM file of its authority';
const CLOCK_HINT = 'check the clock of this machine (date); if it is right, the server needs a new certificate';

/** Problems of a server's certificate and what to do, by the codes that Node gives. */
const CERTIFICATE_FAILURES: readonly { readonly codes: RegExp; readonly problem: string; readonly hint: string }[] = [
  {
    codes:
      /^(?:SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_UNTRUSTED)$/,
    problem: 'is signed by an authority that this machine does not trust',
    hint: COMPANY_HINT,
  },
  { codes: /^DEPTH_ZERO_SELF_SIGNED_CERT$/, problem: 'is signed by the server itself', hint: COMPANY_HINT },
  { codes: /^CERT_HAS_EXPIRED$/, problem: 'has expired', hint: CLOCK_HINT },
  { codes: /^CERT_NOT_YET_VALID$/, problem: 'is not valid yet', hint: CLOCK_HINT },
  {
    codes: /^CERT_REVOKED$/,
    problem: 'was revoked',
    hint: 'the server needs a new certificate: report it to its operator',
  },
  {
    codes: /^(?:ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)$/,
    problem: 'is for another host',
    hint: 'correct the address in the configuration: it must have the name that the certificate is for',
  },
];

/** Returns what is wrong with a server's certificate, or undefined for any other failure. */
export function describeCertificateFailure(
  code: string,
  host: string,
): { readonly problem: string; readonly hint: string } | undefined {
  const failure = CERTIFICATE_FAILURES.find(({ codes }) => codes.test(code));
  return failure && { problem: `the certificate of ${host} ${failure.problem} (${code})`, hint: failure.hint };
}

function setBoth(env: Environment, names: readonly string[], value: string): void {
  for (const name of names) {
    env[name] = value;
    env[name.toLowerCase()] = value;
  }
}

/**
 * Returns an entry of NO_PROXY in the forms that Node reads. As curl has it, a domain stands for
 * its subdomains, too; as Go and Python have it, networks may be given (`10.0.0.0/8`, `10.*`).
 */
function formsForNode(entry: string): string[] {
  const range = networkRange(entry);
  if (range) return [entry, range];
  // Node compares an IPv6 address without its brackets.
  if (/^\[.*\]$/.test(entry)) return [entry, entry.slice(1, -1)];
  const isDomain = /^[a-z\d-]+(?:\.[a-z\d-]+)*$/i.test(entry) && isIP(entry) === 0;
  return isDomain && entry !== 'localhost' ? [entry, `*.${entry}`] : [entry];
}

/** Returns the first and the last address of an IPv4 network, joined by a hyphen, if it is one. */
function networkRange(entry: string): string | undefined {
  const [, prefix] = /^((?:\d{1,3}\.){1,3})\*$/.exec(entry) ?? [];
  const given = prefix?.split('.').slice(0, -1) ?? [];
  const bytes = prefix === undefined ? undefined : [...given, '0', '0', '0'].slice(0, 4);
  const [address = '', bits = ''] = bytes ? [bytes.join('.'), String(8 * given.length)] : entry.split('/');
  if (isIP(address) !== 4 || !/^\d{1,2}$/.test(bits) || Number(bits) > 32) return undefined;
  const size = 2 ** (32 - Number(bits));
  const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const first = number - (number % size);
  return [first, first + size - 1].map(addressOf).join('-');
}

function addressOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

/** Returns a proxy's URL, with http where no scheme is given, or removes one that is unusable. */
function readProxy(env: Environment, name: string, warnings: Warning[]): string | null {
  const given = env[name.toLowerCase()] || env[name];
  if (!given) return null;
  const value = given.includes('://') ? given : `http://${given}`;
  if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) {
    if (value !== given) setBoth(env, [name], value);
    return value;
  }
  delete env[name];
  delete env[name.toLowerCase()];
  const shown = URL.canParse(value) ? withoutCredentials(value) : 'something that is not a URL';
  warnings.push({
    subject: name,
    problem: `not a proxy that can be used (got ${shown}): requests go out without it`,
    hint: 'set it to an http or https URL such as http://proxy.example:3128',
  });
  return null;
}

function noProxyHosts({ noProxy }: NetworkSettings, env: Environment): string[] {
  const given = noProxy ?? splitList(env['no_proxy'] || env['NO_PROXY'] || '');
  return [...new Set([...given, ...LOOPBACK])];
}

function useProxy(env: Environment, warnings: Warning[]): void {
  const http: Partial<typeof Http> = process.getBuiltinModule('node:http');
  if (http.setGlobalProxyFromEnv) {
    http.setGlobalProxyFromEnv(env);
    return;
  }
  warnings.push({
    subject: 'network.proxy',
    problem: `Node ${process.versions.node} cannot send requests through a proxy: they go out without it`,
    hint: 'run the daemon with Node 24.14 or newer',
  });
}

/** Trusts the authorities of a file, and returns its path; one that cannot be read is a warning. */
function useCertificates({ caCertificates }: NetworkSettings, env: Environment, warnings: Warning[]): string | null {
  // Node has read the file of the variable when it started.
  if (caCertificates === undefined) return env['NODE_EXTRA_CA_CERTS'] || null;
  let certificates: string[];
  try {
    certificates = readFileSync(caCertificates, 'utf8').match(PEM_CERTIFICATE) ?? [];
    if (certificates.length === 0) throw new Error('it holds no certificate in PEM form');
    const tls: typeof Tls = process.getBuiltinModule('node:tls');
    const extra = new Set(tls.getCACertificates('extra'));
    const usual = tls.getCACertificates('default').filter((one) => !extra.has(one));
    tls.setDefaultCACertificates([...usual, ...certificates]);
  } catch (error) {
    const reason = systemErrorCode(error) ?? (error instanceof Error ? error.message : 'unknown reason');
    warnings.push({
      subject: 'network.caCertificates',
      problem: `${caCertificates} cannot be used (${reason}): only the usual certificate authorities are trusted`,
      hint: 'set it to the path of a PEM file, which begins with "-----BEGIN CERTIFICATE-----"',
    });
    return null;
  }
  env['NODE_EXTRA_CA_CERTS'] = caCertificates;
  return caCertificates;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

function withoutCredentials(proxy: string): string {
  const url = new URL(proxy);
  return `${url.protocol}//${url.host}`;
}

function credentialsOf(proxy: string): string[] {
  const { username, password } = new URL(proxy);
  return [username, password].flatMap((text) => [text, decodeURIComponent(text)]).filter((text) => text !== '');
}
