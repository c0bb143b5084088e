import { expect, it } from 'vitest';
import { configSchema } from '../../../src/base/config-schema.ts';
import { resolveAccess, rightsOf, servesOthers } from '../../../src/callers/access.ts';

const accounts = {
  passwd: 'root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\nbroken line\n',
  group: 'root:x:0:\naipassd:x:990:alice\nops:x:991:\n',
};
const resolve = (access: unknown, ownUid = 990) => resolveAccess(configSchema.parse({ access }), accounts, ownUid);
const sorted = (rights: ReadonlySet<string> | null) => rights && [...rights].toSorted();

it("the daemon's own user and root may do everything, and nobody else anything, without configuration", () => {
  const { grants: policy } = resolve({}, 1001);
  expect(sorted(rightsOf({ uid: 1001, groups: [] }, policy))).toEqual(['admin', 'reveal', 'see', 'use']);
  expect(sorted(rightsOf({ uid: 0, groups: [0] }, policy))).toEqual(['admin', 'reveal', 'see', 'use']);
  expect(rightsOf({ uid: 1002, groups: [1001, 990] }, policy)).toBeNull();
  expect(servesOthers(policy)).toBe(false);
});

it('membership of a listed group gives use, and no value', () => {
  const { grants: policy } = resolve({ use: { groups: ['aipassd'] } });
  expect(sorted(rightsOf({ uid: 1001, groups: [1001, 990] }, policy))).toEqual(['see', 'use']);
  expect(rightsOf({ uid: 1002, groups: [1002] }, policy)).toBeNull();
  expect(servesOthers(policy)).toBe(true);
});

it('rights from several lists add up, by name and by number', () => {
  const { grants: policy } = resolve({
    use: { groups: [990] },
    reveal: { users: ['alice'] },
    admin: { groups: ['ops'] },
  });
  expect(sorted(rightsOf({ uid: 1001, groups: [990] }, policy))).toEqual(['reveal', 'see', 'use']);
  expect(sorted(rightsOf({ uid: 1005, groups: [991] }, policy))).toEqual(['admin', 'see']);
});

it('a name that nobody has grants nothing and is named', () => {
  const { grants: policy, warnings } = resolve({ reveal: { users: ['mallory'] } });
  expect(servesOthers(policy)).toBe(false);
  expect(warnings).toMatchObject([{ subject: 'access.reveal.users', problem: expect.stringContaining('"mallory"') }]);
});
