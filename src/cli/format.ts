/**
 * Numbers, times and durations as people read them.
 */

/** Formats a number and its noun: `1 day`, `2 days`. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Formats a duration with its two largest units: `2 h 5 min`. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const units: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = units.findIndex(([count]) => count > 0);
  if (first === -1) return '0 s';
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** Formats how far a moment is from now: `in 2 min`, `3 h ago`. */
export function formatRelative(at: number, now: number): string {
  return at >= now ? `in ${formatDuration(at - now)}` : `${formatDuration(now - at)} ago`;
}

/** Formats a moment in local time, to the second: `2026-11-28 14:03:09`. */
export function formatLocalTime(at: number): string {
  const date = new Date(at);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Draws a share, 0 to 1, as a bar: `[####......]`. */
export function formatBar(share: number, width: number): string {
  const filled = Math.floor(width * Math.min(1, Math.max(0, share)));
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** Rewrites the moments in a text of the daemon's, which are UTC, as local time. */
export function localTimes(text: string): string {
  return text.replaceAll(/\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z/g, (moment) =>
    formatLocalTime(Date.parse(moment)),
  );
}

/** Formats micro-dollars as dollars with six decimals. */
export function formatCost(micros: number): string {
  return `$${(micros / 1_000_000).toFixed(6)}`;
}

/** Formats a number of bytes: `96 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
