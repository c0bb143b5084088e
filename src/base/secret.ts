/**
 * A value that must not be shown by accident. Printing, logging, serialising or concatenating it
 * gives a placeholder. Only `reveal()` gives the value, so that a search for that word finds every
 * place where a secret leaves.
 */

import { inspect } from 'node:util';

/** Text that stands for a secret wherever one is printed. */
export const SECRET_PLACEHOLDER = '[secret]';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  /** Returns the length in UTF-16 units: the one property of a secret that may be shown. */
  get length(): number {
    return this.#value.length;
  }

  /** Returns whether two secrets hold the same value. */
  equals(other: Secret): boolean {
    return this.#value === other.#value;
  }

  toString(): string {
    return SECRET_PLACEHOLDER;
  }

  toJSON(): string {
    return SECRET_PLACEHOLDER;
  }

  [Symbol.toPrimitive](): string {
    return SECRET_PLACEHOLDER;
  }

  [inspect.custom](): string {
    return SECRET_PLACEHOLDER;
  }
}

/** Masks a key for display: first 6, `****`, last 4. A short one is only `****`. */
export function maskKey(key: Secret): string {
  const value = key.reveal();
  return value.length <= 14 ? '****' : `${value.slice(0, 6)}****${value.slice(-4)}`;
}
