/**
 * Works on many things, a few at a time.
 */

/** Maps items through an async function, at most `atOnce` at the same time; results keep the items' order. Rejects with the first failure, and begins nothing after it. */
export async function mapBounded<In, Out>(
  items: readonly In[],
  atOnce: number,
  work: (item: In) => Promise<Out> | Out,
): Promise<Out[]> {
  const results: Out[] = [];
  const queue = items.entries();
  let hasFailed = false;
  const worker = async (): Promise<void> => {
    try {
      for (const [index, item] of queue) {
        results[index] = await work(item);
        if (hasFailed) return;
      }
    } catch (error) {
      hasFailed = true;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
