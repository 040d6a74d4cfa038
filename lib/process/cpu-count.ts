// How many CPUs this process may really use: what its affinity mask and its control group leave of the machine.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * The number of CPUs that this process may use, at least 1. Counts the affinity mask (taskset, cpusets) and, on Linux,
 * the CPU quota of its control groups (containers); a quota of a part of a CPU counts as a whole one. Does not block.
 */
export function cpuCount(): number {
  const usable = availableParallelism()
  if (process.platform !== 'linux') return usable
  return Math.max(1, Math.min(usable, Math.ceil(quotaOf(readText('/proc/self/cgroup') ?? ''))))
}

/** CPUs that the quotas of the control groups in `membership` (/proc/self/cgroup) allow: the tightest of all levels. */
function quotaOf(membership: string): number {
  let quota = Number.POSITIVE_INFINITY
  for (const line of membership.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    if (controllers === '') quota = Math.min(quota, tightest('/sys/fs/cgroup', path, quotaV2))
    else if (controllers.split(',').includes('cpu'))
      quota = Math.min(quota, tightest('/sys/fs/cgroup/cpu', path, quotaV1))
  }
  return quota
}

function tightest(root: string, path: string, quotaAt: (folder: string) => number): number {
  // In a container the path is often that of the host, while its own group is mounted at the root: both are looked at.
  const steps = path.split('/').filter((step) => step !== '' && step !== '..')
  let quota = quotaAt(root)
  for (let n = steps.length; n > 0; n--) quota = Math.min(quota, quotaAt(`${root}/${steps.slice(0, n).join('/')}`))
  return quota
}

function quotaV2(folder: string): number {
  const [quota, period] = (readText(`${folder}/cpu.max`) ?? 'max').split(/\s+/)
  return ratio(quota, period)
}
function quotaV1(folder: string): number {
  return ratio(readText(`${folder}/cpu.cfs_quota_us`), readText(`${folder}/cpu.cfs_period_us`))
}

function ratio(quota: string | undefined, period: string | undefined): number {
  const cpus = Number(quota) / Number(period)
  return cpus > 0 ? cpus : Number.POSITIVE_INFINITY
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
