// Reads a source map just far enough to say where a piece of generated code was written.
import { readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

interface Segment {
  column: number
  source: number
  line: number
  sourceColumn: number
}
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

export class SourceMap {
  private lines: Segment[][] | undefined
  private constructor(
    private readonly mappings: string,
    private readonly sources: string[],
  ) {}

  /** The map that `//# sourceMappingURL=` of the script at `url` names, if it can be read. */
  static load(mapUrl: string | undefined, url: string): SourceMap | undefined {
    if (!mapUrl) return undefined
    try {
      let text: string
      let base = url
      const data = /^data:[^,]*?(;base64)?,/.exec(mapUrl)
      if (data) {
        const body = mapUrl.slice(data[0].length)
        text = data[1] ? Buffer.from(body, 'base64').toString() : decodeURIComponent(body)
      } else {
        base = new URL(mapUrl, url).href
        text = readFileSync(fileURLToPath(base), 'utf8')
      }
      const map = JSON.parse(text)
      if (typeof map.mappings !== 'string' || !Array.isArray(map.sources)) return undefined
      const root = map.sourceRoot ? `${map.sourceRoot.replace(/\/$/, '')}/` : ''
      const resolve = (source: string | null): string => {
        if (!source) return url
        if (/^\/|^[a-zA-Z]:[\\/]/.test(source)) return pathToFileURL(source).href
        return URL.canParse(root + source, base) ? new URL(root + source, base).href : url
      }
      return new SourceMap(map.mappings, map.sources.map(resolve))
    } catch {
      // A missing or broken map costs the original position, nothing else.
      return undefined
    }
  }

  /** Zero-based positions; undefined where the map says nothing. */
  original(line: number, column: number): { url: string; line: number; column: number } | undefined {
    this.lines ??= decode(this.mappings)
    const segments = this.lines[line]
    if (!segments?.length) return undefined
    let low = 0
    let high = segments.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (segments[middle]!.column <= column) low = middle
      else high = middle - 1
    }
    const found = segments[low]!
    if (found.source < 0 || found.column > column) return undefined
    return { url: this.sources[found.source]!, line: found.line, column: found.sourceColumn }
  }
}

function decode(mappings: string): Segment[][] {
  let source = 0
  let line = 0
  let sourceColumn = 0
  return mappings.split(';').map((text) => {
    let column = 0
    const segments: Segment[] = []
    for (const part of text ? text.split(',') : []) {
      const fields: number[] = []
      let value = 0
      let shift = 0
      for (const char of part) {
        const digit = DIGITS.indexOf(char)
        value |= (digit & 31) << shift
        shift += 5
        if (digit & 32) continue
        fields.push(value & 1 ? -(value >>> 1) : value >>> 1)
        value = 0
        shift = 0
      }
      column += fields[0] ?? 0
      if (fields.length >= 4) {
        source += fields[1]!
        line += fields[2]!
        sourceColumn += fields[3]!
        segments.push({ column, source, line, sourceColumn })
      }
    }
    return segments
  })
}
