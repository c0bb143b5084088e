/**
 * Last guard against a leaked secret. Replaces every value of the vault, and whatever has the shape
 * of a key, in a text that is about to be logged or sent. The vault passes its values after each
 * change.
 */

import { BoundedMap } from './bounded-map.ts';
import { SECRET_PLACEHOLDER } from './secret.ts';
import { SentText } from './sent-text.ts';
import { ESCAPE, readEscapes, readPercents, readReferences } from './spellings.ts';

/** Minimum length of a masked value: shorter ones are words that occur in every text. */
const MIN_MASKED_LENGTH = 6;

/** Minimum length of a part of a value that is masked on its own: a text may quote a piece. */
const MIN_PART_LENGTH = 12;

/** Maximum length of a value whose parts are masked: the words of a document occur anywhere. */
const MAX_PARTED_LENGTH = 4096;

/** Shapes of credentials, from public secret scanners; see providers/. */
const KEY_SHAPES =
  /\b(?:sk-[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{20,}|AQ\.[A-Za-z0-9_-]{20,}|gsk_[A-Za-z0-9]{16,}|xai-[A-Za-z0-9]{16,}|pplx-[A-Za-z0-9]{16,}|csk-[A-Za-z0-9]{16,}|fw_[A-Za-z0-9]{12,}|tgp_v1_[A-Za-z0-9_-]{12,}|ya29\.[A-Za-z0-9_.-]{10,}|1\/\/[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|hf_[A-Za-z0-9]{20,}|nvapi-[A-Za-z0-9_-]{20,}|aip-[A-Za-z0-9_-]{43}|Bearer\s+[A-Za-z0-9._~+/=-]{8,})/g;

/** Maximum length of a run that is read as one: V8 fails to match one of millions of characters. */
const MAX_RUN = 500_000;

/** A run of characters that keys are made of, as long as the shortest part worth masking. */
const KEY_RUN = new RegExp(`[A-Za-z0-9_.~+/=-]{${MIN_PART_LENGTH},${MAX_RUN}}`, 'g');

interface Encoding {
  readonly run: RegExp;
  /** Most characters that one of a run stands for. */
  readonly share: number;
  readonly decode: (run: string) => readonly string[];
}

/**
 * Encodings in which a text may quote a value, each with the runs of characters that may be
 * encoded, and their decoders. A run is read at every offset at which the value may begin in it.
 */
const ENCODINGS: readonly Encoding[] = [
  {
    // Base64 and base64url.
    run: new RegExp(`[A-Za-z0-9+/_-]{8,${MAX_RUN}}={0,2}`, 'g'),
    share: 0.75,
    decode: (run) => [0, 1, 2, 3].map((offset) => Buffer.from(run.slice(offset), 'base64').toString('latin1')),
  },
  {
    run: new RegExp(`[0-9A-Fa-f]{12,${MAX_RUN}}`, 'g'),
    share: 0.5,
    decode: (run) => [0, 1].map((offset) => Buffer.from(run.slice(offset), 'hex').toString('latin1')),
  },
  {
    // The encoding of URLs, also of what was encoded before.
    run: new RegExp(`[%A-Za-z0-9._~+-]{8,${MAX_RUN}}`, 'g'),
    share: 1,
    decode: (run) => {
      if (!run.includes('%')) return [];
      const once = readPercents(run);
      return [once, readPercents(once)];
    },
  },
  {
    // The escapes of JSON and of programs.
    run: new RegExp(`[A-Za-z0-9_.~+/=\\\\-]{8,${MAX_RUN}}`, 'g'),
    share: 1,
    decode: (run) => (ESCAPE.test(run) ? [readEscapes(run)] : []),
  },
  {
    // The references of HTML and XML.
    run: new RegExp(`[A-Za-z0-9_.~+/=&#;-]{8,${MAX_RUN}}`, 'g'),
    share: 1,
    decode: (run) => (run.includes('&#') ? [readReferences(run)] : []),
  },
  {
    // UTF-16, read as if it were not: every second byte is zero.
    run: new RegExp(`[\\0A-Za-z0-9_.~+/=-]{8,${MAX_RUN}}`, 'g'),
    share: 1,
    decode: (run) => (run.includes('\0') ? [run.replaceAll('\0', '')] : []),
  },
];

/** Returns what of an escape may stand at a place, behind its backslash: `\n` is one in JSON. */
function escapeAt(text: string, at: number): string {
  if (text[at - 1] === 'u' && text[at - 2] === '\\') return /^[0-9A-Fa-f]{4}/.exec(text.slice(at, at + 4))?.[0] ?? '';
  if (text[at - 1] !== '\\') return '';
  return /^(?:[bfnrt/]|u[0-9A-Fa-f]{4})/.exec(text.slice(at, at + 5))?.[0] ?? '';
}

/** Visible characters of a decoded value; what is decoded by mistake rarely has so many. */
const DECODED_RUN = new RegExp(`[\\x21-\\x7e]{${MIN_MASKED_LENGTH},}`, 'g');

/** Remembered texts that had nothing to mask: names of callers, keys and models recur. */
const MAX_HARMLESS = 1000;
const MAX_HARMLESS_LENGTH = 256;

/**
 * Masks what has the shape of a credential, and knows no value. For text that a caller sent. The
 * result depends on that text alone, so that it reveals nothing about the values that are held.
 */
export function maskKeyShapes(text: string): string {
  return text.replace(KEY_SHAPES, SECRET_PLACEHOLDER);
}

/** Masks known values and key-shaped runs in text. */
export class Redactor {
  readonly #bySource = new Map<string, ReadonlySet<string>>();
  readonly #harmless = new BoundedMap<string, true>(MAX_HARMLESS);
  #values: readonly string[] = [];
  /** Length of the shortest text that is masked. */
  #shortest = MIN_PART_LENGTH;

  /** Replaces the values that one source has to mask; short ones are dropped. */
  learn(values: Iterable<string>, source = 'vault'): void {
    const known = new Set<string>();
    for (const value of values) {
      if (value.length < MIN_MASKED_LENGTH) continue;
      known.add(value);
      // Inside JSON a value with quotes or backslashes is spelt differently.
      known.add(JSON.stringify(value).slice(1, -1));
    }
    this.#bySource.set(source, known);
    const all = new Set([...this.#bySource.values()].flatMap((one) => [...one]));
    this.#values = [...all].toSorted((a, b) => b.length - a.length);
    this.#shortest = Math.min(MIN_PART_LENGTH, this.#values.at(-1)?.length ?? MIN_PART_LENGTH);
    this.#harmless.clear();
  }

  /**
   * Returns the text with a placeholder for every known value, every piece of one, and every
   * key-shaped run. Values in base64, hex or the encoding of URLs are replaced, too.
   *
   * `sentByCaller` returns what the reader of the result sent before, and is called only where
   * something was found. A value or piece that occurs in it stays, because a mask would confirm the
   * reader's guess. Key-shaped runs are masked in any case.
   */
  redact(text: string, sentByCaller?: () => string): string {
    if (this.#harmless.has(text)) return text;
    const result = maskKeyShapes(this.#mask(text, sentByCaller));
    if (result === text && sentByCaller === undefined && text.length <= MAX_HARMLESS_LENGTH) {
      this.#harmless.set(text, true);
    }
    return result;
  }

  /** Returns whether `redact` would mask more of a text than what has the shape of a key. */
  quotes(text: string, sentByCaller?: () => string): boolean {
    return this.#mask(text, sentByCaller) !== text;
  }

  #mask(original: string, sentByCaller: (() => string) | undefined): string {
    let sent: SentText | undefined;
    // What a text quotes in one spelling may have been sent in another.
    const isSent = (found: string, pieces: readonly string[]): boolean => {
      if (sentByCaller === undefined) return false;
      sent ??= new SentText(sentByCaller());
      const known = sent;
      return known.holds(found) || pieces.every((piece) => known.holds(piece));
    };
    const maskRuns = (text: string, runs: RegExp, piecesOf: (run: string) => readonly string[]): string =>
      text.replace(runs, (run, at: number) => {
        // An escape stays whole, or the text would not be JSON any more.
        const escape = escapeAt(text, at);
        for (const found of escape === '' ? [run] : [run.slice(escape.length), run]) {
          const pieces = piecesOf(found);
          if (pieces.length === 0) continue;
          // A backslash at the end escapes what follows.
          const end = /\\*$/.exec(found)?.[0] ?? '';
          const masked = found.slice(0, found.length - end.length);
          return isSent(masked, pieces) ? run : escape + SECRET_PLACEHOLDER + end;
        }
        return run;
      });
    let result = original;
    for (const value of this.#values) {
      if (!result.includes(value) || isSent(value, [value])) continue;
      const text = result;
      result = text.replaceAll(value, (_, at: number) => escapeAt(text, at) + SECRET_PLACEHOLDER);
    }
    if (this.#values.length > 0) {
      for (const { run: runs, share, decode } of ENCODINGS) {
        const least = this.#shortest / share;
        result = maskRuns(result, runs, (run) =>
          run.length < least ? [] : decode(run).flatMap((text) => this.#piecesIn(text)),
        );
      }
    }
    // Last, or it would take apart what is encoded.
    result = maskRuns(result, KEY_RUN, (run) => (this.#isPart(run) ? [run] : []));
    return result;
  }

  /** Returns the values, and the parts of values, that a decoded text holds. */
  #piecesIn(text: string): string[] {
    return (text.match(DECODED_RUN) ?? []).flatMap((run) => [
      ...this.#values.filter((value) => run.includes(value)),
      ...(run.match(KEY_RUN) ?? []).filter((part) => this.#isPart(part)),
    ]);
  }

  #isPart(run: string): boolean {
    return this.#values.some((value) => value.length <= MAX_PARTED_LENGTH && value.includes(run));
  }
}
