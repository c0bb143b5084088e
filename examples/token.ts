/**
 * Gets an OAuth access token. Usage: node examples/token.ts <account>
 *
 * The daemon refreshes the token first if it would expire within five minutes. The refresh token
 * stays in the daemon.
 */

import { AipassError, connect } from 'aipassd';

const account = process.argv[2] ?? 'google';
await using aipass = await connect({ caller: 'example-token' });
try {
  const { accessToken, tokenType, expiresAt } = await aipass.token(account, { minValidSeconds: 300 });
  const until = expiresAt === null ? 'without a known end' : `until ${new Date(expiresAt).toISOString()}`;
  console.log(`${tokenType} token of ${accessToken.length} characters, valid ${until}`);
} catch (error) {
  if (!(error instanceof AipassError)) throw error;
  // Every failure has a stable code, and a hint that says what to do.
  console.error(`${error.code}: ${error.message}\n  ${error.hint ?? ''}`);
  process.exitCode = 1;
}
