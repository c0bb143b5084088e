/**
 * Values of `.env` that count as not set. Pure.
 */

/** Maximum length of a placeholder; a longer value is not compared. */
const MAX_PLACEHOLDER_LENGTH = 100;

/**
 * Values that stand for "put your key here" and count as not set. They are those of our template,
 * of AIPass's templates (`sk-or-v1-your-key-here`, `sk-your-openai-key-here`, `your-key-here`), and
 * what people usually write.
 */
const PLACEHOLDERS: readonly RegExp[] = [
  /^$/,
  /^<.*>$/,
  /^(?:change|replace)[-_ ]?me$/i,
  /^(?:[a-z0-9]+[-_])*x{3,}[.…]*$/i,
  /^(?:[a-z0-9]+[-_])*(?:\.{3,}|…)$/i,
  /^(?:[a-z0-9]+[-_])*your[-_ ](?:.*[-_ ])?(?:here|key|token)$/i,
  /^(?:todo|none|null|undefined|true|false|placeholder)$/i,
];

/** Returns whether a value is empty or a placeholder. */
export function isPlaceholder(value: string): boolean {
  const text = value.trim();
  return text.length <= MAX_PLACEHOLDER_LENGTH && PLACEHOLDERS.some((placeholder) => placeholder.test(text));
}
