/**
 * `aipassd git-credential`: git's passwords from the daemon, by git's protocol for credential
 * helpers.
 */

import { AipassError } from '../../base/errors.ts';
import { answerGitRequest, parseGitRequest } from '../git-credential.ts';
import { requiredWord } from '../options.ts';
import { defineVerb } from '../verb.ts';

/** Answers git. */
export const gitCredential = defineVerb({
  name: 'git-credential',
  summary: 'git credential helper: passwords from the secrets git/<host>',
  details: [
    'aipassd exec --git has git ask it. Elsewhere: git config --global credential.helper "!aipassd git-credential". The secret git/github.com holds a token, or a JSON document with "username" and "password". Passwords go to https addresses only, and to this machine.',
  ],
  parameters: { action: requiredWord('what git asks for: get; store and erase change nothing here', ['get']) },
  async run({ action }, { out, connect, readStdin, signal }) {
    const text = await readStdin();
    // gitcredentials(7): a helper ignores what it does not know.
    const request = action === 'get' ? parseGitRequest(text) : undefined;
    if (request === undefined) return 0;
    const aipass = await connect();
    try {
      const value = await aipass.secret(request.secret, { json: true, signal });
      out.line(...answerGitRequest(request, value, Date.now()));
      return 0;
    } catch (error) {
      if (!(error instanceof AipassError) || error.code !== 'NOT_FOUND') throw error;
      // git asks its next helper, or its user.
      out.note(`${error.message}: aipassd set-secret ${request.secret} stores one`);
      return 0;
    }
  },
});
