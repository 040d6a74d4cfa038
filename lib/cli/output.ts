// What the command prints: tables, colours where a person looks, and nothing of what others have written that a terminal
// could take for orders.

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'
const CODES: Record<Style, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
}

export class Output {
  readonly #stream: NodeJS.WriteStream
  readonly colours: boolean

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    const { NO_COLOR, FORCE_COLOR, TERM } = process.env
    this.colours = FORCE_COLOR ? FORCE_COLOR !== '0' : stream.isTTY === true && !NO_COLOR && TERM !== 'dumb'
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true
  }
  get columns(): number {
    return this.#stream.columns ?? 0
  }

  line(text = ''): void {
    this.#stream.write(`${text}\n`)
  }
  json(value: unknown): void {
    this.line(JSON.stringify(value, undefined, this.isTerminal ? 2 : undefined))
  }
  /** Empties the screen, where there is one. */
  clear(): void {
    if (this.isTerminal) this.#stream.write('\x1b[H\x1b[2J\x1b[3J')
  }
  style(style: Style, text: string): string {
    const [on, off] = CODES[style]
    return this.colours ? `\x1b[${on}m${text}\x1b[${off}m` : text
  }
  heading(text: string): void {
    this.line(this.style('bold', text))
  }

  /** A table whose first row is its heading; columns with nothing below that are left out. */
  headed(rows: readonly (readonly string[])[]): void {
    const used = rows[0]!.map((_, i) => rows.some((row, at) => at > 0 && row[i] !== ''))
    this.table(rows.map((row) => row.filter((_, i) => used[i])))
  }
  /** Columns as wide as they need to be. Cells may be styled; lines are cut to the terminal's width. */
  table(rows: readonly (readonly string[])[], indent = '  '): void {
    const widths: number[] = []
    for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, visible(cell))
    for (const row of rows) {
      const cells = row.map((cell, i) => (i === row.length - 1 ? cell : cell + ' '.repeat(widths[i]! - visible(cell))))
      this.line(cut(indent + cells.join('  ').trimEnd(), this.columns))
    }
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the codes of style()
const ESCAPES = /\x1b\[\d+m/g
function visible(text: string): number {
  return text.replace(ESCAPES, '').length
}
function cut(text: string, columns: number): string {
  return columns === 0 || visible(text) <= columns || ESCAPES.test(text) ? text : `${text.slice(0, columns - 1)}…`
}

/** What others have written, as one line that no terminal obeys. */
export function printable(text: string, most = 80): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, '\ufffd')
  return clean.length > most ? `${clean.slice(0, most - 1)}…` : clean
}

/** `1.5 MiB`. */
export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024
    unit++
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1).replace(/\.0$/, '')} ${units[unit]}`
}

/** `1 process`, `2 processes`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}
