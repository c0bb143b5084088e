import { describe, expect, it } from 'vitest';
import { EventHub, Warnings } from '../../../src/base/runtime.ts';

const warning = (subject: string) => ({ subject, problem: 'is broken', hint: 'fix it' });

it('warnings are asked of their sources each time, in the order of registration', () => {
  const warnings = new Warnings();
  let first = [warning('a')];
  warnings.register(() => first);
  const remove = warnings.register(() => [warning('b')]);
  expect(warnings.list().map(({ subject }) => subject)).toEqual(['a', 'b']);
  first = [];
  expect(warnings.list().map(({ subject }) => subject)).toEqual(['b']);
  remove();
  expect(warnings.list()).toEqual([]);
});

describe('the event hub', () => {
  it('calls every listener, also after one that throws, and never that one again', () => {
    const hub = new EventHub();
    const heard: string[] = [];
    hub.subscribe(({ event }) => void heard.push(`first ${event}`));
    hub.subscribe(({ event }) => {
      heard.push(`broken ${event}`);
      throw new Error('this listener is broken');
    });
    hub.subscribe(({ event }) => void heard.push(`last ${event}`));
    hub.publish('one', null);
    hub.publish('two', null);
    expect(heard).toEqual(['first one', 'broken one', 'last one', 'first two', 'last two']);
  });

  it('calls nobody who unsubscribed', () => {
    const hub = new EventHub();
    const heard: unknown[] = [];
    const unsubscribe = hub.subscribe(({ data }) => void heard.push(data));
    hub.publish('one', 1);
    unsubscribe();
    hub.publish('two', 2);
    expect(heard).toEqual([1]);
  });
});
