// The file of a unix socket, and the private directory of one that was not given a path: gone with the listener, with the
// garbage, or with the process, whatever comes first. (A killed process leaves them, as CPython does.)
import { lstatSync, mkdtempSync, rmdirSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** What a system allows for the path of a socket is little more: macOS 103, Linux 107. */
const LONGEST_FOLDER = 70

export interface SocketFile {
  readonly path: string
  /** Made for it alone. */
  readonly folder: string | undefined
  /** Which file it is: somebody may have put another in its place. */
  readonly inode: number
  /** A fork of the process has the object, too, but not the file. */
  readonly pid: number
}

const files = new Set<SocketFile>()
let removedBy: number | undefined

/** A directory that only this user can enter. */
export function privateFolder(): string {
  const base = tmpdir()
  return mkdtempSync(join(Buffer.byteLength(base) > LONGEST_FOLDER ? '/tmp' : base, 'multiproc-'))
}

/** The file that a socket has just been bound to. */
export function fileOf(path: string, folder: string | undefined): SocketFile {
  const file = { path: resolve(path), folder, inode: lstatSync(path).ino, pid: process.pid }
  if (removedBy !== process.pid) {
    removedBy = process.pid
    process.on('exit', () => files.forEach(removeFile))
  }
  files.add(file)
  return file
}

export function removeFile(file: SocketFile): void {
  if (!files.delete(file) || file.pid !== process.pid) return
  try {
    if (lstatSync(file.path).ino === file.inode) unlinkSync(file.path)
  } catch {
    // Somebody has removed it already.
  }
  if (file.folder !== undefined) removeFolder(file.folder)
}

export function removeFolder(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // It is gone, or somebody has put something into it.
  }
}
