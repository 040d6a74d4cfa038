// Where the package says what it does: starts, ends, sweeps, losses. Off until somebody asks for it (see index.ts); then
//
//   log('info', () => text) ─▶ level ─▶ the program's own logger, or a line on stderr: [INFO/Process-1] text
//
// No imports but one type, so that whatever has something to say can import this.
import type { Process } from '../process/process'

/** The names of pino; 'silent' is no level of a message. */
export const LEVELS: Readonly<Record<LogLevel, number>> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: 100,
}
/** The levels, the most talkative first: trace, debug, info, warn, error, fatal; silent says nothing. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
export type MessageLevel = Exclude<LogLevel, 'silent'>

/** What a program's own logger must be able to do, at least: as pino, winston, bunyan or `console`. */
export interface LoggerLike {
  /** Level `debug`: what is for whoever looks for a mistake. */
  debug(message: string): unknown
  /** Level `info`: what begins and ends. */
  info(message: string): unknown
  /** Level `warn`: what may be wrong. */
  warn(message: string): unknown
  /** Level `error`: what has failed. */
  error(message: string): unknown
  /** Level `trace`: each step. Absent: what has it goes to `debug`. */
  trace?(message: string): unknown
  /** Level `fatal`: what ends the program. Absent: what has it goes to `error`. */
  fatal?(message: string): unknown
  /** Its own level, where it says one; what children begin with. */
  level?: unknown
}

interface State {
  level: LogLevel
  /** Do lines go to stderr? */
  stderr: boolean
  /** The program's own logger: everything goes there. */
  own: LoggerLike | undefined
  /** Who is speaking; process/current.ts sets it. */
  speaker: (() => Process) | undefined
}
export const state: State = { level: 'warn', stderr: false, own: undefined, speaker: undefined }

/** Does anybody want to know? */
export function logs(level: MessageLevel): boolean {
  const { own } = state
  if (own === undefined) return state.stderr && LEVELS[level] >= LEVELS[state.level]
  // Most loggers say how much they take; what they say in another way they judge themselves.
  return typeof own.level !== 'string' || !(own.level in LEVELS) || LEVELS[level] >= LEVELS[own.level as LogLevel]
}

/** `text` is only asked for if somebody wants to know. Never throws, never waits for anybody. */
export function log(level: MessageLevel, text: () => string): void {
  if (logs(level)) write(level, text())
}

/** Writes a message that is wanted. */
export function write(level: MessageLevel, text: string): void {
  const name = state.speaker?.().name ?? 'MainProcess'
  const { own } = state
  if (own === undefined) {
    toStderr(`[${level.toUpperCase()}/${name}] ${text}\n`)
    return
  }
  const method = own[level] === undefined ? (level === 'fatal' ? 'error' : 'debug') : level
  try {
    own[method]!(`[${name}] ${text}`)
  } catch (error) {
    // An error of the program, which must not come out of whatever has just happened here.
    process.nextTick(() => {
      throw error
    })
  }
}

/** As console.error: nobody may be there to read it. */
function toStderr(line: string): void {
  const { stderr } = process
  const ignore = (): void => {}
  const stop = (): void => void stderr.removeListener('error', ignore)
  stderr.on('error', ignore)
  try {
    stderr.write(line, (error) => {
      if (error) setImmediate(stop)
      else stop()
    })
  } catch {
    stop()
  }
}

/** What a child inherits, in its header. undefined: nothing is on. */
export function inheritance(): { level: LogLevel; stderr: boolean } | undefined {
  const { level, stderr, own } = state
  // The logger cannot travel: the child's lines go to stderr.
  const known = typeof own?.level === 'string' && own.level in LEVELS ? (own.level as LogLevel) : level
  return own === undefined && !stderr && level === 'warn'
    ? undefined
    : { level: known, stderr: stderr || own !== undefined }
}
export function inherit(from: ReturnType<typeof inheritance>): void {
  if (from === undefined) return
  state.level = from.level
  state.stderr = from.stderr
}
