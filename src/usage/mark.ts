/**
 * A fact that outlives the process: an empty file that is there or not.
 */

import { existsSync, rmSync, writeFileSync } from 'node:fs';

/** Is one such fact. */
export class Mark {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  isSet(): boolean {
    return existsSync(this.#path);
  }

  /** Sets it or takes it away; where the disk takes nothing it stays as it is. */
  set(isSet: boolean): void {
    try {
      if (isSet) writeFileSync(this.#path, '', { mode: 0o600 });
      else rmSync(this.#path, { force: true });
    } catch {
      // The daemon says elsewhere that its state cannot be written.
    }
  }
}
