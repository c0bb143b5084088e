/**
 * Findings of the checks that `aipassd doctor` runs (checks.ts). A check changes nothing and throws
 * nothing, and no finding holds a secret.
 */

/** One result of a check. */
export interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'warning' | 'problem';
  readonly text: string;
  /** Action, usually a command; present unless the verdict is `ok`. */
  readonly hint?: string;
}

/** Factory of the findings of one check. */
export interface Findings {
  readonly ok: (text: string) => Finding;
  readonly warning: (text: string, hint: string) => Finding;
  readonly problem: (text: string, hint: string) => Finding;
}

/** Returns the factory for a check. */
export function findingsOf(check: string): Findings {
  return {
    ok: (text) => ({ check, verdict: 'ok', text }),
    warning: (text, hint) => ({ check, verdict: 'warning', text, hint }),
    problem: (text, hint) => ({ check, verdict: 'problem', text, hint }),
  };
}
