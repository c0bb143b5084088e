/**
 * A number with what it counts, for people.
 */

/** Prints a number and its noun: `1 day`, `2 days`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
