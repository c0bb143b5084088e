import { describe, expect, it } from 'vitest';
import { EventHub } from '../../../src/base/runtime.ts';
import { ALL_RIGHTS, type OrganizationRights, type Right } from '../../../src/callers/access.ts';
import { createDispatcher } from '../../../src/operations/dispatcher.ts';
import { eventOperations } from '../../../src/operations/event-operations.ts';
import { EVENT_NAMES } from '../../../src/protocol/events.ts';
import { recordingLogger } from '../../support/recording-logger.ts';

function setUp() {
  const hub = new EventHub();
  const acme = new EventHub();
  const dispatch = createDispatcher(
    eventOperations((slug) => (slug === 'acme' ? acme : hub)),
    {
      logger: recordingLogger(),
      audit: () => {},
    },
  );
  const connect = (organizations: OrganizationRights = new Map([['default', ALL_RIGHTS]])) => {
    const closed = new AbortController();
    const heard: unknown[] = [];
    const subscribe = async (params: unknown) =>
      await dispatch('event.subscribe', params, {
        caller: {
          name: null,
          client: null,
          rights: ALL_RIGHTS,
          organizations,
          peer: null,
          session: 'session-1',
        },
        signal: new AbortController().signal,
        closed: closed.signal,
        currentRights: () => ({ rights: ALL_RIGHTS, organizations }),
        abort: () => {},
        emit: () => {},
        notify: (event, data) => heard.push([event, data]),
      });
    return { closed, heard, subscribe };
  };
  return { hub, acme, connect };
}

describe('event.subscribe', () => {
  it('sends every event where none is named, and tells which', async () => {
    const { hub, connect } = setUp();
    const { subscribe, heard } = connect();
    expect(await subscribe({})).toStrictEqual({ kind: 'done', result: { events: EVENT_NAMES } });
    hub.publish('secrets-changed', { names: ['A'] });
    expect(heard).toStrictEqual([['secrets-changed', { names: ['A'] }]]);
  });

  it('sends the named events only', async () => {
    const { hub, connect } = setUp();
    const { subscribe, heard } = connect();
    expect(await subscribe({ events: [] })).toStrictEqual({ kind: 'done', result: { events: [] } });
    hub.publish('secrets-changed', {});
    hub.publish('something-else', {});
    expect(heard).toStrictEqual([]);
  });

  it('widens the first subscription by the second, and sends nothing twice', async () => {
    const { hub, connect } = setUp();
    const { subscribe, heard } = connect();
    await subscribe({ events: [] });
    await subscribe({ events: ['secrets-changed'] });
    expect(await subscribe({ events: ['secrets-changed'] })).toStrictEqual({
      kind: 'done',
      result: { events: ['secrets-changed'] },
    });
    hub.publish('secrets-changed', {});
    expect(heard).toHaveLength(1);
  });

  it('ends with the connection, and with no other', async () => {
    const { hub, connect } = setUp();
    const first = connect();
    const second = connect();
    await first.subscribe({});
    await second.subscribe({});
    first.closed.abort();
    hub.publish('secrets-changed', {});
    expect(first.heard).toStrictEqual([]);
    expect(second.heard).toHaveLength(1);
  });

  it('sends the events of the organization that it is for, and of no other, while its right lasts', async () => {
    const { hub, acme, connect } = setUp();
    const organizations = new Map<string, ReadonlySet<Right>>([['acme', new Set(['see'])]]);
    const member = connect(organizations);
    await member.subscribe({});
    expect(await member.subscribe({ organization: 'default' })).toMatchObject({ error: { code: 'NOT_FOUND' } });
    hub.publish('secrets-changed', { names: ['OWN'] });
    acme.publish('secrets-changed', { names: ['ACME'] });
    organizations.delete('acme');
    acme.publish('secrets-changed', { names: ['LATER'] });
    expect(member.heard).toStrictEqual([['secrets-changed', { names: ['ACME'] }]]);
  });

  it('sends nothing more of an organization that its caller left for another', async () => {
    const { hub, acme, connect } = setUp();
    const organizations = new Map<string, ReadonlySet<Right>>([['acme', new Set(['see'])]]);
    const member = connect(organizations);
    await member.subscribe({});
    organizations.set('zenith', new Set(['see']));
    acme.publish('secrets-changed', { names: ['STILL'] });
    organizations.delete('acme');
    acme.publish('secrets-changed', { names: ['LATER'] });
    hub.publish('secrets-changed', { names: ['OWN'] });
    expect(member.heard).toStrictEqual([['secrets-changed', { names: ['STILL'] }]]);
  });

  it('refuses an event that it does not know', async () => {
    const { subscribe } = setUp().connect();
    expect(await subscribe({ events: ['moon-full'] })).toMatchObject({
      kind: 'failed',
      error: { code: 'BAD_REQUEST' },
    });
  });
});
