// The public side of logging: getLogger, setLogger, logToStderr, and NODE_DEBUG=multiproc.
import { debuglog, format } from 'node:util'
import { checkFunction, invalidType, invalidValue } from '../check'
import { LEVELS, type LoggerLike, type LogLevel, logs, type MessageLevel, state, write } from './log'

export type { LoggerLike, LogLevel } from './log'

/** The package's logger. Its methods take what `console.log` takes, and do nothing unless somebody listens. */
export interface Logger extends Required<Omit<LoggerLike, 'level'>> {
  /** 'trace', 'debug', 'info', 'warn' (the default), 'error', 'fatal' or 'silent'. Children start with their parent's. */
  level: LogLevel
  /** Would a message of this level be written anywhere? */
  isLevelEnabled(level: LogLevel): boolean
  /** Level `trace`: each step. Takes what console.log() takes; does not block. */
  trace(...message: unknown[]): void
  /** Level `debug`: what is for whoever looks for a mistake. Takes what console.log() takes; does not block. */
  debug(...message: unknown[]): void
  /** Level `info`: what begins and ends. Takes what console.log() takes; does not block. */
  info(...message: unknown[]): void
  /** Level `warn`: what may be wrong. Takes what console.log() takes; does not block. */
  warn(...message: unknown[]): void
  /** Level `error`: what has failed. Takes what console.log() takes; does not block. */
  error(...message: unknown[]): void
  /** Level `fatal`: what ends the program. Takes what console.log() takes; does not block. */
  fatal(...message: unknown[]): void
}

function checkLevel(name: string, level: unknown): asserts level is LogLevel {
  if (typeof level !== 'string') throw invalidType(name, `a level (${Object.keys(LEVELS).join(', ')})`, level)
  if (!Object.hasOwn(LEVELS, level)) throw invalidValue(name, `one of ${Object.keys(LEVELS).join(', ')}`, level)
}

const say =
  (level: MessageLevel) =>
  (...message: unknown[]): void => {
    if (logs(level)) write(level, format(...message))
  }

const logger: Logger = {
  get level() {
    return state.level
  },
  set level(level) {
    checkLevel('level', level)
    state.level = level
  },
  isLevelEnabled(level) {
    checkLevel('level', level)
    return level !== 'silent' && logs(level)
  },
  trace: say('trace'),
  debug: say('debug'),
  info: say('info'),
  warn: say('warn'),
  error: say('error'),
  fatal: say('fatal'),
}

/**
 * The logger that the package writes to: the one given to setLogger(), else its own, which is silent until logToStderr(),
 * or `NODE_DEBUG=multiproc` in the environment. Does not block.
 */
export function getLogger(): Logger {
  return (state.own as Logger | undefined) ?? logger
}

/**
 * From now on what this process logs goes to `own`: pino, winston, `console` or any object with `debug`, `info`, `warn` and
 * `error`. `null`: to the package's own logger again. A logger cannot travel: children started by spawn and forkserver begin
 * with its level, and write to stderr until they call setLogger() themselves. Throws TypeError (`ERR_INVALID_ARG_TYPE`).
 */
export function setLogger(own: LoggerLike | null): void {
  if (own !== null) {
    if (typeof own !== 'object' && typeof own !== 'function') throw invalidType('logger', 'a logger or null', own)
    for (const method of ['debug', 'info', 'warn', 'error'] as const) checkFunction(`logger.${method}`, own[method])
  }
  state.own = own ?? undefined
}

/**
 * Has the package's logger write to stderr, `[INFO/Process-1] …`, in this process and those that it starts from now on.
 * With a level, also sets that. Gives the logger. Throws TypeError (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`).
 */
export function logToStderr(level?: LogLevel): Logger {
  if (level !== undefined) logger.level = level
  state.stderr = true
  return logger
}

// util.debuglog knows what NODE_DEBUG means; not asked for, it costs nothing.
if (process.env.NODE_DEBUG !== undefined && debuglog('multiproc').enabled) logToStderr('debug')
