/**
 * Problems of this machine right now, each with its fix. Never thrown.
 */

/** A problem and what to do about it. Holds no secret. */
export interface Warning {
  /** Path, provider or variable that is concerned. */
  readonly subject: string;
  readonly problem: string;
  /** An action, usually a command to run. */
  readonly hint: string;
  /** Organization whose people alone may read it; without one, those of the daemon's own keys. */
  readonly organization?: string;
}
