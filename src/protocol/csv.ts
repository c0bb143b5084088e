/**
 * Prints CSV (RFC 4180). Pure.
 *
 * A text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV
 * Injection"). Callers and models name themselves, and opening an export must not run what they
 * wrote.
 */

/** Prints one line of CSV; null is an empty cell. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
