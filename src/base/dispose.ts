/**
 * Closers with names over AsyncDisposableStack (Node 24). Whoever opens a thing defers its closer
 * on the next line. Closers run last-in first-out, each exactly once. One that fails does not keep
 * the others from running.
 */

/**
 * Grace period for what is in flight when the daemon stops, in milliseconds: requests on both
 * endpoints, and exchanges with token endpoints.
 */
export const STOP_GRACE_MS = 10_000;

/** Registers a closer, whose failure names what could not be closed. */
export function defer(stack: AsyncDisposableStack, name: string, close: () => Promise<void> | void): void {
  stack.defer(async () => {
    try {
      await close();
    } catch (error) {
      throw new Error(`closing ${name} failed: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  });
}

/** Runs all closers. Rejects, after the last one ran, with one error that names every failure. */
export async function closeAll(stack: AsyncDisposableStack): Promise<void> {
  try {
    await stack.disposeAsync();
  } catch (error) {
    const failures = [...flatten(error)];
    throw new AggregateError(failures, failures.map((failure) => failure.message).join('; '), { cause: error });
  }
}

/** Yields the failures in the order in which they happened, from the platform's nested errors. */
function* flatten(error: unknown): Generator<Error> {
  if (error instanceof SuppressedError) {
    yield* flatten(error.suppressed);
    yield* flatten(error.error);
  } else {
    yield error instanceof Error ? error : new Error(String(error), { cause: error });
  }
}
