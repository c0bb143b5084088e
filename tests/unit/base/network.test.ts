import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { describeCertificateFailure, describeNetwork, openNetwork } from '../../../src/base/network.ts';

const LOOPBACK = ['localhost', '127.0.0.1', '::1', '[::1]'];

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aip-network-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the network', () => {
  it('has neither proxy nor further authorities where nothing says so', () => {
    const env = {};
    const { report, secrets, warnings } = openNetwork({}, env);
    expect(report).toEqual({ httpsProxy: null, httpProxy: null, noProxy: [], caCertificates: null });
    expect({ env, secrets, warnings }).toEqual({ env: {}, secrets: [], warnings: [] });
    expect(describeNetwork(report)).toEqual([]);
  });

  it('takes an unusable proxy or file for none, and says so without its password', () => {
    const env: Record<string, string | undefined> = { HTTPS_PROXY: 'socks5://me:geheim@proxy.example:1080' };
    const file = join(folder, 'empty.pem');
    writeFileSync(file, 'no certificate');
    const { report, warnings } = openNetwork({ caCertificates: file }, env);
    expect(report).toMatchObject({ httpsProxy: null, caCertificates: null });
    expect(env).toEqual({});
    expect(warnings.map(({ subject }) => subject)).toEqual(['HTTPS_PROXY', 'network.caCertificates']);
    expect(warnings[0]?.problem).toContain('socks5://proxy.example:1080');
    expect(JSON.stringify(warnings)).not.toContain('geheim');
    expect(openNetwork({ caCertificates: join(folder, 'none') }, {}).warnings[0]?.problem).toContain('ENOENT');
  });

  test.each([
    ['corp.example', ['corp.example', '*.corp.example']],
    ['.corp.example', ['.corp.example']],
    ['*.corp.example', ['*.corp.example']],
    ['host.example:8443', ['host.example:8443']],
    ['10.0.0.0/8', ['10.0.0.0/8', '10.0.0.0-10.255.255.255']],
    ['192.168.4.77/30', ['192.168.4.77/30', '192.168.4.76-192.168.4.79']],
    ['192.168.*', ['192.168.*', '192.168.0.0-192.168.255.255']],
    ['0.0.0.0/0', ['0.0.0.0/0', '0.0.0.0-255.255.255.255']],
    ['10.0.0.7', ['10.0.0.7']],
    ['10.0.0.0/99', ['10.0.0.0/99']],
    ['[fd00::1]', ['[fd00::1]', 'fd00::1']],
    ['*', ['*']],
  ])('leaves out of the proxy what people mean by %s', (entry, forms) => {
    const env: Record<string, string | undefined> = { https_proxy: 'http://proxy.example:3128', no_proxy: entry };
    const { report } = openNetwork({}, env);
    const isLoopback = (one: string): boolean => [...LOOPBACK, '::1'].includes(one);
    expect(env['NO_PROXY']?.split(',').filter((one) => !isLoopback(one))).toEqual(forms);
    expect(report.noProxy).toEqual([entry, ...LOOPBACK]);
  });

  it('takes a proxy without a scheme for one of http, as curl does', () => {
    const env: Record<string, string | undefined> = { HTTPS_PROXY: 'me:geheim@proxy.example:3128' };
    const { report, secrets, warnings } = openNetwork({}, env);
    expect(report.httpsProxy).toBe('http://proxy.example:3128');
    expect({ secrets: new Set(secrets), warnings }).toEqual({ secrets: new Set(['me', 'geheim']), warnings: [] });
    expect(env['https_proxy']).toBe('http://me:geheim@proxy.example:3128');
  });

  it('names the file of certificate authorities that Node itself has read', () => {
    expect(openNetwork({}, { NODE_EXTRA_CA_CERTS: '/etc/corp.pem' }).report.caCertificates).toBe('/etc/corp.pem');
  });

  it('is described in a few words', () => {
    const one = 'http://proxy.example:3128';
    expect(
      describeNetwork({ httpsProxy: one, httpProxy: one, noProxy: LOOPBACK, caCertificates: '/etc/corp.pem' }),
    ).toEqual([
      expect.stringContaining(`${one}, but not to ${LOOPBACK.join(', ')}`),
      expect.stringContaining('/etc/corp.pem'),
    ]);
    expect(describeNetwork({ httpsProxy: one, httpProxy: null, noProxy: [], caCertificates: null })).toEqual([
      `https goes through the proxy ${one}`,
    ]);
  });
});

test.each([
  ['SELF_SIGNED_CERT_IN_CHAIN', 'network.caCertificates'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'network.caCertificates'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'NODE_EXTRA_CA_CERTS'],
  ['CERT_HAS_EXPIRED', 'clock'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'address'],
])('the failure %s names the host and the remedy', (code, remedy) => {
  const failure = describeCertificateFailure(code, 'api.example:443');
  expect(failure?.problem).toContain('api.example:443');
  expect(failure?.problem).toContain(code);
  expect(failure?.hint).toContain(remedy);
});

test.each(['ECONNREFUSED', 'toString', ''])('%j is not a failure of a certificate', (code) => {
  expect(describeCertificateFailure(code, 'api.example')).toBeUndefined();
});
