/**
 * Gets a provider's API key. Usage: node examples/key.ts [provider]
 *
 * Prefer `complete()` or the HTTP gateway where you can: then no key enters your program.
 */

import { AipassError, connect } from 'aipassd';

try {
  await using aipass = await connect({ caller: 'example-key' });
  const key = await aipass.key(process.argv[2]);
  console.log(`the key has ${key.length} characters and ends with ${key.slice(-4)}`);
} catch (error) {
  if (!(error instanceof AipassError)) throw error;
  // Every failure has a stable code, and a hint that says what to do.
  console.error(`${error.code}: ${error.message}\n  ${error.hint ?? ''}`);
  process.exitCode = 1;
}
