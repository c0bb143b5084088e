/**
 * Puts tool calls together from their pieces, streamed or whole. Pure.
 *
 * OpenAI numbers the calls with `index`. Others leave it out, or send every call of one answer as number 0: then a new
 * id with a name begins a new call. Our own numbers are dense and in order of appearance.
 */

import { readText, toFields } from '../providers/json-fields.ts';
import type { ToolCall, ToolCallDelta } from '../protocol/completion.ts';

interface OpenCall {
  id: string;
  name: string;
  arguments: string;
}

/** Collects the tool calls of one answer. */
export class ToolCallAssembly {
  readonly #calls: OpenCall[] = [];
  readonly #slotOfIndex = new Map<number, number>();

  /** Takes the pieces of one chunk and returns what is new in them. */
  add(pieces: readonly unknown[]): ToolCallDelta[] {
    return pieces.map((piece) => this.#addPiece(toFields(piece)));
  }

  /** Returns the finished calls. A provider without ids gets some: the answer to a call has to name it. */
  finish(): ToolCall[] {
    return this.#calls.map((call, slot) => ({
      id: call.id === '' ? `call_${slot}` : call.id,
      type: 'function',
      function: { name: call.name, arguments: call.arguments },
    }));
  }

  #addPiece(piece: Readonly<Record<string, unknown>>): ToolCallDelta {
    // OpenAI's custom tools take free text instead of JSON, under other names.
    const called = toFields(piece['function'] ?? piece['custom']);
    const id = readText(piece['id']);
    const name = readText(called['name']);
    const text = readArguments(called['arguments'] ?? called['input']);

    const slot = this.#slotFor(piece['index'], id, name);
    const call = this.#calls[slot];
    if (!call) return { index: slot };
    const newId = id !== '' && call.id === '';
    const newName = name !== '' && call.name === '';
    if (newId) call.id = id;
    if (newName) call.name = name;
    call.arguments += text;
    return {
      index: slot,
      ...(newId ? { id } : {}),
      ...(newName ? { name } : {}),
      ...(text === '' ? {} : { arguments: text }),
    };
  }

  #slotFor(index: unknown, id: string, name: string): number {
    if (typeof index !== 'number') {
      const known = id === '' ? -1 : this.#calls.findIndex((call) => call.id === id);
      if (known !== -1) return known;
      const last = this.#calls.length - 1;
      return last === -1 || id !== '' || name !== '' ? this.#open() : last;
    }
    const slot = this.#slotOfIndex.get(index);
    const open = slot === undefined ? undefined : this.#calls[slot];
    const begins = open === undefined || (id !== '' && name !== '' && open.id !== '' && open.id !== id);
    if (slot !== undefined && !begins) return slot;
    const fresh = this.#open();
    this.#slotOfIndex.set(index, fresh);
    return fresh;
  }

  #open(): number {
    return this.#calls.push({ id: '', name: '', arguments: '' }) - 1;
  }
}

/** Returns the arguments as text; some local servers send them parsed. */
function readArguments(value: unknown): string {
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  return readText(value);
}
