/**
 * The `.env` that a new user starts with. Its active lines are AIPass's placeholders, so that both
 * programs read them as "not set yet".
 */

import { existsSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { systemErrorCode } from '../base/errors.ts';
import { assertTrusted } from '../base/file-trust.ts';
import type { Logger } from '../base/logger.ts';
import { describeFailure } from '../base/system-failure.ts';
import type { Warning } from '../base/warning.ts';
import { createFileAtomic } from '../base/atomic-write.ts';

export const ENV_TEMPLATE = `# API keys for aipassd. Only you may read this file (mode 0600).
#
# One line for one key: <PROVIDER>_API_KEY=value. A saved change is in use at once; nothing needs a restart.
# Several keys of one provider make a pool, which is used in turns:
#   OPENROUTER_API_KEY=first key
#   OPENROUTER_API_KEY_2=second key
#   OPENROUTER_API_KEY_3=third key
# Any other provider works the same way. A value such as the two below counts as not set.

OPENROUTER_API_KEY=sk-or-v1-your-key-here
OPENAI_API_KEY=sk-your-openai-key-here

# ANTHROPIC_API_KEY=<your key>
# GOOGLE_API_KEY=<your key>
# GROQ_API_KEY=<your key>
# MISTRAL_API_KEY=<your key>
# XAI_API_KEY=<your key>
# DEEPSEEK_API_KEY=<your key>
# CEREBRAS_API_KEY=<your key>
# TOGETHER_API_KEY=<your key>
# FIREWORKS_API_KEY=<your key>
# COHERE_API_KEY=<your key>
# PERPLEXITY_API_KEY=<your key>
# MOONSHOT_API_KEY=<your key>
`;

/**
 * Makes a `.env` from the template; leaves an existing one alone, even a dangling link.
 *
 * @throws AipassError UNSAFE_PERMISSIONS in a place that others can write to, or that belongs to
 * another user.
 */
export async function initEnvFile(path: string): Promise<'created' | 'exists'> {
  // Before anything is made: in a home of somebody else it would be of no use to its owner, and in
  // the way.
  assertTrusted('the file for the keys', path);
  if (await isThere(path)) return 'exists';
  try {
    await createFileAtomic(path, ENV_TEMPLATE);
    return 'created';
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST' && (await isThere(path))) return 'exists';
    throw error;
  }
}

/**
 * Makes a `.env` from the template if there is none; a failure does not keep the daemon from
 * starting.
 *
 * @returns the warnings as long as the file is missing.
 */
export async function offerEnvFile(path: string, logger: Pick<Logger, 'info' | 'warn'>): Promise<() => Warning[]> {
  try {
    if ((await initEnvFile(path)) === 'created') logger.info(`made ${path} from the template`);
    return () => [];
  } catch (error) {
    const { message, hint } = describeFailure('the file for the keys cannot be made', error, path);
    logger.warn(message);
    return () => (existsSync(path) ? [] : [{ subject: path, problem: message, hint: hint ?? 'aipassd init' }]);
  }
}

/** Distinguishes a taken name from a file in place of the folder: both fail with EEXIST. */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}
