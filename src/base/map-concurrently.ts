/**
 * Maps many items through an async function, a few at a time.
 */

/**
 * Maps items with at most `limit` calls at once; results keep the items' order. Rejects with the
 * first failure, and starts nothing after it.
 */
export async function mapConcurrently<In, Out>(
  items: readonly In[],
  limit: number,
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
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
