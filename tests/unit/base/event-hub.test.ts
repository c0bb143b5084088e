import { describe, expect, it } from 'vitest';
import { EventHub, type DaemonEvent } from '../../../src/base/event-hub.ts';

describe('EventHub', () => {
  it('tells every listener until it leaves', () => {
    const hub = new EventHub();
    const first: DaemonEvent[] = [];
    const second: DaemonEvent[] = [];
    const leave = hub.subscribe((event) => first.push(event));
    hub.subscribe((event) => second.push(event));
    hub.publish('a', 1);
    leave();
    leave();
    hub.publish('b', 2);
    expect(first).toStrictEqual([{ event: 'a', data: 1 }]);
    expect(second).toStrictEqual([
      { event: 'a', data: 1 },
      { event: 'b', data: 2 },
    ]);
  });

  it('keeps the failure of one listener from the others and from the publisher', () => {
    const hub = new EventHub();
    const heard: string[] = [];
    hub.subscribe(() => {
      throw new Error('deaf');
    });
    hub.subscribe(({ event }) => heard.push(event));
    expect(() => hub.publish('a', null)).not.toThrow();
    hub.publish('b', null);
    expect(heard).toStrictEqual(['a', 'b']);
  });
});
