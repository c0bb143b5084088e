import { describe, expect, test } from 'vitest';
import { ToolCallAssembly } from '../../../src/completions/assemble.ts';

function assemble(...chunks: readonly unknown[][]): { deltas: unknown[]; calls: unknown[] } {
  const assembly = new ToolCallAssembly();
  const deltas = chunks.flatMap((pieces) => assembly.add(pieces).deltas);
  return { deltas, calls: assembly.finish() };
}

const call = (id: string, name: string, text: string): unknown => ({
  id,
  type: 'function',
  function: { name, arguments: text },
});

function namedPiece(text: string): unknown[] {
  return [{ index: 0, id: 'a', function: { name: 'f', arguments: text } }];
}

describe('streamed tool calls', () => {
  test('are put together from OpenAI pieces, two calls interleaved', () => {
    const { deltas, calls } = assemble(
      [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }],
      [{ index: 1, id: 'b', function: { name: 'g', arguments: '{' } }],
      [
        { index: 0, function: { arguments: '{"x":' } },
        { index: 1, function: { arguments: '}' } },
      ],
      [{ index: 0, function: { arguments: '1}' } }],
    );
    expect(calls).toEqual([call('a', 'f', '{"x":1}'), call('b', 'g', '{}')]);
    expect(deltas).toEqual([
      { index: 0, id: 'a', name: 'f' },
      { index: 1, id: 'b', name: 'g', arguments: '{' },
      { index: 0, arguments: '{"x":' },
      { index: 1, arguments: '}' },
      { index: 0, arguments: '1}' },
    ]);
  });

  test('are told apart by id where all have the same number', () => {
    const { calls } = assemble(
      [{ index: 0, id: 'a', function: { name: 'f', arguments: '{}' } }],
      [{ index: 0, id: 'b', function: { name: 'f', arguments: '{"y":2}' } }],
    );
    expect(calls).toEqual([call('a', 'f', '{}'), call('b', 'f', '{"y":2}')]);
  });

  test('are one where id and name are repeated in every piece', () => {
    expect(assemble(namedPiece('{'), namedPiece('}')).calls).toEqual([call('a', 'f', '{}')]);
  });

  test('without a number go by id, else to the last one', () => {
    const { calls } = assemble(
      [{ id: 'a', function: { name: 'f', arguments: '{' } }],
      [{ function: { arguments: '}' } }],
      [{ id: 'b', function: { name: 'g', arguments: '[]' } }],
      [{ id: 'a', function: { arguments: ' ' } }],
    );
    expect(calls).toEqual([call('a', 'f', '{} '), call('b', 'g', '[]')]);
  });

  test('may have numbers that are texts', () => {
    const { calls } = assemble(
      [
        { index: '0', id: 'a', function: { name: 'f', arguments: '{' } },
        { index: '1', id: 'b', function: { name: 'g', arguments: '{' } },
      ],
      [
        { index: '0', function: { arguments: '"x":1}' } },
        { index: '1', function: { arguments: '"y":2}' } },
      ],
    );
    expect(calls).toEqual([call('a', 'f', '{"x":1}'), call('b', 'g', '{"y":2}')]);
  });

  test.each([[{}], [{ index: 0 }]])('may say a finished call once more at the end %j', (number) => {
    const finished = { ...number, id: 'a', function: { name: 'f', arguments: '{"x":1}' } };
    const first = { ...finished, function: { name: 'f', arguments: '{"x"' } };
    const { calls } = assemble([first], [{ ...number, function: { arguments: ':1}' } }], [finished]);
    expect(calls).toEqual([call('a', 'f', '{"x":1}')]);
  });

  test('that get their numbers late go on with them', () => {
    const { calls } = assemble(
      [{ id: 'a', function: { name: 'f', arguments: '{}' } }],
      [{ id: 'b', function: { name: 'g', arguments: '{' } }],
      [{ index: 1, function: { arguments: '"y":' } }],
      [{ index: 1, id: 'b', function: { arguments: '2}' } }],
    );
    expect(calls).toEqual([call('a', 'f', '{}'), call('b', 'g', '{"y":2}')]);
  });

  test('with wild numbers stay dense', () => {
    const { deltas, calls } = assemble([{ index: 1e9, id: 'a', function: { name: 'f', arguments: '{}' } }]);
    expect(calls).toHaveLength(1);
    expect(deltas).toEqual([{ index: 0, id: 'a', name: 'f', arguments: '{}' }]);
  });
});

describe('two calls', () => {
  const name = 'read';
  const first = '{"p":"x"}';
  const second = '{"p":"y"}';
  const whole = (text: string, more: object = {}): object => ({
    index: 0,
    function: { name, arguments: text },
    ...more,
  });

  test.each([
    ['under one number, without ids', [[whole(first)], [whole(second)]]],
    ['under one number, with empty ids', [[whole(first, { id: '' })], [whole(second, { id: '' })]]],
    ['without numbers', [[{ id: 'a', function: { name, arguments: first } }], [{ id: 'b', function: { name, arguments: second } }]]],
    ['with one id and no numbers', [
      [{ id: 'read', function: { name, arguments: first } }],
      [{ id: 'read', function: { name, arguments: second } }],
    ]],
    ['with one id and one number', [[whole(first, { id: 'read' })], [whole(second, { id: 'read' })]]],
    ['with null for a number', [[whole(first, { index: null, id: 'a' })], [whole(second, { index: null, id: 'b' })]]],
    ['of which one gets a name in pieces', [
      [{ index: 0, id: 'a', function: { name: 're' } }],
      [{ index: 0, function: { name: 'ad', arguments: first } }],
      [whole(second, { index: 1, id: 'b' })],
    ]],
    ['of which one gets a name that grows', [
      [{ index: 0, id: 'a', function: { name: 're' } }],
      [{ index: 0, function: { name: 'read' } }],
      [{ index: 0, function: { name: 'read', arguments: first } }],
      [whole(second, { index: 1, id: 'b' })],
    ]],
    ['of which one gets its name with every piece, without an id', [
      [{ index: 0, function: { name, arguments: '{"p":' } }],
      [{ index: 0, function: { name, arguments: '"x"}' } }],
      [whole(second, { index: 1, id: 'b' })],
    ]],
    ['of which one gets its id late', [[whole(first)], [{ index: 0, id: 'a', function: {} }], [whole(second, { index: 1 })]]],
  ])('%s are two', (_what, chunks) => {
    const { calls, deltas } = assemble(...chunks);
    expect(calls).toMatchObject([{ function: { name, arguments: first } }, { function: { name, arguments: second } }]);
    const joined = deltas.filter((delta) => Reflect.get(Object(delta), 'index') === 0);
    expect(joined.map((delta) => Reflect.get(Object(delta), 'name') ?? '').join('')).toBe(name);
  }); // prettier-ignore
});

describe('what a call holds beside the known', () => {
  const signature = { google: { thought_signature: 'abc' } };

  test('stays at its place, whole and streamed', () => {
    const piece = { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{', strict: true }, extra_content: signature };
    const { calls, deltas } = assemble([piece], [{ index: 0, function: { arguments: '}', note: 'x' }, more: 1 }]);
    expect(calls).toEqual([
      { id: 'a', type: 'function', function: { name: 'f', arguments: '{}', strict: true, note: 'x' }, extra_content: signature, more: 1 },
    ]);
    expect(deltas).toEqual([
      { index: 0, id: 'a', name: 'f', arguments: '{', function: { strict: true }, extra_content: signature },
      { index: 0, arguments: '}', function: { note: 'x' }, more: 1 },
    ]);
  }); // prettier-ignore

  test('stays there where it comes with a repetition of the call', () => {
    const piece = { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } };
    const { calls, deltas } = assemble([piece], [{ ...piece, extra_content: signature }]);
    expect(calls).toEqual([{ ...Object(call('a', 'f', '{}')), extra_content: signature }]);
    expect(deltas[1]).toEqual({ index: 0, extra_content: signature });
  });

  test('may be the kind of the call: one of Moonshot’s own functions keeps it, for the next turn', () => {
    const builtin = { id: 'a', type: 'builtin_function', function: { name: '$web_search', arguments: '{}' } };
    expect(assemble([builtin]).calls).toEqual([builtin]);
  });

  test('of a custom tool stays there, too', () => {
    const { calls, deltas } = assemble(
      [{ index: 0, id: 'a', type: 'custom', custom: { name: 'sh', input: 'ls ' } }],
      [{ index: 0, custom: { input: '-l' } }],
    );
    expect(calls).toEqual([{ id: 'a', type: 'custom', custom: { name: 'sh', input: 'ls -l' } }]);
    expect(deltas).toEqual([
      { index: 0, id: 'a', type: 'custom', name: 'sh', arguments: 'ls ' },
      { index: 0, arguments: '-l' },
    ]);
  });
});

describe('whole tool calls', () => {
  test('of custom tools keep their free text', () => {
    const custom = { id: 'a', type: 'custom', custom: { name: 'sh', input: 'ls -l' } };
    expect(assemble([custom]).calls).toEqual([custom]);
  });

  test('with parsed arguments get their text back', () => {
    expect(assemble([{ id: 'a', function: { name: 'f', arguments: { x: 1 } } }]).calls).toEqual([
      call('a', 'f', '{"x":1}'),
    ]);
  });

  test('without an id get one, because the answer has to name it', () => {
    expect(assemble([{ function: { name: 'f', arguments: '{}' } }]).calls).toEqual([call('call_0', 'f', '{}')]);
  });

  test('survive pieces of any type', () => {
    expect(() => assemble([null, 7, 'x', [], { function: 7 }, { index: -1, id: 7 }])).not.toThrow();
  });
});

describe('whole tool calls', () => {
  const twice = { function: { name: 'f', arguments: '{}' } };

  test.each([[{}], [{ id: 'f' }], [{ id: '', index: 0 }]])('are one each, though all have %j', (same) => {
    const assembly = new ToolCallAssembly();
    const { deltas } = assembly.add(
      [
        { ...twice, ...same },
        { ...twice, ...same },
      ],
      true,
    );
    expect(deltas).toHaveLength(2);
    expect(assembly.finish().map((one) => one.type === 'function' && one.function)).toEqual([
      { name: 'f', arguments: '{}' },
      { name: 'f', arguments: '{}' },
    ]);
  });
});
