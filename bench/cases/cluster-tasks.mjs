// What the nodes of cluster.mjs have preloaded.
export const noop = (x) => x
export function busy(ms) {
  const until = performance.now() + ms
  while (performance.now() < until);
}
