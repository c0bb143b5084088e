import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/base/config-schema.ts';
import { ALL_RIGHTS, organizationRightsOf, resolveAccess, roleOf, scopeOf } from '../../../src/callers/access.ts';

const ACCOUNTS = { passwd: 'ann:x:1001:1001::/:/bin/sh\nbob:x:1002:1002::/:/bin/sh\n', group: 'dev:x:2000:\n' };
const NOBODY = { users: [], groups: [] };
function resolve(organizations: unknown) {
  const { grants: granted, warnings } = resolveAccess(configSchema.parse({ organizations }), ACCOUNTS, 5);
  return { grants: granted.organizations, warnings };
}
const { grants } = resolve({
  acme: { members: { users: [], groups: ['dev'] }, admins: { users: ['ann'], groups: [] } },
  other: { members: { users: [1002], groups: [] }, admins: NOBODY },
});

function slugs(uid: number, groups: readonly number[] = [], own: ReadonlySet<never> = new Set()): string[] {
  return [...organizationRightsOf({ uid, groups }, own, grants).keys()];
}

describe('organizations', () => {
  it('belong to whom the configuration lists by user or group', () => {
    expect(slugs(1001)).toEqual(['acme']);
    expect(slugs(1002)).toEqual(['other']);
    expect(slugs(1002, [2000])).toEqual(['acme', 'other']);
    expect(slugs(1003)).toEqual([]);
  });

  it('let members see and use, and admins change, but nobody read a value', () => {
    const member = organizationRightsOf({ uid: 1, groups: [2000] }, new Set(), grants).get('acme');
    const admin = organizationRightsOf({ uid: 1001, groups: [] }, new Set(), grants).get('acme');
    expect([...(member ?? [])]).toEqual(['see', 'use']);
    expect([...(admin ?? [])]).toEqual(['see', 'use', 'admin']);
    expect([roleOf(member ?? new Set()), roleOf(admin ?? new Set())]).toEqual(['member', 'admin']);
  });

  it("all belong to the daemon's own user", () => {
    expect([...organizationRightsOf({ uid: 0, groups: [] }, ALL_RIGHTS, grants).keys()]).toEqual([
      'default',
      'acme',
      'other',
    ]);
  });

  it('report a name that the machine does not have, and a section for the default one', () => {
    const { warnings } = resolve({
      acme: { members: { users: ['eve'], groups: [] }, admins: NOBODY },
      default: { members: NOBODY, admins: NOBODY },
    });
    expect(warnings.map(({ subject }) => subject)).toEqual([
      'organizations.acme.members.users',
      'organizations.default',
    ]);
  });
});

describe('the organization of a request', () => {
  const both = organizationRightsOf({ uid: 1002, groups: [2000] }, new Set(), grants);
  const one = organizationRightsOf({ uid: 1001, groups: [] }, new Set(), grants);

  it('is the named one of the caller’s own', () => {
    expect(scopeOf(both, 'other').slug).toBe('other');
  });

  it('is not told from an absent one where it belongs to others', () => {
    for (const named of ['other', 'nowhere']) {
      expect(() => scopeOf(one, named)).toThrow(expect.objectContaining({ code: 'NOT_FOUND', message: 'Not Found' }));
    }
  });

  it('is the only one of a caller, else the default one, without rights for who has none in it', () => {
    expect(scopeOf(one, undefined).slug).toBe('acme');
    expect(scopeOf(both, undefined)).toEqual({ slug: 'default', rights: new Set() });
  });
});
