/**
 * A problem on this machine and its fix. Collected by `status`, never thrown.
 */

/** A problem and what to do about it. Holds no secret. */
export interface Warning {
  /** Path, provider or variable that is concerned. */
  readonly subject: string;
  readonly problem: string;
  /** An action, usually a command to run. */
  readonly hint: string;
}
