/**
 * A daemon in the network of a company: behind a proxy, and a certificate authority that nobody
 * else trusts.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { AUTHORITY, CompanyNetwork } from '../support/company-network.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runCli } from '../support/run-cli.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';

function answer(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json');
  if (request.url?.endsWith('/token') === true) {
    response.end('{"access_token":"from inside","expires_in":3600,"token_type":"bearer"}');
    return;
  }
  const message = { role: 'assistant', content: 'from inside' };
  response.end(
    JSON.stringify({ id: 'g1', model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }], usage: {} }),
  );
}

/** Describes two providers and an account that only the company's network has. */
async function describeInside(home: TempHome, network: object): Promise<void> {
  await home.writeConfig({
    providers: {
      plain: { baseUrl: 'http://llm.corp.invalid/v1', needsKey: false, timeoutMs: 8000 },
      tls: { baseUrl: 'https://llm.corp.invalid/v1', needsKey: false, timeoutMs: 8000 },
    },
    network,
  });
  const account = { client_id: 'c', refresh_token: 'r', token_endpoint: 'https://login.corp.invalid/token' };
  await mkdir(join(home.paths.secrets, 'oauth'), { recursive: true, mode: 0o700 });
  await writeFile(join(home.paths.secrets, 'oauth', 'corp.json'), JSON.stringify(account), { mode: 0o600 });
}

describe('behind a proxy', () => {
  it.each([
    [
      'that the environment names',
      (proxy: string) => ({ env: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy }, network: {} }),
    ],
    ['that the configuration names', (proxy: string) => ({ env: {}, network: { proxy } })],
  ])('%s, completions and workers reach what only the proxy knows', async (_from, place) => {
    await using company = await CompanyNetwork.start(answer);
    await using home = makeTempHome();
    const authority = join(home.path, 'corp.pem');
    await writeFile(authority, AUTHORITY);
    const { env, network } = place(company.proxy);
    await describeInside(home, { ...network, caCertificates: authority });
    await using daemon = await DaemonProcess.start(home, env);
    const aipass = await connect({ socket: home.paths.socket });
    for (const provider of ['plain', 'tls']) {
      const { content } = await aipass.complete({ provider, model: 'm', messages: [{ role: 'user', content: 'x' }] });
      expect(content).toBe('from inside');
    }
    expect((await aipass.token('corp')).accessToken).toBe('from inside');
    expect(new Set(company.seen)).toEqual(
      new Set([
        'POST http://llm.corp.invalid/v1/chat/completions',
        'CONNECT llm.corp.invalid:443',
        'CONNECT login.corp.invalid:443',
      ]),
    );
    expect((await aipass.status()).network).toMatchObject({
      httpsProxy: company.proxy,
      httpProxy: company.proxy,
      noProxy: expect.arrayContaining(['127.0.0.1']),
      caCertificates: authority,
    });
    const doctor = await runCli(home, ['doctor', '--offline', '--json'], { env });
    const findings = JSON.parse(doctor.stdout).findings.filter((one: { check: string }) => one.check === 'network');
    expect(JSON.stringify(findings)).toContain(company.proxy);
    expect((await runCli(home, ['doctor', '--offline'])).stdout).toContain(`goes through the proxy ${company.proxy}`);
    await aipass.close();
    await daemon.stop();
  });

  it('the password of a proxy is in no log, and doctor warns where only the shell has a proxy', async () => {
    await using company = await CompanyNetwork.start(answer);
    await using home = makeTempHome();
    const proxy = company.proxy.replace('http://', 'http://worker:geheim-4711@');
    await describeInside(home, { proxy });
    await using daemon = await DaemonProcess.start(home);
    const status = await runCli(home, ['status', '--json']);
    expect(JSON.parse(status.stdout).network).toMatchObject({ httpsProxy: company.proxy });
    expect(status.stdout + daemon.stdout + daemon.stderr).not.toContain('geheim-4711');
    await daemon.stop();

    await home.writeConfig({});
    await using direct = await DaemonProcess.start(home);
    const doctor = await runCli(home, ['doctor', '--offline', '--json'], { env: { HTTPS_PROXY: company.proxy } });
    expect(doctor.stdout).toContain('HTTPS_PROXY is set here');
    await direct.stop();
  });

  it('a proxy that cannot be reached is named as a reason why a token cannot be renewed', async () => {
    await using home = makeTempHome();
    await describeInside(home, { proxy: 'http://proxy.corp.invalid:3128' });
    await using daemon = await DaemonProcess.start(home);
    const aipass = await connect({ socket: home.paths.socket });
    await expect(aipass.token('corp')).rejects.toMatchObject({ message: expect.stringContaining('proxy') });
    await aipass.close();
    await daemon.stop();
  });

  it('a certificate that is not trusted is an error that names the host and the remedy', async () => {
    await using company = await CompanyNetwork.start(answer);
    await using home = makeTempHome();
    await describeInside(home, { proxy: company.proxy });
    await using daemon = await DaemonProcess.start(home);
    const aipass = await connect({ socket: home.paths.socket });
    const asked = aipass.complete({ provider: 'tls', model: 'm', messages: [{ role: 'user', content: 'x' }] });
    await expect(asked).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message: expect.stringContaining('the certificate of llm.corp.invalid'),
      hint: expect.stringContaining('network.caCertificates'),
    });
    await expect(aipass.token('corp')).rejects.toMatchObject({
      message: expect.stringMatching(/the certificate of login\.corp\.invalid.*network\.caCertificates/),
    });
    await aipass.close();
    await daemon.stop();
  });
});
