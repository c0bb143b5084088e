/**
 * The slope of a series of samples by least squares, and how sure it is.
 */

/** A slope with its standard error; `grows` where it is over 1 by more than twice that error. */
export interface Slope {
  readonly slope: number;
  readonly error: number;
  readonly grows: boolean;
}

/** Fits a line to the points. */
export function judgeSlope(points: readonly { readonly x: number; readonly y: number }[]): Slope {
  const n = points.length;
  if (n < 3) return { slope: 0, error: Infinity, grows: false };
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / n;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / n;
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const rest = points.reduce((sum, { x, y }) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  const error = Math.sqrt(rest / (n - 2) / spread);
  return { slope, error, grows: slope - 2 * error > 1 };
}
