// A submitter that leaves writes down what it waits for; one that comes back makes the same tasks again, without sending anything,
// and reads the results that the stream has.
import type { Settings } from '../pool/job'
import type { Task } from '../pool/task'
import { ApplyJob, CHUNKED, MapJob, StateError, Unit } from './core'
import { type ClusterFunction, NO_BODY } from './functions'
import { dropBlob, getBlob, putBlob } from './nats'
import type { Submitter } from './submitter'

interface Manifest {
  v: 1
  numbered: number
  jobs: {
    key: string
    kind: 'apply' | 'map'
    length: number
    name: string
    settings: Omit<Settings, 'timeout'>
    /** All units of a map: those that had come are in the stream, too. */
    units: [id: string, first: number, count: number][]
  }[]
}

const blobName = (session: string): string => `session.${session}`

export async function writeManifest(submitter: Submitter): Promise<void> {
  const nats = await submitter.opened
  const jobs: Manifest['jobs'] = []
  for (const [job, key] of submitter.keys) {
    if (!(job instanceof ApplyJob) && !(job instanceof MapJob)) continue
    const units = submitter.unitsOf(job).map(({ id, unit }) => [id, unit.first, unit.count] as [string, number, number])
    const length = units.reduce((sum, [, , count]) => sum + count, 0)
    const { timeout: _, ...settings } = job.settings
    jobs.push({ key, kind: job instanceof MapJob ? 'map' : 'apply', length, name: job.call.name, settings, units })
  }
  const manifest: Manifest = { v: 1, numbered: submitter.numbered, jobs }
  await putBlob(nats, blobName(submitter.session), Buffer.from(JSON.stringify(manifest)))
}

export async function readManifest(submitter: Submitter, defaults: Settings): Promise<Map<string, Task<any>>> {
  const nats = await submitter.opened
  const bytes = await getBlob(nats, blobName(submitter.session))
  if (bytes === null) throw new StateError(`no pool was detached with the id ${submitter.session}, or its time is over`)
  const { jobs, numbered } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Manifest
  submitter.numbered = numbered
  const tasks = new Map<string, Task<any>>()
  const ending = { callback: undefined, errorCallback: undefined }
  for (const { key, kind, length, name, settings, units } of jobs) {
    const call: ClusterFunction = { id: 0, name, ref: { hash: '' }, bytes: undefined, body: NO_BODY }
    const fn = (): void => {}
    const all = { ...defaults, ...settings }
    const job =
      kind === 'map'
        ? new MapJob(submitter, fn, call, all, ending, length)
        : new ApplyJob(submitter, fn, call, all, ending)
    const task = job.task()
    // It may have failed long ago: whoever wants to know asks it.
    task.handled()
    // `#1`, not what makes it unique.
    tasks.set(key.startsWith('#') ? key.split('.')[0]! : key, task)
    submitter.begin(job)
    submitter.name(job, key)
    for (const [id, first, count] of units)
      submitter.expect(id, new Unit(job, call, kind === 'map' ? CHUNKED : 0, first, count, NO_BODY))
  }
  await submitter.results.catchUp()
  dropBlob(nats, blobName(submitter.session))
  return tasks
}
