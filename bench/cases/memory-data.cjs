// So many MB of ordinary objects.
const megabytes = Number(process.env.DATA_MB)
globalThis.data = Array.from({ length: megabytes * 9000 }, (_, i) => ({ i, s: `x${i}`, a: [i] }))
