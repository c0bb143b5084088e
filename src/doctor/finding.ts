/**
 * What a check of this machine finds, and how to mend it. `aipassd doctor` runs the checks of checks.ts in order.
 *
 * A check looks and judges; it changes nothing, throws nothing, and no finding holds a secret.
 */

/** Is one result of a check: as it should be, worth knowing, or to be mended. */
export interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'warning' | 'problem';
  readonly text: string;
  /** Is an action, usually a command to run; there is one for all but `ok`. */
  readonly hint?: string;
}

/** Makes the findings of one check, whose name they all carry. */
export interface Findings {
  readonly ok: (text: string) => Finding;
  readonly warning: (text: string, hint: string) => Finding;
  readonly problem: (text: string, hint: string) => Finding;
}

/** Returns a maker of findings for a check. */
export function findingsOf(check: string): Findings {
  return {
    ok: (text) => ({ check, verdict: 'ok', text }),
    warning: (text, hint) => ({ check, verdict: 'warning', text, hint }),
    problem: (text, hint) => ({ check, verdict: 'problem', text, hint }),
  };
}
