/**
 * `npm run picture`: draws docs/status.svg from what `aipassd status` really prints. It runs on a
 * temporary home with a provider on loopback: a pool whose second key was refused, and an OAuth
 * account.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../src/client/index.ts';
import { DaemonProcess } from '../tests/support/daemon-process.ts';
import { startLoopbackProvider } from '../tests/support/loopback-provider.ts';
import { runCli } from '../tests/support/run-cli.ts';
import { makeTempHome } from '../tests/support/temp-home.ts';
import { TokenEndpoint } from '../tests/support/token-endpoint.ts';
import { until } from '../tests/support/until.ts';

const COLUMNS = 78;
const LINE_HEIGHT = 19;
const CHAR_WIDTH = 8.4;
const GOOD_KEY = `sk-or-v1-${'0123456789abcdef'.repeat(4)}`;

await using home = makeTempHome();
await using provider = await startLoopbackProvider();
await using tokens = await TokenEndpoint.start();
provider.acceptKeys([GOOD_KEY]);
tokens.reply = () => ({ body: { access_token: 'a-token', token_type: 'Bearer', expires_in: 3600 } });
await home.writeConfig({
  providers: { openrouter: { baseUrl: provider.baseUrl, keyCheck: null }, groq: { baseUrl: provider.baseUrl } },
});
await home.writeKeys({
  OPENROUTER_API_KEY: `sk-or-v1-${'fedcba9876543210'.repeat(4)}`,
  OPENROUTER_API_KEY_2: GOOD_KEY,
  GROQ_API_KEY: 'gsk_0123456789abcdef0123456789abcdef0123456789abcdef0123',
});
const oauth = join(home.paths.secrets, 'oauth');
mkdirSync(oauth, { mode: 0o700 });
const account = { client_id: 'app', client_secret: 's', grant_type: 'client_credentials', token_endpoint: tokens.url };
writeFileSync(join(oauth, 'spotify.json'), JSON.stringify(account), { mode: 0o600 });

await using daemon = await DaemonProcess.start(home);
const aipass = await connect({ caller: 'picture', socket: home.paths.socket });
await aipass.complete({ model: 'openai/gpt-5-mini', messages: [{ role: 'user', content: 'Hello' }] });
await until('the account is fresh', async () => (await aipass.token('spotify')).accessToken === 'a-token');
const { stdout } = await runCli(home, ['status'], { env: { COLUMNS: String(COLUMNS) } });
await aipass.close();

if (!daemon.isRunning) throw new Error('the daemon ended');
const text = stdout.replaceAll(home.path, '~').trimEnd();
writeFileSync(new URL('../docs/status.svg', import.meta.url), draw(['$ aipassd status', ...text.split('\n')]));

/** Returns a terminal window with these lines. */
function draw(lines: readonly string[]): string {
  const width = Math.ceil(COLUMNS * CHAR_WIDTH) + 40;
  const height = lines.length * LINE_HEIGHT + 60;
  const rows = lines.map((line, index) => {
    const colour = line.startsWith('$') ? '#8b949e' : line.startsWith('●') ? '#f0883e' : '#e6edf3';
    return `<text x="20" y="${50 + index * LINE_HEIGHT}" fill="${colour}" xml:space="preserve">${escape(line)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Output of aipassd status">
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<circle cx="20" cy="18" r="6" fill="#ff5f57"/><circle cx="40" cy="18" r="6" fill="#febc2e"/><circle cx="60" cy="18" r="6" fill="#28c840"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">
${rows.join('\n')}
</g>
</svg>
`;
}

function escape(line: string): string {
  return line.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
