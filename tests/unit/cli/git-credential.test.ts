import { describe, expect, it } from 'vitest';
import { gitVariables } from '../../../src/cli/exec-environment.ts';
import { answerGitRequest, parseGitRequest } from '../../../src/cli/verbs/git-credential.ts';

const ask = (fields: Record<string, string>) =>
  parseGitRequest(
    `${Object.entries(fields)
      .map(([name, value]) => `${name}=${value}\n`)
      .join('')}\n`,
  );

describe('a request of git', () => {
  it('is for the secret of its host and port', () => {
    expect(ask({ protocol: 'https', host: 'GitHub.com', path: 'o/r.git' })).toEqual({ secret: 'git/github.com' });
    expect(ask({ protocol: 'https', host: 'git.example:8443', username: 'me' })).toEqual({
      secret: 'git/git.example:8443',
      username: 'me',
    });
    expect(ask({ 'capability[]': 'authtype', protocol: 'http', host: '127.0.0.1:3000', 'wwwauth[]': 'Basic' })).toEqual(
      {
        secret: 'git/127.0.0.1:3000',
      },
    );
  });

  it.each([
    { protocol: 'http', host: 'github.com' },
    { protocol: 'http', host: '127.0.0.1.example' },
    { protocol: 'http', host: 'localhost.example:80' },
    { protocol: 'smtp', host: 'mail.example' },
    { protocol: 'cert', host: '', path: '/home/me/key.pem' },
    { protocol: 'https', host: '' },
    { protocol: 'https', host: '../telegram/bot' },
    { protocol: 'https', host: 'a/b' },
    { protocol: 'https', host: '.netrc' },
    { protocol: 'https' },
    { host: 'github.com' },
    {},
  ])('that may not have a password has no secret: %j', (fields) => {
    expect(ask({ ...fields })).toBeUndefined();
  });
});

describe('the answer to git', () => {
  const request = { secret: 'git/github.com', username: undefined };
  const now = 1_000_000_000_000;

  it('is a token with a user that it is good for, or the user and password of a document', () => {
    expect(answerGitRequest(request, 'ghp_x', now)).toEqual(['username=x-access-token', 'password=ghp_x']);
    expect(answerGitRequest({ ...request, username: 'me' }, 'ghp_x', now)).toEqual(['username=me', 'password=ghp_x']);
    expect(answerGitRequest(request, { username: 'ann', password: 'p=1 ' }, now)).toEqual([
      'username=ann',
      'password=p=1 ',
    ]);
    expect(answerGitRequest(request, { token: 't' }, now)).toContain('password=t');
  });

  it("is nothing for another user's password, and for one that has expired", () => {
    expect(answerGitRequest({ ...request, username: 'bob' }, { username: 'ann', password: 'p' }, now)).toEqual([]);
    const expiring = { password: 'p', password_expiry_utc: now / 1000 };
    expect(answerGitRequest(request, expiring, now)).toEqual([]);
    expect(answerGitRequest(request, expiring, now - 1)).toContain(`password_expiry_utc=${now / 1000}`);
  });

  it.each([
    'two\nlines',
    'two\rlines',
    '',
    '\0',
    { username: 'a\nhost=evil', password: 'p' },
    { user: 'ann' },
    { password: 12 },
    ['p'],
    null,
  ])('is never more than one field for one value: %j', (value) => {
    expect(() => answerGitRequest(request, value, now)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });
});

describe('the variables for git', () => {
  it('put our helper, and no other, behind what the environment configures already', () => {
    expect(gitVariables({}, ['/opt/my node', '/cli.js', 'git-credential'])).toEqual({
      GIT_CONFIG_COUNT: '2',
      GIT_CONFIG_KEY_0: 'credential.helper',
      GIT_CONFIG_VALUE_0: '',
      GIT_CONFIG_KEY_1: 'credential.helper',
      GIT_CONFIG_VALUE_1: "!'/opt/my node' /cli.js git-credential",
    });
    expect(gitVariables({ GIT_CONFIG_COUNT: '3' }, ["it's"])).toMatchObject({
      GIT_CONFIG_COUNT: '5',
      GIT_CONFIG_KEY_3: 'credential.helper',
      GIT_CONFIG_VALUE_4: String.raw`!'it'\''s'`,
    });
    expect(gitVariables({ GIT_CONFIG_COUNT: 'x' }, ['a'])).toHaveProperty('GIT_CONFIG_COUNT', '2');
  });
});
