import { expect, it } from 'vitest';
import { Warnings } from '../../../src/base/warning.ts';

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
