/**
 * One thing that is wrong on this machine, and what mends it. Collected by `status`, never thrown.
 */

/** Is one thing that is wrong, and what to do about it. Holds no secret. */
export interface Warning {
  /** Is what it is about: a path, a provider or a variable. */
  readonly subject: string;
  readonly problem: string;
  /** Is an action, usually a command to run. */
  readonly hint: string;
}
